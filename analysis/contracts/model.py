"""What a model is made of, as far as layer analysis needs to know it. Blocks are counted from 0."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from analysis.contracts.base import Contract
from analysis.contracts.message import Message

SourceKind = Literal["sample", "hub", "folder", "gguf", "adapter"]
DType = Literal["auto", "float32", "bfloat16", "float16"]
Unit = Literal["block", "attention", "mlp"]


class ModelSource(Contract):
    """Where a model comes from.

    `location` is empty for the sample, an ``owner/name`` for the hub, and a path otherwise; `revision` is a hub
    branch, tag or commit as it was asked for (the commit it resolved to is in `ModelInfo.commit`).
    """

    kind: SourceKind
    location: str = ""
    revision: str | None = None


class SubBlockInfo(Contract):
    """An attention or an MLP with its own residual add."""

    n_parameters: NonNegativeInt
    weight_bytes: NonNegativeInt
    linear_flops_per_token: NonNegativeInt = Field(
        description="FLOPs a token costs in matrix products (2 per multiply-add), active experts only"
    )
    flops_per_token_per_context: NonNegativeInt = Field(
        default=0, description="attention only: FLOPs a token costs for each token it looks at"
    )
    attention_window: PositiveInt | None = Field(default=None, description="tokens a sliding or chunked window looks back; None: all")
    kv_bytes_per_token: NonNegativeInt = Field(default=0, description="attention only: KV-cache bytes a token leaves behind")


class BlockInfo(Contract):
    """One layer of a stack. `n_parameters` and `weight_bytes` include norms that belong to neither half."""

    index: NonNegativeInt
    n_parameters: NonNegativeInt
    weight_bytes: NonNegativeInt
    attention: SubBlockInfo | None = None
    mlp: SubBlockInfo | None = None
    cross_attention: SubBlockInfo | None = None
    stage: NonNegativeInt | None = Field(default=None, description="vision models in stages: which stage, counted from 0")
    fixed: bool = Field(default=False, description="what leaves it has another shape than what enters, so it can never be taken out")
    flops_per_image: NonNegativeInt = Field(default=0, description="vision models in stages: 2 per multiply-add, for one image")


Layout = Literal["pre_norm", "post_norm", "sandwich_norm", "parallel", "unknown"]


class StackInfo(Contract):
    """A run of blocks with one residual stream, such as a decoder."""

    name: str
    path: str = Field(description="attribute path of the module list inside the loaded model, e.g. model.layers")
    layout: Layout
    causal: bool
    blocks: tuple[BlockInfo, ...]
    floor: NonNegativeInt = Field(default=0, description="vision models in stages: blocks that every stage keeps at least")

    @property
    def n_blocks(self) -> int:
        """Number of blocks."""
        return len(self.blocks)


class ModelInfo(Contract):
    """A model's identity and anatomy, read from its config and headers or from the loaded modules."""

    name: str
    source: ModelSource
    commit: str = Field(description="hub commit, or SHA-256 over the weight files: the model's identity")
    architecture: str
    hidden_size: PositiveInt
    vocab_size: NonNegativeInt = 0
    max_context_tokens: PositiveInt | None = None
    dtype: str
    n_parameters: NonNegativeInt
    weight_bytes: NonNegativeInt
    embedding_parameters: NonNegativeInt = Field(default=0, description="input embeddings, positions included")
    head_parameters: NonNegativeInt = Field(default=0, description="output head; 0 when tied to the embeddings")
    head_flops_per_token: NonNegativeInt = 0
    tied_head: bool = False
    image_size: PositiveInt | None = Field(default=None, description="vision models in stages: pixels of a side behind the FLOPs")
    flops_per_image: NonNegativeInt = Field(default=0, description="vision models in stages: of the whole model, stem and head in it")
    stacks: tuple[StackInfo, ...]
    refusal: Message | None = Field(default=None, description="why it cannot be profiled on prompts; None: it can")
    notes: tuple[Message, ...] = ()

    def stack(self, name: str | None = None) -> StackInfo:
        """The stack of that name, or the first (the one that is profiled by default)."""
        return next((stack for stack in self.stacks if stack.name == name), self.stacks[0])
