"""What a business case is made from: what was measured or projected of a plan, and what a person assumed about the business.

Money is in the case's currency unless a field names another. Percentages carry `percent` in their name and are written as people
write them (5 is 5 %). Dates are ISO (2026-12-01). Every figure that a person put in says where it comes from.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from analysis.contracts.base import Contract
from analysis.contracts.message import Message
from analysis.contracts.operations import Operation
from analysis.contracts.verification import Estimate, FlipCount, GuardrailResult, ProjectionError, Verdict

Currency = Literal["JPY", "USD", "EUR"]
CURRENCIES: tuple[Currency, ...] = ("JPY", "USD", "EUR")
Basis = Literal["bill", "volume"]
"""Where today's cost comes from: the invoice, or requests x measured time x price."""
Place = Literal["cloud", "reserved", "own"]
"""Where it runs: cloud paid by the hour, machines reserved or leased until a date, own machines."""
FigureOrigin = Literal["measured", "projected", "assumed", "elsewhere"]
"""`elsewhere`: measured, but not on the machine that is priced."""
DeviceKind = Literal["gpu", "cpu"]
Standing = Literal["measured", "undecided", "rough", "outside"]
"""What stands behind a case: a run within its limits; a run that decides nothing; only a projection; a run that missed a limit."""


class Assumption(Contract):
    """One figure that a person may change: its value, the range it is drawn from, and where it comes from."""

    value: float | None = Field(description="in the unit that its name tells; null: nobody has given one")
    low: float | None = Field(default=None, description="least likely value of the simulation; null: as the value")
    high: float | None = None
    currency: Currency | None = Field(default=None, description="of a sum of money; null: the case's, or no money")
    origin: FigureOrigin = "assumed"
    source: Message | None = Field(default=None, description="where it comes from, in words; null: nobody said")
    source_url: str = ""
    as_of: str = Field(default="", description="date of the source")
    sourced: bool = Field(default=False, description="false: a starting value without a source, to be confirmed")
    confirmed_by: str = Field(default="", description="who stands for it, as entered")


class ExchangeRate(Contract):
    """What one unit of another currency is worth in the case's."""

    currency: Currency
    per_unit: PositiveFloat
    as_of: str
    source: str


class SliceVolume(Contract):
    """How much of the work one slice is."""

    name: str
    requests_per_month: NonNegativeFloat
    prompt_tokens: PositiveFloat | None = Field(default=None, description="mean of a request; null: the workload's mean")
    new_tokens: NonNegativeFloat | None = Field(default=None, description="mean tokens written for a request; null: the workload's mean")
    critical: bool = False
    error_price: NonNegativeFloat | None = Field(default=None, description="what one wrong answer costs here; null: `error_price`")


AlternativeKind = Literal["nothing", "quantise", "smaller_model", "more_machines", "grow", "plan"]


class AlternativeInput(Contract):
    """What a person estimates for an alternative that Strata has not measured."""

    kind: AlternativeKind
    start_cost: NonNegativeFloat | None = None
    cost_per_month: NonNegativeFloat | None = None
    quality: str = ""
    source: str = ""


class Assumptions(Contract):
    """Everything that a person says about the business. `values` holds the figures by name; `analysis.economics.names` explains each."""

    schema_version: Literal[1] = 1
    kind: Literal["assumptions"] = "assumptions"
    name: str = ""
    currency: Currency = "JPY"
    rates: tuple[ExchangeRate, ...] = ()
    basis: Basis = "volume"
    place: Place = "cloud"
    gpu: str = Field(default="", description="the priced device: an id of the catalogue, or a name as typed")
    device_kind: DeviceKind = "gpu"
    accept_other_device: bool = Field(
        default=False, description="a measurement of another kind of device is priced all the same, by `machine_factor` and with its range"
    )
    starts_on: str = Field(default="", description="first day of the first month; empty: the first of next month")
    contract_ends_on: str = Field(default="", description="reserved or leased: until when it is paid whatever is used")
    fiscal_year_starts: PositiveInt = Field(default=4, le=12, description="month")
    after_tax: bool = False
    capitalise: bool = Field(default=False, description="start-up cost is spread over `capitalise_years` in the books; cash is not touched")
    count_capacity: bool = Field(default=False, description="freed capacity counts towards payback")
    values: Mapping[str, Assumption] = Field(default_factory=dict)
    slices: tuple[SliceVolume, ...] = ()
    alternatives: tuple[AlternativeInput, ...] = ()


