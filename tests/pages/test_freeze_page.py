"""The Freeze page: without traces, with them, with a stored plan and its trial, while a job runs, after an error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from builders import make_profile, make_workload
from streamlit.testing.v1 import AppTest

from analysis.contracts import Job, Message, Plan, Progress, Prune, Semantics, StepModel, TrainingShape
from analysis.planning.eof import default_rule
from analysis.planning.freeze import propose_freeze
from analysis.runs.client import Client
from pages.ui import freeze_rule
from tests.trained_builders import make_semantics, make_trial

Visit = Callable[..., AppTest]
StoreProfile = Callable[..., str]
HOSTILE = "<script>alert(1)</script> [x](javascript:alert(1)) **b** :red[r] $a$ `c`"


@pytest.fixture(autouse=True)
def by_gain(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rule that the page opens with is set by evidence and may change; here it is the largest gain."""
    monkeypatch.setattr(freeze_rule, "default_rule", lambda trial: "gain")


@pytest.fixture
def run(store_profile: StoreProfile) -> str:
    """A stored run whose prompts have responses."""
    return store_profile()


@pytest.fixture
def traced(client: Client, run: str) -> Semantics:
    """Stored traces of that run."""
    return store_traces(client, run)


def store_traces(client: Client, run: str, **changes: Any) -> Semantics:
    found = client.profile(run)
    traces = make_semantics(found.n_blocks, profile=found, model=found.model, **changes)
    kept = client.import_document(traces.model_dump_json().encode(), "semantics.json")[1]
    return client.semantics(kept)


def said(app: AppTest) -> str:
    kinds = (app.title, app.header, app.subheader, app.markdown, app.caption, app.error, app.warning, app.info, app.text)
    tables = "\n".join(table.value.to_string() for table in app.table)
    return ("\n".join(str(element.value) for kind in kinds for element in kind) + tables).replace("\\", "")


def primary(app: AppTest) -> list[str]:
    return [button.label for button in app.button if button.proto.type == "primary"]


def slider(app: AppTest) -> Any:
    return next(one for one in app.select_slider if one.label in ("Last frozen layer", "凍結終端層"))


def test_without_a_run_the_way_to_one_is_shown(visit: Visit) -> None:
    app = visit("freeze")
    assert "nothing to freeze yet" in app.title[0].value
    assert primary(app) == ["Go to Workload"]


def test_without_traces_measuring_them_is_the_next_step_and_the_last_layers_can_be_trained(visit: Visit, run: str) -> None:
    app = visit("freeze")
    assert primary(app) == ["Measure the traces"]
    assert "What it saves in training" in said(app)
    assert app.selectbox(key="freeze_rule_untraced").options == ["last layers by budget"]
    app.selectbox(key="freeze_limit").set_value("layers").run()
    app.number_input(key="freeze_limit_layers").set_value(4).run()
    assert slider(app).value == 25
    assert "layers 26 to 29 train" in said(app)


def test_prompts_without_responses_are_told_to_have_none(visit: Visit, store_profile: StoreProfile) -> None:
    counts = make_profile().counts.model_copy(update={"n_response": 0})
    store_profile(make_profile(counts=counts))
    app = visit("freeze")
    assert "have no responses" in app.title[0].value
    assert not [button for button in app.button if button.label == "Measure the traces"]
    assert primary(app) == ["Try it"]


def test_with_traces_the_rule_places_the_boundary_and_says_why(visit: Visit, traced: Semantics) -> None:
    app = visit("freeze")
    assert slider(app).value == 22
    assert "Freeze layers 0 to 22" in said(app)
    assert "Layer 22 brings the state nearer to the right word than any other" in said(app)
    assert primary(app) == ["Try it"]


def test_moving_the_slider_moves_what_it_saves(visit: Visit, traced: Semantics) -> None:
    app = visit("freeze")
    before = said(app)
    slider(app).set_value(5).run()
    assert "layers 6 to 29 train" in said(app)
    assert "Placed by hand. The rule chosen above says: freeze layers 0 to 22." in said(app)
    assert said(app) != before
    slider(app).set_value(-1).run()
    assert "Nothing is frozen" in said(app)
    assert not app.exception


def test_another_rule_moves_the_slider(visit: Visit, traced: Semantics) -> None:
    app = visit("freeze")
    slider(app).set_value(5).run()
    app.selectbox(key="freeze_rule").set_value("smallest_deviation").run()
    assert slider(app).value == 28


@pytest.mark.parametrize(("kind", "most"), [("layers", 3), ("flops", 50), ("memory", 4)])
def test_what_may_train_at_most_moves_the_boundary_towards_the_output(visit: Visit, traced: Semantics, kind: str, most: int) -> None:
    app = visit("freeze")
    app.selectbox(key="freeze_limit").set_value(kind).run()
    app.number_input(key=f"freeze_limit_{kind}").set_value(most).run()
    assert slider(app).value >= 22
    assert not app.exception


def test_minutes_without_measured_steps_are_refused_in_words(visit: Visit, traced: Semantics) -> None:
    app = visit("freeze")
    app.selectbox(key="freeze_limit").set_value("minutes").run()
    assert len(app.error) == 1
    assert not app.exception


