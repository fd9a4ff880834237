"""Robustness in words and charts: what counts as worse over several strengths, one scale for charts side by side, nothing unknown drawn."""

from __future__ import annotations

import pytest

from analysis.contracts import Comparison, Disturbed, Estimate
from analysis.i18n import Language, render
from analysis.planning.carbon import COUNTRIES
from analysis.reporting import robustness_words as words
from analysis.reporting.charts.palette import Look
from analysis.reporting.charts.robustness import rise_alt, rise_figure, rise_rows, shared_reach
from tests.consensus_builders import make_robustness

LOOKS = [Look(language, theme) for language in ("en", "ja") for theme in ("light", "dark")]
FOUND = make_robustness()


def with_comparisons(kind: str, *told: Comparison) -> tuple[Disturbed, ...]:
    rows = [row for row in FOUND.results if row.kind == kind]
    return tuple(row.model_copy(update={"comparison": one}) for row, one in zip(rows, told, strict=False))


@pytest.mark.parametrize(
    ("told", "standing"),
    [
        (("worse", "worse", "no_difference"), "worse"),
        (("better", "better", "better"), "better"),
        (("worse", "no_difference", "no_difference"), "single"),
        (("worse", "better", "worse"), "single"),
        (("no_difference", "unknown", "no_difference"), "no_difference"),
        (("unknown", "unknown", "unknown"), "unknown"),
        (("worse", "unknown", "unknown"), "worse"),
        (("worse",), "worse"),
    ],
)
def test_one_strength_of_several_may_be_chance_and_two_that_agree_are_not(told: tuple[Comparison, ...], standing: str) -> None:
    found = FOUND.model_copy(update={"results": with_comparisons("swap", *told)})
    assert words.stands(found)[0].standing == standing


def test_the_answer_has_a_form_for_every_case() -> None:
    def answer(*results: Disturbed) -> str:
        return render(words.robustness(FOUND.model_copy(update={"results": results})), "en")

    same = with_comparisons("swap", "no_difference", "no_difference", "no_difference")
    assert "makes no difference that 84 prompts can show" in answer(*same)
    assert "cannot be told from 84 prompts" in answer(*with_comparisons("swap", "unknown", "unknown", "unknown"))
    assert "No disturbance was tested" in answer()
    assert "less sensitive to typing slips" in answer(*with_comparisons("keyboard", "better", "better", "better"))
    mixed = answer(*with_comparisons("case", "worse", "worse", "worse"), *same)
    assert mixed.startswith("The cut makes the model more sensitive to wrong capitals")
    assert mixed.endswith("No difference shows under swapped letters.")
    assert "may be chance" in answer(*with_comparisons("words", "worse", "no_difference", "no_difference"))
    assert "Nothing can be told of other words" in answer(*same, *with_comparisons("words", "unknown"))


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: f"{look.language}-{look.theme}")
def test_every_disturbance_is_drawn_with_both_models_inside_the_shared_scale(look: Look) -> None:
    tested = words.stands(FOUND)
    limits = shared_reach(tested)
    for stand in tested:
        figure = rise_figure(stand, look, limits)
        assert len(figure.data) == 2
        assert tuple(figure.layout.yaxis.range) == limits
        for line, rises in zip(
            figure.data, ([row.rise_original for row in stand.results], [row.rise_plan for row in stand.results]), strict=True
        ):
            assert list(line.y) == [rise.value for rise in rises]
            assert all(limits[0] <= value - low for value, low in zip(line.y, line.error_y.arrayminus, strict=True))
            assert all(value + high <= limits[1] for value, high in zip(line.y, line.error_y.array, strict=True))
        assert rise_alt(stand, look)
    assert limits[0] <= 0 <= limits[1]


def test_a_strength_whose_rise_is_not_known_is_left_out_and_the_others_stay() -> None:
    rows = with_comparisons("swap", "unknown", "no_difference", "no_difference")
    first = rows[0].model_copy(update={"rise_plan": Estimate(value=None)})
    stand = words.stands(FOUND.model_copy(update={"results": (first, *rows[1:])}))[0]
    figure = rise_figure(stand, Look(), shared_reach([stand]))
    assert [len(line.x) for line in figure.data] == [3, 2]


def test_the_rows_hold_every_strength_and_say_what_the_attack_did_not_find() -> None:
    rows = rise_rows(FOUND, Look())
    assert len(rows) == len(FOUND.results)
    fgsm = next(row for row in rows if row["disturbance"] == "attack, one step (FGSM)")
    assert (fgsm["attack found nothing (prompts)"], fgsm["strength"]) == (2, "0.05")
    assert rows[0]["the plan is"] == "less sensitive"


def test_what_was_left_out_is_named() -> None:
    kept = tuple(row for row in FOUND.results if row.kind != "pgd")
    said = [render(one, "en") for one in words.not_tested(FOUND.model_copy(update={"results": kept}))]
    assert "Not tested: attack, several steps (PGD)." in said[0]
    assert len(words.not_tested(FOUND)) == 1


@pytest.mark.parametrize("language", ["en", "ja"])
def test_every_country_of_the_table_has_a_name(language: Language) -> None:
    assert all(words.country_name(iso3, language) for iso3 in COUNTRIES)
    assert words.country_name("???", language) == "???"
