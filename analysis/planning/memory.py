"""Memory of a prefill, worked out from a model's shapes: weights, KV cache, and the widest moment of the activations.

With B sequences of S tokens, n = B S, d = width of the residual stream, b = bytes of a number while running:

* weights: parameters x b; pruned units are gone, skipped ones stay. Packed (quantised) weights keep their stored bytes.
* KV cache: after a prefill, bytes per token x S of every attention that runs. A sliding layer keeps only w - 1 tokens for
  the next step (`kv_bytes`), but as a view of all S, so the prefill holds all S.
* activations, per block, on top of the cache of the blocks before it and of 1 d for the embeddings, which live on:
    norm       2 d for the stream and its input, and two copies in float32                       -> 3 n d b + 2 n d max(4, b)
    attention  stream and norm; queries q and keys and values kv, and the copies rotary positions
               make of queries (3 more) or keys (4 in all): max(4 q + kv, 2 q + 2.5 kv)           -> n (3 d + that) b
    mlp        stream before and between the halves, norm, and inner states as wide as the
               half's matrices are together: act, up and product of a gated MLP, before and after
               of a plain one, W = FLOPs per token / 2 d                                          -> n (4 d + W) b
    head       stream and word scores of the last position                                        -> 3 n d b + B V b
  and, where a window is shorter than S, a mask of S S bytes, and once more in the number format while attention runs,
  with keys and values repeated for every query head. Architectures whose GELU is written out in Python hold 2 W, not W.

Fused (SDPA or flash) attention is taken for granted: scores are never in memory. Not counted: workspaces that libraries
keep for themselves (8 to 64 MiB on a GPU, told apart when measuring), the allocator's rounding (512 bytes; up to 1 MiB for
large tensors), rotary tables (2 S numbers of a head's width), and copies inside experts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from analysis.contracts import BlockInfo, ModelInfo, StackInfo, SubBlockInfo
from analysis.contracts.search import UnitRef, ordered
from analysis.errors import InputError
from analysis.planning.projection import removed_bytes, removed_parameters, tokens_kept

WRITTEN_OUT = ("GPT2", "GPTNeoFor", "GPTJ", "PhiFor", "Bloom", "CodeGen")
"""Beginnings of architecture names whose GELU keeps two more copies of the inner states."""
WIDTHS = {"float32": 4, "bfloat16": 2, "float16": 2, "float64": 8}
"""Bytes of a number by the name of its format."""


def peak_memory(
    info: ModelInfo,
    removed: Iterable[UnitRef],
    *,
    context_tokens: int,
    batch_size: int = 1,
    width: int | None = None,
    stack: str | None = None,
    pruned: bool = False,
) -> int:
    """Most bytes that reading a batch of prompts takes on a GPU; see the module's formulas.

    Args:
        info: the model's anatomy.
        removed: units that are left out.
        context_tokens: length of each prompt.
        batch_size: prompts read at once.
        width: bytes of a number while running; None: as the checkpoint stores them.
        stack: the stack the units are in; None: the model's first.
        pruned: their weights are gone too; False: only not computed.
    """
    gone = ordered(tuple(removed))
    weights = weight_bytes(info, gone if pruned else (), width=width, stack=stack)
    return weights + working_bytes(info, gone, context_tokens=context_tokens, batch_size=batch_size, width=width, stack=stack)


def weight_bytes(info: ModelInfo, pruned: Iterable[UnitRef] = (), *, width: int | None = None, stack: str | None = None) -> int:
    """Bytes of the parameters in memory once the units are pruned."""
    gone, blocks, stored = frozenset(ordered(tuple(pruned))), info.stack(stack), stored_width(info)
    if width is None or info.weight_bytes < info.n_parameters * stored:  # packed weights stay packed whatever format runs
        return info.weight_bytes - removed_bytes(blocks, gone)
    return (info.n_parameters - removed_parameters(blocks, gone)) * width


def kv_bytes(
    info: ModelInfo,
    removed: Iterable[UnitRef] = (),
    *,
    context_tokens: int,
    batch_size: int = 1,
    width: int | None = None,
    stack: str | None = None,
) -> int:
    """Bytes that the cache holds for the next step: of a sliding layer the last w - 1 tokens, as the new one is the w-th."""
    _check(context_tokens, batch_size)
    tokens = 0
    for attention in _running_attentions(info.stack(stack), frozenset(ordered(tuple(removed)))):
        tokens += attention.kv_bytes_per_token * tokens_kept(context_tokens, attention.attention_window)
    run, stored = _ratio(info, width)
    return batch_size * tokens * run // stored


def working_bytes(
    info: ModelInfo,
    removed: Iterable[UnitRef] = (),
    *,
    context_tokens: int,
    batch_size: int = 1,
    width: int | None = None,
    stack: str | None = None,
) -> int:
    """Most bytes that a prefill takes beside the weights: the cache so far and the activations, at the widest moment."""
    _check(context_tokens, batch_size)
    blocks, gone = info.stack(stack), frozenset(ordered(tuple(removed)))
    inner = 2 if info.architecture.startswith(WRITTEN_OUT) else 1
    shape = _Shape(batch_size, context_tokens, info.hidden_size, *_ratio(info, width), inner)
    windowed = any(0 < (attention.attention_window or 0) < context_tokens for attention in _running_attentions(blocks, gone))
    mask = context_tokens**2 if windowed else 0
    widest, cache = 0, 0
    for block in blocks.blocks:
        for moment in shape.moments(block, gone):
            widest = max(widest, cache + moment)
        cache += shape.cache_bytes(block, gone)
    return mask + max(widest, cache + shape.head_moment(info.vocab_size if blocks.causal else 0)) + 16 * shape.n_tokens


def stored_width(info: ModelInfo) -> int:
    """Bytes of a number in the checkpoint."""
    return WIDTHS.get(info.dtype, 4)


def _ratio(info: ModelInfo, width: int | None) -> tuple[int, int]:
    """Bytes of a number while running and in the checkpoint."""
    stored = stored_width(info)
    return width or stored, stored


def _check(context_tokens: int, batch_size: int) -> None:
    if context_tokens < 1 or batch_size < 1:
        raise InputError(
            "{batch} prompts of {length} tokens were asked for. Give at least one prompt of at least one token.",
            batch=batch_size,
            length=context_tokens,
        )


def _running_attentions(stack: StackInfo, gone: frozenset[UnitRef]) -> Iterator[SubBlockInfo]:
    for block in stack.blocks:
        attention = _running(block, "attention", gone)
        if attention is not None:
            yield attention


def _running(block: BlockInfo, half: str, gone: frozenset[UnitRef]) -> SubBlockInfo | None:
    if ("block", block.index) in gone or (half, block.index) in gone:
        return None
    return block.attention if half == "attention" else block.mlp


@dataclass(frozen=True)
class _Shape:
    """A batch on its way through a stack. Cached bytes are told in the checkpoint's format: `width` / `stored` of them."""

    batch_size: int
    length: int
    d: int
    width: int
    stored: int
    inner_copies: int

    @property
    def n_tokens(self) -> int:
        """Tokens of all sequences."""
        return self.batch_size * self.length

    def cache_bytes(self, block: BlockInfo, gone: frozenset[UnitRef]) -> int:
        """What a block's attention leaves in the cache during a prefill."""
        attention = _running(block, "attention", gone)
        return 0 if attention is None else self.n_tokens * attention.kv_bytes_per_token * self.width // self.stored

    def moments(self, block: BlockInfo, gone: frozenset[UnitRef]) -> Iterator[int]:
        """The wide moments of one block, beside the cache of the blocks before it."""
        attention, mlp = _running(block, "attention", gone), _running(block, "mlp", gone)
        if attention is not None:
            yield self._attention(attention)
        if mlp is not None:
            after = self.cache_bytes(block, gone)
            yield after + self._bytes(4 * self.d + self.inner_copies * mlp.linear_flops_per_token // (2 * self.d))
            yield after + self._bytes(3 * self.d) + 2 * self.n_tokens * self.d * max(4, self.width)

    def head_moment(self, words: int) -> int:
        """The end: the stream, and word scores of each sequence's last token."""
        return self._bytes(3 * self.d) + self.batch_size * words * self.width

    def _attention(self, attention: SubBlockInfo) -> int:
        queries = attention.flops_per_token_per_context // 4
        cached = attention.kv_bytes_per_token // self.stored
        pair = cached or max(attention.linear_flops_per_token // (2 * self.d) - 2 * queries, 0)
        rotary = self._bytes(3 * self.d + max(4 * queries + pair, 2 * queries + 5 * pair // 2))
        if attention.attention_window is None or attention.attention_window >= self.length:
            return rotary
        repeated = 4 * queries + pair  # queries, result, and keys and values once for every query head
        return max(rotary, self._bytes(3 * self.d + repeated) + self.length**2 * self.width)

    def _bytes(self, numbers_per_token: int) -> int:
        return self.n_tokens * numbers_per_token * self.width
