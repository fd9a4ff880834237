"""Trials' second part: which plan is healed, the form, the job with its curves, and every kind of answer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from analysis.contracts import Estimate, Healing, Job, Message, Plan, Progress
from analysis.planning import propose_plan
from analysis.runs.client import Client
from tests.consensus_builders import make_healing, make_machine, near

Visit = Callable[..., AppTest]
StoreProfile = Callable[..., str]
Healed = Callable[..., Healing]
HOSTILE = "<script>alert(1)</script> [x](javascript:alert(1)) **b** :red[r] $a$ `c`"


@pytest.fixture
def plan(client: Client, store_profile: StoreProfile) -> Plan:
    """A stored plan that cuts, with its run."""
    made = propose_plan(client.profile(store_profile()), amount="10%", name="three layers")
    client.save_plan(made, "three layers")
    return client.plan(made.id)


@pytest.fixture
def healed(client: Client, plan: Plan) -> Healed:
    """Stores a made-up healing of the plan, as run on this machine."""

    def stored(recovered: float = 0.68, **changes: Any) -> Healing:
        machine = make_machine().model_copy(update={"device_name": client.devices()[0].name})
        document = make_healing(plan, recovered=recovered).model_copy(update={"machine": machine} | changes)
        return client.healing(client.import_document(document.model_dump_json().encode(), "healing.json")[1])

    return stored


def running(**changes: Any) -> Job:
    given = {
        "id": "job1",
        "kind": "heal",
        "state": "running",
        "device": "cpu",
        "name": "three layers",
        "created_at": "2026-11-22T06:00:00+00:00",
        "progress": Progress(stage=Message(id="Judging the cut model"), done=3, total=10, eta_seconds=90),
    }
    return Job.model_validate({**given, **changes})


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Requests that reach the client; the job they start runs for ever."""
    found: list[Any] = []

    def submit(self: Client, request: Any, *, force: bool = False) -> Job:
        found.append(request)
        return running()

    monkeypatch.setattr(Client, "submit_heal", submit)
    monkeypatch.setattr(Client, "job", lambda self, job_id: running() if found else None)
    monkeypatch.setattr(Client, "ensure_worker", lambda self, device: None)
    return found


def said(app: AppTest) -> str:
    kinds = (app.title, app.header, app.subheader, app.markdown, app.caption, app.error, app.warning, app.info, app.text)
    tables = "\n".join(table.value.to_string() for table in app.table)
    return ("\n".join(str(element.value) for kind in kinds for element in kind) + tables).replace("\\", "")


def title(app: AppTest) -> str:
    return str(app.title[0].value).replace("\\", "")


def primary(app: AppTest) -> list[str]:
    return [button.label for button in app.button if button.proto.type == "primary"]


def test_a_plan_that_cuts_opens_trials_with_healing(visit: Visit, plan: Plan) -> None:
    app = visit("trials", plan=plan.id)
    assert app.radio(key="trials_part_switch").value == "healing"
    assert '"three layers" has not been healed yet' in title(app)
    assert primary(app) == ["Start healing"]


def test_without_a_plan_trials_opens_as_before_and_healing_takes_the_runs_newest_cut(visit: Visit, plan: Plan) -> None:
    app = visit("trials")
    assert "No freeze plan is chosen yet" in title(app)
    app.radio(key="trials_part_switch").set_value("healing").run()
    assert "has not been healed yet" in title(app)
    assert app.query_params["trials_part"] == "healing"


def test_without_any_plan_that_cuts_the_way_to_one_is_shown(visit: Visit, store_profile: StoreProfile) -> None:
    store_profile()
    app = visit("trials", trials_part="healing")
    assert "No plan that takes layers out is chosen yet" in title(app)
    assert primary(app) == ["Go to Plans"]


def test_a_healing_is_asked_for_as_the_form_says(visit: Visit, plan: Plan, asked: list[Any], tmp_path: Path) -> None:
    app = visit("trials", plan=plan.id)
    app.radio(key="heal_method").set_value("full").run()
    app.radio(key="heal_objective").set_value("distillation").run()
    app.number_input(key="heal_steps").set_value(50).run()
    app.text_input(key="heal_rates").set_value("1e-5, 5e-5").run()
    app.checkbox(key="heal_control").uncheck().run()
    app.text_input(key="heal_folder").set_value(str(tmp_path / "healed")).run()
    app.button(key="start_healing").click().run()
    settings = asked[0].settings
    assert (settings.method, settings.objective, settings.steps) == ("full", "distillation", 50)
    assert (settings.learning_rates, settings.control) == ((1e-5, 5e-5), False)
    assert asked[0].save_folder == str(tmp_path / "healed")
    assert app.query_params["heal_job"] == "job1"
    assert app.button(key="start_healing").disabled


