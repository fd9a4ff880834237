"""What a plan does to a model. Blocks are counted from 0."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, field_validator

from analysis.contracts.base import Contract
from analysis.contracts.freezing import EofLayer
from analysis.contracts.model import Unit


class _Removal(Contract):
    unit: Unit = "block"
    blocks: tuple[NonNegativeInt, ...] = Field(min_length=1, description="block indices, counted from 0, ascending")
    stack: str | None = None

    @field_validator("blocks")
    @classmethod
    def _ascending(cls, blocks: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(blocks)) != len(blocks):
            raise ValueError("a block is named twice")
        return tuple(sorted(blocks))


class Prune(_Removal):
    """Take units out of the saved model for good."""

    op: Literal["prune"] = "prune"


class Skip(_Removal):
    """Leave units out while running; their weights stay."""

    op: Literal["skip"] = "skip"


class Freeze(Contract):
    """Keep blocks 0..eof_layer as they are while the rest is trained."""

    op: Literal["freeze"] = "freeze"
    eof_layer: EofLayer
    stack: str | None = None


Operation = Annotated[Prune | Skip | Freeze, Field(discriminator="op")]
