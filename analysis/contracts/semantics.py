"""How the hidden state moves, layer by layer, towards the word it should say: measured on response tokens only.

Shapes: L blocks, P = L + 1 residual positions ("in", "after 0" ... "after L-1"). Undefined values are null. A *deviation* is
how far a state still is from the right word: 1 - cosine to the word's basis (0 to 2), or for `lens` the nats of the logit lens.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt

from analysis.contracts.base import Contract
from analysis.contracts.message import Message
from analysis.contracts.model import ModelInfo
from analysis.contracts.profile import Interval, Intervals1D, Matrix, ProfileRequest, ProfileSettings, Series, Timing
from analysis.contracts.workload import TokenCounts, WorkloadInfo

CurveName = Literal["literal", "literal_raw", "centred", "centred_raw", "whitened", "whitened_raw", "lens"]
CURVES: tuple[CurveName, ...] = ("literal", "literal_raw", "centred", "centred_raw", "whitened", "whitened_raw", "lens")
"""Bases: `literal` S = W (W'W)^-1 as published; `centred` the same of W less its mean row; `whitened` the same in coordinates in which
the words' covariance is the identity; `lens` no basis but -log p of the model's own head. With the final norm applied to every state
first, or `_raw` without."""


class SemanticSettings(Contract):
    """What was asked for beside the profile's own settings."""

    lens_tokens: NonNegativeInt | None = Field(
        default=None,
        description="response tokens that also go through the output head at every position, and judge the bases; in content-hash order, "
        "evenly over slices; 0: none, then the literal basis is used unjudged; None: by device, 2,048 on a GPU and 256 elsewhere",
    )
    gradients: bool = Field(default=True, description="one backward pass over responses: the gradient's norm in every block")
    gradient_tokens: PositiveInt | None = Field(
        default=None,
        description="tokens of the backward pass at most, prompts included; None: by device, 4,096 on a GPU and 1,024 elsewhere",
    )
    vocabulary: Literal["all", "responses", "words"] = Field(
        default="all", description="words the bases are made of: all, those of the workload's responses, or `words`"
    )
    words: tuple[str, ...] = Field(default=(), description="with vocabulary 'words': the domain's words, as they are written")
    traces: NonNegativeInt = Field(default=24, description="prompts whose trace is kept token by token; evenly over slices, critical first")


class SemanticRequest(ProfileRequest):
    """A semantics job: a profile with the traces measured in the same pass."""

    semantics: SemanticSettings = SemanticSettings()


class DeviationCurve(Contract):
    """One kind of deviation at every position, and what each block takes off it."""

    mean: Series = Field(description="[P]")
    intervals: Intervals1D = Field(description="[P] 95 %, Poisson bootstrap over prompts")
    gain: Series = Field(description="[L] what block b takes off: mean[b] - mean[b + 1]")
    gain_intervals: Intervals1D = Field(description="[L]")


class LensScores(Contract):
    """What the model's own head would say at every position (logit lens)."""

    n_tokens: NonNegativeInt
    loss: Series = Field(description="[P] -log p of the right token, nats")
    top1: Series = Field(description="[P] share of tokens for which the right one comes first")
    reciprocal_rank: Series = Field(description="[P] mean of 1 / rank of the right token")
    entropy: Series = Field(description="[P] of the predicted distribution, nats")


class TraceScores(Contract):
    """The traces over one set of response tokens."""

    n_tokens: NonNegativeInt
    n_examples: NonNegativeInt
    curves: Mapping[CurveName, DeviationCurve]
    alignment: Series = Field(
        description="[L] mean cosine between what a block adds (actual transition) and the straight way from its input to the right "
        "word's basis (virtual transition), in the default curve's coordinates; our reading"
    )
    lens: LensScores | None = None


class Fidelity(Contract):
    """How well the nearest basis names the right next token: what a deviation is worth."""

    curve: CurveName
    n_tokens: NonNegativeInt
    right: float = Field(description="share of tokens whose nearest basis is the right one's; for `lens` the head's own share")
    interval: Interval | None = Field(default=None, description="95 %, bootstrap over prompts")


class ExampleTrace(Contract):
    """One prompt's own deviations: means over its response tokens."""

    example_id: str
    slice: str
    critical: bool = False
    weight: float = 1.0
    n_tokens: NonNegativeInt
    deviation: Series = Field(description="[P] of the default curve")
    lens_loss: Series | None = Field(default=None, description="[P]; None: not among the lens tokens")
    excerpt: str = ""


class TokenTrace(Contract):
    """One prompt token by token. Texts are empty when excerpts were switched off."""

    example_id: str
    slice: str
    critical: bool = False
    excerpt: str = ""
    tokens: tuple[str, ...] = Field(description="the response's tokens as text")
    deviation: Matrix = Field(description="[tokens][P] of the default curve")
    lens_loss: Matrix | None = Field(default=None, description="[tokens][P]")
    top_words: tuple[tuple[str, ...], ...] = Field(default=(), description="[tokens][P] what the lens would say; empty: not kept")


class GradientNorms(Contract):
    """The loss's gradient in every block, from one backward pass over responses with nothing changed."""

    n_tokens: NonNegativeInt
    n_examples: NonNegativeInt
    l1: Series = Field(description="[L] sum of |g| over the block's weights")
    l2: Series = Field(description="[L] Euclidean norm")
    per_parameter: Series = Field(description="[L] l1 / number of weights")
    relative: Series = Field(description="[L] l2 / Euclidean norm of the weights")


class Semantics(Contract):
    """The traces of one workload through one model."""

    schema_version: Literal[1] = 1
    kind: Literal["semantics"] = "semantics"
    id: str = Field(description="content key: model commit, workload, settings, dtype and method versions")
    name: str
    model: ModelInfo
    stack: str
    workload: WorkloadInfo
    counts: TokenCounts
    settings: ProfileSettings
    semantic: SemanticSettings
    methods: Mapping[str, str]
    default_curve: CurveName = Field(description="the basis that names the right token most often")
    fidelity: tuple[Fidelity, ...] = ()
    condition_number: float | None = Field(description="of the literal basis' Gram matrix W'W")
    ridge: NonNegativeFloat = Field(default=0.0, description="added to the Gram's diagonal because it was ill-conditioned; 0: none")
    n_words: NonNegativeInt = Field(description="words the bases are made of")
    overall: TraceScores
    slices: Mapping[str, TraceScores]
    examples: tuple[ExampleTrace, ...] = Field(description="at most 2,000, in content-hash order")
    traces: tuple[TokenTrace, ...] = ()
    gradients: GradientNorms | None = None
    n_without_response: NonNegativeInt = Field(default=0, description="examples left out: they have no response")
    n_response_cut: NonNegativeInt = Field(default=0, description="examples left out: their response was cut away entirely")
    n_outside_vocabulary: NonNegativeInt = Field(default=0, description="response tokens left out: not among the bases' words")
    extra_seconds: NonNegativeFloat = Field(default=0.0, description="what the traces cost beside the profile itself")
    extra_share: float | None = Field(default=None, description="extra_seconds / the seconds of the profile alone, in the same run")
    timing: Timing
    versions: Mapping[str, str] = Field(default_factory=dict)
    notes: tuple[Message, ...] = ()

    @property
    def n_blocks(self) -> int:
        """Blocks of the traced stack."""
        return len(self.overall.alignment)


class SemanticsSummary(Contract):
    """Stored traces in a list."""

    id: str
    name: str
    model_name: str
    model_commit: str
    stack: str
    workload_name: str
    workload_hash: str
    n_tokens: NonNegativeInt
    device_name: str = ""
    created_at: str = ""
    is_sample: bool = False
