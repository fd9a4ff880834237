"""How long a model takes on one device, measured at a few points, and the small model fitted to them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt

from analysis.contracts.base import Contract
from analysis.contracts.search import UnitSet

Phase = Literal["prefill", "decode"]


class LatencyPoint(Contract):
    """One measured point: a phase at a batch size and a length, with units left out."""

    phase: Phase
    batch_size: PositiveInt
    context_tokens: PositiveInt = Field(description="prefill: prompt length; decode: tokens in the cache before the new one")
    removed: UnitSet = ()
    p50_ms: NonNegativeFloat
    p95_ms: NonNegativeFloat
    repeats: PositiveInt


class LatencyShape(Contract):
    """The fit at one phase, batch size and length: ms outside the blocks, and of each block's own parts (index = block)."""

    phase: Phase
    batch_size: PositiveInt
    context_tokens: PositiveInt
    rest_ms: float = Field(description="embedding, final norm, head, and what the framework itself takes")
    block_ms: tuple[float, ...] = Field(description="[L] norms, adds and the call of a block, without its halves")
    attention_ms: tuple[float, ...]
    mlp_ms: tuple[float, ...]
    error_share: NonNegativeFloat | None = Field(
        default=None, description="largest |fit - measured| / measured over points not used in the fit"
    )


class LatencyModel(Contract):
    """Latency of one model on one device: never compared with another machine's."""

    schema_version: Literal[1] = 1
    kind: Literal["latency"] = "latency"
    model_commit: str
    stack: str
    device: str
    device_name: str
    dtype: str
    n_blocks: NonNegativeInt
    shapes: tuple[LatencyShape, ...]
    points: tuple[LatencyPoint, ...]
    measured_at: str
