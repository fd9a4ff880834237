"""Traces and trials made elsewhere: opened when they agree with themselves, else refused in one sentence."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analysis.contracts import EofChoice, Message, Plan, Semantics, Trial
from analysis.errors import DocumentError
from analysis.runs.documents import parse_document
from tests.runs.made import a_freeze_plan, a_step_model, a_trial, some_traces

Change = Callable[[dict[str, Any]], object]


def _changed(document: Semantics | Trial | Plan, change: Change) -> bytes:
    fields = document.model_dump(mode="json")
    change(fields)
    return json.dumps(fields).encode()


def _set(*path: str | int, to: object) -> Change:
    def change(fields: Any) -> None:
        for name in path[:-1]:
            fields = fields[name]
        fields[path[-1]] = to

    return change


def _choice(**changes: Any) -> EofChoice:
    return EofChoice(**({"strategy": "gain", "eof_layer": 4, "unlimited": 5, "reason": Message(id="Because.")} | changes))


def _whole_trial() -> Trial:
    return a_trial(boundaries=(2, 5), choices=(_choice(scores=(0.1,) * 8, votes={4: 3}, by_slice={"a": 6}),), steps=a_step_model())


def test_traces_and_trials_come_back_as_they_went() -> None:
    assert parse_document(some_traces().model_dump_json().encode(), "s") == some_traces()
    silent = some_traces()
    untold = tuple(trace.model_copy(update={"tokens": (), "excerpt": ""}) for trace in silent.traces)
    silent = silent.model_copy(update={"traces": untold, "gradients": None})
    assert parse_document(silent.model_dump_json().encode(), "s") == silent
    assert parse_document(_whole_trial().model_dump_json().encode(), "t") == _whole_trial()


@pytest.mark.parametrize(
    ("place", "change"),
    [
        ("stack", _set("stack", to="encoder")),
        ("default_curve", lambda fields: fields["overall"]["curves"].pop("whitened")),
        (r"overall\.curves\.literal\.mean", _set("overall", "curves", "literal", "mean", to=[0.1, 0.2])),
        (r"overall\.curves\.lens\.gain", _set("overall", "curves", "lens", "gain", 3, to=7.0)),
        (r"overall\.curves\.lens\.intervals", _set("overall", "curves", "lens", "intervals", to=[])),
        (r"overall\.alignment", _set("overall", "alignment", to=[0.0])),
        (r"overall\.lens\.entropy", _set("overall", "lens", "entropy", to=[0.0])),
        (r"slices\..*\.curves\.centred\.gain", lambda fields: next(iter(fields["slices"].values()))["curves"]["centred"].update(gain=[])),
        (r"fidelity\.0\.right", _set("fidelity", 0, "right", to=1.7)),
        (r"examples\.2", _set("examples", 2, "deviation", to=[0.0])),
        (r"examples\.2", _set("examples", 2, "lens_loss", to=[0.0])),
        ("examples", lambda fields: fields.update(examples=fields["examples"] * 200)),
        (r"traces\.1", _set("traces", 1, "deviation", to=[[0.0]])),
        (r"traces\.1", _set("traces", 1, "tokens", to=["one"])),
        (r"traces\.0", _set("traces", 0, "top_words", to=[["a"]])),
        (r"gradients\.l2", _set("gradients", "l2", to=[1.0])),
        (r"gradients\.l1", _set("gradients", "l1", 0, to=-1.0)),
        ("schema version 2", _set("schema_version", to=2)),
        ("notes", _set("notes", to=[{"id": "{n.__class__}", "values": {"n": 1}}])),
        ("surprise", _set("surprise", to=1)),
        ("overall: Field required", lambda fields: fields.pop("overall")),
    ],
)
def test_traces_at_odds_with_themselves_are_refused(place: str, change: Change) -> None:
    with pytest.raises(DocumentError, match=place):
        parse_document(_changed(some_traces(), change), "semantics.json")


@pytest.mark.parametrize(
    ("place", "change"),
    [
        ("eof_layer", _set("eof_layer", to=7)),
        ("eof_layer", _set("eof_layer", to=-2)),
        ("recommended", _set("recommended", to=7)),
        ("arms", lambda fields: fields["arms"].append(fields["arms"][0])),
        (r"arms\.0\.eof_layer", _set("arms", 0, "eof_layer", to=99)),
        (r"arms\.3\.eof_layer", _set("arms", 3, "eof_layer", to=2)),
        (r"arms\.0\.points", _set("arms", 0, "points", to=[])),
        (r"arms\.0\.points", lambda fields: fields["arms"][0]["points"].reverse()),
        (r"arms\.3\.block_gradients", _set("arms", 3, "block_gradients", to=[[1.0]])),
        (r"arms\.0\.kept_at_tokens", _set("arms", 0, "kept_at_tokens", to={"value": 1.0, "low": 2.0, "high": 0.5})),
        (r"arms\.0\.slices\.", lambda fields: fields["arms"][0]["slices"].update(x={"value": 1.0, "low": 2.0, "high": 0.5})),
        (r"arms\.0\.reduction", _set("arms", 0, "reduction", to={"value": 3.0, "low": None, "high": None})),
        (r"front\.0\.arm", _set("front", 0, "arm", to="freeze 99")),
        (r"released\.0", _set("released", to=["freeze 99"])),
        (r"choices\.0\.eof_layer", _set("choices", 0, "eof_layer", to=7)),
        (r"choices\.0\.scores", _set("choices", 0, "scores", to=[0.1])),
        (r"choices\.0\.votes", _set("choices", 0, "votes", to={"44": 1})),
        (r"choices\.0\.by_slice", _set("choices", 0, "by_slice", to={"a": -3})),
        (r"choices\.0\.low", lambda fields: fields["choices"][0].update(low=5, high=2)),
        (r"settings\.boundaries", _set("settings", "boundaries", to=[2, 40])),
        (r"steps\.n_blocks", _set("steps", "n_blocks", to=30)),
        (r"steps\.points", _set("steps", "points", 0, "eof_layer", to=20)),
        ("schema version null|schema version None", _set("schema_version", to=None)),
        ("notes", _set("notes", to=[{"id": "{n.__class__}", "values": {"n": 1}}])),
        ("surprise", _set("surprise", to=1)),
    ],
)
def test_a_trial_at_odds_with_itself_is_refused(place: str, change: Change) -> None:
    with pytest.raises(DocumentError, match=place):
        parse_document(_changed(_whole_trial(), change), "trial.json")


def test_a_plan_that_carries_another_plans_trial_or_a_boundary_it_does_not_have_is_refused() -> None:
    plan = a_freeze_plan()
    own = plan.model_copy(update={"trial": a_trial(plan)})
    assert parse_document(own.model_dump_json().encode(), "plan.json") == own
    other = plan.model_copy(update={"trial": a_trial(a_freeze_plan(2))})
    with pytest.raises(DocumentError, match=r"trial\.plan_id"):
        parse_document(other.model_dump_json().encode(), "plan.json")
    wrong = _set("trial", "arms", 0, "eof_layer", to=99)
    with pytest.raises(DocumentError, match=r"trial\.arms\.0\.eof_layer"):
        parse_document(_changed(own, wrong), "plan.json")
    chosen = plan.model_copy(update={"provenance": plan.provenance.model_copy(update={"eof_choice": _choice(eof_layer=7)})})
    with pytest.raises(DocumentError, match=r"provenance\.eof_choice\.eof_layer"):
        parse_document(chosen.model_dump_json().encode(), "plan.json")
    with pytest.raises(DocumentError, match=r"operations\.0"):
        parse_document(_changed(plan, _set("operations", 0, "eof_layer", to=7)), "plan.json")


def test_a_slice_or_a_version_may_be_called_id() -> None:
    found = a_trial(versions={"id": "1"})
    arm = found.arms[0].model_copy(update={"slices": {"id": found.arms[0].reduction}, "example_losses": {"id": 1.0}})
    found = found.model_copy(update={"arms": (arm, *found.arms[1:])})
    assert parse_document(found.model_dump_json().encode(), "t") == found


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
_TRACES, _TRIAL = some_traces().model_dump(mode="json"), a_trial().model_dump(mode="json")
_QUIET = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@_QUIET
@given(st.sampled_from(sorted(Semantics.model_fields)), st.sampled_from(sorted(Trial.model_fields)), _JSON)
def test_a_field_of_traces_or_a_trial_filled_with_anything_is_ours_or_refused_in_words(
    in_traces: str, in_trial: str, value: object
) -> None:
    for fields, name in ((_TRACES, in_traces), (_TRIAL, in_trial)):
        try:
            assert isinstance(parse_document(json.dumps({**fields, name: value}).encode(), "file"), Semantics | Trial)
        except DocumentError:
            continue