class Pair(Contract):
    """A figure today and with the plan, and the 95 % interval of plan / today."""

    today: NonNegativeFloat
    plan: NonNegativeFloat
    ratio_low: float | None = None
    ratio_high: float | None = None

    @property
    def ratio(self) -> float:
        """Plan / today; 1 where today's is 0."""
        return self.plan / self.today if self.today else 1.0

    @property
    def saved_share(self) -> float:
        """Share saved, negative when the plan adds."""
        return 1.0 - self.ratio


class ServingPoint(Contract):
    """What serving one batch costs, before and after."""

    batch_size: PositiveInt
    prompt_tokens: PositiveInt
    new_tokens: NonNegativeInt
    prefill_ms: Pair = Field(description="of the whole batch")
    decode_ms: Pair | None = Field(default=None, description="of one new token of every sequence of the batch; null: none was written")
    peak_memory_bytes: Pair | None = None
    prefill_energy_mwh: Pair | None = Field(default=None, description="of the whole batch; null: the device cannot tell")
    waits_for_work: bool = Field(
        default=False, description="at double the batch the device does nearly twice the work: a lighter model will not show at this one"
    )


class ServingEvidence(Contract):
    """What answering requests costs on the measured device."""

    points: tuple[ServingPoint, ...] = Field(min_length=1)
    weight_bytes: Pair
    kv_bytes_per_token: Pair | None = None


class TrainingEvidence(Contract):
    """What one fine-tune costs on the measured device: with everything trained, and with the plan."""

    hours: Pair = Field(description="of the trial as it was run, all epochs; the share by steps that took turns where there are any")
    energy_wh: Pair | None = None
    peak_memory_bytes: Pair | None = None
    n_examples: NonNegativeInt
    epochs: NonNegativeFloat
    tokens_per_run: NonNegativeFloat = Field(description="trained on in one run, prompts included")
    kept_gain: Estimate | None = Field(default=None, description="share of full fine-tuning's gain; null: not compared")
    n_trained: NonNegativeInt
    recommended: bool = Field(default=False, description="a sweep recommends this plan's boundary")


class QualityEvidence(Contract):
    """What the plan does to quality, for someone who decides."""

    quality_change: Estimate | None = Field(
        default=None, description="plan / original of perplexity - 1, as a share; above 0: quality lost. Null: not known"
    )
    projected: bool = False
    accuracy_change: Estimate | None = Field(
        default=None, description="right answers, plan - original, as a share of the cases that have one"
    )
    n_answers: NonNegativeInt = 0
    critical: FlipCount | None = None
    by_slice: Mapping[str, Estimate] = Field(default_factory=dict, description="slice -> quality_change")


class CaseEvidence(Contract):
    """What is known of a plan, taken from its verification, its trial, or its projection alone."""

    plan_id: str
    plan_name: str = ""
    model_name: str
    model_commit: str
    n_blocks: PositiveInt
    operations: tuple[Operation, ...]
    words: Message = Field(description="what the plan does, in one line")
    eof_layer: int | None = None
    origin: FigureOrigin = Field(description="of the times: measured, or projected")
    standing: Standing
    verdict: Verdict | None = None
    guardrails: tuple[GuardrailResult, ...] = ()
    verification_id: str | None = None
    trial_id: str | None = None
    device_name: str = Field(default="", description="where the times were measured; empty: they were not")
    device_kind: DeviceKind | None = None
    measured_at: str = ""
    serving: ServingEvidence | None = None
    training: TrainingEvidence | None = None
    quality: QualityEvidence = QualityEvidence()
    projected_saving: tuple[float, float] | None = Field(default=None, description="a projection alone: range of the share saved")
    projection_errors: tuple[ProjectionError, ...] = ()
    workload_name: str = ""
    n_prompts: NonNegativeInt = Field(default=0, description="examples of the workload")
    n_judged: NonNegativeInt = Field(default=0, description="of these, the ones that judged the plan")
    n_critical: NonNegativeInt = 0
    slices: tuple[str, ...] = ()
    mean_prompt_tokens: NonNegativeFloat | None = Field(default=None, description="of a request, template included")
    mean_new_tokens: NonNegativeFloat | None = Field(default=None, description="of a response in the workload; null: it has none")
    seed: NonNegativeInt = 0
    is_sample: bool = False
    agreement: tuple[NonNegativeInt, NonNegativeInt] | None = Field(
        default=None,
        exclude_if=lambda value: value is None,  # a case without a vote keeps the hash it had before votes were known
        description="a plan that measures voted for: how many agree, of how many that voted; absent: nothing was voted",
    )
    notes: tuple[Message, ...] = ()
