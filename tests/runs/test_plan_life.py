"""A plan's life: which steps there are, who may skip none of them, and what is remembered."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from analysis.contracts import Plan, PlanState
from analysis.errors import InputError, PlanError
from analysis.runs.plan_life import PLAN_STATES, next_states
from analysis.runs.store import Store
from tests.runs.made import a_verification

MakePlan = Callable[..., Plan]


def _state(store: Store) -> tuple[str, str | None]:
    (summary,) = store.plans.plans()
    return summary.state, summary.verdict


def test_a_plan_goes_from_draft_to_rolled_out_and_its_history_says_who_and_why(store: Store, make_plan: MakePlan) -> None:
    plan = make_plan()
    store.plans.save(plan)
    store.add_verification(a_verification(plan))
    assert _state(store) == ("verified", "within")
    for state, who, note in (("in_pilot", "Sato", ""), ("approved", "Mori", "agreed\n on 3 April"), ("rolled_out", "", "")):
        store.plans.set_state(plan.id, state, who, note)  # type: ignore[arg-type]
    history = store.plans.history(plan.id)
    assert [event.state for event in history] == ["draft", "verified", "in_pilot", "approved", "rolled_out"]
    assert (history[2].who, history[3].who, history[3].note) == ("Sato", "Mori", "agreed\n on 3 April")
    assert [event.at for event in history] == sorted(event.at for event in history)
    store.plans.set_state(plan.id, "withdrawn", "Sato", "a customer complained")
    store.plans.set_state(plan.id, "draft")
    assert _state(store)[0] == "draft"


@pytest.mark.parametrize("state", ["in_pilot", "approved", "rolled_out", "draft"])
def test_a_draft_skips_no_step(store: Store, make_plan: MakePlan, state: PlanState) -> None:
    store.plans.save(make_plan())
    with pytest.raises(PlanError, match="cannot become"):
        store.plans.set_state(make_plan().id, state)
    assert [event.state for event in store.plans.history(make_plan().id)] == ["draft"]


def test_nobody_can_say_that_a_plan_is_verified_and_unknown_states_and_plans_are_refused(store: Store, make_plan: MakePlan) -> None:
    store.plans.save(make_plan())
    with pytest.raises(PlanError, match="by running it"):
        store.plans.set_state(make_plan().id, "verified")
    with pytest.raises(InputError, match="cannot be in the state gone"):
        store.plans.set_state(make_plan().id, "gone")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="There is no plan"):
        store.plans.set_state("nowhere", "withdrawn")


def test_every_state_can_be_withdrawn_and_comes_back_as_a_draft() -> None:
    assert all("withdrawn" in next_states(state) for state in PLAN_STATES if state != "withdrawn")
    assert next_states("withdrawn") == ("draft",)


def test_a_pilot_outside_its_limits_needs_a_reason(store: Store, make_plan: MakePlan) -> None:
    plan = make_plan()
    store.plans.save(plan)
    store.add_verification(a_verification(plan, verdict="outside"))
    assert _state(store) == ("verified", "outside")
    for note in ("", "  \n"):
        with pytest.raises(PlanError, match="Write a note"):
            store.plans.set_state(plan.id, "in_pilot", "Sato", note)
    store.plans.set_state(plan.id, "in_pilot", "Sato", "only for summaries")
    assert _state(store)[0] == "in_pilot"


def test_a_verification_never_takes_a_later_state_back_and_a_saved_plan_keeps_its_verification(store: Store, make_plan: MakePlan) -> None:
    plan = make_plan()
    store.plans.save(plan)
    store.add_verification(a_verification(plan))
    store.plans.set_state(plan.id, "in_pilot")
    store.add_verification(a_verification(plan, verdict="outside"))
    store.plans.save(make_plan(), "proposed again")
    assert _state(store) == ("in_pilot", "outside")
    attached = store.plans.plan(plan.id).verification
    assert attached is not None
    assert attached.verdict == "outside"
    assert attached.generations == ()


def test_a_deleted_verification_leaves_its_plan_to_the_one_before_and_without_any_it_is_a_draft(store: Store, make_plan: MakePlan) -> None:
    plan = make_plan()
    store.plans.save(plan)
    first, second = (store.add_verification(a_verification(plan, verdict=verdict)) for verdict in ("within", "outside"))
    store.delete_verification(second)
    assert _state(store) == ("verified", "within")
    store.delete_verification(first)
    assert _state(store) == ("draft", None)
    assert store.plans.plan(plan.id).verification is None
    assert [event.state for event in store.plans.history(plan.id)] == ["draft", "verified", "draft"]


def test_a_deleted_plan_takes_its_history_along_but_not_its_verifications(store: Store, make_plan: MakePlan) -> None:
    plan = make_plan()
    store.plans.save(plan)
    found = store.add_verification(a_verification(plan))
    store.plans.delete(plan.id)
    assert store.verifications.verification(found).plan_id == plan.id
    store.plans.save(plan)
    assert [event.state for event in store.plans.history(plan.id)] == ["draft"]


def test_a_plan_stored_before_histories_were_kept_has_one_step(store: Store, make_plan: MakePlan) -> None:
    from sqlalchemy import text

    store.plans.save(make_plan())
    store.database.write(lambda connection: connection.execute(text("delete from plan_events")))
    assert [event.state for event in store.plans.history(make_plan().id)] == ["draft"]


def test_bundled_plans_are_listed_copied_when_changed_and_hidden_when_deleted(tmp_path: Path, make_plan: MakePlan, store: Store) -> None:
    from analysis.runs.store import open_store

    folder, plan = tmp_path / "bundle", make_plan(name="sample plan")
    (folder / "sample_plans").mkdir(parents=True)
    (folder / "sample_verifications").mkdir()
    (folder / "sample_plans" / "a.json").write_text(plan.model_dump_json())
    (folder / "sample_verifications" / "a.json").write_text(a_verification(plan, verdict="outside").model_dump_json())
    bundled = open_store(sample=folder / "sample_run.json.gz")
    (summary,) = bundled.plans.plans()
    assert (summary.is_sample, summary.state, summary.verdict) == (True, "verified", "outside")
    assert [event.state for event in bundled.plans.history(plan.id)] == ["draft", "verified"]
    assert [found.is_sample for found in bundled.verifications.verifications(plan.id)] == [True]
    bundled.plans.set_state(plan.id, "in_pilot", "Sato", "to try it")
    (summary,) = bundled.plans.plans()
    assert (summary.is_sample, summary.state) == (False, "in_pilot")
    bundled.plans.delete(plan.id)
    assert bundled.plans.plans() == []
    with pytest.raises(InputError, match="There is no plan"):
        bundled.plans.plan(plan.id)
    bundled.database.close()
