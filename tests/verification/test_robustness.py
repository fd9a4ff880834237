"""From a request to a robustness test: bad input first, then what it holds, by hand, and that the judged words stay clean."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from analysis.contracts import Freeze, ModelInfo, ModelSource, Plan, Robustness
from analysis.contracts.plan import RobustnessRequest
from analysis.contracts.ranking import ConsensusChoice
from analysis.contracts.robustness import NOISES, RobustnessSettings
from analysis.errors import Cancelled, InputError, ModelError, PlanError, WorkloadError
from analysis.models.load import describe_model, load_model
from analysis.models.stack import LoadedModel
from analysis.surgery.skip import left_out
from analysis.verification.disturbed import Judged, Writing, disturb, judged_examples
from analysis.verification.robustness import measure_robustness, run_robustness
from analysis.verification.sensitivity import Rises
from analysis.verification.unknown_work import difference_of_groups, unknown_work
from analysis.workload import EncodedWorkload, Encoder, Example, Turn, encode_workload, read_workload, sample_workload
from tests.models.tiny import build, save_tokenizer
from tests.verification import tiny_verification as tv

QUICK = RobustnessSettings(device="cpu", attacks=(), energy=False, replicates=200, levels=(0.05, 0.3), noises=("keyboard", "words"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("robustness")


@pytest.fixture(scope="module")
def info(folder: Path) -> ModelInfo:
    return describe_model(tv.save(tv.tiny_llama(planted=(2,)), folder / "model")).info


@pytest.fixture(scope="module")
def path(folder: Path) -> str:
    return tv.write(folder, tv.rows())


@pytest.fixture(scope="module")
def model(info: ModelInfo) -> LoadedModel:
    return load_model(info.source, device="cpu")


@pytest.fixture(scope="module")
def encoder(folder: Path, info: ModelInfo) -> Encoder:
    return Encoder.from_folder(folder / "model")


@pytest.fixture(scope="module")
def encoded(path: str, encoder: Encoder) -> EncodedWorkload:
    return encode_workload(read_workload([Path(path)]), encoder, max_tokens=512, chat_template=True, part="verification")


@pytest.fixture(scope="module")
def judged(path: str, encoder: Encoder, encoded: EncodedWorkload) -> list[Judged]:
    sources = {example.id: example for example in read_workload([Path(path)]).examples}
    return judged_examples(encoded.examples, sources, Writing(encoder, 512, True))


@pytest.fixture(scope="module")
def worse(info: ModelInfo, path: str) -> Robustness:
    return run_robustness(asked(tv.plan_for(info, [1]), path, QUICK.model_copy(update={"held_out": ("mail",)})))


def asked(plan: Plan, path: str, settings: RobustnessSettings = QUICK) -> RobustnessRequest:
    return RobustnessRequest(model=plan.model.source, workload_paths=(path,), plan=plan, settings=settings)


def never(*_: object, **__: object) -> Any:
    raise AssertionError("the model was loaded")


# -- bad input, found out before the model is loaded -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("update", "said"),
    [
        ({"levels": (0.05, 1.5)}, "1.5 is more than all of them"),
        ({"country": "JP"}, "near ones: JPN Japan"),
        ({"held_out": ("nowhere",)}, "has no slice 'nowhere'. Its slices are"),
        ({"slices": ("mail",), "held_out": ("orders",)}, "has no slice 'orders'"),
        ({"slices": ("nowhere",)}, "has no slice 'nowhere'"),
        ({"noises": ()}, "Nothing is left to test"),
    ],
)
def test_what_cannot_be_tested_is_refused_before_loading(info: ModelInfo, path: str, update: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError) as refused:
        run_robustness(asked(tv.plan_for(info, [1]), path, QUICK.model_copy(update=update)), load=never)
    assert said in str(refused.value)


def test_a_plan_that_only_freezes_is_refused(info: ModelInfo, path: str) -> None:
    plan = tv.plan_for(info, [1]).model_copy(update={"operations": (Freeze(eof_layer=1),)})
    with pytest.raises(PlanError, match="only freezes layers"):
        run_robustness(asked(plan, path), load=never)


def test_a_plan_for_another_version_is_refused(info: ModelInfo, path: str) -> None:
    plan = tv.plan_for(info, [1])
    stale = plan.model_copy(update={"model": plan.model.model_copy(update={"commit": "feedfeedfeed"})})
    with pytest.raises(PlanError, match="The plan was made for version"):
        run_robustness(asked(stale, path), load=never)


def test_a_model_that_does_not_write_is_refused_in_words(tmp_path: Path) -> None:
    build("bert").save_pretrained(tmp_path / "bert")
    save_tokenizer(tmp_path / "bert")
    source = ModelSource(kind="folder", location=str(tmp_path / "bert"))
    with pytest.raises(ModelError, match="does not predict the next word"):
        run_robustness(asked(tv.plan_for(describe_model(source).info, [1]), tv.write(tmp_path, tv.rows())))


def test_prompts_of_one_word_leave_nothing_to_judge_and_that_is_said(info: ModelInfo, tmp_path: Path) -> None:
    path = tv.write(tmp_path, [{"prompt": word} for word in tv.WORDS[3:]])
    with pytest.raises(WorkloadError, match="both words to judge and words before them"):
        run_robustness(asked(tv.plan_for(info, [1]), path))


def test_stopping_stops(info: ModelInfo, path: str) -> None:
    with pytest.raises(Cancelled):
        run_robustness(asked(tv.plan_for(info, [1]), path), should_stop=lambda: True)


# -- what is judged, and what may be touched ---------------------------------------------------------------------------


def test_the_response_is_judged_and_without_one_the_later_half_of_the_prompt(judged: list[Judged]) -> None:
    for example in judged:
        kept = example.encoded.input_ids[example.counts]
        if example.source.response is not None:
            assert [tv.WORDS[token] for token in kept] == example.source.response.split()
        else:
            words = example.source.prompt.split()
            assert [tv.WORDS[token] for token in kept] == words[len(words) - len(kept) :]
            assert abs(len(kept) - len(words) / 2) <= 1.5


@pytest.mark.parametrize("kind", NOISES)
@pytest.mark.parametrize("level", [0.02, 0.5, 1.0])
def test_the_judged_tokens_are_the_clean_ones_under_every_noise(judged: list[Judged], encoder: Encoder, kind: Any, level: float) -> None:
    for example in judged:
        noisy = disturb(example, kind, level, Writing(encoder, 512, True), seed=1)
        np.testing.assert_array_equal(noisy.ids[noisy.counts], example.encoded.input_ids[example.counts])
        assert not noisy.counts[0]
        assert bool(noisy.slips.edits) == (noisy.shown is not None)


def test_only_what_users_wrote_is_touched() -> None:
    words = ("<unk>", "rule", "one", "two", "three", "four", "reply", "tool", "five", "six")
    tokenizer = Tokenizer(WordLevel({word: number for number, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = Whitespace()
    writing = Writing(Encoder(tokenizer, None, {}), 512, True)
    turns = (Turn("system", "rule"), Turn("user", "one two"), Turn("assistant", "reply"), Turn("user", "three four"), Turn("tool", "tool"))
    (example,) = judged_examples([writing.whole(talk := Example(turns, "five six"))], {talk.id: talk}, writing)
    noisy = disturb(example, "case", 1.0, writing, seed=0)
    assert [words[token] for token in noisy.ids] == ["rule", "<unk>", "<unk>", "reply", "<unk>", "<unk>", "tool", "five", "six"]
    assert noisy.slips.n_changed == noisy.slips.n_eligible == len("onetwothreefour")


def test_a_prompt_that_outgrows_the_context_loses_its_beginning_and_keeps_what_is_judged(judged: list[Judged], encoder: Encoder) -> None:
    example = judged[0]
    n = len(example.encoded.input_ids)
    noisy = disturb(example, "spacing", 1.0, Writing(encoder, 512, True, context=n), seed=0)
    assert noisy.shortened
    assert len(noisy.ids) == n
    np.testing.assert_array_equal(noisy.ids[noisy.counts], example.encoded.input_ids[example.counts])


@pytest.mark.sample_model
@pytest.mark.parametrize("answered", [True, False])
@pytest.mark.parametrize("max_tokens", [512, 24])
def test_with_a_real_tokenizer_and_chat_template_the_judged_words_stay_clean(sample_folder: Path, answered: bool, max_tokens: int) -> None:
    encoder = Encoder.from_folder(sample_folder)
    writing = Writing(encoder, max_tokens, True)
    texts = [
        example if answered else replace(example, response=None, choices=(), answer=None) for example in sample_workload().examples[::4]
    ]
    whole = [encoder.encode(example, max_tokens=max_tokens, chat_template=True) for example in texts]
    judged = judged_examples([one for one in whole if one.n_counted], {example.id: example for example in texts}, writing)
    assert len(judged) > len(texts) // 2
    for example in judged:
        for kind in NOISES:
            noisy = disturb(example, kind, 0.2, writing, seed=0)
            np.testing.assert_array_equal(noisy.ids[noisy.counts], example.encoded.input_ids[example.counts])


# -- figures -----------------------------------------------------------------------------------------------------------


def losses_by_hand(model: LoadedModel, ids: np.ndarray[Any, Any], counts: np.ndarray[Any, Any]) -> tuple[float, list[int]]:
    """Sum of nats of the judged tokens and the model's own first choices, one prompt alone by the model's own forward."""
    with torch.no_grad():
        scores = model.model(input_ids=torch.from_numpy(ids)[None]).logits[0].log_softmax(-1)
    places = np.flatnonzero(counts)
    return float(-sum(scores[place - 1, ids[place]] for place in places)), [int(scores[place - 1].argmax()) for place in places]


def test_losses_rises_and_agreement_are_those_of_plain_forwards(
    worse: Robustness, model: LoadedModel, judged: list[Judged], encoder: Encoder
) -> None:
    result = next(found for found in worse.results if (found.kind, found.level) == ("keyboard", 0.3))
    noisy = [disturb(example, "keyboard", 0.3, Writing(encoder, 512, True, 128), seed=0) for example in judged]
    n = sum(example.n_judged for example in judged)
    clean = [losses_by_hand(model, example.encoded.input_ids, example.counts) for example in judged]
    after = [losses_by_hand(model, example.ids, example.counts) for example in noisy]
    with left_out(model.stack(None), (("block", 1),)):
        clean_plan = [losses_by_hand(model, example.encoded.input_ids, example.counts)[0] for example in judged]
        after_plan = [losses_by_hand(model, example.ids, example.counts)[0] for example in noisy]
    kept = sum(one == other for before, now in zip(clean, after, strict=True) for one, other in zip(before[1], now[1], strict=True))
    assert worse.clean_plan.value == pytest.approx(sum(clean_plan) / n, abs=1e-4)
    assert result.loss_original.value == pytest.approx(sum(loss for loss, _ in after) / n, abs=1e-4)
    assert result.rise_plan.value == pytest.approx((sum(after_plan) - sum(clean_plan)) / n, abs=1e-4)
    assert result.agreement_original is not None
    assert result.agreement_original.value == pytest.approx(kept / n)
    assert result.touched == pytest.approx(sum(e.slips.n_changed for e in noisy) / sum(e.slips.n_eligible for e in noisy))
    assert result.difference.value == pytest.approx(result.rise_plan.value - result.rise_original.value)  # type: ignore[operator]


def test_everything_asked_for_is_there_and_survives_json(worse: Robustness) -> None:
    assert [(found.kind, found.level) for found in worse.results] == [
        ("keyboard", 0.05),
        ("keyboard", 0.3),
        ("words", 0.05),
        ("words", 0.3),
    ]
    assert {name for found in worse.results for name in found.slices} == {"inspection", "mail", "orders"}
    assert Robustness.model_validate_json(worse.model_dump_json()) == worse
    assert worse.energy is None
    assert worse.energy_reason is None
    assert worse.settings.batch_tokens
    assert all(len(before) <= 24 and before != after for found in worse.results for before, after in found.examples)


def test_a_plan_that_takes_out_a_layer_which_does_nothing_makes_no_difference_at_all(info: ModelInfo, path: str) -> None:
    same = run_robustness(asked(tv.plan_for(info, [2]), path, QUICK.model_copy(update={"held_out": ("mail",)})))
    assert {(found.difference.value, found.difference.low, found.difference.high) for found in same.results} == {(0.0, 0.0, 0.0)}
    assert {found.comparison for found in same.results} == {"no_difference"}
    assert same.unknown_work[0].change.value == 0.0
    assert same.clean_original == same.clean_plan


def test_the_same_seed_gives_the_same_test_and_another_seed_other_slips(info: ModelInfo, path: str, worse: Robustness) -> None:
    settings = QUICK.model_copy(update={"held_out": ("mail",)})
    again = run_robustness(asked(tv.plan_for(info, [1]), path, settings))
    assert (again.results, again.unknown_work) == (worse.results, worse.unknown_work)
    other = run_robustness(asked(tv.plan_for(info, [1]), path, settings.model_copy(update={"seed": 1})))
    assert other.clean_original.value == pytest.approx(worse.clean_original.value)
    assert other.results != worse.results


def test_batches_change_nothing_but_rounding(info: ModelInfo, path: str, worse: Robustness) -> None:
    small = run_robustness(asked(tv.plan_for(info, [1]), path, QUICK.model_copy(update={"batch_tokens": 16})))
    for one, other in zip(small.results, worse.results, strict=True):
        assert one.rise_plan.value == pytest.approx(other.rise_plan.value, abs=1e-4)


def test_without_noise_the_rest_is_tested_all_the_same(info: ModelInfo, path: str, worse: Robustness) -> None:
    calm = run_robustness(asked(tv.plan_for(info, [1]), path, QUICK.model_copy(update={"noises": (), "held_out": ("mail",)})))
    assert calm.results == ()
    assert calm.unknown_work[0].change.value == pytest.approx(worse.unknown_work[0].change.value, abs=1e-5)


def test_one_prompt_that_overflows_is_named_and_not_averaged(info: ModelInfo, path: str) -> None:
    def load(*args: Any, **kwargs: Any) -> LoadedModel:
        loaded = load_model(*args, **kwargs)
        with torch.no_grad():
            loaded.model.get_input_embeddings().weight[5] = float("nan")
        return loaded

    with pytest.raises(ModelError, match="numbers overflowed in float32"):
        run_robustness(asked(tv.plan_for(info, [1]), path), load=load)


def test_few_prompts_say_nothing_about_which_model_is_more_sensitive(info: ModelInfo, path: str) -> None:
    few = run_robustness(asked(tv.plan_for(info, [1]), path, QUICK.model_copy(update={"slices": ("orders",)})))
    assert few.n_examples < 8
    assert {found.comparison for found in few.results} == {"unknown"}
    assert any("nothing is said about which model" in note.in_english() for note in few.notes)


def test_the_weight_of_a_prompt_counts(model: LoadedModel, info: ModelInfo, path: str, encoded: EncodedWorkload, encoder: Encoder) -> None:
    heavy = replace(
        encoded, examples=tuple(replace(one, weight=1e9 if number == 3 else 1.0) for number, one in enumerate(encoded.examples))
    )
    examples, plan = read_workload([Path(path)]).examples, tv.plan_for(info, [1])
    found = measure_robustness(model, heavy, examples, encoder, plan, QUICK)
    alone = measure_robustness(model, replace(encoded, examples=encoded.examples[3:4]), examples, encoder, plan, QUICK)
    assert found.clean_plan.value == pytest.approx(alone.clean_plan.value, abs=1e-5)


def test_the_model_is_left_bit_for_bit_as_it_was(
    model: LoadedModel, info: ModelInfo, path: str, encoded: EncodedWorkload, encoder: Encoder
) -> None:
    before = {name: tensor.clone() for name, tensor in model.model.state_dict().items()}
    settings = RobustnessSettings(replicates=50, levels=(0.1,), epsilons=(0.1,), attack_examples=3, pgd_steps=2, energy=False)
    measure_robustness(model, encoded, read_workload([Path(path)]).examples, encoder, tv.plan_for(info, [1]), settings)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.model.state_dict().items())
    assert all(parameter.grad is None and parameter.requires_grad for parameter in model.model.parameters())


# -- unknown work ------------------------------------------------------------------------------------------------------


def test_unknown_work_is_compared_with_all_other_slices(worse: Robustness) -> None:
    (work,) = worse.unknown_work
    assert work.slice == "mail"
    assert work.difference.value == pytest.approx(work.change.value - work.others.value)  # type: ignore[operator]
    assert any("does not say that these slices were held out" in note.in_english() for note in worse.notes)


def test_slices_that_the_plans_origin_held_out_are_taken_without_asking(info: ModelInfo, path: str) -> None:
    choice = ConsensusChoice(ranking_id="r", rule="rank_sum", voters=("cka",), step_by_step=True, n_agree=1, held_out=("orders", "gone"))
    plan = tv.plan_for(info, [1])
    plan = plan.model_copy(update={"provenance": plan.provenance.model_copy(update={"consensus": choice})})
    found = run_robustness(asked(plan, path))
    assert [work.slice for work in found.unknown_work] == ["orders"]
    said = [note.in_english() for note in found.notes]
    assert any(said_of.endswith("to compare them with: gone.") for said_of in said)
    assert not any("does not say that these slices" in said_of for said_of in said)


def test_without_held_out_slices_that_is_said(info: ModelInfo, path: str) -> None:
    found = run_robustness(asked(tv.plan_for(info, [1]), path))
    assert found.unknown_work == ()
    assert any("Unknown work was not tested" in note.in_english() for note in found.notes)


def test_when_all_work_is_unknown_there_is_nothing_to_compare_with(judged: list[Judged]) -> None:
    clean = Rises(judged, np.ones((len(judged), 7)))
    assert unknown_work(clean, ("inspection", "mail", "orders"), replicates=50, seed=0) == ()


def test_a_group_that_loses_more_is_found_and_one_prompt_has_no_interval() -> None:
    random = np.random.default_rng(0)
    sums = np.zeros((40, 7))
    sums[:, 6], sums[:, 1] = 10, 10 * (0.5 + 0.1 * random.standard_normal(40))
    sums[:15, 1] += 5
    found = difference_of_groups(sums[:15], sums[15:], replicates=500, seed=0)
    assert found.low is not None
    assert 0.3 < found.low < 0.5 < 0.7  # 0.5 nats a token more were planted
    assert difference_of_groups(sums[:1], sums[1:], replicates=500, seed=0).low is None


def test_the_contract_of_a_run_is_plain_json(worse: Robustness) -> None:
    assert json.loads(worse.model_dump_json())["kind"] == "robustness"
