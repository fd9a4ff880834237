"""Verify's second part: before a robustness test, while it runs, with every kind of answer, and taking it away."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from analysis.contracts import Estimate, GridIntensity, Message, Plan, Progress, Robustness, RobustnessRequest
from analysis.planning import propose_plan
from analysis.runs.client import Client
from tests.consensus_builders import make_machine, make_robustness

Visit = Callable[..., AppTest]
StoreProfile = Callable[..., str]
Tested = Callable[..., Robustness]
HOSTILE = "<script>alert(1)</script> [x](javascript:alert(1)) **b** :red[r] $a$ `c`"
NO_ENERGY = Message(
    id="{device} does not tell how much energy it uses. Give its power in watts to have the energy projected from the time.",
    values={"device": "CPU"},
)


@pytest.fixture
def plan(client: Client, store_profile: StoreProfile) -> Plan:
    """A stored plan with its run."""
    made = propose_plan(client.profile(store_profile()), amount="10%", name="three layers")
    client.save_plan(made, "three layers")
    return client.plan(made.id)


@pytest.fixture
def tested(client: Client, plan: Plan) -> Tested:
    """Stores a made-up robustness test of the plan, as run on this machine."""

    def stored(**changes: Any) -> Robustness:
        machine = make_machine().model_copy(update={"device_name": client.devices()[0].name})
        document = make_robustness(plan, **({"machine": machine} | changes))
        return client.robustness(client.import_document(document.model_dump_json().encode(), "robustness.json")[1])

    return stored


def opened(visit: Visit, plan: Plan, **query: str) -> AppTest:
    return visit("verify", plan=plan.id, verify_part="robustness", **query)


def said(app: AppTest) -> str:
    kinds = (app.title, app.header, app.subheader, app.markdown, app.caption, app.error, app.warning, app.info, app.text)
    tables = "\n".join(table.value.to_string() for table in app.table)
    return ("\n".join(str(element.value) for kind in kinds for element in kind) + tables).replace("\\", "")


def primary(app: AppTest) -> list[str]:
    return [button.label for button in app.button if button.proto.type == "primary"]


def test_what_this_stores_own_worker_ran_is_measured_here_whatever_it_calls_its_processor(visit: Visit, client: Client, plan: Plan) -> None:
    machine = make_machine().model_copy(update={"device_name": "CPU (x86_64, 2 threads)"})
    assert machine.device_name not in {device.name for device in client.devices()}
    request = RobustnessRequest(model=plan.model.source, workload_paths=("/w.jsonl",), plan=plan)
    client._store.keep_robustness(request, make_robustness(plan, machine=machine))
    assert "measured on another machine" not in said(opened(visit, plan))


def test_what_came_as_a_file_from_elsewhere_says_so(visit: Visit, plan: Plan, tested: Tested) -> None:
    tested(machine=make_machine().model_copy(update={"device_name": "Another GPU"}))
    assert "measured on another machine" in said(opened(visit, plan))


def test_verify_opens_with_its_limits_and_the_switch_leads_to_robustness_and_stays_in_the_address(visit: Visit, plan: Plan) -> None:
    app = visit("verify", plan=plan.id)
    assert "has not been run yet" in app.title[0].value
    app.radio(key="verify_part_switch").set_value("robustness").run()
    assert "is not known yet: test it." in app.title[0].value
    assert app.query_params["verify_part"] == "robustness"


def test_a_plan_that_was_not_tested_offers_the_form_and_one_primary_button(visit: Visit, plan: Plan) -> None:
    app = opened(visit, plan)
    assert primary(app) == ["Test the robustness"]
    assert app.checkbox(key="robustness_keyboard").value
    assert "it can be cancelled" in said(app)


def test_what_was_asked_for_reaches_the_job(visit: Visit, client: Client, plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[RobustnessRequest] = []
    plain = client.submit_robustness
    monkeypatch.setattr(client, "submit_robustness", lambda request, *, force=False: asked.append(request) or plain(request, force=force))
    monkeypatch.setattr(client._executor, "submit", lambda *_: None)
    monkeypatch.setattr(client, "ensure_worker", lambda _: None)
    app = opened(visit, plan)
    app.checkbox(key="robustness_swap").uncheck().run()
    app.checkbox(key="robustness_pgd").uncheck().run()
    app.selectbox(key="robustness_country").select("JPN").run()
    app.number_input(key="robustness_watts").set_value(65.0).run()
    app.number_input(key="robustness_grid").set_value(0.4).run()
    app.multiselect(key=f"robustness_held_out_{plan.id}").select("code").run()
    app.number_input(key="robustness_attacked").set_value(6).run()
    app.multiselect(key="robustness_levels").unselect(0.02).run()
    app.multiselect(key="robustness_epsilons").select(0.5).run()
    app.number_input(key="robustness_pgd_steps").set_value(3).run()
    app.button(key="test_robustness").click().run()
    settings = asked[0].settings
    assert (settings.levels, settings.epsilons, settings.pgd_steps) == ((0.05, 0.1), (0.05, 0.1, 0.2, 0.5), 3)
    assert (settings.noises, settings.attacks) == (("keyboard", "case", "spacing", "words"), ("fgsm",))
    assert (settings.country, settings.watts, settings.grid_kg_per_kwh) == ("JPN", 65.0, 0.4)
    assert (settings.held_out, settings.attack_examples) == (("code",), 6)
    assert "robustness_job" in app.query_params


def test_noise_without_a_strength_is_refused_before_it_starts(visit: Visit, plan: Plan) -> None:
    app = opened(visit, plan)
    app.multiselect(key="robustness_levels").set_value([]).run()
    assert "No strength is chosen" in app.error[0].value
    assert app.button(key="test_robustness").disabled


def test_a_test_of_nothing_is_refused_before_it_starts(visit: Visit, plan: Plan) -> None:
    app = opened(visit, plan)
    for kind in ("keyboard", "swap", "case", "spacing", "words", "fgsm", "pgd", "energy"):
        app.checkbox(key=f"robustness_{kind}").uncheck()
    app.run()
    assert "Nothing is left to test" in app.error[0].value
    assert app.button(key="test_robustness").disabled


def test_a_running_job_shows_its_bar_and_time_left_and_can_be_cancelled(
    visit: Visit, client: Client, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client._executor, "submit", lambda *_: None)
    monkeypatch.setattr(client, "ensure_worker", lambda _: None)
    job = client.submit_robustness(RobustnessRequest(plan=plan, model=plan.model.source, workload_paths=()))
    told = Progress(stage=Message(id="Running both models on disturbed prompts"), done=1, total=4, eta_seconds=30)
    running = job.model_copy(update={"state": "running", "progress": told})
    monkeypatch.setattr(client, "job", lambda _: running)
    app = opened(visit, plan, robustness_job=job.id)
    assert any("30 s left" in bar.proto.text for bar in app.get("progress"))
    cancelled: list[str] = []
    monkeypatch.setattr(client, "cancel", cancelled.append)
    app.button(key=f"cancel_{job.id}").click().run()
    assert cancelled == [job.id]


def test_the_answer_stands_first_and_names_worse_better_and_no_difference(visit: Visit, plan: Plan, tested: Tested) -> None:
    tested()
    app = opened(visit, plan)
    title = app.title[0].value.replace("\\", "")
    assert "more sensitive to wrong capitals: the loss rises by up to 0.12 nats" in title
    assert "less sensitive to typing slips" in title
    assert "Under the other 5 disturbances no difference shows." in title
    assert primary(app) == ["Verify this plan"]
    app.button(key="next_step").click().run()
    assert app.query_params["verify_part"] == "limits"


def test_unknown_work_energy_and_carbon_are_told_with_where_they_come_from(visit: Visit, plan: Plan, tested: Tested) -> None:
    tested()
    text = said(opened(visit, plan))
    assert "it loses more" in text
    assert "+0.20 (0.16 to 0.24)" in text
    assert "assumed power of 65 W" in text
    assert "Japan, average of 2023. Source: a test's table." in text
    assert "16.0% less" in text


def test_an_own_factor_is_marked_as_assumed(visit: Visit, plan: Plan, tested: Tested) -> None:
    used = make_robustness(plan).energy
    assert used is not None
    tested(energy=used.model_copy(update={"grid": GridIntensity(kg_per_kwh=0.3, source="own figure", assumed=True)}))
    text = said(opened(visit, plan))
    assert "0.300 kg CO2 per kWh, a figure typed in by a person" in text


def test_an_interval_around_no_change_is_not_called_a_saving(visit: Visit, plan: Plan, tested: Tested) -> None:
    used = make_robustness(plan).energy
    assert used is not None
    tested(energy=used.model_copy(update={"ratio": Estimate(value=0.84, low=0.7, high=1.2)}))
    assert "does not show that the plan uses less energy" in said(opened(visit, plan))


def test_what_is_missing_says_why(visit: Visit, plan: Plan, tested: Tested) -> None:
    tested(unknown_work=(), energy=None, energy_reason=NO_ENERGY, notes=(Message(id=HOSTILE),))
    app = opened(visit, plan)
    text = said(app)
    assert "no slice was held out" in text
    assert "does not tell how much energy it uses" in text
    assert not any("<script>" in element.value for element in (*app.markdown, *app.caption))


def test_an_earlier_test_can_be_chosen_and_deleting_asks_first(visit: Visit, client: Client, plan: Plan, tested: Tested) -> None:
    first, second = tested(id="robustness-a"), tested(id="robustness-b", results=())
    app = opened(visit, plan)
    app.selectbox(key="robustness_shown").select(first.id).run()
    assert "more sensitive" in app.title[0].value
    app.selectbox(key="robustness_shown").select(second.id).run()
    assert "No disturbance was tested here" in app.title[0].value
    app.button(key="delete_robustness").click().run()
    assert "cannot be brought back" in said(app)
    assert len(client.robustness_tests(plan.id)) == 2


def test_in_japanese_nothing_is_left_in_english(visit: Visit, plan: Plan, tested: Tested) -> None:
    tested()
    app = opened(visit, plan, lang="ja")
    assert app.title[0].value.startswith("層を外すと、")
    assert "日本" in said(app)
    assert "sensitive" not in said(app)
