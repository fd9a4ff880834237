"""A block's inner widths and habits, read from its counts: what training costs hang on.

With d = width of the residual stream: queries q from the score FLOPs, keys and values kv from the cache, W = the MLP's matrices'
widths together (3 m of a gated MLP of width m, 2 m of a plain one). Whether an MLP is gated, its activation, and whether several
projections are one matrix, counts do not tell: that is known of the architectures listed here; all others are taken for
Llama-like (RMSNorm, gated MLP, a matrix for each projection).
"""

from __future__ import annotations

from dataclasses import dataclass

from analysis.contracts import BlockInfo, Layout, ModelInfo, StackInfo
from analysis.planning.memory import WRITTEN_OUT, stored_width

PLAIN = (
    *WRITTEN_OUT,
    "GPTNeoX",
    "GPTBigCode",
    "OPT",
    "Falcon",
    "MPT",
    "Mpt",
    "Starcoder2",
    "Bert",
    "DistilBert",
    "Roberta",
    "XLMRoberta",
    "Electra",
    "Albert",
    "ViT",
    "Whisper",
)
"""Beginnings of architecture names with LayerNorm and a plain MLP."""
RELU = ("OPT",)
"""Of these, those whose activation keeps its result only."""
FUSED_QKV = ("GPT2", "GPTNeoX", "GPTBigCode", "Falcon", "Bloom", "MPT", "Mpt", "Phi3", "ModernBert")
"""Queries, keys and values come from one matrix."""
FUSED_GATE = ("Phi3", "ModernBert")
"""Gate and up projection are one matrix."""
NO_ROTARY = ("GPT2", "GPTBigCode", "GPTNeoFor", "OPT", "Bloom", "MPT", "Mpt", "Bert", "DistilBert", "Roberta", "XLMRoberta", "Electra")
"""Queries and keys are used as they leave their matrix."""
PART_ROTARY = ("GPTNeoX", "GPTJ", "CodeGen", "PhiFor", "Phi3", "StableLm", "Glm")
"""Rotary positions turn a part of each head, and the parts are put together anew: attention's result is then copied once."""
QK_NORM = ("Qwen3", "Gemma3", "Olmo2", "Olmo3")
"""Queries and keys are normalised."""

EXPERTS = 1.5
"""An MLP with so many times the weights that a token meets has experts."""


@dataclass(frozen=True)
class Parts:
    """One block, in numbers per token.

    Attributes:
        d: width of the residual stream.
        q: queries of all heads; the result of attention is as wide.
        kv: keys and values together.
        inner: width of the MLP's hidden states.
        gated: the MLP has a gate.
        experts: the MLP has several, of which a token meets a few.
        attention_readers: matrices that read the attention's input: 1 or 3.
        mlp_readers: matrices that read the MLP's input.
        linear_flops: of all matrices, forward.
        score_flops: of attention, for each token looked at.
        window: tokens a sliding window looks back; None: all.
    """

    d: int
    q: int
    kv: int
    inner: int
    gated: bool
    experts: bool
    attention_readers: int
    mlp_readers: int
    linear_flops: int
    score_flops: int
    cross_flops: int
    window: int | None
    layout: Layout

    @property
    def reading_flops(self) -> int:
        """Forward FLOPs of the matrices that read the block's own input: the attention's, and beside it the MLP's where both read it."""
        return 2 * self.d * (self.q + self.kv + (self.mlp_in if self.layout == "parallel" else 0))

    @property
    def mlp_in(self) -> int:
        """Width of what the MLP's first matrices give."""
        return (2 if self.gated else 1) * self.inner

    @property
    def adapter_inputs(self) -> int:
        """Widths that adapters on every matrix read, together; experts have none."""
        return self.attention_readers * self.d + self.q + (0 if self.experts else self.mlp_readers * self.d + self.inner)

    @property
    def adapter_outputs(self) -> int:
        """Widths that adapters on every matrix write, together; experts have none."""
        return self.q + self.kv + self.d + (0 if self.experts else self.mlp_in + self.d)


def parts_of(info: ModelInfo, stack: StackInfo, block: BlockInfo) -> Parts:
    """The block's widths."""
    d, name = info.hidden_size, info.architecture
    attention, mlp, cross = block.attention, block.mlp, block.cross_attention
    q = attention.flops_per_token_per_context // 4 if attention else 0
    cached = attention.kv_bytes_per_token // stored_width(info) if attention else 0
    gated = not name.startswith(PLAIN)
    widths = mlp.linear_flops_per_token // (2 * d) if mlp else 0
    return Parts(
        d=d,
        q=q,
        kv=cached or (max(attention.linear_flops_per_token // (2 * d) - 2 * q, 0) if attention else 0),
        inner=widths // (3 if gated else 2),
        gated=gated,
        experts=mlp is not None and mlp.n_parameters > EXPERTS * (mlp.linear_flops_per_token // 2),
        attention_readers=(1 if name.startswith(FUSED_QKV) else 3) if attention else 0,
        mlp_readers=(2 if gated and not name.startswith(FUSED_GATE) else 1) if mlp else 0,
        linear_flops=sum(half.linear_flops_per_token for half in (attention, mlp, cross) if half),
        score_flops=attention.flops_per_token_per_context if attention else 0,
        cross_flops=cross.flops_per_token_per_context if cross else 0,
        window=attention.attention_window if attention else None,
        layout=stack.layout,
    )


def adapter_parameters(parts: Parts, rank: int) -> int:
    """Parameters of LoRA adapters on every matrix of the block."""
    return rank * (parts.adapter_inputs + parts.adapter_outputs)


def norm_parameters(info: ModelInfo) -> int:
    """Parameters of the final norm: a gain, and in LayerNorms a shift, as far as the model has numbers left for it."""
    blocks = sum(block.n_parameters for stack in info.stacks for block in stack.blocks)
    left = info.n_parameters - blocks - info.embedding_parameters - info.head_parameters
    return max(0, min(left, (2 if info.architecture.startswith(PLAIN) else 1) * info.hidden_size))
