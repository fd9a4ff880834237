"""A business case: what a plan is worth in money, month by month, how sure that is, and on what it rests.

Money in the case's currency, a month unless a field says otherwise; savings are positive, costs are positive, `change` is plan - today.
Months count from 1, the month of `starts_on`. Undefined is null, with the reason in words beside it: never 0 and never a guess.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt

from analysis.contracts.base import Contract
from analysis.contracts.business import AlternativeKind, Assumptions, CaseEvidence, FigureOrigin, Standing
from analysis.contracts.message import Message
from analysis.contracts.rollout import Rollout

CostLineName = Literal["gpu_hours", "electricity", "cloud", "maintenance", "people", "quality"]
Area = Literal["serving", "training", "project"]
CaseFigure = Literal["start_cost", "net_per_month", "payback_months", "npv", "irr", "break_even", "total"]


class CostLine(Contract):
    """One line of cost a month, once the plan is in full use."""

    line: CostLineName
    area: Area
    today: float
    plan: float


class MoneyPair(Contract):
    """A sum of money today and with the plan."""

    today: float
    plan: float

    @property
    def change(self) -> float:
        """Plan - today: negative is a saving."""
        return self.plan - self.today


class MachineNeed(Contract):
    """How many machines the work takes in its peak hour."""

    by_throughput: NonNegativeFloat = Field(description="as a fraction, spare machines not counted")
    by_memory: NonNegativeInt = Field(description="machines that one copy of the model needs for its memory")
    whole: NonNegativeInt = Field(description="whole machines, spare ones among them")


class Machines(Contract):
    """Machines before and after, in fractions and whole."""

    today: MachineNeed
    plan: MachineNeed
    stated: NonNegativeInt | None = Field(default=None, description="how many there are, as a person said")
    headroom: float = Field(description="how much more work the same machines take with the plan, as a share")


class Purchase(Contract):
    """A machine that growth makes necessary."""

    month: PositiveInt
    date: str
    machines: PositiveInt
    price: NonNegativeFloat


class Buckets(Contract):
    """The saving a month, by what it is worth to a treasurer. Means over the months of full use; running costs are not yet taken off."""

    cash: float
    avoided: float
    freed: float
    cash_from: str | None = Field(default=None, description="date from which less is really paid; null: never in this period")
    avoided_today: tuple[Purchase, ...] = Field(default=(), description="purchases without the plan")
    avoided_plan: tuple[Purchase, ...] = Field(default=(), description="purchases with it")


class StartCost(Contract):
    """What it takes to begin."""

    total: NonNegativeFloat
    external: NonNegativeFloat = Field(description="paid to others")
    internal: NonNegativeFloat = Field(description="own people's days")
    days: NonNegativeFloat = Field(description="own people's days, all roles")
    roles: Mapping[str, float] = Field(default_factory=dict, description="engineer, expert, legal, external -> days")


class FiscalLines(Contract):
    """Sums of one fiscal year. Each line is signed as it moves the total: cost below 0."""

    start_cost: float = 0.0
    saving: float = Field(default=0.0, description="less paid, or less expense")
    avoided: float = Field(default=0.0, description="purchases avoided (cash) or their depreciation (profit and loss)")
    freed: float = Field(default=0.0, description="freed capacity, only where it is switched in")
    running: float = 0.0
    quality: float = 0.0
    tax: float = 0.0

    @property
    def total(self) -> float:
        """Sum of all lines."""
        return self.start_cost + self.saving + self.avoided + self.freed + self.running + self.quality + self.tax


class FiscalYear(Contract):
    """One fiscal year: cash and profit and loss, side by side and never mixed."""

    year: int = Field(description="the calendar year in which it starts")
    n_months: PositiveInt
    cash: FiscalLines
    profit: FiscalLines


class Spread(Contract):
    """P10, P50, P90 of the simulated cases; for a saving P10 is the cautious one. Null: undefined in that share of cases."""

    p10: float | None
    p50: float | None
    p90: float | None


class Simulation(Contract):
    """Cases drawn over the assumptions' ranges and the measurements' intervals."""

    draws: PositiveInt
    seed: NonNegativeInt
    payback_share: float = Field(ge=0.0, le=1.0, description="share of cases that pay back within the evaluation period")
    never_share: float = Field(ge=0.0, le=1.0, description="share of cases whose saving never exceeds its running cost")
    net_per_month: Spread
    saving_share: Spread
    payback_months: Spread
    npv: Spread
    cumulative_p10: tuple[float, ...] = Field(default=(), description="[months + 1] cumulated cash, from month 0")
    cumulative_p50: tuple[float, ...] = ()
    cumulative_p90: tuple[float, ...] = ()


class Swing(Contract):
    """One assumption moved to either end of its range, everything else as it is."""

    name: str = Field(description="an assumption's name, or measured_saving, or measured_quality")
    low: float
    high: float
    npv_low: float = Field(description="with the assumption at `low`")
    npv_high: float
    payback_low: float | None = None
    payback_high: float | None = None


class BreakEven(Contract):
    """From which amount of work on it pays back within the evaluation period."""

    kind: Literal["requests", "bill", "runs"]
    value: NonNegativeFloat | None = Field(description="a month; null: at no amount")
    today: NonNegativeFloat


class Alternative(Contract):
    """One way to go, in the same columns as every other."""

    kind: AlternativeKind
    origin: FigureOrigin | None = Field(description="null: not measured and not estimated")
    start_cost: float | None = None
    cost_per_month: float | None = None
    saving_share: float | None = None
    payback_months: float | None = None
    quality: Message | None = None
    note: Message


class TargetBand(Contract):
    """A range that the brief gives as a target, and what this case has: never a result of ours."""

    kind: Literal["cost", "quality", "payback"]
    low: float
    high: float
    unit: Literal["share", "months"]
    own: float | None
    reached: bool | None


class StageMoney(Contract):
    """Cost, saving and risk of one stage."""

    stage: PositiveInt
    starts_on: str
    months: NonNegativeFloat
    cost: NonNegativeFloat = Field(description="of this stage: people's days and what is paid to others")
    saving: float = Field(description="counted, over the stage's own months")
    at_stake: NonNegativeFloat = Field(description="spent or bound until the decision that ends the stage")
    requests: NonNegativeFloat = Field(description="that the plan answers during the stage")
    extra_errors: float | None = Field(default=None, description="at the measured change; null: no answers could be judged")
    extra_errors_high: float | None = Field(default=None, description="at the upper end of its interval")


class CaseResult(Contract):
    """What follows from evidence and assumptions. Means over the months of full use unless a field says otherwise."""

    cost: MoneyPair = Field(description="a month: what the plan touches")
    cost_low: float | None = Field(default=None, description="P10 of the cost with the plan")
    cost_high: float | None = None
    per_request: MoneyPair | None = None
    per_million_tokens: MoneyPair | None = None
    per_training_run: MoneyPair | None = None
    gpu_hours: MoneyPair | None = Field(default=None, description="GPU hours a month, not money")
    answer_ms: MoneyPair | None = Field(default=None, description="ms from a request to its whole answer, at the priced batch; not money")
    energy_kwh: MoneyPair | None = Field(default=None, description="kWh a month, not money")
    co2_kg: MoneyPair | None = Field(default=None, description="kg a month, not money; null: no factor was given")
    lines: tuple[CostLine, ...]
    buckets: Buckets
    machines: Machines | None = None
    saving_share: float = Field(description="counted saving before running costs / today's cost")
    running_per_month: NonNegativeFloat = Field(description="people who watch and renew")
    quality_per_month: float | None = Field(default=None, description="extra errors x their price; null: not priced")
    net_per_month: float = Field(description="cash + avoided (+ freed where it counts) - running - quality")
    start: StartCost
    payback_months: float | None = None
    payback_reason: Message | None = Field(default=None, description="why there is no payback")
    total: float = Field(description="cumulated net over the evaluation period, start-up cost taken off")
    npv: float
    irr: float | None = Field(default=None, description="a year, as a share")
    irr_reason: Message | None = None
    break_even: BreakEven
    break_even_errors: float | None = Field(default=None, description="more wrong answers a month that eat the saving; null: no price")
    break_even_error_price: float | None = Field(
        default=None, description="price of a wrong answer at which one more in a thousand requests would eat the saving"
    )
    cost_of_waiting: float = Field(description="a month of doing nothing: the net saving not had")
    cost_of_nothing: float = Field(description="today's cost over the whole evaluation period, growth and purchases included")
    years: tuple[FiscalYear, ...] = Field(description="the evaluation period by fiscal year")
    cumulative: tuple[float, ...] = Field(description="[months + 1] cumulated counted cash, from month 0")
    simulation: Simulation
    tornado: tuple[Swing, ...] = Field(description="the assumption that matters most first")
    alternatives: tuple[Alternative, ...] = ()
    bands: tuple[TargetBand, ...] = ()
    stages: tuple[StageMoney, ...] = ()
    notes: tuple[Message, ...] = Field(default=(), description="what was left out, what rests on an assumption alone, what to confirm")


class BusinessCase(Contract):
    """One plan's worth."""

    schema_version: Literal[1] = 1
    kind: Literal["business_case"] = "business_case"
    id: str = Field(description="hash of evidence and assumptions (16 hex characters)")
    name: str = ""
    evidence: CaseEvidence
    assumptions: Assumptions
    result: CaseResult
    rollout: Rollout | None = None
    created_at: str = ""
    versions: Mapping[str, str] = Field(default_factory=dict)
    is_sample: bool = False

    @property
    def standing(self) -> Standing:
        """What stands behind it; anything but `measured` is said in a banner."""
        return self.evidence.standing


class CaseSummary(Contract):
    """A stored case (a scenario) in a list."""

    id: str
    plan_id: str
    name: str
    model_name: str
    currency: str
    standing: Standing
    net_per_month: float
    payback_months: float | None
    npv: float
    payback_share: float
    created_at: str = ""
    is_sample: bool = False


class FieldProblem(Contract):
    """One field of a form or file that cannot be used as it is."""

    field: str = Field(description="name of the assumption, slices[0].requests_per_month, rates.USD, ...")
    message: Message
