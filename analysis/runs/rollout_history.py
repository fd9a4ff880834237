"""What of a rollout's past a new form of it leaves out: events, days, months, ticks and rehearsals are only ever added."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import reduce

from analysis.contracts import Rollout, Stage, StageEvent
from analysis.contracts.rollout import StageAction, StageState

_STATES: Mapping[StageAction, StageState] = {
    "start": "running",
    "pass": "passed",
    "hold": "held",
    "resume": "running",
    "roll_back": "rolled_back",
    "stop": "stopped",
}


def losses(before: Rollout, then: Rollout) -> Iterator[str]:
    """Places in the stored rollout that the new one would lose or rewrite, as they are named in the document.

    A day or month may be corrected (a file was read again), an event may not. A stage that has begun stays, and its state moves only
    with an event that says who moved it.
    """
    if then.events[: len(before.events)] != before.events:
        yield "events"
    if not {(row.date, row.slice) for row in before.monitoring} <= {(row.date, row.slice) for row in then.monitoring}:
        yield "monitoring"
    if not {row.month for row in before.actuals} <= {row.month for row in then.actuals}:
        yield "actuals"
    new = then.events[len(before.events) :]
    if before.rehearsal is not None and then.rehearsal != before.rehearsal and (then.rehearsal is None or not _any(new, "rehearse")):
        yield "rehearsal"
    yield from _moved_by_nobody(before, then, new)
    yield from (f"stages[{stage.number}]" for stage in before.stages if stage.state != "planned" and not _has(then, stage))


def _moved_by_nobody(before: Rollout, then: Rollout, new: Sequence[StageEvent]) -> Iterator[str]:
    """States that no new event explains, and ticks taken away without one."""
    states = {stage.number: stage.state for stage in then.stages}
    for stage in before.stages:
        if states.get(stage.number, stage.state) != moved(new, stage.number, stage.state):
            yield f"stages[{stage.number}].state"
    ticked = {item.name for item in then.checklist if item.done}
    if not _any(new, "check"):
        yield from (f"checklist.{item.name}" for item in before.checklist if item.done and item.name not in ticked)


def moved(events: Iterable[StageEvent], number: int, state: StageState = "planned") -> StageState:
    """Where the events leave a stage that was in this state before them."""
    return reduce(lambda now, event: _STATES.get(event.action, now) if event.stage == number else now, events, state)


def _any(events: Iterable[StageEvent], action: StageAction) -> bool:
    return any(event.action == action for event in events)


def _has(rollout: Rollout, stage: Stage) -> bool:
    return any(other.number == stage.number for other in rollout.stages)