def test_every_rule_can_be_chosen(visit: Visit, traced: Semantics) -> None:
    app = visit("freeze")
    for option in ("gain", "scaled_gain", "exponent", "lens", "gradient", "plasticity", "train_last", "smallest_deviation"):
        app.selectbox(key="freeze_rule").set_value(option).run()
        assert not app.exception, option
        assert slider(app).value is not None
    app.radio(key="freeze_aggregate").set_value("vote").run()
    assert not app.exception


def test_lora_on_a_quantised_base_is_projected(visit: Visit, traced: Semantics) -> None:
    app = visit("freeze")
    app.selectbox(key="train_method").set_value("lora").run()
    app.selectbox(key="train_bits_lora").set_value(4).run()
    assert not app.exception
    assert "What it saves in training" in said(app)


def test_curve_slices_and_straight_way_can_be_chosen(visit: Visit, traced: Semantics) -> None:
    app = visit("freeze")
    app.selectbox(key="freeze_curve").set_value("lens").run()
    app.multiselect(key="freeze_slices").set_value([next(iter(traced.slices))]).run()
    app.checkbox(key="freeze_straight").check().run()
    assert not app.exception


def test_trying_saves_the_plan_and_goes_to_trials(visit: Visit, client: Client, traced: Semantics) -> None:
    app = visit("freeze")
    app.text_input(key="freeze_name").set_value("for the next fine-tune").run()
    app.button(key="try_it").click().run()
    (plan,) = [one for one in client.plans() if one.eof_layer is not None and not one.is_sample]
    assert (plan.name, plan.eof_layer) == ("for the next fine-tune", 22)
    assert client.plan(plan.id).provenance.eof_choice is not None
    assert "has not been tried yet" in app.title[0].value


def test_a_stored_plan_opens_with_its_boundary_and_trial(visit: Visit, client: Client, traced: Semantics) -> None:
    plan = stored_plan_of(client, traced, 19)
    trial = make_trial(19, plan=plan)
    client.import_document(trial.model_dump_json().encode(), "trial.json")
    app = visit("freeze", plan=plan.id)
    assert slider(app).value == 19
    assert "Plan: nineteen" in said(app)
    assert primary(app) == ["See its trial"]
    slider(app).set_value(12).run()
    assert "No plan yet" in said(app)
    assert primary(app) == ["Try it"]


def stored_plan_of(client: Client, traces: Semantics, eof_layer: int) -> Plan:
    plan = propose_freeze(traces.model, semantics=traces, eof_layer=eof_layer, shape=TrainingShape())
    client.save_plan(plan, "nineteen")
    return client.plan(plan.id)


def test_a_plan_that_removes_layers_is_none_here(visit: Visit, client: Client, traced: Semantics, run: str) -> None:
    from analysis.planning import propose_plan

    plan = propose_plan(client.profile(run), amount="10%", name="cut")
    client.save_plan(plan, "cut")
    app = visit("freeze", plan=plan.id)
    assert "cut" not in app.caption[0].value
    assert slider(app).value == 22


