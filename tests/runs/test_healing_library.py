"""Healings in the store: each with its plan, found again by the same request while the model it wrote is still there."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from analysis.contracts import Healing, HealRequest, ModelSource, Plan
from analysis.errors import InputError
from analysis.runs.keys import heal_key
from analysis.runs.store import Store, open_store, this_host
from tests.consensus_builders import make_cut_plan, make_healing, make_robustness
from tests.measured_builders import make_verification


def test_a_healing_travels_with_its_plan_and_proves_nothing(store: Store) -> None:
    plan = make_cut_plan()
    store.plans.save(plan)
    found = store.add_evidence(make_healing(plan))
    (summary,) = store.plans.plans()
    assert summary.state == "draft"
    attached = store.plans.plan(plan.id).healing
    assert attached is not None
    assert attached == store.healings.healing(found)
    (listed,) = store.healings.healings(plan.id)
    assert (listed.plan_id, listed.n_removed, listed.recovered) == (plan.id, 6, pytest.approx(0.68))
    assert store.healings.healings("another") == []


def test_a_deleted_healing_leaves_its_plan_to_the_one_before(store: Store) -> None:
    plan = make_cut_plan()
    store.plans.save(plan)
    first, second = (store.add_evidence(make_healing(plan, recovered=share)) for share in (0.5, 0.7))
    assert first != second
    store.delete_healing(second)
    attached = store.plans.plan(plan.id).healing
    assert attached is not None
    assert attached.id == first
    store.delete_healing(first)
    assert store.plans.plan(plan.id).healing is None
    with pytest.raises(InputError, match="There is no healing"):
        store.delete_healing(first)


def test_the_same_healing_is_not_brought_in_twice_and_waits_for_its_plan(store: Store) -> None:
    plan = make_cut_plan()
    found = store.add_evidence(make_healing(plan))
    assert store.add_evidence(make_healing(plan)) == found
    assert store.plans.plans() == []
    store.add_plan(plan)
    attached = store.plans.plan(plan.id).healing
    assert attached is not None
    assert attached.id == found


def test_a_plan_brings_all_that_it_was_run_by(store: Store) -> None:
    plan = make_cut_plan()
    evidence = {"verification": make_verification(plan), "healing": make_healing(plan), "robustness": make_robustness(plan)}
    store.add_plan(plan.model_copy(update=evidence))
    assert [
        len(found) for found in (store.verifications.verifications(), store.healings.healings(), store.robustness.robustness_tests())
    ] == [1] * 3
    stored = store.plans.plan(plan.id)
    assert (stored.healing, stored.robustness) == (evidence["healing"], evidence["robustness"])
    store.plans.save(plan, "proposed again")
    kept = store.plans.plan(plan.id)
    assert (kept.name, kept.healing, kept.robustness) == ("proposed again", evidence["healing"], evidence["robustness"])


def _request(plan: Plan, **changes: object) -> HealRequest:
    return HealRequest(model=ModelSource(kind="sample"), workload_paths=("/data/answers.jsonl",), plan=plan, **changes)  # type: ignore[arg-type]


def _key(request: HealRequest, healing: Healing) -> str:
    about = {"commit": healing.model_commit, "workload_hash": healing.workload.content_hash, "device": healing.machine.device}
    return heal_key(request, **about, host=this_host())  # type: ignore[arg-type]


def test_the_same_request_is_answered_here_until_the_healing_is_deleted(store: Store) -> None:
    plan = make_cut_plan()
    healing, request = make_healing(plan), _request(plan)
    found = store.keep_healing(request, healing)
    assert store.healing_answer(_key(request, healing)) == found
    assert store.healing_answer(_key(_request(plan, save_folder="/elsewhere"), healing)) is None
    assert store.healing_answer(heal_key(request, commit="c", workload_hash="w", device="cpu", host="another")) is None
    store.delete_healing(found)
    assert store.healing_answer(_key(request, healing)) is None


def test_an_answer_counts_only_while_the_model_it_wrote_is_there(store: Store, tmp_path: Path) -> None:
    plan, folder = make_cut_plan(), tmp_path / "healed"
    folder.mkdir()
    healing = make_healing(plan, folder=str(folder), reload_difference=1e-5)
    request = _request(plan, save_folder=str(folder))
    found = store.keep_healing(request, healing)
    assert store.healing_answer(_key(request, healing)) == found
    folder.rmdir()
    assert store.healing_answer(_key(request, healing)) is None


def test_bundled_healings_come_last_stand_in_their_plan_and_are_only_hidden(store: Store, tmp_path: Path) -> None:
    plan = make_cut_plan(name="sample plan")
    folder = tmp_path / "sample"
    for name, document in (("sample_plans", plan), ("sample_healings", make_healing(plan)), ("sample_robustness", make_robustness(plan))):
        (folder / name).mkdir(parents=True)
        (folder / name / "consensus.json.gz").write_bytes(gzip.compress(document.model_dump_json().encode()))
    bundled = open_store(sample=folder / "sample_run.json.gz")
    (listed,) = bundled.healings.healings()
    assert listed.is_sample
    shown = bundled.plans.plan(plan.id)
    assert (shown.healing, shown.robustness) == (make_healing(plan), make_robustness(plan))
    bundled.delete_healing(listed.id)
    assert bundled.healings.healings() == []
    assert bundled.plans.plan(plan.id).healing is None
    bundled.database.close()
