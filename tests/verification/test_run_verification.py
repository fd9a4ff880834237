"""From a request to a verification: bad input first, then what it holds, and that it never sees what plans are chosen from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from analysis.contracts import (
    CostPoint,
    Distribution,
    Estimate,
    Freeze,
    Measured,
    ModelInfo,
    ModelSource,
    Plan,
    ProjectedLatency,
    ProjectedQuality,
    Projection,
    Provenance,
    Prune,
    Quantity,
    UnitReason,
    Verification,
    WorkloadRef,
)
from analysis.errors import Cancelled, InputError, ModelError, PlanError, WorkloadError
from analysis.models.load import describe_model, load_model
from analysis.planning import project
from analysis.planning.guardrails import Parts, judge
from analysis.planning.propose import workload_ref
from analysis.verification import run as room
from analysis.verification.promises import projection_errors
from analysis.verification.run import run_verification
from analysis.workload import read_workload
from tests.builders import make_model
from tests.models.tiny import build
from tests.verification import tiny_verification as tv


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("verification")


@pytest.fixture(scope="module")
def info(folder: Path) -> ModelInfo:
    source = tv.save(tv.tiny_llama(planted=(2,)), folder / "model")
    load_model(source, device="cpu")
    return describe_model(source).info


@pytest.fixture(scope="module")
def path(folder: Path) -> str:
    return tv.write(folder, tv.rows())


@pytest.fixture(scope="module")
def broken(info: ModelInfo, path: str) -> Verification:
    """Block 1 left out, with limits and texts."""
    return run_verification(tv.request(tv.plan_for(info, [1]), path, "kl<=0.05", "perplexity@mail<=+5%", "flips@critical<=0"))


def never(*_: object, **__: object) -> Any:
    raise AssertionError("the model was loaded")


# -- bad input, found out before the model is loaded -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limit", "said"),
    [("perplexity", "cannot be read"), ("perplexity@nowhere<=+5%", "names a slice that is not verified. Slices: inspection, mail, orders")],
)
def test_a_limit_that_cannot_be_judged_is_refused_before_loading(info: ModelInfo, path: str, limit: str, said: str) -> None:
    with pytest.raises(PlanError) as refused:
        run_verification(tv.request(tv.plan_for(info, [1]), path, limit), load=never)
    assert said in str(refused.value)


def test_a_slice_named_like_the_critical_prompts_is_refused_where_a_limit_could_mean_either(info: ModelInfo, folder: Path) -> None:
    (folder / "twice").mkdir(exist_ok=True)
    named = [row | ({"slice": "critical"} if row["slice"] == "mail" else {}) for row in tv.rows()]
    path = tv.write(folder / "twice", named)
    with pytest.raises(PlanError, match="Give that slice another name"):
        run_verification(tv.request(tv.plan_for(info, [1]), path, "kl@critical<=1"), load=never)


def test_a_plan_for_another_model_is_refused(info: ModelInfo, path: str) -> None:
    plan = tv.plan_for(info, [1])
    other = plan.model_copy(update={"model": plan.model.model_copy(update={"name": "other", "commit": "feed"})})
    with pytest.raises(PlanError, match=r"The plan is for the model other, not for"):
        run_verification(tv.request(other, path), load=never)


def test_a_plan_for_another_version_is_refused(info: ModelInfo, path: str) -> None:
    plan = tv.plan_for(info, [1])
    stale = plan.model_copy(update={"model": plan.model.model_copy(update={"commit": "feedfeedfeedfeed"})})
    with pytest.raises(PlanError, match=r"The plan was made for version feedfeedfeed of"):
        run_verification(tv.request(stale, path), load=never)


def test_a_layer_that_is_not_there_is_refused(info: ModelInfo, path: str) -> None:
    with pytest.raises(PlanError, match=r"Layer 9 is not in this model: it has 4 layers \(0 to 3\)"):
        run_verification(tv.request(tv.plan_for(info, [9]), path), load=never)


def test_a_plan_that_only_freezes_is_refused(info: ModelInfo, path: str) -> None:
    plan = tv.plan_for(info, [1]).model_copy(update={"operations": (Freeze(eof_layer=1),)})
    with pytest.raises(PlanError, match=r"only freezes layers"):
        run_verification(tv.request(plan, path), load=never)


def test_a_workload_without_a_verification_half_is_refused(info: ModelInfo, folder: Path) -> None:
    workload = read_workload([Path(tv.write(folder, tv.rows()))])
    kept = {example.prompt for example in workload.examples if example.part == "calibration"}
    (folder / "half").mkdir(exist_ok=True)
    half = tv.write(folder / "half", [row for row in tv.rows() if row["prompt"] in kept])
    with pytest.raises(WorkloadError, match=r"No example falls into the verification half"):
        run_verification(tv.request(tv.plan_for(info, [1]), half), load=never)


def test_tasks_without_their_library_are_refused_with_how_to_install_it(
    info: ModelInfo, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    settings = tv.QUICK.model_copy(update={"tasks": ("arc_easy",)})
    with pytest.raises(
        InputError, match=r"arc_easy need lm-eval, which is not installed here. Install it \(pip install -r requirements-eval"
    ):
        run_verification(tv.request(tv.plan_for(info, [1]), path, settings=settings), load=never)


def test_a_tokenizer_of_another_model_is_refused(folder: Path, path: str) -> None:
    model = tv.tiny_llama(2)
    model.resize_token_embeddings(8)
    source = tv.save(model, folder / "small")
    with pytest.raises(ModelError, match=r"gives token number 15, but the model knows only 8"):
        run_verification(tv.request(tv.plan_for(describe_model(source).info, [1]), path))


def test_a_plan_whose_files_are_unknown_asks_for_one(info: ModelInfo) -> None:
    plan = tv.plan_for(info, [1]).model_copy(update={"workload": WorkloadRef(name="mine", content_hash="00")})
    with pytest.raises(PlanError, match=r'does not say from which files its workload "mine" was read'):
        run_verification(tv.request(plan, "x").model_copy(update={"workload_paths": ()}), load=never)


def test_stopping_is_heard(info: ModelInfo, path: str) -> None:
    with pytest.raises(Cancelled, match="Stopped at your request"):
        run_verification(tv.request(tv.plan_for(info, [1]), path), should_stop=lambda: True)


# -- what a verification holds -----------------------------------------------------------------------------------------


def test_no_calibration_example_is_ever_seen(broken: Verification, path: str) -> None:
    examples = {example.id: example for example in read_workload([Path(path)]).examples}
    seen = {one.example_id for one in broken.examples} | {one.example_id for one in broken.generations}
    assert {examples[name].part for name in seen} == {"verification"}
    assert seen == {name for name, example in examples.items() if example.part == "verification"}
    assert broken.counts.n_examples == len(broken.examples) == broken.workload.n_verification


def test_only_verification_prompts_reach_the_model(info: ModelInfo, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    real = room.Encoder.encode

    def encode(self: Any, example: Any, **options: Any) -> Any:
        asked.append(example.prompt)
        return real(self, example, **options)

    monkeypatch.setattr(room.Encoder, "encode", encode)
    run_verification(tv.request(tv.plan_for(info, [2]), path))
    parts = {example.prompt: example.part for example in read_workload([Path(path)]).examples}
    assert {parts[prompt] for prompt in asked} == {"verification"}


def test_leaving_out_what_does_nothing_is_found_harmless(info: ModelInfo, path: str) -> None:
    limits = ("perplexity<=+0%", "kl<=0", "top1_agreement>=100%", "flips<=80%", "flips@critical<=0", "accuracy>=-80%")
    found = run_verification(tv.request(tv.plan_for(info, [2]), path, *limits))
    assert (found.quality.perplexity_ratio.value, found.quality.kl.value, found.quality.top1_agreement.value) == (1.0, 0.0, 1.0)
    assert [one.verdict for one in found.guardrails] == ["within", "within", "within", "within", "undecided", "within"]
    assert found.verdict == "undecided"
    assert not any(made.changed for made in found.generations)


def test_a_broken_model_is_outside_its_limits(broken: Verification) -> None:
    assert broken.verdict == "outside"
    kl = broken.guardrails[0]
    assert kl.verdict == "outside"
    assert kl.worst_slice in broken.slices
    assert set(kl.decided_by) <= {one.example_id for one in broken.examples}
    assert broken.critical is not None
    assert broken.critical.n_examples == sum(one.critical for one in broken.examples)


def test_a_verification_survives_json_and_can_be_judged_again(broken: Verification) -> None:
    again = Verification.model_validate_json(broken.model_dump_json())
    assert again == broken
    assert judge([one.guardrail for one in again.guardrails], Parts.of(again)) == broken.guardrails


def test_without_texts_no_word_of_a_prompt_or_answer_is_left(info: ModelInfo, path: str, broken: Verification) -> None:
    assert broken.generations
    bare = run_verification(tv.request(tv.plan_for(info, [1]), path), store_texts=False)
    for document in (bare, broken.without_texts()):
        said = json.dumps([json.loads(one.model_dump_json()) for one in document.examples]) + str(document.generations)
        assert not any(word in said for word in ("bolt", "gear", "shaft", "valve"))


def test_the_same_numbers_come_again(info: ModelInfo, path: str, broken: Verification) -> None:
    again = run_verification(tv.request(tv.plan_for(info, [1]), path, "kl<=0.05", "perplexity@mail<=+5%", "flips@critical<=0"))
    assert again.quality == broken.quality
    assert again.slices == broken.slices
    assert again.examples == broken.examples
    assert again.id != broken.id  # every run is a run of its own


def test_what_was_not_tested_is_said(broken: Verification) -> None:
    said = [note.in_english() for note in broken.notes]
    assert any("cost was switched off" in sentence for sentence in said)
    assert any("Slices with fewer than 8 verification prompts" in sentence for sentence in said)
    n = broken.quality.flips.n if broken.quality.flips else 0
    assert any(f"Answers were compared on {n} of {len(broken.examples)} prompts" in sentence for sentence in said)


def test_the_plans_own_files_are_read_when_none_is_given_and_a_changed_workload_is_said(info: ModelInfo, path: str) -> None:
    ref = WorkloadRef(name="workload.jsonl", content_hash="00" * 32, paths=(path,))
    plan = tv.plan_for(info, [2]).model_copy(update={"workload": ref})
    found = run_verification(tv.request(plan, path).model_copy(update={"workload_paths": ()}))
    assert found.workload.n_examples == 48
    assert any("which is not the same" in note.in_english() for note in found.notes)


def test_one_slice_alone_can_be_verified(info: ModelInfo, path: str) -> None:
    settings = tv.QUICK.model_copy(update={"slices": ("mail",)})
    found = run_verification(tv.request(tv.plan_for(info, [1]), path, settings=settings))
    assert list(found.slices) == ["mail"]
    assert {one.slice for one in found.examples} | {one.slice for one in found.generations} == {"mail"}
    with pytest.raises(PlanError, match="names a slice that is not verified"):
        run_verification(tv.request(tv.plan_for(info, [1]), path, "kl@orders<=1", settings=settings), load=never)


# -- halves ------------------------------------------------------------------------------------------------------------


def _with_mail(folder: Path) -> str:
    records = [row | {"prompt": f"{row['prompt']} clerk{number}@example.com"} for number, row in enumerate(tv.rows())]
    folder.mkdir(exist_ok=True)
    return tv.write(folder, records)


@pytest.mark.parametrize("then", [False, True])
def test_prompts_the_plan_was_chosen_from_are_not_judged_masked_otherwise(info: ModelInfo, folder: Path, then: bool) -> None:
    path = _with_mail(folder / "mail")
    plan = tv.plan_for(info, [1]).model_copy(update={"workload": workload_ref(read_workload([Path(path)], mask_personal_data=then).info)})
    request = tv.request(plan, path)
    with pytest.raises(PlanError, match="were masked. Mask them here as well" if then else "were not masked. Do not mask"):
        run_verification(request.model_copy(update={"mask_personal_data": not then}), load=never)
    same = run_verification(request.model_copy(update={"mask_personal_data": then}))
    again = run_verification(request.model_copy(update={"workload_paths": ()}))  # the plan's own workload, masked as it was
    assert again.workload.masked is same.workload.masked is then
    assert [one.example_id for one in again.examples] == [one.example_id for one in same.examples]


def test_other_prompts_may_be_masked_as_one_likes(info: ModelInfo, folder: Path, path: str) -> None:
    plan = tv.plan_for(info, [1]).model_copy(update={"workload": workload_ref(read_workload([Path(path)]).info)})
    request = tv.request(plan, _with_mail(folder / "mail")).model_copy(update={"mask_personal_data": True})
    assert run_verification(request).workload.masked


# -- promises ----------------------------------------------------------------------------------------------------------


def promised(plan: Plan, info: ModelInfo) -> Projection:
    quality = ProjectedQuality(loss_change=0.1, interval=(0.0, 0.2), perplexity_ratio=1.1, perplexity_ratio_interval=(1.0, 1.2))
    return project(info, plan.operations).model_copy(update={"quality": quality})


def test_projected_quality_stands_beside_the_measured_one(info: ModelInfo, path: str) -> None:
    plan = tv.plan_for(info, [1])
    found = run_verification(tv.request(plan, path), projection=promised(plan, info))
    (row,) = found.projection_errors
    assert (row.quantity, row.projected, row.measured) == ("perplexity_ratio", 1.1, found.quality.perplexity_ratio.value)
    assert row.error_share == pytest.approx((1.1 - row.measured) / row.measured)
    assert row.inside is (1.0 <= row.measured <= 1.2)


def test_a_plan_that_was_edited_is_verified_as_it_is_and_its_projection_left_aside(info: ModelInfo, path: str) -> None:
    plan = tv.plan_for(info, [1])
    reasons = (UnitReason(block=2, unit="block", score=0.1),)
    edited = plan.model_copy(
        update={"projection": promised(plan, info), "provenance": Provenance(criterion="test", amount="1", reasons=reasons)}
    )
    found = run_verification(tv.request(edited, path))
    assert found.projection_errors == ()
    assert "changed after it was made" in found.notes[0].in_english()


def test_cost_is_measured_and_projections_of_counted_quantities_hold(info: ModelInfo, path: str) -> None:
    plan = tv.plan_for(info, [1]).model_copy(update={"operations": (Prune(blocks=(1,)),)})
    settings = tv.QUICK.model_copy(update={"cost": True, "repeats": 3, "prompt_tokens": (16,), "generate": 0, "new_tokens": 2})
    found = run_verification(tv.request(plan, path, "weight_bytes<=0.9x", settings=settings), projection=project(info, plan.operations))
    assert found.guardrails[0].verdict == "within"
    rows = {row.quantity: row for row in found.projection_errors}
    assert rows["weight_bytes"].error_share == 0
    assert rows["parameters"].error_share == 0
    assert rows["kv_cache_bytes"].error_share == 0
    assert rows["prefill_flops"].error_share == 0


def test_a_promised_speed_up_is_compared_with_the_one_measured_in_turns_whatever_the_pace_of_the_day() -> None:
    info = make_model(4)
    plan = tv.plan_for(info, [1]).model_copy(update={"operations": (Prune(blocks=(1,)),)})
    latency = tuple(
        ProjectedLatency(phase=phase, batch_size=2, context_tokens=64, ms=Quantity(before=before, after=after), device_name="GPU")
        for phase, before, after in (("prefill", 40.0, 30.0), ("decode", 20.0, 15.0))
    )
    slower = CostPoint(  # all of it takes 1.2 times what it took when the points were measured
        batch_size=2,
        prompt_tokens=64,
        new_tokens=4,
        prefill_ms=times(48.0, 36.0),
        first_token_ms=times(50.0, 38.0),
        decode_tokens_per_second=times(2e3 / 24.0, 2e3 / 18.0),
        weight_bytes=(1, 1),
        layer_calls=(8, 6),
    )
    rows = projection_errors(
        project(info, plan.operations).model_copy(update={"latency": latency}),
        plan,
        info,
        stack="decoder",
        width=2,
        cost=(slower,),
        perplexity_ratio=Estimate(value=None),
        device_name="GPU",
    )
    by_name = {row.quantity: row for row in rows}
    assert by_name["prefill_ms"].error_share == pytest.approx(30 / 36 - 1)
    assert by_name["decode_ms"].error_share == pytest.approx(15 / 18 - 1)
    assert by_name["prefill_ratio"].measured == by_name["decode_ratio"].measured == pytest.approx(0.75)
    assert by_name["prefill_ratio"].error_share == by_name["decode_ratio"].error_share == pytest.approx(0.0)


def times(original: float, plan: float) -> Measured:
    def one(value: float) -> Distribution:
        return Distribution(p50=value, p95=value, n=3)

    return Measured(original=one(original), plan=one(plan), ratio=Estimate(value=plan / original))


def test_nothing_promised_nothing_compared(info: ModelInfo, broken: Verification) -> None:
    plan = tv.plan_for(info, [1])
    none = projection_errors(
        None, plan, info, stack="decoder", width=4, cost=(), perplexity_ratio=broken.quality.perplexity_ratio, device_name="CPU"
    )
    assert none == ()


def test_an_encoder_is_verified_by_the_states_it_ends_with(tmp_path: Path, path: str) -> None:
    source = tv.save(build("bert"), tmp_path / "bert")
    plan = tv.plan_for(describe_model(source).info, [1], unit="mlp")
    found = run_verification(tv.request(plan, path, "similarity>=0.999", "perplexity<=+5%", "flips<=5%"))
    assert found.objective == "state_change"
    assert found.quality.similarity is not None
    assert found.quality.perplexity_ratio.value is None
    assert [one.verdict for one in found.guardrails] == ["outside", "undecided", "undecided"]
    least = min(found.examples, key=lambda one: one.n_tokens * ((one.similarity or 0.0) - 1.0))
    assert found.guardrails[0].decided_by[0] == least.example_id
    assert any("does not predict the next word" in note.in_english() for note in found.notes)
    assert any("No answers were compared" in note.in_english() for note in found.notes)


def test_a_sub_block_plan_is_verified_on_a_model_never_loaded_before(tmp_path: Path, path: str) -> None:
    source = tv.save(tv.tiny_llama(planted=(0,), seed=3), tmp_path / "fresh")
    found = run_verification(tv.request(tv.plan_for(describe_model(source).info, [0], unit="attention"), path))
    assert found.quality.kl.value == 0.0


# -- the real thing ----------------------------------------------------------------------------------------------------


@pytest.mark.sample_model
@pytest.mark.timeout(900)  # real weights, on machines that do other things as well
def test_the_sample_model_loses_more_by_a_layer_that_matters(tmp_path: Path, sample_model: Any) -> None:
    sample = Path(__file__).resolve().parents[2] / "sample_data" / "workload.jsonl"
    judged = {e.prompt for e in read_workload([sample]).examples if e.part == "verification" and e.choices}
    rows = [json.loads(line) for line in sample.read_text(encoding="utf-8").splitlines()]
    path = tv.write(tmp_path, [row for row in rows if row["prompt"] in judged][:3])
    settings = tv.QUICK.model_copy(update={"generate": 1, "new_tokens": 2})
    changes = []
    for block in (14, 1):
        request = tv.request(tv.plan_for(sample_model.info, [block]), path, "perplexity<=+5%", settings=settings)
        found = run_verification(
            request.model_copy(update={"model": ModelSource(kind="sample")}), load=lambda *_args, **_options: sample_model
        )
        assert found.quality.flips is not None
        assert found.quality.tasks[0].kind == "choices"
        changes.append(found.quality.loss_change.value or 0.0)
    assert 0.0 < changes[0] < 0.5 < changes[1]
