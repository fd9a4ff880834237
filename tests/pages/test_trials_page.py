"""The Trials page: without a freeze plan, before the run, while it runs, with a trial, with a sweep, after an error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from analysis.contracts import Job, Message, Plan, Progress, Semantics, Trial
from analysis.contracts.verification import ProjectionError
from analysis.errors import InputError
from analysis.planning.eof import all_choices
from analysis.planning.freeze import propose_freeze
from analysis.runs.client import Client
from pages.ui.trial_form import read_rates, usual_boundaries
from tests.trained_builders import make_arm, make_semantics, make_trial

Visit = Callable[..., AppTest]
StoreProfile = Callable[..., str]
StoreTrial = Callable[..., Trial]
HOSTILE = "<script>alert(1)</script> [x](javascript:alert(1)) **b** :red[r] $a$ `c`"
ERRORS = (
    ProjectionError(quantity="step_ms", projected=30.2, measured=29.1, error_share=0.0378),
    ProjectionError(quantity="peak_memory_bytes", projected=2.2e9, measured=2.31e9, error_share=-0.047),
    ProjectionError(quantity="cached_step_ms", projected=20.0, measured=20.0, error_share=0.0),
)


@pytest.fixture
def traced(client: Client, store_profile: StoreProfile) -> Semantics:
    """Stored traces with their run."""
    found = client.profile(store_profile())
    traces = make_semantics(found.n_blocks, profile=found, model=found.model)
    return client.semantics(client.import_document(traces.model_dump_json().encode(), "semantics.json")[1])


@pytest.fixture
def plan(client: Client, traced: Semantics) -> Plan:
    """A stored freeze plan."""
    made = propose_freeze(traced.model, semantics=traced, eof_layer=19, workload=None)
    client.save_plan(made, "two thirds")
    return client.plan(made.id)


@pytest.fixture
def tried(client: Client, plan: Plan) -> StoreTrial:
    """Stores a made-up trial of the plan, as run on this machine."""

    def stored(**changes: Any) -> Trial:
        fresh = make_trial(19, plan=plan)
        machine = fresh.machine.model_copy(update={"device_name": client.devices()[0].name})
        document = make_trial(19, plan=plan, **({"machine": machine} | changes))
        return client.trial(client.import_document(document.model_dump_json().encode(), "trial.json")[1])

    return stored


def said(app: AppTest) -> str:
    kinds = (app.title, app.header, app.subheader, app.markdown, app.caption, app.error, app.warning, app.info, app.text)
    tables = "\n".join(table.value.to_string() for table in app.table)
    return ("\n".join(str(element.value) for kind in kinds for element in kind) + tables).replace("\\", "")


def primary(app: AppTest) -> list[str]:
    return [button.label for button in app.button if button.proto.type == "primary"]


def test_without_a_freeze_plan_the_way_to_one_is_shown(visit: Visit, store_profile: StoreProfile) -> None:
    store_profile()
    app = visit("trials")
    assert "No freeze plan is chosen yet" in app.title[0].value
    assert primary(app) == ["Go to Freeze"]


def test_the_runs_newest_freeze_plan_is_shown_at_once_and_another_can_be_chosen(
    visit: Visit, client: Client, traced: Semantics, plan: Plan
) -> None:
    other = propose_freeze(traced.model, semantics=traced, eof_layer=9, workload=None)
    client.save_plan(other, "one third")
    app = visit("trials")
    assert '"one third" has not been tried yet' in app.title[0].value.replace("\\", "")
    app.selectbox(key="plan_to_try").set_value(plan.id).run()
    assert '"two thirds" has not been tried yet' in app.title[0].value.replace("\\", "")
    assert app.query_params["plan"] == plan.id


def test_before_the_run_starting_it_is_the_next_step(visit: Visit, plan: Plan) -> None:
    app = visit("trials", plan=plan.id)
    assert "two thirds" in app.title[0].value
    assert primary(app) == ["Start the trial"]


def running(**changes: Any) -> Job:
    given = {
        "id": "job1",
        "kind": "trial",
        "state": "running",
        "device": "cpu",
        "name": "two thirds",
        "created_at": "2026-11-22T06:00:00+00:00",
        "progress": Progress(stage=Message(id="Reading the model"), done=3, total=10, eta_seconds=90),
    }
    return Job.model_validate({**given, **changes})


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Requests that reach the client; the job they start runs for ever."""
    found: list[Any] = []

    def submit(self: Client, request: Any, *, force: bool = False) -> Job:
        found.append(request)
        return running()

    monkeypatch.setattr(Client, "submit_trial", submit)
    monkeypatch.setattr(Client, "job", lambda self, job_id: running() if found else None)
    monkeypatch.setattr(Client, "ensure_worker", lambda self, device: None)
    return found


