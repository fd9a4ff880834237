"""One stage more, or one less. What was recorded of a stage names it by its number, so no number that anything is recorded of changes.

A stage is added after the last. One may be taken out while neither it nor a later one has begun or has anything recorded of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from analysis.contracts.business import Assumptions, CaseEvidence, SliceVolume
from analysis.contracts.rollout import Rollout, Stage
from analysis.economics.dates import add_weeks, day
from analysis.economics.plan_share import planned_share, volumes
from analysis.economics.stage_language import reworded, step_words
from analysis.economics.stage_limits import limits_of_stage, starting_limits
from analysis.economics.stage_words import entry, exit_words, stop_words
from analysis.errors import PlanError
from analysis.i18n import Language

MOST_STAGES = 12
"""More than these nobody decides on one by one, and no slide shows."""


def add_stage(rollout: Rollout, evidence: CaseEvidence, assumptions: Assumptions, *, today: date, language: Language = "en") -> Rollout:
    """The rollout with one stage more after its last: the next wider step, for people to change.

    Half of the requests follow on less, all of them on half, and every slice on all requests of some. Limits, weeks and owner are the
    last stage's; where critical work comes in, a limit on critical answers does too.

    Args:
        rollout: as it is.
        evidence: how light the plan is, its slices and limits.
        assumptions: volumes and critical slices.
        today: the new stage begins no earlier.
        language: of the words in it.

    Raises:
        PlanError: there are as many as there may be, the project was stopped, or the new stage would count as approved unseen.
    """
    _check_more(rollout)
    slices, last = volumes(evidence, assumptions), rollout.stages[-1]
    names, traffic = _wider(last, tuple(one.name for one in slices))
    over = day(last.starts_on)
    added = last.model_copy(
        update={
            "number": last.number + 1,
            "compression": max(round(planned_share(evidence), 3), last.compression),
            "plan_id": "",
            "slices": names,
            "traffic": traffic,
            "guardrails": _limits(last, names, slices, evidence, today),
            "stop_rule": last.stop_rule or stop_words(language),
            "starts_on": "" if over is None else max(add_weeks(over, last.weeks), today).isoformat(),
            "start_days": last.start_days if len(rollout.stages) > 1 else 0.0,
            "state": "planned",
        }
    )
    words = step_words(added, added.number, evidence)
    added = added.model_copy(update={"entry": entry(words, evidence, language), "exit": exit_words(words, language)})
    return _renumbered(rollout, (*rollout.stages, added), evidence)


def _check_more(rollout: Rollout) -> None:
    if len(rollout.stages) >= MOST_STAGES:
        raise PlanError("A rollout has at most {most} stages. Change one of those that are there.", most=MOST_STAGES)
    if any(stage.state == "stopped" for stage in rollout.stages):
        raise PlanError("The project was stopped, so no stage can follow. Propose the plan anew.")
    if any(event.action == "approve" and event.stage == 0 for event in rollout.events):
        raise PlanError(
            "The rollout was approved as a whole, so a new stage would count as approved without anyone having seen it. "
            "Change the last stage instead."
        )


def _wider(last: Stage, every: tuple[str, ...]) -> tuple[tuple[str, ...], float]:
    """Slices and share of their requests of the step after this one."""
    if last.traffic < 1:
        return last.slices, 0.5 if last.traffic < 0.5 else 1.0
    return (every if last.slices else ()), 1.0


def _limits(last: Stage, names: tuple[str, ...], slices: Sequence[SliceVolume], evidence: CaseEvidence, today: date) -> tuple[str, ...]:
    """The last stage's, and of the plan's own those on what comes in now."""
    limits, _ = starting_limits(evidence, today)
    came_in = set(limits_of_stage(limits, names, slices, evidence)) - set(limits_of_stage(limits, last.slices, slices, evidence))
    own = limits_of_stage(limits, names, slices, evidence)
    return tuple(dict.fromkeys((*last.guardrails, *(text for text in own if text in came_in)))) or own


def why_not_removed(rollout: Rollout, number: int) -> PlanError | None:
    """Why a stage cannot be taken out; None: it can."""
    stage = next((one for one in rollout.stages if one.number == number), None)
    if stage is None:
        return PlanError("There is no stage {number}: this rollout has {n}. Name one of 1 to {n}.", number=number, n=len(rollout.stages))
    if len(rollout.stages) == 1:
        return PlanError("A rollout has at least one stage. Change this one instead.")
    begun = next((one.number for one in rollout.stages if one.number >= number and one.state != "planned"), None)
    recorded = next((event.stage for event in rollout.events if event.stage >= number), None)
    if begun is not None or recorded is not None:
        return PlanError(
            "Stage {k} cannot be taken out: something is recorded of stage {other}, and what is recorded keeps its number. "
            "Change the stage instead.",
            k=number,
            other=begun or recorded,
        )
    if all(one.state == "passed" for one in rollout.stages if one.number != number):
        return PlanError(
            "Stage {k} cannot be taken out: all others have passed, and the rollout would be over without anyone having said so. "
            "Change it, or stop the project.",
            k=number,
        )
    return None


def remove_stage(rollout: Rollout, number: int, evidence: CaseEvidence) -> Rollout:
    """The rollout without a stage that nothing is recorded of; the later ones move up, in number and in time.

    Where it was the first, the next one takes the days that everything takes to begin.

    Raises:
        PlanError: see `why_not_removed`.
    """
    if (problem := why_not_removed(rollout, number)) is not None:
        raise problem
    gone = rollout.stages[number - 1]
    kept = tuple(one if one.number < number else _sooner(one, gone, rollout) for one in rollout.stages if one.number != number)
    return _renumbered(rollout, kept, evidence)


def _sooner(stage: Stage, gone: Stage, rollout: Rollout) -> Stage:
    """A later stage, earlier by as much as the next one moves into the place of the one that is gone."""
    follows = stage.number == gone.number + 1
    days = max(stage.start_days, gone.start_days) if follows and gone.number == 1 else stage.start_days
    begun, planned = day(gone.starts_on), day(stage.starts_on)
    after = next((day(one.starts_on) for one in rollout.stages if one.number == gone.number + 1), None)
    moved = stage.starts_on if begun is None or after is None or planned is None else (planned - (after - begun)).isoformat()
    return stage.model_copy(update={"start_days": days, "starts_on": moved})


def _renumbered(rollout: Rollout, stages: tuple[Stage, ...], evidence: CaseEvidence) -> Rollout:
    """With these stages, each in its place and with the sentences of that place."""
    before, n = len(rollout.stages), len(stages)
    placed = []
    for place, stage in enumerate(stages, start=1):
        there = stage.model_copy(update={"number": place})
        old, new = step_words(stage, n if stage.number > before else before, evidence), step_words(there, n, evidence)
        placed.append(reworded(there, old, new, evidence))
    return rollout.model_copy(update={"stages": tuple(placed)})
