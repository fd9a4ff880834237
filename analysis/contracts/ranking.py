"""How replaceable every unit is by many measures at once, and what their consensus takes out, one step after the other.

All values point one way: low = replaceable. Ranks: 1 = most replaceable. M candidates, V voters, R replicates. Blocks are counted
from 0. Losses are nats per token. Everything here is measured on the calibration half. Undefined values are null, never 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from analysis.contracts.base import Contract
from analysis.contracts.message import Message
from analysis.contracts.model import DType, ModelInfo, Unit
from analysis.contracts.profile import Interval, Intervals1D, Series, WorkloadChoice
from analysis.contracts.search import Objective, UnitRef, UnitSet
from analysis.contracts.verification import Estimate
from analysis.contracts.workload import TokenCounts, WorkloadInfo

Member = Literal["cka", "procrustes", "cca", "permutation", "gaussian_0", "gaussian_1", "gaussian_2", "wasserstein"]
"""The eight distances of Layer Pruning with Consensus (arXiv 2411.14345), between final features without and with the unit left out."""
MEMBERS: tuple[Member, ...] = ("cka", "procrustes", "cca", "permutation", "gaussian_0", "gaussian_1", "gaussian_2", "wasserstein")
Voter = Literal[
    "cka",
    "procrustes",
    "cca",
    "permutation",
    "gaussian_0",
    "gaussian_1",
    "gaussian_2",
    "wasserstein",
    "block_influence",
    "angular_distance",
    "ablation_loss",
    "taylor",
    "gradient_x_activation",
    "conductance",
    "integrated_gradients",
]
CHEAP_VOTERS: tuple[Voter, ...] = (*MEMBERS, "block_influence", "angular_distance", "taylor", "gradient_x_activation")
"""Without the loss: what a consensus that shall predict the loss may be made of."""
DEFAULT_VOTERS: tuple[Voter, ...] = (*CHEAP_VOTERS, "ablation_loss")
VOTERS: tuple[Voter, ...] = (*DEFAULT_VOTERS, "conductance", "integrated_gradients")
Rule = Literal["rank_sum", "borda", "unanimity", "median_rank", "kemeny"]
RULES: tuple[Rule, ...] = ("rank_sum", "borda", "unanimity", "median_rank", "kemeny")
TokenKind = Literal["digits", "codes", "kanji", "kana", "latin", "program", "punctuation", "other"]
TOKEN_KINDS: tuple[TokenKind, ...] = ("digits", "codes", "kanji", "kana", "latin", "program", "punctuation", "other")
ClassesBy = Literal["auto", "slices", "tasks", "kmeans"]


class RankingSettings(Contract):
    """What was asked for."""

    stack: str | None = Field(default=None, description="name of the stack; None: the model's first")
    device: str = "auto"
    dtype: DType = "auto"
    max_tokens: PositiveInt = Field(default=512, description="longest example in tokens; longer ones are cut at the end")
    max_total_tokens: PositiveInt | None = Field(default=None, description="calibration tokens that are run at most; None: by device")
    batch_tokens: PositiveInt | None = None
    memory_bytes: PositiveInt | None = Field(default=None, description="bytes that travelling streams may take; None: by device")
    chat_template: bool = True
    slices: tuple[str, ...] = Field(default=(), description="only these slices; empty: all")
    held_out: tuple[str, ...] = Field(
        default=(), description="slices that nothing is chosen by, so that a plan can be judged on work it has never seen"
    )
    unit: Unit = "block"
    protect: tuple[NonNegativeInt, ...] = Field(default=(), description="blocks that are measured but never taken out")
    voters: tuple[Voter, ...] = DEFAULT_VOTERS
    rule: Rule = Field(default="rank_sum", description="by which every step is decided")
    weights: Mapping[Voter, NonNegativeFloat] = Field(default_factory=dict, description="of the rule borda; voters not named: 1")
    amount: str = Field(
        default="", description="how much to take out step by step: 6layers, 20%, ...; empty: one ranking, nothing taken out"
    )
    per_step: PositiveInt = Field(default=1, description="units taken out before all is measured again")
    most_perplexity: PositiveFloat | None = Field(
        default=None, description="stop before the calibration perplexity exceeds this multiple of the untouched model's"
    )
    feature_tokens: PositiveInt | None = Field(
        default=None, description="token positions the eight members look at, at most; None: by device"
    )
    dimension: PositiveInt = Field(
        default=64,
        ge=2,
        description="of the PCA space, fitted on the untouched model's features; lowered until there are ten positions each",
    )
    test_share: float = Field(default=0.2, ge=0.0, le=0.5, description="of the prompts; members with a fitted map are judged on these")
    classes: ClassesBy = Field(default="auto", description="pseudo-classes of the Gaussian members")
    n_classes: PositiveInt = Field(default=8, description="for k-means")
    attribution_steps: PositiveInt = Field(default=16, description="of conductance and integrated gradients")
    replicates: NonNegativeInt = Field(default=200, description="resamples of the prompts; 0: none")
    excerpts: bool = Field(default=True, description="keep the first 80 characters of the prompts that lose most; off: none")
    seed: NonNegativeInt = 0


class RankingRequest(WorkloadChoice):
    """A ranking job: everything a worker needs to run it."""

    settings: RankingSettings = RankingSettings()
    name: str | None = None


class Vote(Contract):
    """What one voter says of every candidate at one step."""

    voter: Voter
    values: Series = Field(description="[M] low = replaceable, in the voter's own scale; null: undefined for this candidate")
    ranks: Series = Field(description="[M] 1 = most replaceable; equal values share their mean rank; null where the value is")
    intervals: Intervals1D = Field(default=(), description="[M] 95 % of the values, bootstrap over prompts; first step only, else empty")
    abstained: Message | None = Field(default=None, description="why it does not vote at all; its values are then all null")
    n_samples: NonNegativeInt = Field(
        default=0, description="token positions (members, influence, loss) or tokens with gradients behind it"
    )
    seconds: NonNegativeFloat = Field(default=0, description="of this voter's own arithmetic, the shared passes not")
    notes: tuple[Message, ...] = ()

    @property
    def votes(self) -> bool:
        """Whether it says anything."""
        return self.abstained is None


class RankingCost(Contract):
    """What a step ran, counted while running; passes of all its tokens through one block (a half counts as one half)."""

    block_calls: NonNegativeFloat
    head_passes: NonNegativeFloat = 0
    naive_block_calls: NonNegativeFloat = Field(description="with one forward for every candidate and every one of the members")
    backward_passes: NonNegativeFloat = Field(default=0, description="forward and backward passes of gradient voters, in whole passes")
    pass_seconds: NonNegativeFloat = Field(default=0, description="of the passes through the model")
    metric_seconds: NonNegativeFloat = Field(default=0, description="of the voters' arithmetic on what the passes gave, resamples included")


class RankingStep(Contract):
    """All candidates looked at with some units out already, and what the consensus then took."""

    removed: UnitSet = Field(description="out before this step")
    candidates: tuple[UnitRef, ...] = Field(description="[M] every unit that is still in, protected ones among them")
    votes: tuple[Vote, ...] = Field(description="[V]")
    scores: Series = Field(description="[M] the consensus by the settings' rule; low = taken out first")
    chosen: tuple[UnitRef, ...] = Field(
        default=(), description="taken out by this step; empty: nothing was to be taken, or nothing might be"
    )
    loss: float | None = Field(default=None, description="calibration loss with removed and chosen out")
    change: float | None = Field(default=None, description="loss - the untouched model's")
    interval: Interval | None = Field(
        default=None, description="95 % interval of `change`, paired over prompts; the same as that in `lost_together`"
    )
    cost: RankingCost
    seconds: NonNegativeFloat = 0

    def vote(self, voter: Voter) -> Vote | None:
        """What a voter says; None: it was not asked."""
        return next((vote for vote in self.votes if vote.voter == voter), None)


class FeatureInfo(Contract):
    """What the eight members looked at: final features at token positions."""

    n_positions: NonNegativeInt
    n_fit: NonNegativeInt = Field(description="positions that maps are fitted on; whole prompts")
    n_test: NonNegativeInt = Field(description="positions that fitted members are judged on; other prompts")
    width: PositiveInt
    dimension: NonNegativeInt = Field(description="of the PCA space; at least ten fit positions each")
    variance_kept: float = Field(description="share of the features' variance in that space, 0 to 1")
    classes_by: Literal["slices", "tasks", "kmeans", "none"] = "none"
    n_classes: NonNegativeInt = 0


class PartLoss(Contract):
    """What happens to one part of the tokens."""

    change: Estimate = Field(description="nats per token with the units out, minus without; interval paired over prompts")
    loss_before: float
    n_tokens: NonNegativeInt
    n_examples: NonNegativeInt


class PromptLoss(Contract):
    """One prompt whose loss rises."""

    example_id: str
    slice: str
    critical: bool = False
    n_tokens: NonNegativeInt
    change: float = Field(description="nats per token")
    excerpt: str = ""


class LostWith(Contract):
    """What is lost with some units: by slice, by kind of token, and the prompts that lose most."""

    removed: UnitSet
    change: Estimate
    slices: Mapping[str, PartLoss] = Field(default_factory=dict)
    kinds: Mapping[TokenKind, PartLoss] = Field(default_factory=dict, description="by the token that had to be predicted")
    prompts: tuple[PromptLoss, ...] = Field(default=(), description="the ten that lose most, worst first")


class Ranking(Contract):
    """Every unit by every voter, and the consensus."""

    schema_version: Literal[1] = 1
    kind: Literal["ranking"] = "ranking"
    id: str = Field(description="content key: model commit, stack, workload, settings, and the versions of the voters' methods")
    name: str = ""
    model: ModelInfo
    stack: str
    workload: WorkloadInfo
    counts: TokenCounts
    settings: RankingSettings = Field(description="every auto resolved")
    objective: Objective = "loss"
    base_loss: float
    n_tokens: NonNegativeInt = Field(description="tokens whose loss counts")
    n_examples: NonNegativeInt
    methods: Mapping[Voter, str] = Field(description="voter -> version of its method")
    features: FeatureInfo | None = Field(default=None, description="None: no member was asked")
    steps: tuple[RankingStep, ...] = Field(min_length=1, description="the first with nothing out")
    replicate_ranks: tuple[tuple[tuple[NonNegativeInt, ...], ...], ...] = Field(
        default=(),
        description="[R][V][M] of the first step: each voter's ranks over resampled prompts, ties by order; 0: undefined; V as its votes",
    )
    lost: tuple[LostWith, ...] = Field(default=(), description="with each single unit, in the order of the first step's candidates")
    lost_together: tuple[LostWith, ...] = Field(default=(), description="with everything that is out after each step that took something")
    complete: bool = Field(default=True, description="False: stopped on the way; the same request goes on from here")
    device_name: str = ""
    created_at: str = ""
    versions: Mapping[str, str] = Field(default_factory=dict)
    notes: tuple[Message, ...] = ()

    @property
    def taken(self) -> tuple[UnitRef, ...]:
        """Units taken out step by step, in that order."""
        return tuple(ref for step in self.steps for ref in step.chosen)


class RankingSummary(Contract):
    """A stored ranking in a list."""

    id: str
    name: str
    model_name: str
    model_commit: str
    stack: str
    workload_name: str
    workload_hash: str
    unit: Unit
    n_voters: NonNegativeInt
    n_taken: NonNegativeInt
    complete: bool = True
    device_name: str = ""
    created_at: str = ""
    is_sample: bool = False


class ConsensusChoice(Contract):
    """How a plan's units were voted for; travels with the plan."""

    ranking_id: str
    rule: Rule
    weights: Mapping[Voter, NonNegativeFloat] = Field(default_factory=dict)
    voters: tuple[Voter, ...]
    step_by_step: bool = Field(description="True: measured again after every removal; False: one ranking, lowest first")
    n_agree: NonNegativeInt = Field(
        description="voters for which at least half of the removed units, and more than lots would put there, are among the k most "
        "replaceable of theirs, k removed"
    )
    odd: Voter | None = Field(default=None, description="the voter that agrees least with the others; None: they agree alike")
    odd_slice: str | None = Field(default=None, description="slice that loses most with the unit over which it disagrees")
    probabilities: tuple[float | None, ...] = Field(
        default=(), description="per removed unit, ascending blocks: share of resamples in which it is among the k most replaceable"
    )
    held_out: tuple[str, ...] = Field(default=(), description="slices that were not looked at when choosing")