def test_a_trial_is_asked_for_as_the_form_says(visit: Visit, plan: Plan, asked: list[Any]) -> None:
    app = visit("trials", plan=plan.id)
    app.number_input(key="trial_epochs").set_value(2).run()
    app.text_input(key="trial_rates").set_value("1e-5, 5e-5").run()
    app.number_input(key="trial_minutes").set_value(4.0).run()
    app.multiselect(key="trial_compare").set_value(["full"]).run()
    app.number_input(key="trial_cache_limit").set_value(2.0).run()
    app.button(key="start_trial").click().run()
    settings = asked[0].settings
    assert (settings.epochs, settings.learning_rates, settings.max_minutes) == (2, (1e-5, 5e-5), 4.0)
    assert (settings.compare, settings.cache_bytes, settings.boundaries, settings.release) == (("full",), 2 << 30, (), False)
    assert asked[0].plan.id == plan.id
    assert "Job: two thirds" in said(app)
    assert "left" in said(app) or app.get("progress")
    assert app.button(key="start_trial").disabled


def test_a_sweep_and_a_release_are_asked_for(visit: Visit, plan: Plan, asked: list[Any]) -> None:
    app = visit("trials", plan=plan.id)
    app.radio(key="trial_way").set_value("sweep").run()
    app.button(key="start_trial").click().run()
    assert asked[0].settings.boundaries == tuple(usual_boundaries(30, 19))


def test_releasing_is_asked_for(visit: Visit, plan: Plan, asked: list[Any]) -> None:
    app = visit("trials", plan=plan.id)
    app.radio(key="trial_way").set_value("release").run()
    app.button(key="start_trial").click().run()
    assert asked[0].settings.release
    assert asked[0].settings.boundaries == ()


@pytest.mark.parametrize("text", ["fast", "1e-5, -2", "2", "0", "nan", "1," * 9 + "x"])
def test_learning_rates_that_cannot_be_read_are_refused_before_anything_starts(visit: Visit, plan: Plan, text: str) -> None:
    with pytest.raises(InputError):
        read_rates(text)
    app = visit("trials", plan=plan.id)
    app.text_input(key="trial_rates").set_value(text).run()
    assert len(app.error) == 1
    assert app.button(key="start_trial").disabled


def test_a_refusal_of_the_client_is_said_where_it_happened(visit: Visit, plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Client, request: Any, *, force: bool = False) -> Job:
        raise InputError("There is no file {name}. Choose another one.", name="x")

    monkeypatch.setattr(Client, "submit_trial", refuse)
    app = visit("trials", plan=plan.id)
    app.button(key="start_trial").click().run()
    assert len(app.error) == 1
    assert not app.exception