def test_measuring_traces_asks_for_the_runs_model_and_prompts(
    visit: Visit, client: Client, run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def submit(self: Client, request: Any, *, force: bool = False) -> Job:
        asked.append(request)
        return job("running")

    monkeypatch.setattr(Client, "submit_semantics", submit)
    monkeypatch.setattr(Client, "job", lambda self, job_id: job("running"))
    monkeypatch.setattr(Client, "ensure_worker", lambda self, device: None)
    app = visit("freeze")
    monkeypatch.setattr(Client, "response_terms", lambda self, request: ("pass", "tolerance"))
    app.radio(key="traces_vocabulary").set_value("words").run()
    begun = app.text_area(key=f"traces_words_{client.profile(run).workload.content_hash[:8]}")
    assert begun.value == "pass, tolerance"
    begun.set_value("").run()
    assert app.button(key="measure_traces").disabled
    app.text_area(key=begun.key).set_value("pass, fail").run()
    app.button(key="measure_traces").click().run()
    assert asked[0].semantics.words == ("pass", "fail")
    assert asked[0].model == client.profile(run).model.source
    assert "Job: traces" in said(app)
    assert app.button(key="measure_traces").disabled
    assert primary(app) == ["Try it"] or "Measure the traces" not in primary(app)


def test_measuring_steps_asks_for_the_training_that_is_meant(visit: Visit, traced: Semantics, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def submit(self: Client, request: Any) -> Job:
        asked.append(request)
        return job("running", kind="steps")

    monkeypatch.setattr(Client, "submit_steps", submit)
    monkeypatch.setattr(Client, "job", lambda self, job_id: job("running", kind="steps"))
    monkeypatch.setattr(Client, "ensure_worker", lambda self, device: None)
    app = visit("freeze")
    app.number_input(key="train_batch").set_value(4).run()
    app.button(key="measure_steps").click().run()
    assert asked[0].shape.batch_size == 4
    assert app.button(key="measure_steps").disabled


def job(state: str, kind: str = "semantics", **changes: Any) -> Job:
    given = {
        "id": "job1",
        "kind": kind,
        "state": state,
        "device": "cpu",
        "name": "traces",
        "created_at": "2026-11-22T06:00:00+00:00",
        "progress": Progress(stage=Message(id="Reading the model"), done=3, total=10, eta_seconds=20),
    }
    return Job.model_validate({**given, **changes})


def test_a_failed_measurement_is_said_in_its_own_words(visit: Visit, run: str, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = job("failed", error=Message(id="The job failed without saying why. Start it again."))
    monkeypatch.setattr(Client, "job", lambda self, job_id: failed)
    app = visit("freeze", semantics_job="job1")
    assert "The job failed" in app.error[0].value
    assert not app.exception


def test_hostile_names_stay_text(visit: Visit, client: Client, store_profile: StoreProfile) -> None:
    run = store_profile(make_profile(name=HOSTILE, workload=make_workload(is_sample=False).model_copy(update={"name": HOSTILE})))
    store_traces(client, run)
    app = visit("freeze")
    for element in (*app.markdown, *app.caption, *app.title):
        assert "](javascript" not in element.value.replace("\\]\\(", "")


def test_the_page_speaks_japanese(visit: Visit, traced: Semantics) -> None:
    app = visit("freeze", locale="ja-JP")
    assert "層" in app.title[0].value
    english = [word for word in ("Rule", "Freezes", "What it saves", "layers") if word in said(app)]
    assert not english


def test_a_rerun_with_stored_traces_reads_nothing_again(visit: Visit, traced: Semantics, parsed: list[str]) -> None:
    app = visit("freeze")
    assert parsed
    parsed.clear()
    app.run()
    assert not parsed


def step_model(traces: Semantics, shape: TrainingShape) -> StepModel:
    """Steps of this model, as if measured here: 20 ms in any case, 1 ms a frozen layer, 3 ms a trained one."""
    return StepModel(
        model_commit=traces.model.commit,
        stack=traces.stack,
        device="cpu",
        device_name="a CPU",
        shape=shape,
        n_blocks=traces.n_blocks,
        fixed_ms=20.0,
        frozen_block_ms=1.0,
        trained_block_ms=3.0,
        power_watts=90.0,
        points=(),
        error_share=0.03,
        measured_at="2026-11-22T06:00:00+00:00",
    )


def test_measured_steps_bring_time_energy_and_money(visit: Visit, traced: Semantics, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Client, "step_model", lambda self, commit, *, stack, shape=None: step_model(traced, shape or TrainingShape()))
    app = visit("freeze")
    app.number_input(key="train_price").set_value(2.5).run()
    app.text_input(key="train_currency").set_value("EUR").run()
    text = said(app)
    assert "64 ms" in text
    assert "Times: from steps measured on a CPU on 2026-11-22; points that were not fitted lie at most 3.0% off." in text
    assert "EUR" in text
    assert "Wh" in text
    app.selectbox(key="freeze_limit").set_value("minutes").run()
    assert not app.error


def test_steps_of_another_training_are_offered_as_the_one_that_is_meant(
    visit: Visit, traced: Semantics, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = step_model(traced, TrainingShape(batch_size=2, sequence_tokens=128, dtype="float32"))
    monkeypatch.setattr(Client, "step_model", lambda self, commit, *, stack, shape=None: known if shape in (None, known.shape) else None)
    app = visit("freeze")
    assert "Steps measured here are of another training" in said(app)
    app.button(key="take_steps").click().run()
    assert app.number_input(key="train_batch").value == 2
    assert "Times: from steps measured on a CPU" in said(app)


def test_a_plan_that_freezes_is_tried_not_verified(visit: Visit, client: Client, traced: Semantics) -> None:
    plan = stored_plan_of(client, traced, 19)
    app = visit("verify", plan=plan.id)
    assert "tried by a short training, not verified" in app.title[0].value
    assert primary(app) == ["Go to Trials"]


def test_a_plan_that_also_removes_layers_is_verified(visit: Visit, client: Client, traced: Semantics) -> None:
    freezes = stored_plan_of(client, traced, 19)
    both = freezes.model_copy(update={"operations": (*freezes.operations, Prune(blocks=(7,)))})
    client.import_document(both.model_dump_json().encode(), "both.json")
    app = visit("verify", plan=both.id)
    assert "set the limits, then verify it" in app.title[0].value


def test_plans_that_remove_layers_lead_to_freezing_too(visit: Visit, traced: Semantics) -> None:
    app = visit("plans")
    app.button(key="freeze_door").click().run()
    assert "Freeze layers 0 to 22" in app.title[0].value


def test_a_sweep_that_recommends_is_the_rule_to_begin_with(
    visit: Visit, client: Client, traced: Semantics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(freeze_rule, "default_rule", default_rule)
    plan = stored_plan_of(client, traced, 19)
    sweep = make_trial(19, plan=plan, boundaries=(9, 14, 24), recommended=14, workload=traced.workload)
    client.import_document(sweep.model_dump_json().encode(), "trial.json")
    app = visit("freeze")
    assert app.selectbox(key="freeze_rule_swept").value == "sweep"
    assert slider(app).value == 14
