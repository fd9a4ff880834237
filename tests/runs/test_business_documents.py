"""Business cases, assumptions and rollouts made elsewhere: opened when they agree with themselves, else refused in one sentence."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analysis.contracts import Assumption, Assumptions, BusinessCase, ExchangeRate, MonitoringRow, Plan, Rollout, StageEvent, content_hash
from analysis.economics.case import make_case as work_out
from analysis.errors import DocumentError, PlanError
from analysis.runs.client import Client
from analysis.runs.documents import parse_document
from analysis.runs.executor import LocalExecutor
from analysis.runs.store import Store
from tests.business_builders import make_assumptions, make_case, make_evidence, make_rollout
from tests.runs.made import a_freeze_plan

Change = Callable[[dict[str, Any]], object]
DAY = MonitoringRow(
    date="2026-12-02", slice="code", requests=100, on_plan=20, checked=10, changed=2, wrong=1, critical=3, critical_changed=1
)


def _changed(document: BusinessCase | Assumptions | Rollout | Plan, change: Change) -> bytes:
    fields = document.model_dump(mode="json")
    change(fields)
    return json.dumps(fields).encode()


def _set(*path: str | int, to: object) -> Change:
    def change(fields: Any) -> None:
        for name in path[:-1]:
            fields = fields[name]
        fields[path[-1]] = to

    return change


def _whole_rollout() -> Rollout:
    noted = StageEvent(stage=1, action="note", who="A", at="2026-12-02T09:00:00+00:00")
    return make_rollout(monitoring=(DAY,), events=(noted,), actuals=({"month": "2026-12", "bill": 1.0, "requests": 2.0},))


@pytest.mark.parametrize("document", [make_case(), make_case("serving", pays=False), make_assumptions(), _whole_rollout()])
def test_cases_assumptions_and_rollouts_come_back_as_they_went(document: BusinessCase | Assumptions | Rollout) -> None:
    assert parse_document(document.model_dump_json().encode(), "d") == document


@pytest.mark.parametrize(
    ("place", "change"),
    [
        ("id", _set("id", to="../../etc/passwd")),
        ("id", _set("id", to="x" * 9000)),
        (r"result\.simulation\.draws", _set("result", "simulation", "draws", to=10**9)),
        (r"result\.payback_months", _set("result", "payback_months", to=-3.0)),
        (r"rollout\.plan_id", _set("rollout", "plan_id", to="f" * 12)),
        (r"rollout\.stages", _set("rollout", "stages", 0, "number", to=2)),
        (
            r"assumptions\.values\.internal_day\.source_url",
            _set("assumptions", "values", "internal_day", "source_url", to="javascript:alert(1)"),
        ),
        (r"assumptions\.starts_on", _set("assumptions", "starts_on", to="1. Dezember")),
        ("schema version 2", _set("schema_version", to=2)),
        ("notes", _set("result", "notes", to=[{"id": "{n.__class__}", "values": {"n": 1}}])),
        ("notes", _set("evidence", "words", to={"id": "{x:>1000000000}", "values": {"x": 1}})),
        ("notes", _set("result", "payback_reason", to={"id": "{missing}", "values": {}})),
        ("surprise", _set("surprise", to=1)),
        ("evidence: Field required", lambda fields: fields.pop("evidence")),
        ("result.npv", _set("result", "npv", to="a lot")),
        ("is not JSON", _set("result", "npv", to=float("nan"))),
    ],
)
def test_a_case_at_odds_with_itself_is_refused(place: str, change: Change) -> None:
    with pytest.raises(DocumentError, match=place):
        parse_document(_changed(make_case(), change), "case.json")


@pytest.mark.parametrize(
    ("place", "change"),
    [
        (r"slices\.code", lambda fields: fields["slices"].extend([{"name": "code", "requests_per_month": 1}] * 2)),
        (r"rates\.USD", _set("rates", to=[ExchangeRate(currency="USD", per_unit=150, as_of="", source="x").model_dump()] * 2)),
        (r"contract_ends_on", _set("contract_ends_on", to="20261201")),
        (r"slices\.0\.requests_per_month", _set("slices", 0, "requests_per_month", to=-4)),
        ("currency", _set("currency", to="XXX")),
    ],
)
def test_assumptions_at_odds_with_themselves_are_refused(place: str, change: Change) -> None:
    with pytest.raises(DocumentError, match=place):
        parse_document(_changed(make_assumptions(), change), "assumptions.json")


@pytest.mark.parametrize(
    ("place", "change"),
    [
        ("stages", _set("stages", 1, "number", to=7)),
        (r"stages\.2\.starts_on", _set("stages", 2, "starts_on", to="soon")),
        (r"stages\.0\.traffic", _set("stages", 0, "traffic", to=1.5)),
        (r"events\.0\.stage", _set("events", 0, "stage", to=9)),
        (r"events\.0\.at", _set("events", 0, "at", to="2026-W49-2")),
        (r"stages\.2\.state", _set("stages", 2, "state", to="passed")),
        (r"stages\.0\.state", _set("stages", 0, "state", to="stopped")),
        (r"actuals\.2027-03", lambda fields: fields["actuals"].append({**fields["actuals"][0], "month": "2027-03"})),
        (r"checklist\.legal", lambda fields: fields["checklist"].append({"name": "legal"})),
        (r"monitoring\.0\.date", _set("monitoring", 0, "date", to="")),
        (r"monitoring\.0\.on_plan", _set("monitoring", 0, "on_plan", to=101)),
        (r"monitoring\.0\.wrong", _set("monitoring", 0, "wrong", to=11)),
        (r"monitoring\.0\.critical_changed", _set("monitoring", 0, "critical_changed", to=4)),
        ("monitoring", lambda fields: fields["monitoring"].append(fields["monitoring"][0])),
        (r"actuals\.0\.month", _set("actuals", 0, "month", to="2026-13")),
        (r"actuals\.0\.month", _set("actuals", 0, "month", to="-1")),
        (r"actuals\.2026-12", lambda fields: fields["actuals"].append(fields["actuals"][0])),
        ("review_on", _set("review_on", to="2027-02-30")),
    ],
)
def test_a_rollout_at_odds_with_itself_is_refused(place: str, change: Change) -> None:
    with pytest.raises(DocumentError, match=place):
        parse_document(_changed(_whole_rollout(), change), "rollout.json")


def test_a_plan_with_the_case_of_another_plan_is_refused() -> None:
    plan = a_freeze_plan()
    theirs = plan.model_copy(update={"business_case": make_case()})
    with pytest.raises(DocumentError, match=r"business_case\.plan_id"):
        parse_document(theirs.model_dump_json().encode(), "plan.json")


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_whatever_stands_where_a_part_should_be_is_refused_in_words(junk: object) -> None:
    fields = make_case().model_dump(mode="json")
    fields["result"] = junk
    with pytest.raises(DocumentError):
        parse_document(json.dumps(fields).encode(), "case.json")


def test_assumptions_and_rollouts_are_imported_and_a_stored_past_is_never_overwritten(store: Store, executor: LocalExecutor) -> None:
    client = Client(store, executor)
    assert client.import_document(make_assumptions().model_dump_json().encode(), "a.json") == ("assumptions", "")
    whole = _whole_rollout()
    assert client.import_document(whole.model_dump_json().encode(), "r.json") == ("rollout", whole.plan_id)
    with pytest.raises(PlanError, match="nothing stored was lost"):
        client.import_document(make_rollout().model_dump_json().encode(), "r.json")
    assert client.rollout(whole.plan_id) == whole
    client.delete_rollout(whole.plan_id)
    assert client.rollout(whole.plan_id) is None


def _worked_out(**assumed: Any) -> BusinessCase:
    """A case that really follows from its evidence and assumptions."""
    evidence = make_evidence()
    return work_out(evidence, make_assumptions(**assumed), rollout=make_rollout(), draws=200, seed=3)


@pytest.mark.parametrize(
    ("place", "change"),
    [
        ("id", _set("id", to="0123456789abcdef")),
        (r"result\.npv", _set("result", "npv", to=1e9)),
        (r"result\.payback_months", _set("result", "payback_months", to=None)),
        (r"result\.simulation\.payback_share", _set("result", "simulation", "payback_share", to=0.123)),
        (r"result\.cumulative", lambda fields: fields["result"]["cumulative"].pop()),
        (r"result\.stages", _set("result", "stages", to=[])),
        ("id", _set("evidence", "training", "hours", "plan", to=1e-6)),
        ("id", _set("assumptions", "values", "bill_training_per_month", "value", to=900_000.0)),
    ],
)
def test_a_case_changed_by_hand_is_not_imported(place: str, change: Change, store: Store, executor: LocalExecutor) -> None:
    with pytest.raises(DocumentError, match=rf"\({place}[^)]*\): it was changed by hand"):
        Client(store, executor).import_document(_changed(_worked_out(), change), "case.json")
    assert store.cases.cases() == []


def test_nobody_elses_sentences_stand_in_an_imported_case(store: Store, executor: LocalExecutor) -> None:
    client, case = Client(store, executor), _worked_out()

    def boast(fields: dict[str, Any]) -> None:
        fields["result"]["notes"] = [{"id": "It always pays back.", "values": {}}]
        fields["result"]["payback_reason"] = {"id": "Tomorrow.", "values": {}}

    client.import_document(_changed(case, boast), "case.json")
    assert client.case(case.id).result.model_dump_json() == case.result.model_dump_json()


def test_assumptions_that_no_case_can_follow_from_are_not_imported_even_under_the_right_id(store: Store, executor: LocalExecutor) -> None:
    case = _worked_out()
    values = {**case.assumptions.values, "bill_training_per_month": Assumption(value=-1.0, currency="JPY")}
    wrong = case.assumptions.model_copy(update={"values": values})
    forged = case.model_copy(update={"assumptions": wrong, "id": content_hash("case", case.evidence, wrong)[:16]})
    with pytest.raises(DocumentError, match=r"\(assumptions\): it was changed by hand"):
        Client(store, executor).import_document(forged.model_dump_json().encode(), "case.json")


@pytest.mark.parametrize("changes", [{}, {"starts_on": ""}, {"currency": "JPY", "count_capacity": True}])
def test_a_case_made_elsewhere_is_kept_whenever_it_follows_from_what_it_says(
    changes: dict[str, Any], store: Store, executor: LocalExecutor
) -> None:
    client, case = Client(store, executor), _worked_out(**changes)
    data = case.model_dump_json().encode()
    assert client.import_document(data, "case.json") == ("business_case", case.id)
    client.rename_case(case.id, "mine")
    assert client.import_document(data, "case.json") == ("business_case", case.id)
    assert [found.name for found in client.cases(case.evidence.plan_id)] == ["mine"]
    kept = case.model_copy(update={"name": "mine", "is_sample": False})
    assert client.case(case.id).model_dump_json() == kept.model_dump_json()
