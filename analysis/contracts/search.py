"""What leaving units out costs in loss, measured on the calibration half: single units, pairs, and whole sets.

A unit is a block, an attention or an MLP, named ``(unit, block)`` with blocks counted from 0. Losses are nats per token.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, NonNegativeFloat, NonNegativeInt, PositiveInt

from analysis.contracts.base import Contract
from analysis.contracts.message import Message
from analysis.contracts.model import DType, ModelInfo, Unit
from analysis.contracts.profile import Interval, WorkloadChoice
from analysis.contracts.workload import TokenCounts, WorkloadInfo

UnitRef = tuple[Unit, NonNegativeInt]


def ordered(removed: tuple[UnitRef, ...]) -> tuple[UnitRef, ...]:
    """The one way to write a set of units: by block, then block, attention, mlp; each once.

    Halves of a removed block go with it. Both halves of one block are not the block: its loose norms stay.
    """
    whole = {block for unit, block in removed if unit == "block"}
    kept = {(unit, block) for unit, block in removed if unit == "block" or block not in whole}
    return tuple(sorted(kept, key=lambda ref: (ref[1], ("block", "attention", "mlp").index(ref[0]))))


UnitSet = Annotated[tuple[UnitRef, ...], AfterValidator(ordered)]
Strategy = Literal["block_influence", "angular_run", "one_shot", "greedy", "beam", "last_n", "random"]
STRATEGIES: tuple[Strategy, ...] = ("block_influence", "angular_run", "one_shot", "greedy", "beam", "last_n", "random")
Objective = Literal["loss", "state_change"]


class SearchSettings(Contract):
    """What was asked for. `units`, strategies, limit, width and seeds steer the search; the rest shapes every loss."""

    stack: str | None = Field(default=None, description="name of the stack; None: the model's first")
    device: str = "auto"
    dtype: DType = "auto"
    max_tokens: PositiveInt = Field(default=512, description="longest example in tokens; longer ones are cut at the end")
    max_total_tokens: PositiveInt | None = Field(
        default=None,
        description="calibration tokens that are run at most; taken in content-hash order, evenly over slices; None: by device",
    )
    batch_tokens: PositiveInt | None = Field(default=None, description="padded tokens of one stream in a batch; None: by device")
    memory_bytes: PositiveInt | None = Field(default=None, description="bytes that travelling streams may take; None: by device")
    chat_template: bool = True
    slices: tuple[str, ...] = ()
    units: tuple[Unit, ...] = ("block", "attention", "mlp")
    protect: tuple[NonNegativeInt, ...] = Field(default=(), description="blocks that stay whatever was measured")
    strategies: tuple[Strategy, ...] = Field(default=(), description="empty: only the ablation scan")
    limit: str = Field(default="20%", description="how much to remove at most: 20%, 20%params, 20%flops, 1GiB, 6layers, 20%latency")
    beam_width: PositiveInt = 3
    seed: NonNegativeInt = 0


class SearchRequest(WorkloadChoice):
    """A scan or search job: everything a worker needs to run it."""

    settings: SearchSettings = SearchSettings()
    name: str | None = None


class MeasuredSet(Contract):
    """The loss with a set of units left out."""

    removed: UnitSet
    loss: float = Field(description="mean over the calibration tokens that count: nats per token, or 1 - cosine for `state_change`")
    change: float = Field(description="loss - the untouched model's loss over the same tokens")
    interval: Interval | None = Field(default=None, description="95 % interval of `change`, paired over prompts")
    n_tokens: NonNegativeInt
    found_by: tuple[Strategy, ...] = Field(default=(), description="strategies whose answer for some amount this set is")


class SearchCost(Contract):
    """What was run, counted while running."""

    block_calls: NonNegativeFloat = Field(description="passes of all calibration tokens through one block (a half counts as one half)")
    head_passes: NonNegativeFloat = Field(description="passes of all calibration tokens through the output head")
    naive_block_calls: NonNegativeFloat = Field(default=0, description="what the same answers cost one full forward at a time")
    naive_head_passes: NonNegativeFloat = 0
    seconds: NonNegativeFloat = 0


class Search(Contract):
    """All losses that were measured for one model on one workload with one way of counting; grows with every search."""

    schema_version: Literal[1] = 1
    kind: Literal["search"] = "search"
    id: str = Field(description="content key: model commit, stack, workload, and the settings that shape a loss")
    name: str = ""
    model: ModelInfo
    stack: str
    workload: WorkloadInfo
    counts: TokenCounts
    settings: SearchSettings = Field(description="of the latest search, every auto resolved")
    objective: Objective = "loss"
    base_loss: float
    n_tokens: NonNegativeInt = Field(description="tokens whose loss counts")
    singles: tuple[MeasuredSet, ...] = Field(description="one unit left out each: the ablation scan")
    pairs: tuple[MeasuredSet, ...] = Field(default=(), description="two units left out: measured interactions")
    sets: tuple[MeasuredSet, ...] = Field(default=(), description="larger sets, and whatever else a strategy looked at")
    paths: Mapping[str, tuple[UnitSet, ...]] = Field(default_factory=dict, description="strategy -> its answers, smallest first")
    costs: Mapping[str, SearchCost] = Field(default_factory=dict, description="'scan' or strategy -> what it cost when it was run")
    device_name: str = ""
    created_at: str = ""
    versions: Mapping[str, str] = Field(default_factory=dict)
    notes: tuple[Message, ...] = ()

    def measured(self) -> dict[tuple[UnitRef, ...], MeasuredSet]:
        """Every measured set by what it leaves out."""
        return {found.removed: found for found in (*self.singles, *self.pairs, *self.sets)}


class SearchSummary(Contract):
    """A stored search in a list."""

    id: str
    name: str
    model_name: str
    model_commit: str
    stack: str
    workload_name: str
    workload_hash: str
    n_measured: NonNegativeInt
    strategies: tuple[str, ...] = ()
    device_name: str = ""
    created_at: str = ""
    is_sample: bool = False
