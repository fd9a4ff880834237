"""What may happen to a stage and when: every step by a name, and nothing that was recorded is changed again.

    planned --start--> running --pass--> passed
                       running <--hold/resume--> held
    running, held, passed --roll_back--> rolled_back --start (approved anew)--> running
    planned, running, held --stop--> stopped

An approval of stage 0 speaks for every stage that has not been rolled back since. Names are as entered, not verified.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from analysis.contracts.message import Message
from analysis.contracts.rollout import CheckName, Rehearsal, Rollout, Stage, StageAction, StageEvent, StageState
from analysis.economics.advice import advise
from analysis.economics.dates import day
from analysis.economics.stage_checks import REQUIRED, check_rollout
from analysis.errors import PlanError
from analysis.i18n import N_
from analysis.workload.shown import shown

__all__ = ["CHECK_LABELS", "act", "check_item", "check_rollout", "rehearse"]

CHECK_LABELS: Mapping[CheckName, str] = MappingProxyType(
    {
        "training": N_("training of staff"),
        "legal": N_("legal review"),
        "security": N_("information security review"),
        "licence": N_("model licence checked"),
        "privacy": N_("personal data checked"),
        "monitoring": N_("monitoring in place"),
        "rollback": N_("way back switched in and known to all"),
        "critical_cases": N_("critical cases collected"),
        "owner": N_("owner and deputies named"),
        "budget": N_("budget released"),
    }
)
"""What each item of the checklist asks for, as it stands inside a sentence."""
_ADVISED: frozenset[StageAction] = frozenset({"pass", "hold", "resume", "roll_back", "stop"})
"""Actions on a stage that has days behind it."""
_LONGEST_REHEARSAL = 7 * 24 * 60


def act(rollout: Rollout, event: StageEvent) -> Rollout:
    """The rollout after something was decided or done; the event is added at the end, with what was advised at that moment.

    Raises:
        PlanError: no name, no date, or a step that its conditions do not allow yet.
    """
    _check_event(rollout, event)
    if event.stage == 0:
        return _whole(rollout, event)
    stage = next((entry for entry in rollout.stages if entry.number == event.stage), None)
    if stage is None:
        raise PlanError(
            "There is no stage {number}: this rollout has {n}. Name one of 1 to {n}.", number=event.stage, n=len(rollout.stages)
        )
    if event.action in _ADVISED and event.advice is None:
        event = event.model_copy(update={"advice": advise(rollout, stage.number, today=day(event.at)).advice})
    rule = _RULES.get(event.action)
    return _added(rollout, event, stage, rule(rollout, stage, event) if rule is not None else stage.state)


def rehearse(rollout: Rollout, rehearsal: Rehearsal) -> Rollout:
    """The rollout with a roll-back that was really tried, and the event that says so, dated not before what is recorded already."""
    kept = rollout.model_copy(update={"rehearsal": rehearsal})
    newest = rollout.events[-1].at if rollout.events else ""
    at = newest if newest[:10] > rehearsal.on[:10] else rehearsal.on
    return act(kept, StageEvent(stage=0, action="rehearse", who=rehearsal.who, at=at, note=rehearsal.note))


def check_item(rollout: Rollout, name: CheckName, *, who: str, at: str, note: str = "", done: bool = True) -> Rollout:
    """The rollout with one item of its checklist settled, or opened again, and the event that says so.

    Raises:
        PlanError: the checklist has no such item, or no name is given.
    """
    if all(item.name != name for item in rollout.checklist):
        raise PlanError("The checklist has no item {item}. Make the rollout anew, or add the item.", item=name)
    items = tuple(
        item.model_copy(update={"done": done, "who": who, "on": at[:10], "note": note}) if item.name == name else item
        for item in rollout.checklist
    )
    event = StageEvent(stage=0, action="check", who=who, at=at, note=f"{name}: {note}" if note else name)
    return act(rollout.model_copy(update={"checklist": items}), event)


def _check_event(rollout: Rollout, event: StageEvent) -> None:
    if not shown(event.who):
        raise PlanError("Nobody is named for this step. Enter who decides or does it.")
    when = day(event.at)
    if when is None:
        raise PlanError('"{at}" is not a date. Write it as 2026-12-01.', at=event.at)
    newest = day(rollout.events[-1].at) if rollout.events else None
    if newest is not None and when < newest:
        raise PlanError(
            "This step is dated {at}, before the newest one of {newest}. Steps are only added at the end: give the real date in the note.",
            at=when.isoformat(),
            newest=newest.isoformat(),
        )
    if event.action == "rehearse" and rollout.rehearsal is None:
        raise PlanError("A rehearsal needs its measured minutes. Enter how long the way back really took.")
    if event.action == "rehearse" and rollout.rehearsal is not None and not rollout.rehearsal.minutes <= _LONGEST_REHEARSAL:
        raise PlanError(
            "{minutes} minutes were given for the way back; at most {most} can be measured. Enter how long it really took.",
            minutes=f"{rollout.rehearsal.minutes:g}",
            most=_LONGEST_REHEARSAL,
        )
    if event.action == "note" and not event.note.strip():
        raise PlanError("The note is empty. Write what should be remembered.")


def _added(rollout: Rollout, event: StageEvent, stage: Stage | None = None, state: StageState = "planned") -> Rollout:
    stages = tuple(entry.model_copy(update={"state": state}) if entry is stage else entry for entry in rollout.stages)
    return rollout.model_copy(update={"stages": stages, "events": (*rollout.events, event)})


def _whole(rollout: Rollout, event: StageEvent) -> Rollout:
    """Stage 0: approvals, notes and checks of the whole; stopping it stops the stage at hand."""
    if event.action == "stop":
        at_hand = rollout.current or rollout.next_stage
        if at_hand is None:
            raise PlanError("No stage runs or waits, so there is nothing to stop. Roll back the last stage instead.")
        return act(rollout, event.model_copy(update={"stage": at_hand.number}))
    if event.action not in ("approve", "rehearse", "check", "note"):
        raise PlanError("Only a stage can do this, not the rollout as a whole. Name the stage, 1 to {n}.", n=len(rollout.stages))
    return _added(rollout, event)


def _approve(rollout: Rollout, stage: Stage, event: StageEvent) -> StageState:
    if stage.state not in ("planned", "rolled_back"):
        raise PlanError("Stage {k} cannot be approved now: only a planned or rolled back stage can be.", k=stage.number)
    return stage.state


def _start(rollout: Rollout, stage: Stage, event: StageEvent) -> StageState:
    if stage.state not in ("planned", "rolled_back"):
        raise PlanError("Stage {k} cannot start now: only a planned or rolled back stage can.", k=stage.number)
    before = next((entry for entry in rollout.stages if entry.number < stage.number and entry.state != "passed"), None)
    if before is not None:
        raise PlanError("Stage {k} cannot start: stage {before} has not passed. Let it pass first.", k=stage.number, before=before.number)
    if not _approved(rollout, stage):
        raise PlanError("Stage {k} cannot start: nobody has approved it. Record the approval with a name first.", k=stage.number)
    _check_ready(rollout, stage)
    return "running"


def _check_ready(rollout: Rollout, stage: Stage) -> None:
    done = {item.name for item in rollout.checklist if item.done}
    left = [name for name in dict.fromkeys((*REQUIRED, *(item.name for item in rollout.checklist))) if name not in done]
    if left:
        raise PlanError.from_message(
            Message(
                id="Stage {k} cannot start: the checklist is open ({items}). Settle each item with a name first.",
                values={"k": stage.number, "items": tuple(Message(id=CHECK_LABELS[name]) for name in left)},
            )
        )
    if rollout.rehearsal is None:
        raise PlanError(
            "Stage {k} cannot start: the way back has not been rehearsed. Switch back once, and record the minutes it took.", k=stage.number
        )


def _approved(rollout: Rollout, stage: Stage) -> bool:
    """Whether someone approved it since it was last rolled back."""
    backs = [place for place, event in enumerate(rollout.events) if event.stage == stage.number and event.action == "roll_back"]
    since = rollout.events[backs[-1] + 1 :] if backs else rollout.events
    return any(event.action == "approve" and event.stage in (0, stage.number) for event in since)


def _pass(rollout: Rollout, stage: Stage, event: StageEvent) -> StageState:
    if stage.state != "running":
        raise PlanError("Stage {k} cannot pass now: only a running stage can. A held one is resumed first.", k=stage.number)
    _check_against_advice(rollout, stage, event)
    return "passed"


def _check_against_advice(rollout: Rollout, stage: Stage, event: StageEvent) -> None:
    found = advise(rollout, stage.number, today=day(event.at))
    if event.note.strip() or found.advice == "go":
        return
    outside = tuple(limit.guardrail.text for limit in found.limits if limit.verdict == "outside")
    if outside:
        raise PlanError(
            "Stage {k} is to go on although a limit is outside ({limits}). Write in the note why.", k=stage.number, limits=outside
        )
    raise PlanError.from_message(
        Message(
            id="Stage {k} is to go on against the advice: {reason} Write in the note why.",
            values={"k": stage.number, "reason": found.reasons[0]},
        )
    )


def _hold(rollout: Rollout, stage: Stage, event: StageEvent) -> StageState:
    if stage.state != "running":
        raise PlanError("Stage {k} cannot be held now: only a running stage can be.", k=stage.number)
    return "held"


def _resume(rollout: Rollout, stage: Stage, event: StageEvent) -> StageState:
    if stage.state != "held":
        raise PlanError("Stage {k} cannot be resumed now: only a held stage can be.", k=stage.number)
    return "running"


def _roll_back(rollout: Rollout, stage: Stage, event: StageEvent) -> StageState:
    if stage.state not in ("running", "held", "passed"):
        raise PlanError("Stage {k} cannot be rolled back now: it is not in use.", k=stage.number)
    later = next((entry for entry in rollout.stages if entry.number > stage.number and entry.state in ("running", "held", "passed")), None)
    if later is not None:
        raise PlanError(
            "Stage {k} cannot be rolled back while stage {later} is in use. Roll back stage {later} first.",
            k=stage.number,
            later=later.number,
        )
    return "rolled_back"


def _stop(rollout: Rollout, stage: Stage, event: StageEvent) -> StageState:
    if stage.state not in ("planned", "running", "held", "rolled_back"):
        raise PlanError("Stage {k} cannot be stopped now: it has passed or is stopped already. Roll it back instead.", k=stage.number)
    return "stopped"


_RULES: Mapping[StageAction, Callable[[Rollout, Stage, StageEvent], StageState]] = {
    "approve": _approve,
    "start": _start,
    "pass": _pass,
    "hold": _hold,
    "resume": _resume,
    "roll_back": _roll_back,
    "stop": _stop,
}
