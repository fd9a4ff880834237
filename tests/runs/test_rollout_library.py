"""Rollouts: one of a plan, and nothing that was decided, rehearsed or observed is lost by a save."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from analysis.contracts import ActualRow, ChecklistItem, MonitoringRow, Rehearsal, Rollout, StageEvent
from analysis.errors import InputError, PlanError
from analysis.runs.store import Store, open_store
from tests.business_builders import make_rollout

DAY = MonitoringRow(date="2026-12-02", slice="order entry", requests=100, on_plan=20)
APPROVED = StageEvent(stage=1, action="approve", who="A. Sato", at="2026-12-01T09:00:00+00:00")
STARTED = StageEvent(stage=1, action="start", who="A. Sato", at="2026-12-01T10:00:00+00:00")
NOTE = StageEvent(stage=1, action="note", who="B. Ito", at="2026-12-03T10:00:00+00:00", note="quiet so far")
ELSEWHERE = StageEvent(stage=2, action="pass", who="B. Ito", at="2026-12-03T10:00:00+00:00")
REHEARSED = Rehearsal(minutes=12, on="2026-11-20", who="Operations")


def begun(**changes: object) -> Rollout:
    """A rollout whose first stage runs, with a day of data and a month's bill."""
    plain = make_rollout()
    first = plain.stages[0].model_copy(update={"state": "running"})
    past = {"events": (APPROVED, STARTED), "monitoring": (DAY,), "actuals": (ActualRow(month="2026-12", bill=1e6, requests=1e4),)}
    return plain.model_copy(update={"stages": (first, *plain.stages[1:]), **past, **changes})


LOSSES: dict[str, Callable[[Rollout], Rollout]] = {
    "events": lambda it: it.model_copy(update={"events": it.events[:1]}),
    "rewritten event": lambda it: it.model_copy(update={"events": (APPROVED.model_copy(update={"who": "B"}), STARTED)}),
    "monitoring": lambda it: it.model_copy(update={"monitoring": ()}),
    "actuals": lambda it: it.model_copy(update={"actuals": ()}),
    "rehearsal": lambda it: it.model_copy(update={"rehearsal": None}),
    "rehearsal's minutes": lambda it: it.model_copy(update={"rehearsal": REHEARSED.model_copy(update={"minutes": 1.0})}),
    "a state moved behind a note": lambda it: it.model_copy(
        update={"stages": (it.stages[0].model_copy(update={"state": "passed"}), *it.stages[1:]), "events": (*it.events, NOTE)}
    ),
    "a state moved by another stage's step": lambda it: it.model_copy(
        update={"stages": (it.stages[0].model_copy(update={"state": "passed"}), *it.stages[1:]), "events": (*it.events, ELSEWHERE)}
    ),
    "checklist behind a note": lambda it: it.model_copy(update={"checklist": (ChecklistItem(name="legal"),), "events": (*it.events, NOTE)}),
    "state": lambda it: it.model_copy(update={"stages": (it.stages[0].model_copy(update={"state": "passed"}), *it.stages[1:])}),
    "checklist.legal": lambda it: it.model_copy(update={"checklist": (ChecklistItem(name="legal"),)}),
    "stages[1]": lambda it: it.model_copy(
        update={"stages": tuple(stage.model_copy(update={"number": stage.number + 1}) for stage in it.stages)}
    ),
}


@pytest.mark.parametrize("name", LOSSES)
def test_a_save_that_would_lose_what_is_stored_is_refused_and_says_to_reload(store: Store, name: str) -> None:
    store.rollouts.save(begun())
    with pytest.raises(PlanError, match="Reload it and enter the change again; nothing stored was lost"):
        store.rollouts.save(LOSSES[name](begun()))
    assert store.rollouts.rollout("abcdef012345") == begun()


def test_a_rollout_that_is_not_there_is_none_and_cannot_be_deleted(store: Store) -> None:
    assert store.rollouts.rollout("abcdef012345") is None
    with pytest.raises(InputError, match="There is no rollout of the plan"):
        store.rollouts.delete("abcdef012345")


def test_what_is_added_or_corrected_is_kept(store: Store) -> None:
    store.rollouts.save(make_rollout())
    store.rollouts.save(begun())
    note = StageEvent(stage=1, action="note", who="B. Ito", at="2026-12-03T10:00:00+00:00", note="quiet so far")
    corrected = DAY.model_copy(update={"on_plan": 21})
    later = begun(events=(APPROVED, STARTED, note), monitoring=(corrected, DAY.model_copy(update={"date": "2026-12-03"})))
    store.rollouts.save(later, seen=begun())
    assert store.rollouts.rollout("abcdef012345") == later
    store.rollouts.delete("abcdef012345")
    assert store.rollouts.rollout("abcdef012345") is None


def test_two_pages_that_read_the_same_state_cannot_both_save(store: Store) -> None:
    store.rollouts.save(make_rollout())
    seen = make_rollout()
    store.rollouts.save(make_rollout(decision_on="2027-01-15"), seen=seen)
    with pytest.raises(PlanError, match="changed on another page or by someone else"):
        store.rollouts.save(make_rollout(review_on="2027-09-01"), seen=seen)
    kept = store.rollouts.rollout("abcdef012345")
    assert kept is not None
    assert (kept.decision_on, kept.review_on) == ("2027-01-15", "2027-06-01")


def test_of_two_saves_at_once_one_is_kept_whole_and_the_other_is_told(store: Store, tmp_path: Path) -> None:
    store.rollouts.save(make_rollout())
    said: list[str] = []
    gate = threading.Barrier(4)

    def page(number: int) -> None:
        own = open_store(sample=tmp_path / "none.json.gz")
        event = StageEvent(stage=0, action="note", who=f"page {number}", at="2026-12-01T09:00:00+00:00")
        gate.wait()
        try:
            own.rollouts.save(make_rollout(events=(event,)))
            said.append("kept")
        except PlanError as exc:
            said.append(exc.message.id)
        own.database.close()

    threads = [threading.Thread(target=page, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert said.count("kept") == 1
    assert sum("Reload it" in sentence for sentence in said) == 3
    kept = store.rollouts.rollout("abcdef012345")
    assert kept is not None
    assert len(kept.events) == 1


def test_a_bundled_rollout_is_the_start_of_a_copy_and_only_hidden(tmp_path: Path, store: Store) -> None:
    folder, sample = tmp_path / "bundle", make_rollout(is_sample=True)
    (folder / "sample_rollouts").mkdir(parents=True)
    (folder / "sample_rollouts" / "freeze.json").write_text(sample.model_dump_json())
    bundled = open_store(sample=folder / "sample_run.json.gz")
    assert bundled.rollouts.rollout("abcdef012345") == sample
    with pytest.raises(PlanError):
        bundled.rollouts.save(sample.model_copy(update={"rehearsal": None}))
    bundled.rollouts.save(sample.model_copy(update={"events": (APPROVED,)}), seen=sample)
    kept = bundled.rollouts.rollout("abcdef012345")
    assert kept is not None
    assert (kept.is_sample, len(kept.events)) == (False, 1)
    bundled.rollouts.delete("abcdef012345")
    assert bundled.rollouts.rollout("abcdef012345") is None
    bundled.database.close()