@pytest.mark.parametrize(("field", "typed", "error"), [("heal_rates", "fast", "is no learning rate"), ("heal_folder", "{full}", "already")])
def test_what_cannot_be_meant_is_said_before_anything_runs(
    visit: Visit, plan: Plan, tmp_path: Path, field: str, typed: str, error: str
) -> None:
    (tmp_path / "file").write_text("x")
    app = visit("trials", plan=plan.id)
    app.text_input(key=field).set_value(typed.format(full=tmp_path)).run()
    assert error in app.error[0].value
    assert app.button(key="start_healing").disabled


def test_while_it_runs_its_curves_time_left_and_the_way_to_stop_are_there(
    visit: Visit, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = Progress(
        stage=Message(id="Judging the cut model"),
        done=3,
        total=10,
        eta_seconds=90,
        curves={"healed": ((0.0, 3.9), (512.0, 3.2)), "control": ((0.0, 2.6),)},
    )
    monkeypatch.setattr(Client, "job", lambda self, job_id: running(progress=begun))
    monkeypatch.setattr(Client, "ensure_worker", lambda self, device: None)
    app = visit("trials", plan=plan.id, heal_job="job1")
    assert app.button(key="cancel_job1")
    shown = app.dataframe[0].value
    assert set(shown["arm"]) == {"healed", "control"}


def test_the_answer_stands_first_against_the_control(visit: Visit, plan: Plan, healed: Healed) -> None:
    healed()
    app = visit("trials", plan=plan.id)
    assert title(app).startswith("Healing won back 68% (61 to 75%) of the lost log-perplexity; 60%")
    assert primary(app) == ["Verify this plan"]
    text = said(app)
    assert "67 trained, 17 chose rates and stops, 84 judged" in text
    assert "3.920" in text
    assert "80 s" in text
    assert "3.0 GiB" in text


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"recovered": near(0.2, 0.3), "recovered_against_control": near(0.15)}, "Healing won back only 20%"),
        ({"recovered": near(0.2, 0.3), "recovered_against_control": None, "control": None}, "Nothing tells how much"),
        ({"recovered_against_control": Estimate(value=-0.02, low=-0.1, high=0.06)}, "This is mere training, not healing"),
        ({"recovered": Estimate(value=None), "recovered_against_control": None}, "there is nothing to win back"),
        ({"recovered": Estimate(value=0.1, low=-0.2, high=0.4)}, "won nothing back that these prompts can show"),
        ({"recovered": Estimate(value=-0.3, low=-0.5, high=-0.1)}, "Healing did not help"),
    ],
)
def test_a_healing_that_helped_little_or_not_says_so(
    visit: Visit, plan: Plan, healed: Healed, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], sentence: str
) -> None:
    found = healed().model_copy(update=changes)
    monkeypatch.setattr(Client, "healing", lambda self, healing_id: found)
    assert sentence in title(visit("trials", plan=plan.id))


def test_a_written_model_and_hostile_remarks_are_shown_as_text(visit: Visit, plan: Plan, healed: Healed) -> None:
    healed(folder="/models/<b>healed</b>", reload_difference=3.2e-6, notes=(Message(id=HOSTILE),))
    app = visit("trials", plan=plan.id)
    assert "Reloaded, its logits differ by 3.2e-06 at most." in said(app)
    assert not any("<b>" in element.value or "<script>" in element.value for element in (*app.markdown, *app.caption))


def test_an_earlier_healing_can_be_chosen_and_deleting_asks_first(visit: Visit, client: Client, plan: Plan, healed: Healed) -> None:
    first, _ = healed(id="healing-a", recovered=0.9), healed(id="healing-b")
    app = visit("trials", plan=plan.id)
    app.selectbox(key="healing_shown").select(first.id).run()
    assert app.query_params["healing"] == first.id
    app.button(key="delete_healing").click().run()
    assert "cannot be brought back" in said(app)
    assert len(client.healings(plan.id)) == 2


def test_in_japanese_nothing_is_left_in_english(visit: Visit, plan: Plan, healed: Healed) -> None:
    healed()
    app = visit("trials", plan=plan.id, lang="ja")
    assert title(app).startswith("回復学習で、失われた対数パープレキシティの68%（61〜75%）")
    text = said(app).replace("\u2060", "")
    assert "比較対照" in text
    assert not [word for word in ("healed:", "control", "uncut", "steps") if word in text]
