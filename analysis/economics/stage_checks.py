"""Whether a rollout as a person has set it hangs together: field by field, in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from analysis.contracts.business import CaseEvidence
from analysis.contracts.case import FieldProblem
from analysis.contracts.message import Message
from analysis.contracts.rollout import CheckName, Rollout, Stage
from analysis.economics.dates import add_weeks, day
from analysis.economics.plan_share import planned_share
from analysis.economics.stage_limits import can_be_watched
from analysis.errors import PlanError
from analysis.i18n.numbers import percent
from analysis.planning.limits import CRITICAL, parse_guardrail

REQUIRED: tuple[CheckName, ...] = ("training", "legal", "security", "licence")
"""What no stage starts without, whatever else its checklist names."""
_SLACK = 0.005
_LONGEST_WEEKS = 104


def check_rollout(rollout: Rollout, evidence: CaseEvidence) -> tuple[FieldProblem, ...]:
    """Everything that has to be put right before the rollout can be used; empty: nothing."""
    return (*_whole(rollout, evidence), *(found for place in range(len(rollout.stages)) for found in _stage(rollout, place, evidence)))


def _whole(rollout: Rollout, evidence: CaseEvidence) -> Iterator[FieldProblem]:
    if rollout.plan_id != evidence.plan_id:
        yield _problem("plan_id", Message(id="This rollout is of another plan. Make one for this plan."))
    numbers = tuple(stage.number for stage in rollout.stages)
    if numbers != tuple(range(1, len(numbers) + 1)):
        yield _problem(
            "stages", Message(id="The stages are numbered {numbers}. Number them 1, 2, 3 in their order.", values={"numbers": numbers})
        )
    names = Counter(item.name for item in rollout.checklist)
    missing = [name for name in REQUIRED if not names[name]]
    if missing or max(names.values(), default=0) > 1:
        yield _problem(
            "checklist",
            Message(id="The checklist names every item once, training, legal, security and licence among them."),
        )
    yield from _dates(rollout)


def _dates(rollout: Rollout) -> Iterator[FieldProblem]:
    fields = {name: getattr(rollout, name) for name in ("starts_on", "decision_on", "review_on", "guardrails_set_on")}
    for name, text in fields.items():
        if text and day(text) is None:
            yield _problem(name, _no_date(text))
    starts = day(rollout.starts_on)
    decision, review = day(rollout.decision_on), day(rollout.review_on)
    if starts and decision and decision > starts:
        yield _problem(
            "decision_on",
            Message(
                id="The decision ({decision}) is later than the start ({starts}). Decide first.",
                values={"decision": rollout.decision_on, "starts": rollout.starts_on},
            ),
        )
    if starts and review and review <= starts:
        yield _problem(
            "review_on",
            Message(
                id="The review ({review}) is not later than the start ({starts}). Set it about six months after.",
                values={"review": rollout.review_on, "starts": rollout.starts_on},
            ),
        )


def _stage(rollout: Rollout, place: int, evidence: CaseEvidence) -> Iterator[FieldProblem]:
    stage, field = rollout.stages[place], f"stages[{place}]"
    yield from _compression(rollout, place, evidence)
    unknown = tuple(name for name in stage.slices if evidence.slices and name not in evidence.slices)
    if unknown:
        yield _problem(
            f"{field}.slices",
            Message(
                id="The workload has no slice {unknown}. Its slices: {known}.", values={"unknown": unknown, "known": tuple(evidence.slices)}
            ),
        )
    if stage.weeks > _LONGEST_WEEKS:
        yield _problem(
            f"{field}.weeks",
            Message(id="{weeks} weeks were given; a stage takes at most {most}.", values={"weeks": stage.weeks, "most": _LONGEST_WEEKS}),
        )
    if not stage.stop_rule.strip():
        yield _problem(f"{field}.stop_rule", Message(id="Stage {k} has no stop rule. Say when it ends early.", values={"k": stage.number}))
    yield from _limits(stage, field)
    yield from _begin(rollout, place)


def _compression(rollout: Rollout, place: int, evidence: CaseEvidence) -> Iterator[FieldProblem]:
    stage, whole = rollout.stages[place], planned_share(evidence)
    own_plan = stage.plan_id in ("", rollout.plan_id)
    values = {"k": stage.number, "given": percent(stage.compression, "en", 1), "whole": percent(whole, "en", 1)}
    if stage.compression > whole + _SLACK:
        yield _problem(
            f"stages[{place}].compression",
            Message(id="Stage {k} is to be {given} lighter, but the plan is {whole} lighter. Set at most that.", values=values),
        )
    elif own_plan and stage.compression < whole - _SLACK:
        yield _problem(
            f"stages[{place}].compression",
            Message(
                id="Stage {k} is to be {given} lighter, but the plan is {whole} lighter. Name this stage's lighter plan, or set {whole}.",
                values=values,
            ),
        )
    before = rollout.stages[place - 1] if place else None
    if before is not None and stage.compression < before.compression - _SLACK:
        yield _problem(
            f"stages[{place}].compression",
            Message(
                id="Stage {k} is less light than the stage before it. Order the stages from light changes to larger ones.", values=values
            ),
        )


def _limits(stage: Stage, field: str) -> Iterator[FieldProblem]:
    if not stage.guardrails:
        yield _problem(
            f"{field}.guardrails", Message(id="Stage {k} has no limit to be held against. Set at least one.", values={"k": stage.number})
        )
    for place, text in enumerate(stage.guardrails):
        where = f"{field}.guardrails[{place}]"
        try:
            limit = parse_guardrail(text)
        except PlanError as exc:
            yield _problem(where, exc.message)
            continue
        if not can_be_watched(limit):
            yield _problem(
                where,
                Message(
                    id='The limit "{text}" cannot be watched in real use. The monitoring shows perplexity<=+5%, flips<=10%, accuracy>=-2% '
                    "and latency_ms<=1.1x.",
                    values={"text": text},
                ),
            )
        elif stage.slices and limit.slice not in (None, CRITICAL, *stage.slices):
            yield _problem(
                where,
                Message(
                    id='The limit "{text}" speaks of a slice that stage {k} does not serve. Its slices: {known}.',
                    values={"text": text, "k": stage.number, "known": stage.slices},
                ),
            )


def _begin(rollout: Rollout, place: int) -> Iterator[FieldProblem]:
    stage, field = rollout.stages[place], f"stages[{place}].starts_on"
    begins = day(stage.starts_on)
    if stage.starts_on and begins is None:
        yield _problem(field, _no_date(stage.starts_on))
        return
    before = rollout.stages[place - 1] if place else None
    begun = day(before.starts_on) if before else None
    if begins and before and begun and begins < (over := add_weeks(begun, before.weeks)):
        yield _problem(
            field,
            Message(
                id="Stage {k} begins on {given}, before the stage before it is over ({over}).",
                values={"k": stage.number, "given": stage.starts_on, "over": over.isoformat()},
            ),
        )


def _no_date(text: str) -> Message:
    return Message(id='"{at}" is not a date. Write it as 2026-12-01.', values={"at": text})


def _problem(field: str, message: Message) -> FieldProblem:
    return FieldProblem(field=field, message=message)