def test_while_it_runs_its_loss_is_drawn_and_told(visit: Visit, plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = Progress(
        stage=Message(id="Reading the model"),
        done=3,
        total=10,
        curves={"full": ((0.0, 3.6), (512.0, 2.9)), "freeze 19": ((0.0, 3.6),)},
        training_curve=((64.0, 3.5),),
    )
    monkeypatch.setattr(Client, "job", lambda self, job_id: running(progress=begun))
    monkeypatch.setattr(Client, "ensure_worker", lambda self, device: None)
    app = visit("trials", plan=plan.id, trial_job="job1")
    assert not app.exception
    assert len(app.get("plotly_chart")) == 1
    assert app.dataframe[0].value.iloc[0].to_list() == ["full fine-tuning", 512, 2.9]


def test_before_the_first_figure_the_frame_of_the_curves_is_there(visit: Visit, plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Client, "job", lambda self, job_id: running())
    monkeypatch.setattr(Client, "ensure_worker", lambda self, device: None)
    app = visit("trials", plan=plan.id, trial_job="job1")
    assert len(app.get("plotly_chart")) == 1
    assert "The first figures are not there yet." in said(app)


def test_a_cancelled_trial_says_that_it_goes_on(visit: Visit, plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Client, "job", lambda self, job_id: running(state="cancelled"))
    app = visit("trials", plan=plan.id, trial_job="job1")
    assert "goes on from what it had finished" in said(app)
    assert primary(app) == ["Start the trial"]


def test_a_failed_trial_says_why(visit: Visit, plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = running(state="failed", error=Message(id="The job failed without saying why. Start it again."))
    monkeypatch.setattr(Client, "job", lambda self, job_id: failed)
    app = visit("trials", plan=plan.id, trial_job="job1")
    assert "The job failed" in app.error[0].value


def test_a_finished_trial_is_shown_at_once(visit: Visit, plan: Plan, tried: StoreTrial, monkeypatch: pytest.MonkeyPatch) -> None:
    found = tried()
    monkeypatch.setattr(Client, "job", lambda self, job_id: running(state="done", result_id=found.id))
    app = visit("trials", plan=plan.id, trial_job="job1")
    assert app.query_params["trial"] == found.id
    assert "kept" in app.title[0].value


def test_a_trial_shows_what_was_kept_and_what_it_cost(visit: Visit, plan: Plan, tried: StoreTrial) -> None:
    tried(projection_errors=ERRORS)
    app = visit("trials", plan=plan.id)
    text = said(app)
    assert "kept 93%" in app.title[0].value
    assert "Every frozen weight is bit for bit what it was." in text
    assert "No weight below the boundary ever had a gradient" in text
    assert "3.8% too high" in text
    assert "4.7% too low" in text
    assert "exact" in text
    assert "measured on another machine" not in text
    assert primary(app) == ["Take the plan away"]


def test_frozen_weights_that_changed_are_an_error(visit: Visit, plan: Plan, tried: StoreTrial) -> None:
    arms = (make_arm("freeze", 19, frozen_identical=False, gradient_free=False), make_arm("full", -1))
    tried(arms=arms)
    app = visit("trials", plan=plan.id)
    assert len(app.error) == 2
    assert "freeze 0–19" in app.error[0].value.replace("\\", "")


def test_a_trial_of_another_machine_says_so(visit: Visit, plan: Plan, tried: StoreTrial) -> None:
    tried(machine=make_trial(19, plan=plan).machine.model_copy(update={"device_name": "some other GPU"}))
    assert "measured on another machine" in said(visit("trials", plan=plan.id))


def test_a_trial_without_full_fine_tuning_does_without_kept_gain(visit: Visit, plan: Plan, tried: StoreTrial) -> None:
    tried(arms=(make_arm("freeze", 19, kept_at_tokens=None, kept_at_cost=None),))
    app = visit("trials", plan=plan.id)
    assert "Kept gain (95% interval)" not in said(app)


def test_a_sweep_shows_every_rules_choice_and_what_it_would_have_kept(
    visit: Visit, plan: Plan, tried: StoreTrial, traced: Semantics
) -> None:
    tried(boundaries=(9, 14, 22, 24, 28), choices=all_choices(traced), recommended=14)
    app = visit("trials", plan=plan.id)
    text = said(app)
    assert "Which rule would have chosen well?" in text
    assert "largest gain" in text
    assert "not tried (0–9: " in text
    assert "Chose as this sweep does: largest gain" in text
    assert "all of it, nothing frozen" in text
    assert "Freeing layers stopped helping at: freeze layers 0 to 14." in text
    app.toggle(key="curves_all").set_value(True).run()
    assert not app.exception
    app.button(key="take_boundary").click().run()
    assert next(one for one in app.select_slider if one.label == "Last frozen layer").value == 14


def test_curves_can_be_drawn_against_seconds(visit: Visit, plan: Plan, tried: StoreTrial) -> None:
    tried()
    app = visit("trials", plan=plan.id)
    app.radio(key="curves_against").set_value("seconds").run()
    assert not app.exception


def test_earlier_trials_can_be_shown(visit: Visit, plan: Plan, tried: StoreTrial) -> None:
    first = tried()
    tried(id="trial00000000002", n_training=65)
    app = visit("trials", plan=plan.id)
    assert len(app.selectbox(key="trial_shown").options) == 2
    app.selectbox(key="trial_shown").set_value(first.id).run()
    assert app.query_params["trial"] == first.id


def test_the_kept_gain_stands_on_overview_and_the_plan_opens_on_freeze(visit: Visit, plan: Plan, tried: StoreTrial) -> None:
    tried()
    app = visit("overview")
    assert "kept 93% of the gain" in said(app)
    app.button(key=f"open_plan_{plan.id}").click().run()
    assert "Freeze layers 0 to 19" in app.title[0].value


def test_hostile_names_stay_text(visit: Visit, client: Client, plan: Plan, tried: StoreTrial) -> None:
    client.rename_plan(plan.id, HOSTILE[:100])
    app = visit("trials", plan=plan.id)
    assert "](javascript" not in app.title[0].value.replace("\\]\\(", "")
    tried(plan_name=HOSTILE)
    app = visit("trials", plan=plan.id)
    assert not app.exception


def test_the_page_speaks_japanese(visit: Visit, plan: Plan, tried: StoreTrial) -> None:
    tried(boundaries=(9, 28), projection_errors=ERRORS)
    text = said(visit("trials", plan=plan.id, locale="ja-JP"))
    assert "層" in text
    assert not [word for word in ("Kept gain", "Way of training", "Checks", "Learning") if word in text]


def test_a_rerun_with_a_stored_trial_reads_nothing_again(visit: Visit, plan: Plan, tried: StoreTrial, parsed: list[str]) -> None:
    tried(boundaries=(9, 14, 24, 28))
    app = visit("trials", plan=plan.id)
    assert parsed
    parsed.clear()
    app.run()
    assert not parsed
