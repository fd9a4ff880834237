"""The doors of Overview, the next step of a plan that was proven, and business documents brought in from elsewhere."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from streamlit.testing.v1 import AppTest

from analysis.contracts import Contract, Plan, Semantics
from analysis.economics.case import make_case
from analysis.planning.freeze import propose_freeze
from analysis.runs.client import Client
from tests.business_builders import make_assumptions, make_evidence, make_rollout
from tests.trained_builders import make_semantics, make_trial

Visit = Callable[..., AppTest]
StoreProfile = Callable[..., str]


@pytest.fixture
def traced(client: Client, store_profile: StoreProfile) -> Semantics:
    """Stored traces with their run."""
    found = client.profile(store_profile())
    traces = make_semantics(found.n_blocks, profile=found, model=found.model)
    return client.semantics(client.import_document(traces.model_dump_json().encode(), "semantics.json")[1])


@pytest.fixture
def plan(client: Client, traced: Semantics) -> Plan:
    """A stored freeze plan that was tried."""
    made = propose_freeze(traced.model, semantics=traced, eof_layer=19, workload=None)
    client.save_plan(made, "two thirds")
    client.import_document(make_trial(19, plan=client.plan(made.id)).model_dump_json().encode(), "trial.json")
    return client.plan(made.id)


def primary(app: AppTest) -> list[str]:
    return [button.label for button in app.button if button.proto.type == "primary"]


def said(app: AppTest) -> str:
    kinds = (app.title, app.markdown, app.caption, app.error, app.warning, app.info)
    return "\n".join(str(element.value) for kind in kinds for element in kind).replace("\\", "")


def labels(app: AppTest) -> list[str]:
    return [button.label for button in app.button]


def bring(app: AppTest, document: Contract | bytes, name: str) -> AppTest:
    """Uploads a document on Overview and opens it; pages that are only reached by a click end the visit there."""
    data = document if isinstance(document, bytes) else document.model_dump_json().encode()
    app.file_uploader(key="document").set_value((name, data, "application/json")).run()
    return app.button(key="open_document").click().run()


def test_there_is_nothing_to_decide_before_there_is_a_plan(visit: Visit, client: Client, store_profile: StoreProfile) -> None:
    for stored in client.plans():
        client.delete_plan(stored.id)
    store_profile()
    app = visit()
    assert "I decide on a proposal" not in labels(app)
    assert "I examine a model" in labels(app)


def test_both_doors_stand_on_overview(visit: Visit, plan: Plan) -> None:
    assert {"I decide on a proposal", "I examine a model"} <= set(labels(visit()))
    assert {"提案を判断する", "モデルを調べる"} <= set(labels(visit(lang="ja")))


def test_a_plan_that_was_proven_is_next_asked_for_its_worth(visit: Visit, plan: Plan) -> None:
    app = visit(plan=plan.id)
    assert primary(app) == ["See what it is worth"]
    assert "see what the plan two thirds is worth" in app.title[0].value.replace("\\", "")
    assert primary(visit("plans", plan=plan.id)) == ["See what it is worth"]


def test_a_plan_that_was_not_run_is_not_asked_for_its_worth(visit: Visit, client: Client, traced: Semantics) -> None:
    made = propose_freeze(traced.model, semantics=traced, eof_layer=9, workload=None)
    client.save_plan(made, "one third")
    assert primary(visit(plan=made.id)) == ["Try it"]


@pytest.mark.parametrize("kind", ["case", "rollout"])
def test_a_business_document_without_its_plan_is_kept_and_says_so(visit: Visit, client: Client, plan: Plan, kind: str) -> None:
    case = make_case(make_evidence(), make_assumptions())
    document = case if kind == "case" else make_rollout()
    app = bring(visit(), document, f"{kind}.json")
    assert "The plan that it is about is not stored here" in said(app)
    kept = client.case(case.id).evidence.plan_id if kind == "case" else client.rollout("abcdef012345").plan_id  # type: ignore[union-attr]
    assert kept == "abcdef012345"


def test_a_case_is_opened_with_its_plan(visit: Visit, client: Client, plan: Plan) -> None:
    case = make_case(client.evidence(plan.id), make_assumptions(accept_other_device=True))
    app = bring(visit(), case, "case.json")
    assert app.session_state["chosen_case"] == case.id
    assert app.session_state["chosen_plan"] == plan.id


def test_stages_are_opened_with_their_plan(visit: Visit, client: Client, plan: Plan) -> None:
    app = bring(visit(), make_rollout(plan_id=plan.id), "rollout.json")
    assert app.session_state["chosen_plan"] == plan.id
    assert client.rollout(plan.id) is not None


def test_assumptions_are_used_for_the_plan_at_hand(visit: Visit, client: Client, plan: Plan) -> None:
    app = bring(visit(plan=plan.id), make_assumptions(name="from accounting"), "assumptions.json")
    assert app.session_state["assumptions"][plan.id].name == "from accounting"


def test_assumptions_without_a_plan_are_refused_in_words(visit: Visit, client: Client) -> None:
    for stored in client.plans():
        client.delete_plan(stored.id)
    assert "none is stored here" in said(bring(visit(), make_assumptions(), "assumptions.json"))


@pytest.mark.parametrize("data", [b"{", b'{"kind": "business_case"}', b'{"kind": "rollout", "stages": []}', bytes(range(256))])
def test_a_damaged_business_document_is_refused_in_one_sentence(visit: Visit, data: bytes) -> None:
    app = bring(visit(), data, "case.json")
    assert len(app.error) == 1
    assert not app.exception
