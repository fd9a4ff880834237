"""Trials and step times: what is kept, what they make of a plan, and that nothing comes from another machine."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text

from analysis.contracts import Freeze, Plan, Prune, TrainingShape
from analysis.errors import InputError, PlanError
from analysis.runs.store import Store, open_store
from tests.runs.made import a_freeze_plan, a_step_model, a_trial, a_verification, some_traces


def _state(store: Store) -> str:
    (summary,) = store.plans.plans()
    return summary.state


def test_a_store_of_the_version_before_opens_and_gains_the_new_tables(store: Store, tmp_path: Path) -> None:
    store.plans.save(a_freeze_plan(), "old")

    def as_it_was(connection):  # type: ignore[no-untyped-def]
        for table in ("semantics", "trials", "steps"):
            connection.execute(text(f"drop table {table}"))
        connection.execute(text("update plans set summary = json_remove(summary, '$.eof_layer', '$.kept_gain')"))

    store.database.write(as_it_was)
    again = open_store(sample=tmp_path / "none.json.gz")
    (summary,) = again.plans.plans()
    assert (summary.name, summary.eof_layer, summary.kept_gain) == ("old", None, None)
    assert (again.trials.trials(), again.semantics.semantics_list()) == ([], [])
    again.trials.add(a_trial())
    again.semantics.add(some_traces())
    assert len(again.trials.trials()) == len(again.semantics.semantics_list()) == 1
    again.database.close()


def test_a_trial_verifies_a_plan_that_only_freezes_and_its_history_says_which(store: Store) -> None:
    plan = a_freeze_plan()
    store.plans.save(plan)
    found = store.add_trial(a_trial(plan))
    (summary,) = store.plans.plans()
    own = a_trial(plan).own
    assert own is not None
    assert own.kept_at_tokens is not None
    assert (summary.state, summary.eof_layer, summary.kept_gain) == ("verified", 4, own.kept_at_tokens.value)
    assert [(event.state, event.note) for event in store.plans.history(plan.id)] == [("draft", ""), ("verified", found)]
    (listed,) = store.trials.trials(plan.id)
    assert (listed.id, listed.n_arms, listed.kept, listed.is_sweep) == (found, 3, summary.kept_gain, False)
    assert store.plans.plan(plan.id).trial == store.trials.trial(found)


def test_a_plan_that_also_removes_stays_a_draft_until_it_is_verified(store: Store) -> None:
    both = a_freeze_plan()
    both = both.model_copy(update={"operations": (Freeze(eof_layer=4), Prune(blocks=(6,)))})
    store.plans.save(both)
    store.add_trial(a_trial(both))
    assert _state(store) == "draft"
    with pytest.raises(PlanError, match="or a trial training if the plan only freezes"):
        store.plans.set_state(both.id, "verified")
    store.add_verification(a_verification(both))
    assert _state(store) == "verified"


def test_a_deleted_trial_leaves_its_plan_to_the_one_before_and_without_any_it_is_a_draft(store: Store) -> None:
    plan = a_freeze_plan()
    store.plans.save(plan)
    first, second = store.add_trial(a_trial(plan)), store.add_trial(a_trial(plan, boundaries=(2, 5)))
    assert first != second
    store.delete_trial(second)
    attached = store.plans.plan(plan.id).trial
    assert attached is not None
    assert attached.id == first
    assert _state(store) == "verified"
    store.delete_trial(first)
    assert store.plans.plan(plan.id).trial is None
    (summary,) = store.plans.plans()
    assert (summary.state, summary.kept_gain) == ("draft", None)
    with pytest.raises(InputError, match="There is no trial"):
        store.delete_trial(first)


def test_a_deleted_trial_takes_no_verification_along(store: Store) -> None:
    plan = a_freeze_plan()
    store.plans.save(plan)
    store.add_verification(a_verification(plan))
    found = store.add_trial(a_trial(plan))
    store.delete_trial(found)
    assert _state(store) == "verified"
    verification = store.plans.plan(plan.id).verification
    assert verification is not None
    again = store.add_trial(a_trial(plan))
    store.delete_verification(verification.id)
    assert _state(store) == "verified"
    store.plans.set_state(plan.id, "in_pilot", "Sato")
    store.delete_trial(again)
    assert _state(store) == "in_pilot"


def test_a_plan_proposed_again_keeps_its_trial_and_one_without_here_waits_for_its_plan(store: Store) -> None:
    plan = a_freeze_plan()
    found = store.add_trial(a_trial(plan))
    assert store.plans.plans() == []
    store.add_plan(plan)
    assert _state(store) == "verified"
    store.plans.save(plan, "proposed again")
    kept = store.plans.plan(plan.id)
    assert (kept.name, kept.trial is not None and kept.trial.id) == ("proposed again", found)
    carried = a_freeze_plan(2)
    store.add_plan(carried.model_copy(update={"trial": a_trial(carried)}))
    assert len(store.trials.trials(carried.id)) == 1


def test_the_same_trial_is_not_brought_in_twice(store: Store) -> None:
    assert store.add_trial(a_trial()) == store.add_trial(a_trial())
    other = store.add_trial(a_trial(n_tuning=7))
    assert {found.id for found in store.trials.trials()} == {a_trial().id, other}


def test_what_training_taught_about_a_model_is_its_newest_sweep_else_its_newest_trial(store: Store) -> None:
    plan, about = a_freeze_plan(), (a_trial().model_commit, a_trial().stack, a_trial().workload.content_hash)
    assert store.trials.for_model(*about) is None
    store.trials.add(a_trial(plan))
    sweep = store.trials.add(a_trial(plan, id="sweep1", boundaries=(2, 5)))
    store.trials.add(a_trial(plan, id="later1"))
    found = store.trials.for_model(*about)
    assert found is not None
    assert found.id == sweep
    assert store.trials.for_model("e" * 40, *about[1:]) is None
    store.trials.delete(sweep)
    newest = store.trials.for_model(*about)
    assert newest is not None
    assert newest.id == "later1"


def test_step_times_of_another_machine_device_or_kind_of_step_answer_nothing(store: Store) -> None:
    store.steps.keep(a_step_model(), "there")
    assert store.steps.model("c" * 40, host="here") is None
    store.steps.keep(a_step_model(), "here")
    newer = a_step_model(fixed_ms=6.0, shape=TrainingShape(response_tokens=40))
    store.steps.keep(newer, "here")
    assert store.steps.model("c" * 40, host="here") == newer
    assert store.steps.model("c" * 40, "a processor", host="here", stack="decoder", shape=TrainingShape(response_tokens=40)) == newer
    assert store.steps.model("c" * 40, host="here", shape=TrainingShape()) == a_step_model()
    for shape in (
        TrainingShape(response_tokens=7),
        TrainingShape(batch_size=2),
        TrainingShape(method="lora"),
        TrainingShape(dtype="float32"),
    ):
        assert store.steps.model("c" * 40, host="here", shape=shape) is None
    assert store.steps.model("c" * 40, "another device", host="here") is None
    assert store.steps.model("c" * 40, host="here", stack="encoder") is None
    assert store.steps.model("d" * 40, host="here") is None


def test_a_trial_made_elsewhere_brings_no_times(store: Store) -> None:
    store.add_trial(a_trial(steps=a_step_model()))
    assert store.steps.model("c" * 40, host=None) is None


def test_bundled_traces_and_trials_are_listed_last_belong_to_their_plan_and_are_only_hidden(tmp_path: Path, store: Store) -> None:
    folder, plan = tmp_path / "bundle", a_freeze_plan()
    for name in ("sample_plans", "sample_trials"):
        (folder / name).mkdir(parents=True)
    (folder / "sample_plans" / "freeze.json").write_text(plan.model_dump_json())
    (folder / "sample_trials" / "freeze.json").write_text(a_trial(plan, boundaries=(2,)).model_dump_json())
    (folder / "sample_semantics.json").write_text(some_traces().model_dump_json())
    bundled = open_store(sample=folder / "sample_run.json.gz")
    _check_bundle(bundled, plan)
    bundled.database.close()


def _check_bundle(bundled: Store, plan: Plan) -> None:
    (summary,) = bundled.plans.plans()
    assert (summary.is_sample, summary.state, summary.eof_layer) == (True, "verified", 4)
    assert [event.note for event in bundled.plans.history(plan.id)] == ["", a_trial().id]
    own = bundled.trials.add(a_trial(plan, id="own1234"))
    assert [(found.id, found.is_sample) for found in bundled.trials.trials(plan.id)] == [(own, False), (a_trial().id, True)]
    sweep = bundled.trials.for_model(plan.model.commit, plan.model.stack, a_trial().workload.content_hash)
    assert sweep is not None
    assert sweep.is_sweep
    traces = some_traces()
    assert bundled.semantics.for_model(traces.model.commit, traces.stack, traces.workload.content_hash) == traces
    assert bundled.semantics.add(traces, origin="imported") == traces.id
    bundled.semantics.delete(traces.id)
    assert bundled.semantics.semantics_list() == []
    with pytest.raises(InputError, match="There are no traces"):
        bundled.semantics.semantics(traces.id)
    bundled.add_verification(a_verification(plan))
    assert bundled.plans.plan(plan.id).trial is not None
    bundled.delete_trial(a_trial().id)
    assert [found.id for found in bundled.trials.trials()] == [own]
