"""Rankings, healings and robustness tests made elsewhere: opened when they agree with themselves, else refused in one sentence."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analysis.contracts import ConsensusChoice, Estimate, Healing, Plan, Ranking, Robustness
from analysis.errors import DocumentError
from analysis.planning.from_ranking import plan_from_ranking
from analysis.runs.documents import parse_document
from analysis.runs.store import Store
from analysis.runs.stored import StoredThings
from tests.consensus_builders import make_cut_plan, make_healing, make_ranking, make_robustness

Change = Callable[[Any], object]
Checked = Ranking | Healing | Robustness | Plan


def _set(*path: str | int, to: object) -> Change:
    def change(fields: Any) -> None:
        for name in path[:-1]:
            fields = fields[name]
        fields[path[-1]] = to

    return change


def _changed(document: Checked, change: Change) -> bytes:
    fields = document.model_dump(mode="json")
    change(fields)
    return json.dumps(fields).encode()


def _refused(document: Checked, change: Change, place: str) -> None:
    with pytest.raises(DocumentError, match=rf"damaged or was changed by hand \({place}"):
        parse_document(_changed(document, change), "d.json")


@pytest.mark.parametrize(
    "document",
    [
        make_ranking(8, n_taken=3),
        make_ranking(8, n_taken=0, replicates=0),
        make_healing(),
        make_healing(control=None, recovered_against_control=None),
        make_robustness(),
        make_robustness(energy=None, unknown_work=()),
        make_cut_plan(healing=make_healing(), robustness=make_robustness()),
        plan_from_ranking(make_ranking(8, n_taken=3)),
    ],
)
def test_they_come_back_as_they_went(document: Checked) -> None:
    assert parse_document(document.model_dump_json().encode(), "d.json").model_dump_json() == document.model_dump_json()


@pytest.mark.parametrize(
    ("place", "change"),
    [
        ("stack", _set("stack", to="another")),
        ("base_loss", _set("base_loss", to=-1.0)),
        (r"steps\.1\.removed", _set("steps", 1, "removed", to=[])),
        (r"steps\.0\.candidates", _set("steps", 0, "candidates", 0, to=["block", 99])),
        (r"steps\.0\.candidates", _set("steps", 0, "candidates", 0, to=["block", 1])),
        (r"steps\.0\.chosen", _set("steps", 0, "chosen", to=[["mlp", 1]])),
        (r"steps\.0\.chosen", lambda ranking: ranking["settings"].update(protect=[ranking["steps"][0]["chosen"][0][1]])),
        (r"steps\.0\.scores", _set("steps", 0, "scores", to=[1.0])),
        (r"steps\.2\.change", _set("steps", 2, "change", to=0.0)),
        (r"steps\.2\.interval", _set("steps", 2, "interval", to=[0.5, 0.1])),
        (r"steps\.0\.votes", lambda ranking: ranking["steps"][0]["votes"].append(ranking["steps"][0]["votes"][0])),
        (r"steps\.0\.votes", _set("settings", "voters", to=["cka"])),
        (r"steps\.0\.votes\.cka\.values", _set("steps", 0, "votes", 0, "values", to=[0.1])),
        (r"steps\.0\.votes\.cka\.ranks", _set("steps", 0, "votes", 0, "ranks", 0, to=99.0)),
        (r"steps\.0\.votes\.cka\.ranks", _set("steps", 0, "votes", 0, "ranks", 0, to=None)),
        (r"steps\.0\.votes\.cka\.ranks", lambda ranking: ranking["steps"][0]["votes"][0]["ranks"].reverse()),
        (r"steps\.0\.votes\.cka\.intervals", _set("steps", 0, "votes", 0, "intervals", 2, to=[1.0, 0.0])),
        (r"steps\.0\.votes\.cka\.abstained", _set("steps", 0, "votes", 0, "abstained", to={"id": "No."})),
        (r"replicate_ranks\.3", _set("replicate_ranks", 3, to=[[1]])),
        (r"replicate_ranks\.3", _set("replicate_ranks", 3, 0, 0, to=99)),
        ("lost", lambda ranking: ranking["lost"].pop()),
        ("lost_together", lambda ranking: ranking["lost_together"].reverse()),
        (r"lost\.0", _set("lost", 0, "change", "low", to=99.0)),
        ("features", _set("features", "n_fit", to=10**6)),
        ("features", _set("features", "variance_kept", to=1.5)),
    ],
)
def test_a_ranking_that_contradicts_itself_is_refused(place: str, change: Change) -> None:
    _refused(make_ranking(8, n_taken=3), change, place)


@pytest.mark.parametrize(
    ("place", "change"),
    [
        ("removed", _set("removed", to=[])),
        (r"healed\.removed", _set("healed", "removed", to=[["block", 1]])),
        (r"control\.removed", _set("control", "removed", to=[["block", 1]])),
        (r"healed\.points", lambda healing: healing["healed"]["points"].reverse()),
        (r"healed\.best_step", _set("healed", "best_step", to=10**6)),
        (r"healed\.loss_after", _set("healed", "loss_after", "low", to=99.0)),
        (r"slices\.", lambda healing: next(iter(healing["slices"].values())).update(n_examples=10**6)),
        ("example_losses", _set("example_losses", to={str(n): [1.0, 1.0, 1.0] for n in range(100)})),
        ("recovered", _set("recovered", "value", to=0.99)),
        ("recovered_against_control", _set("recovered_against_control", "value", to=0.99)),
    ],
)
def test_a_healing_that_contradicts_itself_is_refused(place: str, change: Change) -> None:
    _refused(make_healing(), change, place)


@pytest.mark.parametrize(
    ("place", "change"),
    [
        (r"results\.0\.n_examples", _set("results", 0, "n_examples", to=10**6)),
        (r"results\.0\.touched", _set("results", 0, "touched", to=1.5)),
        (r"results\.0\.found_nothing", _set("results", 0, "found_nothing", to=10**6)),
        (r"results\.0\.agreement_plan", _set("results", 0, "agreement_plan", to={"value": 1.4})),
        (r"results\.0\.rise_plan", _set("results", 0, "rise_plan", "low", to=99.0)),
        (r"results\.0\.difference", _set("results", 0, "difference", "value", to=0.9)),
        (r"results\.0\.comparison", _set("results", 0, "comparison", to="worse")),
        (r"results\.1\.level|results\.0\.level", _set("results", 1, "level", to=0.02)),
        (r"unknown_work\.0\.n_examples", _set("unknown_work", 0, "n_examples", to=10**6)),
        (r"unknown_work\.0\.difference", _set("unknown_work", 0, "difference", "value", to=-0.2)),
        (r"unknown_work\.0\.comparison", _set("unknown_work", 0, "comparison", to="better")),
        (r"energy\.origin", _set("energy", "origin", to="measured")),
        (r"energy\.watts", _set("energy", "watts", to=None)),
        (r"energy\.plan_wh", _set("energy", "plan_wh", to={"value": -1.0})),
        (r"energy\.grid", _set("energy", "grid", to=None)),
        ("energy_reason", _set("energy_reason", to={"id": "No counter."})),
    ],
)
def test_a_robustness_test_that_contradicts_itself_is_refused(place: str, change: Change) -> None:
    _refused(make_robustness(), change, place)


def _voted(**changes: Any) -> Plan:
    plan = make_cut_plan()
    fields: dict[str, Any] = {"ranking_id": "r", "rule": "rank_sum", "voters": ("cka", "taylor"), "step_by_step": True, "n_agree": 1}
    choice = ConsensusChoice(**(fields | changes))
    return plan.model_copy(update={"provenance": plan.provenance.model_copy(update={"consensus": choice})})


@pytest.mark.parametrize(
    ("place", "plan"),
    [
        (r"provenance\.consensus\.n_agree", _voted(n_agree=3)),
        (r"provenance\.consensus\.voters", _voted(voters=("cka", "cka"))),
        (r"provenance\.consensus\.voters", _voted(voters=(), n_agree=0)),
        (r"provenance\.consensus\.probabilities", _voted(probabilities=(0.5,))),
        (r"provenance\.consensus\.probabilities", _voted(probabilities=(0.5,) * 5 + (1.5,))),
        (r"healing\.plan_id", make_cut_plan(healing=make_healing(plan_id="another"))),
        (r"robustness\.plan_id", make_cut_plan(robustness=make_robustness(model_commit="another"))),
        (r"healing\.recovered", make_cut_plan(healing=make_healing().model_copy(update={"recovered": Estimate(value=9.0)}))),
    ],
)
def test_a_plan_that_does_not_fit_its_vote_or_its_evidence_is_refused(place: str, plan: Plan) -> None:
    _refused(plan, lambda _fields: None, place)


def test_every_document_is_taken_in_by_what_it_is(store: Store) -> None:
    client, plan = StoredThings(), make_cut_plan()
    client._store = store
    opened = {
        client.import_document(document.model_dump_json().encode(), "d.json")[0]
        for document in (plan, make_ranking(8, n_taken=3), make_healing(plan), make_robustness(plan))
    }
    assert opened == {"plan", "ranking", "healing", "robustness"}
    assert [len(found) for found in (client.rankings(), client.healings(), client.robustness_tests())] == [1, 1, 1]
    stored = client.plan(plan.id)
    assert stored.healing is not None
    assert stored.robustness is not None


_values = st.one_of(st.none(), st.integers(-3, 3), st.floats(-2, 2), st.text(max_size=3), st.just([]), st.just({}))


@given(data=st.data())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_whatever_a_field_is_changed_to_the_document_opens_or_is_refused_in_words(data: st.DataObject) -> None:
    document = data.draw(st.sampled_from([_SMALL, make_healing(), make_robustness()]))
    fields: Any = document.model_dump(mode="json")
    place = fields
    for _ in range(data.draw(st.integers(1, 5))):
        keys: list[Any] = list(place) if isinstance(place, dict) else list(range(len(place)))
        if not keys:
            return
        key = data.draw(st.sampled_from(keys))
        if not isinstance(place[key], dict | list) or data.draw(st.booleans()):
            place[key] = data.draw(_values)
            break
        place = place[key]
    with suppress(DocumentError):  # anything else that is raised fails
        assert isinstance(parse_document(json.dumps(fields).encode(), "d.json"), type(document))


_SMALL = make_ranking(8, n_taken=2, replicates=2)
