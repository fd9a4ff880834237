"""A staged rollout: how the plan gets into use step by step, what catches it when it fails, and what came of it.

Shares are 0 to 1. Dates are ISO. Names are as entered, not verified.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from analysis.contracts.base import Contract
from analysis.contracts.message import Message
from analysis.contracts.verification import Estimate, Guardrail, Verdict

StageState = Literal["planned", "running", "passed", "held", "rolled_back", "stopped"]
StageAction = Literal["approve", "start", "pass", "hold", "resume", "roll_back", "stop", "rehearse", "check", "note"]
AdviceKind = Literal["go", "hold", "roll_back", "stop"]
CheckName = Literal["training", "legal", "security", "licence", "privacy", "monitoring", "rollback", "critical_cases", "owner", "budget"]
RoleName = Literal["owner", "engineer", "expert", "legal"]


class Stage(Contract):
    """One step with its three dials: how much lighter, which slices, what share of their requests."""

    number: PositiveInt
    compression: float = Field(ge=0.0, le=1.0, description="share of compute taken out in this stage; the first 0.1 to 0.2")
    plan_id: str = Field(default="", description="the plan of this stage where it is a lighter step; empty: the rollout's plan")
    slices: tuple[str, ...] = Field(description="slices that the plan serves, non-critical ones first; empty: all")
    traffic: float = Field(gt=0.0, le=1.0, description="share of their requests")
    weeks: PositiveFloat
    entry: tuple[str, ...] = Field(default=(), description="conditions to begin, in words")
    exit: tuple[str, ...] = Field(default=(), description="conditions to go on, in words")
    guardrails: tuple[str, ...] = Field(default=(), description="limits watched daily: metric[@slice] op value")
    stop_rule: str = ""
    owner: str = ""
    starts_on: str = ""
    start_days: NonNegativeFloat = Field(default=0.0, description="people's days that this stage takes")
    state: StageState = "planned"


class ChecklistItem(Contract):
    """Something that has to be settled before real use."""

    name: CheckName
    done: bool = False
    who: str = ""
    on: str = ""
    note: str = ""


class Rehearsal(Contract):
    """A roll-back that was really tried, and how long it took."""

    minutes: PositiveFloat
    on: str
    who: str
    steps: tuple[str, ...] = Field(default=(), description="what was done, in order: the runbook")
    note: str = ""


class StageEvent(Contract):
    """Something that was decided or done: by whom (as entered), when, and why."""

    stage: NonNegativeInt = Field(description="0: the rollout as a whole")
    action: StageAction
    who: str
    at: str
    note: str = ""
    advice: AdviceKind | None = Field(default=None, description="what Strata advised at that moment")


class MonitoringRow(Contract):
    """One day of one slice in real use. A request log writes the same columns."""

    date: str
    slice: str
    requests: NonNegativeInt = Field(description="all requests of the slice")
    on_plan: NonNegativeInt = Field(description="of these, answered by the plan")
    fallbacks: NonNegativeInt | None = Field(default=None, description="of these, handed to the original")
    checked: NonNegativeInt | None = Field(
        default=None, description="answers of the plan that were checked by a person or beside the original's"
    )
    changed: NonNegativeInt | None = Field(default=None, description="of the checked, answers that differ from the original's")
    wrong: NonNegativeInt | None = Field(default=None, description="of the checked, wrong")
    wrong_original: NonNegativeInt | None = Field(default=None, description="of the checked, wrong with the original too")
    perplexity_ratio: PositiveFloat | None = Field(default=None, description="plan / original on the day's sample")
    latency_ms: NonNegativeFloat | None = Field(default=None, description="median answer time of the plan")
    latency_ms_original: NonNegativeFloat | None = None
    critical: NonNegativeInt | None = Field(default=None, description="of the checked, critical cases")
    critical_changed: NonNegativeInt | None = None


class MonitoredLimit(Contract):
    """One guardrail against the days so far."""

    guardrail: Guardrail
    verdict: Verdict
    measured: Estimate
    n: NonNegativeInt = Field(description="checked answers or days behind it")
    first_missed_on: str | None = Field(default=None, description="first day on which it was outside")
    reason: Message


class StageAdvice(Contract):
    """What the evidence advises; a person decides."""

    stage: PositiveInt
    advice: AdviceKind
    reasons: tuple[Message, ...] = Field(min_length=1)
    limits: tuple[MonitoredLimit, ...] = ()
    days: NonNegativeInt = Field(description="days with data")
    days_wanted: NonNegativeInt
    days_held: NonNegativeInt = Field(description="days in a row, up to the newest, on which no limit was outside")
    as_of: str = ""


class ActualRow(Contract):
    """One month of the real bill."""

    month: str = Field(description="2026-12")
    bill: NonNegativeFloat
    requests: NonNegativeFloat
    gpu_hours: NonNegativeFloat | None = Field(default=None, description="null: price and effect cannot be told apart")


class Variance(Contract):
    """One month, plan against actual; the three causes add up to the difference. Above 0: dearer than planned."""

    month: str
    planned_cost: float
    actual_cost: float
    volume: float
    price: float | None = Field(description="null: no GPU hours in the file, then it is part of `effect`")
    effect: float
    planned_saving: float
    actual_saving: float

    @property
    def difference(self) -> float:
        """Actual - planned cost."""
        return self.actual_cost - self.planned_cost


class PlanAgainstActual(Contract):
    """What the saving really was, and what that makes of the payback."""

    months: tuple[Variance, ...]
    planned_payback_months: float | None
    new_payback_months: float | None
    reason: Message = Field(description="the finding in one sentence")
    review_on: str = ""


class Rollout(Contract):
    """How one plan gets into use."""

    schema_version: Literal[1] = 1
    kind: Literal["rollout"] = "rollout"
    plan_id: str
    plan_name: str = ""
    case_id: str | None = None
    stages: tuple[Stage, ...] = Field(min_length=1)
    checklist: tuple[ChecklistItem, ...] = ()
    rehearsal: Rehearsal | None = None
    roles: Mapping[RoleName, str] = Field(default_factory=dict)
    starts_on: str = ""
    decision_on: str = ""
    review_on: str = Field(default="", description="six months after the start unless a person says otherwise")
    guardrails_set_on: str = Field(default="", description="when the limits were set; shown beside the test's own date")
    events: tuple[StageEvent, ...] = ()
    monitoring: tuple[MonitoringRow, ...] = ()
    actuals: tuple[ActualRow, ...] = ()
    is_sample: bool = False

    @property
    def current(self) -> Stage | None:
        """The stage that runs or is held; None: none does."""
        return next((stage for stage in self.stages if stage.state in ("running", "held")), None)

    @property
    def next_stage(self) -> Stage | None:
        """The first stage that has not begun."""
        return next((stage for stage in self.stages if stage.state == "planned"), None)
