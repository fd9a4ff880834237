"""What of a rollout's past a new form of it leaves out: events, days, months, ticks and rehearsals are only ever added."""

from __future__ import annotations

from collections.abc import Iterator

from analysis.contracts import Rollout, Stage


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
    if before.rehearsal is not None and then.rehearsal is None:
        yield "rehearsal"
    if then.events == before.events:
        yield from _moved_by_nobody(before, then)
    yield from (f"stages[{stage.number}]" for stage in before.stages if stage.state != "planned" and not _has(then, stage))


def _moved_by_nobody(before: Rollout, then: Rollout) -> Iterator[str]:
    states = {stage.number: stage.state for stage in then.stages}
    yield from (f"stages[{stage.number}].state" for stage in before.stages if states.get(stage.number, stage.state) != stage.state)
    ticked = {item.name for item in then.checklist if item.done}
    yield from (f"checklist.{item.name}" for item in before.checklist if item.done and item.name not in ticked)


def _has(rollout: Rollout, stage: Stage) -> bool:
    return any(other.number == stage.number for other in rollout.stages)
