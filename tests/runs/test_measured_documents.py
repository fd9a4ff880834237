"""Searches and verifications made elsewhere: opened when they agree with themselves, else refused in one sentence."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analysis.contracts import Plan, Search, Verification
from analysis.errors import DocumentError
from analysis.runs.documents import parse_document
from tests.runs.made import a_search, a_verification

Change = Callable[[dict[str, Any]], object]


def _changed(document: Search | Verification | Plan, change: Change) -> bytes:
    fields = document.model_dump(mode="json")
    change(fields)
    return json.dumps(fields).encode()


def test_searches_and_verifications_come_back_as_they_went() -> None:
    assert parse_document(a_search().model_dump_json().encode(), "s") == a_search()
    for verdict in ("within", "undecided", "outside", None):
        found = a_verification(verdict=verdict)
        assert parse_document(found.model_dump_json().encode(), "v") == found


def _set(*path: str | int, to: object) -> Change:
    def change(fields: Any) -> None:
        for name in path[:-1]:
            fields = fields[name]
        fields[path[-1]] = to

    return change


@pytest.mark.parametrize(
    ("place", "change"),
    [
        ("stack", _set("stack", to="encoder")),
        ("base_loss", _set("base_loss", to=-1.0)),
        (r"singles\.0\.removed", _set("singles", 0, "removed", to=[["block", 99]])),
        (r"singles\.0\.removed", _set("singles", 0, "removed", to=[["block", 0], ["block", 1]])),
        (r"singles\.0\.removed", _set("singles", 0, "removed", to=[])),
        (r"singles\.1\.removed", lambda fields: fields["singles"].__setitem__(1, fields["singles"][0])),
        (r"singles\.0\.n_tokens", _set("singles", 0, "n_tokens", to=10**9)),
        (r"singles\.0\.interval", _set("singles", 0, "interval", to=[1.0, -1.0])),
        (r"singles\.0\.change", _set("singles", 0, "change", to=7.0)),
        (r"paths\.greedy\.0", _set("paths", "greedy", 0, to=[["mlp", 99]])),
        (r"paths\.magic", _set("paths", "magic", to=[])),
        ("removed", _set("singles", 0, "removed", to=[["head", 0]])),
        ("schema version 2", _set("schema_version", to=2)),
        ("notes", _set("notes", to=[{"id": "{n.__class__}", "values": {"n": 1}}])),
        ("surprise", _set("surprise", to=1)),
    ],
)
def test_a_search_at_odds_with_itself_is_refused(place: str, change: Change) -> None:
    with pytest.raises(DocumentError, match=place):
        parse_document(_changed(a_search(), change), "search.json")


@pytest.mark.parametrize(
    ("place", "change"),
    [
        (r"guardrails\.0\.verdict", _set("guardrails", 0, "verdict", to="within")),
        ("verdict", _set("verdict", to="within")),
        ("verdict", _set("verdict", to=None)),
        (r"guardrails\.0", _set("guardrails", 0, "measured", to={"value": None, "low": None, "high": None})),
        (r"quality\.perplexity_ratio", _set("quality", "perplexity_ratio", to={"value": 1.0, "low": 1.2, "high": 0.9})),
        (r"quality\.perplexity_ratio", _set("quality", "perplexity_ratio", to={"value": 1.0, "low": 0.9, "high": 1.1})),
        (r"quality\.top1_agreement", _set("quality", "top1_agreement", to={"value": 1.7, "low": None, "high": None})),
        (r"quality\.flips", _set("quality", "flips", "changed", to=999)),
        (r"quality\.n_examples", _set("quality", "n_examples", to=10**6)),
        (r"cost\.0", _set("cost", 0, "prefill_ms", "ratio", to={"value": 1.0, "low": 2.0, "high": 0.5})),
        ("quality: Field required", lambda fields: fields.pop("quality")),
    ],
)
def test_a_verification_whose_verdict_or_figures_cannot_be_true_is_refused(place: str, change: Change) -> None:
    with pytest.raises(DocumentError, match=place):
        parse_document(_changed(a_verification(verdict="outside"), change), "verification.json")


def test_a_plan_that_carries_another_plans_verification_is_refused(make_plan: Callable[..., Plan]) -> None:
    plan = make_plan()
    own = plan.model_copy(update={"verification": a_verification(plan).without_texts()})
    assert parse_document(own.model_dump_json().encode(), "plan.json") == own
    other = plan.model_copy(update={"verification": a_verification(make_plan(blocks=(0,))).without_texts()})
    with pytest.raises(DocumentError, match=r"verification\.plan_id"):
        parse_document(other.model_dump_json().encode(), "plan.json")


def test_a_slice_may_be_called_id() -> None:
    found = a_verification(slices=("id",))
    assert parse_document(found.model_dump_json().encode(), "v") == found


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
_QUIET = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@_QUIET
@given(st.sampled_from(sorted(Search.model_fields)), st.sampled_from(sorted(Verification.model_fields)), _JSON)
def test_a_field_filled_with_anything_is_ours_or_refused_in_words(in_search: str, in_verification: str, value: object) -> None:
    for document, name in ((a_search(), in_search), (a_verification(), in_verification)):
        try:
            assert isinstance(parse_document(_changed(document, _set(name, to=value)), "file"), Search | Verification)
        except DocumentError:
            continue
