"""The Plans page: without and with measured removals, a point picked from the front, a plan's life, and taking it away."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from analysis.contracts import ExportReport, Job, Message, Plan, Progress, Quantity, Search, Unit
from analysis.errors import InputError
from analysis.planning import propose_plan
from analysis.planning.from_search import plan_from_set, propose_from_search
from analysis.planning.pareto import front_only, pareto_front
from analysis.runs.client import Client
from pages.ui.search_form import set_from_url, set_in_url
from tests.builders import make_model, make_profile
from tests.measured_builders import make_search

Visit = Callable[..., AppTest]
StoreProfile = Callable[..., str]
MEASURE = "Measure what removing layers costs"


@pytest.fixture
def searched(client: Client, store_profile: StoreProfile) -> Search:
    """A store with the run and a search for its model and workload."""
    store_profile()
    found = client.import_document(make_search().model_dump_json().encode(), "search.json")[1]
    return client.search(found)


def said(app: AppTest) -> str:
    kinds = (app.title, app.markdown, app.caption, app.error, app.warning, app.info)
    return "\n".join(str(element.value) for kind in kinds for element in kind).replace("\\", "")


def labels(app: AppTest) -> list[str]:
    return [button.label for button in app.button]


def primary(app: AppTest) -> list[str]:
    return [button.label for button in app.button if button.proto.type == "primary"]


def choose_costs(app: AppTest) -> AppTest:
    return app.radio(key="way").set_value("costs").run()


def test_without_a_search_the_page_opens_with_what_layers_change_and_offers_to_measure(visit: Visit, store_profile: StoreProfile) -> None:
    store_profile()
    app = visit("plans")
    assert app.radio(key="way").value == "changes"
    app = choose_costs(app)
    assert not app.exception
    assert "has not been measured yet" in app.title[0].value
    assert primary(app) == [MEASURE]


def test_the_button_asks_for_baselines_beside_the_searches(
    visit: Visit, store_profile: StoreProfile, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_profile()
    asked: list[Any] = []
    job = Job(id="j1", kind="search", state="running", device="cpu", name="x", created_at="2026")

    def submit(self: Client, request: Any, **_: Any) -> Job:
        asked.append(request)
        return job

    monkeypatch.setattr(Client, "submit_search", submit)
    monkeypatch.setattr(Client, "job", lambda self, job_id: job)
    monkeypatch.setattr(Client, "ensure_worker", lambda self, device: None)
    app = choose_costs(visit("plans"))
    app.button(key="measure_costs").click().run()
    assert {"beam", "greedy", "last_n", "random"} <= set(asked[0].settings.strategies)
    assert asked[0].workload_paths == ()
    assert app.query_params["search_job"] == "j1"
    assert app.button(key="measure_costs").disabled


def test_a_running_search_shows_its_progress_and_the_page_stays_usable(
    visit: Visit, store_profile: StoreProfile, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_profile()
    progress = Progress(stage=Message(id="Loading the model"), done=1, total=4, eta_seconds=42)
    job = Job(id="j1", kind="search", state="running", device="cpu", name="x", created_at="2026", progress=progress)
    monkeypatch.setattr(Client, "job", lambda self, job_id: job)
    monkeypatch.setattr(Client, "ensure_worker", lambda self, device: None)
    app = visit("plans", search_job="j1")
    assert app.progress[0].value == 25
    assert "42 s left" in app.progress[0].text
    assert "cancel_j1" in [button.key for button in app.button]
    assert "Save this plan" in labels(app)


def test_a_failed_search_says_why_and_can_be_put_away(visit: Visit, store_profile: StoreProfile, monkeypatch: pytest.MonkeyPatch) -> None:
    store_profile()
    why = Message(id="The disk that holds {folder} is full.", values={"folder": "/x"})
    job = Job(id="j1", kind="search", state="failed", device="cpu", name="x", created_at="2026", error=why)
    monkeypatch.setattr(Client, "job", lambda self, job_id: job)
    app = visit("plans", search_job="j1")
    assert [error.value for error in app.error] == ["The disk that holds /x is full."]
    app.button(key="put_away_search_job").click().run()
    assert not app.error
    assert "search_job" not in app.query_params


def test_with_a_search_plans_are_made_from_what_was_measured(visit: Visit, searched: Search) -> None:
    app = visit("plans")
    assert app.radio(key="way").value == "costs"
    assert "on the calibration prompts it raised perplexity" in app.title[0].value
    assert primary(app) == ["Save this plan"]
    spec = json.loads(next(chart.proto.spec for chart in app.get("plotly_chart") if "FLOPs saved" in chart.proto.spec))
    symbols = {json.dumps(trace["marker"]["symbol"]) for trace in spec["data"] if trace.get("mode") == "markers"}
    assert len(symbols) > 5, "strategies are told apart by shape"


def test_the_naive_strategies_are_called_baselines(visit: Visit, searched: Search) -> None:
    options = visit("plans").selectbox(key="search_strategy").options
    assert sum("baseline" in option for option in options) == 2


@pytest.mark.parametrize("cost", ["params", "bytes", "layers"])
def test_the_front_can_be_drawn_against_each_saving(visit: Visit, searched: Search, cost: str) -> None:
    app = visit("plans")
    app.radio(key="pareto_cost").set_value(cost).run()
    assert not app.exception
    assert app.selectbox(key=f"front_{cost}").options


def test_a_set_chosen_from_the_list_is_the_plan_and_stands_in_the_address(visit: Visit, searched: Search) -> None:
    app = visit("plans")
    best = front_only(pareto_front(searched, searched.model))[-1]
    app.selectbox(key="front_flops").set_value(set_in_url(best.removed)).run()
    assert not app.exception
    assert app.query_params["set"] == set_in_url(best.removed)
    app.button(key="save_plan").click().run()
    assert "plan" in app.query_params


def test_a_link_with_a_set_shows_that_set(visit: Visit, searched: Search) -> None:
    app = visit("plans", set="b16-b20")
    assert "layers 16 and 20" in app.title[0].value.lower() or "16, 20" in app.title[0].value or "16 and 20" in app.title[0].value


@pytest.mark.parametrize("text", ["<script>", "b999", "x1", "b1-", "-".join(f"b{n}" for n in range(30)), "b1" * 3000])
def test_a_set_that_cannot_be_is_said_and_forgotten(visit: Visit, searched: Search, text: str) -> None:
    app = visit("plans", set=text)
    assert not app.exception
    assert "set" not in app.query_params
    assert "Traceback" not in said(app)


def test_moving_a_control_lets_go_of_the_point(visit: Visit, searched: Search) -> None:
    app = visit("plans", set="b16-b20")
    app.slider(key="amount").set_value(20).run()
    assert "set" not in app.query_params


def test_when_nothing_that_was_measured_fits_it_is_said_and_the_front_stays(visit: Visit, searched: Search) -> None:
    app = visit("plans")
    app.slider(key="amount").set_value(1).run()
    app.radio(key="search_units").set_value("block").run()
    assert not app.exception
    assert "fits within" in app.title[0].value.replace("\\", "")
    assert any("FLOPs saved" in chart.proto.spec for chart in app.get("plotly_chart"))


def test_a_set_in_an_address_is_read_back() -> None:
    removed = (("block", 3), ("attention", 12), ("mlp", 12))
    assert set_from_url(set_in_url(removed)) == removed


def stored(client: Client, search: Search, name: str = "light", units: tuple[Unit, ...] = ("block", "attention", "mlp")) -> Plan:
    plan = propose_from_search(search, strategy="one_shot" if units == ("block",) else "greedy", amount="20%", units=units)
    client.save_plan(plan, name)
    return plan


def test_a_stored_plan_shows_its_projected_quality_and_leads_to_its_verification(visit: Visit, client: Client, searched: Search) -> None:
    app = visit("plans", plan=stored(client, searched).id)
    assert primary(app) == ["Verify this plan"]
    table = app.table[0].value
    assert "Perplexity" in table.iloc[:, 0].to_list()
    assert "Most memory in use" in table.iloc[:, 0].to_list()


def test_a_plan_is_moved_on_with_a_name_that_is_marked_as_not_verified(visit: Visit, client: Client, searched: Search) -> None:
    plan = stored(client, searched)
    app = visit("plans", plan=plan.id)
    app.session_state["plan_state"] = True
    app.run()
    app.selectbox(key=f"next_state_{plan.id}").set_value("withdrawn")
    app.text_input(key=f"state_who_{plan.id}").set_value("<b>Sato</b>")
    app.text_input(key=f"state_note_{plan.id}").set_value("too early")
    app.button(key=f"FormSubmitter:state_{plan.id}-Move the plan").click().run()
    assert not app.exception
    event = client.plan_history(plan.id)[-1]
    assert (event.state, event.who, event.note) == ("withdrawn", "<b>Sato</b>", "too early")
    assert "(withdrawn)" in said(app)
    assert any("as entered, not verified" in table.value.to_string() for table in app.table)


def test_a_sub_block_plan_says_what_a_tool_cannot_express(visit: Visit, client: Client, searched: Search) -> None:
    plan = stored(client, searched)
    assert plan.removed["attention"] or plan.removed["mlp"]
    app = visit("plans", plan=plan.id)
    app.radio(key="export_form").set_value("llama.cpp").run()
    assert not app.exception
    assert any("attention" in info.value or "MLP" in info.value for info in app.info)


def test_an_export_runs_as_a_job_and_shows_its_proof(
    visit: Visit, client: Client, searched: Search, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = stored(client, searched, units=("block",))
    report = ExportReport(
        plan_id=plan.id,
        model_name="m",
        model_commit="c",
        folder="/out/<b>",
        files={"model.safetensors": 12},
        n_blocks=Quantity(before=30, after=28),
        n_parameters=Quantity(before=100, after=90),
        method="reloaded",
        max_logit_difference=0.0,
        n_random_tokens=64,
        n_real_tokens=64,
    )
    job = Job(id="j1", kind="export", state="done", device="cpu", name="x", created_at="2026", result_id="e1")
    asked: list[Any] = []

    def submit(self: Client, request: Any) -> Job:
        asked.append(request)
        return job

    monkeypatch.setattr(Client, "submit_export", submit)
    monkeypatch.setattr(Client, "job", lambda self, job_id: job)
    monkeypatch.setattr(Client, "exports", lambda self, plan_id: [("e1", report)])
    app = visit("plans", plan=plan.id)
    app.text_input(key=f"export_folder_{plan.id}").set_value("/out/x").run()
    app.button(key="export_folder").click().run()
    assert asked[0].folder == "/out/x"
    assert "difference to the plan run in place: 0.0" in said(app)
    assert "<b>" not in "\n".join(str(element.value) for element in app.markdown).replace("\\<b", "")


def test_an_export_that_is_refused_says_why(visit: Visit, client: Client, searched: Search, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Client, request: Any) -> Job:
        raise InputError("The folder {folder} is not empty. Name another one.", folder=request.folder)

    monkeypatch.setattr(Client, "submit_export", refuse)
    app = visit("plans", plan=stored(client, searched, units=("block",)).id)
    app.button(key="export_folder").click().run()
    assert "is not empty" in said(app)


def test_the_way_by_what_layers_change_still_works_beside_a_search(visit: Visit, searched: Search) -> None:
    app = visit("plans")
    app.radio(key="way").set_value("changes").run()
    assert not app.exception
    assert app.selectbox(key="criterion_block").options


def test_a_search_of_another_model_is_not_used(visit: Visit, client: Client, store_profile: StoreProfile) -> None:
    store_profile(make_profile(model=make_model(name="our/model", kind="hub", commit="beef")))
    client.import_document(make_search().model_dump_json().encode(), "search.json")
    assert visit("plans").radio(key="way").value == "changes"


def test_a_plan_from_changes_gets_a_projected_quality_once_there_is_a_search(visit: Visit, client: Client, searched: Search) -> None:
    run = client.runs()[0]
    plan = propose_plan(client.profile(run.id), amount="10%")
    client.save_plan(plan, "old")
    app = visit("plans", plan=plan.id)
    assert "Perplexity" in app.table[0].value.iloc[:, 0].to_list()


def test_a_folder_of_a_plan_with_halves_is_refused_before_it_starts_and_alternatives_are_offered(
    visit: Visit, client: Client, searched: Search, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_from_set(searched, (("attention", 5), ("attention", 9)), op="prune")
    client.save_plan(plan, "two attentions")
    asked: list[Any] = []
    job = Job(id="j1", kind="export", state="failed", device="cpu", name="x", created_at="2026")
    monkeypatch.setattr(Client, "submit_export", lambda self, request: asked.append(request) or job)
    app = visit("plans", plan=plan.id)
    assert app.button(key="export_folder").disabled
    assert any("cannot leave out an attention" in info.value for info in app.info)
    app.checkbox(key=f"export_zeroed_{plan.id}").check().run()
    app.button(key="export_folder").click().run()
    assert [request.zeroed for request in asked] == [True]
