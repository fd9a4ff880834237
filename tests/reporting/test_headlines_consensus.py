"""What Consensus says first, in both languages: agreement, objection, disagreement, nothing replaceable; and the board's answer."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest

from analysis.contracts import CaseEvidence, Estimate, Message, Ranking, Standing, Vote, Voter
from analysis.economics.evidence import evidence_of
from analysis.errors import PlanError
from analysis.i18n import LANGUAGES, Language, render
from analysis.planning import plan_from_ranking, propose_plan
from analysis.reporting.briefing import make_briefing
from analysis.reporting.headlines_consensus import LARGE, consensus_headline
from tests.builders import make_profile
from tests.business_builders import make_case, make_evidence
from tests.consensus_builders import make_ranking
from tests.planning.test_consensus import a_vote, layers, silent

N = 8
SAME = [float(place) for place in range(1, N + 1)]
SWAPPED = [2.0, 1.0, *SAME[2:]]
AGAINST = SAME[::-1]
NAMES: tuple[Voter, ...] = ("cka", "procrustes", "taylor", "block_influence")


def voted(*ranks: list[float], change: float = 0.05, unit: Any = "block", more: tuple[Vote, ...] = (), **changes: Any) -> Ranking:
    """A ranking of eight layers by these votes; each layer alone costs `change`."""
    made = make_ranking(N, n_taken=0, replicates=0)
    votes = (*(a_vote(name, list(one)) for name, one in zip(NAMES, ranks, strict=False)), *more)
    step = made.steps[0].model_copy(update={"votes": votes, "candidates": layers(N, unit)})
    lost = tuple(
        one.model_copy(update={"removed": ((unit, one.removed[0][1]),), "change": Estimate(value=change, low=change, high=change)})
        for one in made.lost
    )
    return made.model_copy(update={"steps": (step,), "lost": lost, **changes})


def both(message: Message) -> tuple[str, str]:
    return render(message, "en"), render(message, "ja")


def test_the_sentence_is_that_of_the_page_of_words() -> None:
    english, japanese = both(consensus_headline(voted(SAME, SAME, SWAPPED, AGAINST), k=2))
    assert english == "3 of 4 measures agree that layer 0 is replaceable; Block Influence disagrees. Most is lost on Japanese requests."
    assert japanese == (
        "4指標中3指標が0層を「外せる」と判定しました。ブロック影響度は反対の結果です。損失の増加が最も大きいのはJapanese requestsです。"
    )


def test_all_agree() -> None:
    english, japanese = both(consensus_headline(voted(SAME, SAME, SWAPPED), k=2))
    assert english == "All 3 measures agree that layer 0 is replaceable. Verification decides."
    assert "すべて" in japanese


def test_most_object() -> None:
    english, _ = both(consensus_headline(voted(SAME, AGAINST, [3.0, 4, 1, 2, 5, 6, 7, 8]), k=2))
    assert english.startswith("The measures disagree: only 1 of 3 count layer 2, first by their consensus, among the 2 most replaceable.")
    one, _ = both(consensus_headline(voted(SAME, AGAINST), k=1))
    assert one == "The measures disagree: only 1 of 2 put layer 0 first, as their consensus does."


@pytest.mark.parametrize(("change", "says"), [(LARGE, "perplexity is 25% higher"), (3.0, "perplexity is 20 times as high")])
def test_where_every_layer_costs_much_the_answer_is_no(change: float, says: str) -> None:
    english, japanese = both(consensus_headline(voted(SAME, SAME, change=change)))
    assert english.startswith("Nothing here is replaceable: even without layer 0")
    assert says in english
    assert japanese.startswith("外せる層はありません。")


def test_just_below_the_limit_the_vote_is_told() -> None:
    assert "agree" in both(consensus_headline(voted(SAME, SAME, change=LARGE - 1e-6)))[0]


def test_changes_of_states_are_not_taken_for_losses() -> None:
    assert "agree" in both(consensus_headline(voted(SAME, SAME, change=3.0, objective="state_change")))[0]


def test_a_protected_layer_is_neither_first_nor_the_cheapest() -> None:
    ranking = voted(SAME, SAME)
    settings = ranking.settings.model_copy(update={"protect": (0,)})
    assert "layer 1" in both(consensus_headline(ranking.model_copy(update={"settings": settings}), k=1))[0]
    everything = ranking.settings.model_copy(update={"protect": tuple(range(N))})
    assert "No layer may go" in both(consensus_headline(ranking.model_copy(update={"settings": everything})))[0]


def test_a_layer_without_which_the_model_breaks_is_not_called_replaceable() -> None:
    ranking = voted(SAME, SAME)
    broken = ranking.lost[0].model_copy(update={"change": Estimate(value=None)})
    assert "layer 1" in both(consensus_headline(ranking.model_copy(update={"lost": (broken, *ranking.lost[1:])}), k=1))[0]


def test_one_measure_is_no_consensus() -> None:
    english, japanese = both(consensus_headline(voted(SAME)))
    assert english == "Only one measure voted, Linear CKA, so there is no consensus: it finds layer 0 most replaceable."
    assert "線形CKA" in japanese


def test_who_could_not_vote_is_named() -> None:
    english, japanese = both(consensus_headline(voted(SAME, SAME, more=(silent("cca", N), silent("conductance", N)))))
    assert english.endswith("2 of 4 measures could not vote: CCA and Conductance.")
    assert japanese.endswith("4指標中2指標は投票できませんでした：CCA、コンダクタンス。")


def test_the_odd_measure_is_named_before_a_louder_objection() -> None:
    loud = [8.0, 1, 2, 3, 4, 5, 6, 7]
    odd = [4.0, 8, 7, 6, 5, 3, 2, 1]
    english, _ = both(consensus_headline(voted(SAME, SAME, loud, odd, more=(a_vote("wasserstein", list(SAME)),)), k=2, rule="median_rank"))
    assert "Block Influence disagrees" in english


def test_without_slices_no_slice_is_blamed() -> None:
    english, japanese = both(consensus_headline(voted(SAME, SAME, AGAINST, lost=()), k=2))
    assert english == "2 of 3 measures agree that layer 0 is replaceable; Taylor disagrees."
    assert "反対の結果" in japanese


def test_a_measure_that_says_nothing_of_the_layer_does_not_object_to_it() -> None:
    english, _ = both(consensus_headline(voted(SAME, SAME, [None, *SAME[:-1]]), k=2))  # type: ignore[list-item]
    assert english == "2 of 3 measures agree that layer 0 is replaceable; the others say nothing about it."


@pytest.mark.parametrize(
    ("unit", "english", "japanese"), [("attention", "the attention of layer 0", "0層の注意機構"), ("mlp", "the MLP of layer 0", "0層のMLP")]
)
def test_halves_are_named_as_halves(unit: str, english: str, japanese: str) -> None:
    said = both(consensus_headline(voted(SAME, SAME, AGAINST, unit=unit), k=2))
    assert english in said[0]
    assert japanese in said[1]
    assert "Most is lost on" in said[0]


def test_measures_and_rule_of_the_moment_decide_what_is_said() -> None:
    ranking = voted(SAME, SAME, AGAINST)
    assert "All 2 measures" in both(consensus_headline(ranking, voters=("cka", "procrustes"), k=2))[0]
    assert "layer 7" in both(consensus_headline(ranking, rule="borda", weights={"taylor": 9.0}, k=2))[0]
    with pytest.raises(PlanError, match="abstained"):
        consensus_headline(voted(more=(silent("cca", N),)))


def test_as_many_count_as_replaceable_as_were_taken() -> None:
    ranking = make_ranking(n_taken=1)
    assert both(consensus_headline(ranking)) == both(consensus_headline(ranking, k=1))


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("n_blocks", [30, 12])
def test_nothing_is_left_unfilled(language: Language, n_blocks: int) -> None:
    for seed in range(4):
        for k in (None, 1, 3):
            assert not re.search(r"[{}]|None|nan", render(consensus_headline(make_ranking(n_blocks, seed=seed, n_taken=2), k=k), language))


def answer(case: Any, language: Language) -> str:
    asks = {"en": "Why these layers?", "ja": "なぜこの層なのですか。"}[language]
    return next(found.answer for found in make_briefing(case, language).questions if found.question == asks)


def case_with(agreement: tuple[int, int] | None, standing: Standing = "measured") -> Any:
    return make_case("serving", standing, evidence=make_evidence("serving", standing, agreement=agreement))


def test_the_board_is_told_how_many_measures_agree() -> None:
    case = case_with((9, 12))
    assert answer(case, "en") == '9 of 12 measures agree, and taking them out was tested; see "How do we know?".'
    assert answer(case, "ja") == "12指標中9が一致し、外した場合の影響も試験済みです。根拠は画面で示せます。"


@pytest.mark.parametrize("agreement", [(9, 12), (0, 12)])
def test_what_was_not_tested_is_not_called_tested(agreement: tuple[int, int]) -> None:
    case = case_with(agreement, "rough")
    assert "has not been tested yet" in answer(case, "en")
    assert "まだ試験していません" in answer(case, "ja")


def test_a_choice_that_no_measure_made_is_told_as_a_compromise() -> None:
    assert answer(case_with((0, 12)), "en").startswith("They are the compromise of 12 measures, the choice of no single one")
    assert "単独の指標による選択ではありません" in answer(case_with((0, 12)), "ja")


def test_without_a_vote_the_board_is_told_what_it_was_told_before() -> None:
    assert answer(case_with(None), "en").endswith("How many measures agree was not counted.")


def test_a_case_rests_on_the_vote_of_its_plan() -> None:
    plan = plan_from_ranking(make_ranking(), amount="1 layer")
    assert plan.provenance.consensus is not None
    found = evidence_of(plan)
    assert found.agreement == (plan.provenance.consensus.n_agree, 12)
    assert CaseEvidence.model_validate_json(found.model_dump_json()) == found


def test_a_case_without_a_vote_is_written_as_before() -> None:
    found = evidence_of(propose_plan(make_profile(30)))
    assert found.agreement is None
    assert "agreement" not in found.model_dump(mode="json")
    assert CaseEvidence.model_validate_json(found.model_dump_json()) == found


def test_large_is_a_quarter_more_perplexity() -> None:
    assert math.exp(LARGE) == pytest.approx(1.25)
