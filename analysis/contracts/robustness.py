"""How well the original and a plan bear typing errors, other words, attacks and unknown work; energy and carbon of running both.

What is judged stays clean: only what stands before it is disturbed, and the loss is that of the clean continuation (the response, or
the later half of a prompt without one). `rise` = loss under the disturbance - loss without it. Only verification examples are used.
Losses are nats per token, intervals 95 %, paired over prompts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from analysis.contracts.base import Contract
from analysis.contracts.message import Message
from analysis.contracts.model import DType, ModelSource
from analysis.contracts.verification import Estimate, Machine
from analysis.contracts.workload import TokenCounts, WorkloadInfo

NoiseKind = Literal["keyboard", "swap", "case", "spacing", "words"]
NOISES: tuple[NoiseKind, ...] = ("keyboard", "swap", "case", "spacing", "words")
AttackKind = Literal["fgsm", "pgd"]
ATTACKS: tuple[AttackKind, ...] = ("fgsm", "pgd")
Disturbance = Literal["keyboard", "swap", "case", "spacing", "words", "fgsm", "pgd"]
Comparison = Literal["better", "worse", "no_difference", "unknown"]


class RobustnessSettings(Contract):
    """What was asked for."""

    stack: str | None = None
    device: str = "auto"
    dtype: DType = "auto"
    max_tokens: PositiveInt = 512
    batch_tokens: PositiveInt | None = None
    chat_template: bool = True
    slices: tuple[str, ...] = ()
    noises: tuple[NoiseKind, ...] = NOISES
    levels: tuple[PositiveFloat, ...] = Field(default=(0.02, 0.05, 0.1), description="share of letters (words: of words) that are changed")
    attacks: tuple[AttackKind, ...] = ATTACKS
    epsilons: tuple[PositiveFloat, ...] = Field(
        default=(0.05, 0.1, 0.2),
        description="largest change of each number of an embedding, in root mean squares of the model's embeddings",
    )
    pgd_steps: PositiveInt = 7
    attack_examples: PositiveInt = Field(
        default=24, description="prompts that are attacked at most, evenly over slices, critical ones first"
    )
    held_out: tuple[str, ...] = Field(default=(), description="slices the plan was not chosen by; empty: those its provenance names")
    energy: bool = True
    country: str | None = Field(default=None, description="ISO 3166 code of three letters, for the grid's carbon; None: not worked out")
    grid_kg_per_kwh: NonNegativeFloat | None = Field(
        default=None, description="own figure, such as the utility's factor; goes before the country's"
    )
    watts: PositiveFloat | None = Field(default=None, description="assumed power of the device where none can be measured")
    replicates: PositiveInt = 2000
    seed: NonNegativeInt = 0


class Disturbed(Contract):
    """Both models under one disturbance of one strength."""

    kind: Disturbance
    level: PositiveFloat = Field(description="noise: share asked for; attack: epsilon")
    touched: float | None = Field(default=None, description="noise: share of letters or words really changed, 0 to 1")
    n_examples: NonNegativeInt
    n_tokens: NonNegativeInt = Field(description="clean tokens that are judged")
    loss_original: Estimate
    loss_plan: Estimate
    rise_original: Estimate
    rise_plan: Estimate
    difference: Estimate = Field(description="rise_plan - rise_original; above 0: the cut made it more sensitive")
    comparison: Comparison = Field(description="by the interval of `difference`; unknown: too few prompts, or the attack found nothing")
    agreement_original: Estimate | None = Field(default=None, description="share of judged tokens for which the model's first choice stays")
    agreement_plan: Estimate | None = None
    found_nothing: NonNegativeInt = Field(default=0, description="attack: prompts whose loss it did not raise for both models")
    slices: Mapping[str, Estimate] = Field(default_factory=dict, description="slice -> its difference")
    examples: tuple[tuple[str, str], ...] = Field(default=(), description="noise: a few disturbed words (before, after); no whole prompt")
    note: Message | None = None


class UnknownWork(Contract):
    """A slice that nothing was chosen by, beside those that were."""

    slice: str
    n_examples: NonNegativeInt
    n_tokens: NonNegativeInt
    change: Estimate = Field(description="loss with the plan - without, on this slice")
    others: Estimate = Field(description="the same on the slices it was chosen by")
    difference: Estimate = Field(description="change - others; above 0: unknown work loses more")
    comparison: Comparison


class GridIntensity(Contract):
    """Carbon of electricity."""

    kg_per_kwh: NonNegativeFloat
    country: str | None = Field(default=None, description="ISO 3166, three letters; None: own figure")
    country_name: str = ""
    year: int | None = None
    source: str
    assumed: bool = Field(default=False, description="typed in by a person")


class EnergyUse(Contract):
    """Energy of reading the verification prompts once, per 1,000 prompts. Never comparable between machines."""

    original_wh: Estimate
    plan_wh: Estimate
    ratio: Estimate = Field(description="plan / original, measured in turns")
    origin: Literal["measured", "projected"] = Field(description="projected: measured time times an assumed power")
    counter: Literal["nvml", "powercap", "assumed_power"]
    watts: PositiveFloat | None = Field(default=None, description="the assumed power")
    n_rounds: PositiveInt
    mean_tokens: PositiveFloat = Field(description="tokens of a prompt")
    grid: GridIntensity | None = None
    original_co2_g: Estimate | None = Field(default=None, description="grams per 1,000 prompts")
    plan_co2_g: Estimate | None = None


class Robustness(Contract):
    """One plan's test against disturbed input."""

    schema_version: Literal[1] = 1
    kind: Literal["robustness"] = "robustness"
    id: str
    plan_id: str
    plan_name: str = ""
    model_name: str
    model_source: ModelSource
    model_commit: str
    architecture: str
    stack: str
    workload: WorkloadInfo
    counts: TokenCounts = Field(description="of the verification half")
    settings: RobustnessSettings
    n_examples: NonNegativeInt
    clean_original: Estimate
    clean_plan: Estimate
    results: tuple[Disturbed, ...]
    unknown_work: tuple[UnknownWork, ...] = ()
    energy: EnergyUse | None = None
    energy_reason: Message | None = Field(default=None, description="why there is no energy; None: there is, or it was not asked for")
    machine: Machine
    versions: Mapping[str, str]
    notes: tuple[Message, ...] = Field(default=(), description="remarks, and what was not tested")


class RobustnessSummary(Contract):
    """A stored robustness test in a list."""

    id: str
    plan_id: str
    plan_name: str
    model_name: str
    workload_name: str
    n_worse: NonNegativeInt
    n_tested: NonNegativeInt
    device_name: str = ""
    created_at: str = ""
    is_sample: bool = False
