"""Robustness tests in the store: each with its plan; energy binds an answer to its machine."""

from __future__ import annotations

import pytest

from analysis.contracts import ModelSource, RobustnessRequest, RobustnessSettings
from analysis.errors import InputError
from analysis.runs.keys import robustness_key
from analysis.runs.store import Store, this_host
from tests.consensus_builders import make_cut_plan, make_robustness


def test_a_robustness_test_travels_with_its_plan_until_it_is_deleted(store: Store) -> None:
    plan = make_cut_plan()
    store.plans.save(plan)
    found = store.add_evidence(make_robustness(plan))
    attached = store.plans.plan(plan.id).robustness
    assert attached is not None
    assert attached == store.robustness.robustness(found)
    (listed,) = store.robustness.robustness_tests(plan.id)
    assert (listed.n_worse, listed.n_tested) == (3, 21)
    assert store.plans.plans()[0].state == "draft"
    store.delete_robustness(found)
    assert store.plans.plan(plan.id).robustness is None
    with pytest.raises(InputError, match="There is no robustness test"):
        store.robustness.robustness(found)


def _key(host: str, *, energy: bool) -> str:
    settings = RobustnessSettings(device="cpu", energy=energy)
    request = RobustnessRequest(model=ModelSource(kind="sample"), workload_paths=(), plan=make_cut_plan(), settings=settings)
    return robustness_key(request, commit="c", workload_hash="w", device="cpu", host=host)


def test_losses_are_the_same_on_every_machine_and_energy_is_not() -> None:
    assert _key("here", energy=False) == _key("there", energy=False)
    assert _key("here", energy=True) != _key("there", energy=True)


def test_the_same_request_is_answered_here(store: Store) -> None:
    plan = make_cut_plan()
    found, request = make_robustness(plan), RobustnessRequest(model=ModelSource(kind="sample"), workload_paths=("/w.jsonl",), plan=plan)
    kept = store.keep_robustness(request, found)
    about = {"commit": found.model_commit, "workload_hash": found.workload.content_hash, "device": "cpu"}
    assert store.robustness.answer(robustness_key(request, **about, host=this_host())) == kept
    assert store.robustness.answer(robustness_key(request, **about, host="another")) is None
