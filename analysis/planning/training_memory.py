"""Memory of a training step, worked out from shapes: weights, gradients, optimizer state, activations, and the peak.

* weights: those that train in `trained_bits`, frozen ones in `weight_bits`. A quantised base (4 or 8 bits) has the matrices of its
  blocks in that many bits and a 16-bit scale for every 64 weights (4.25 and 8.25 bits in all); the rest stays in 16.
* gradients: of weights that train, in `trained_bits`; optimizer: AdamW's two moments of each, in `trained_bits`.
* activations: what is kept for the backward pass, fused attention taken for granted (no scores). With b bytes of a number in the
  computation's format and s of the residual stream (4 under autocast, as float32 weights and bfloat16 arithmetic make it), d, q,
  kv, and m = the MLP's width, a block that trains keeps for every token:
      RMSNorm     the stream in float32 and its inverse size; where its gain trains, the normalised stream           4 d + 4 + s d
      LayerNorm   the stream, mean and deviation                                                                     s d + 8
      its output  once, or once for each matrix that reads it where autocast converts it                             b d (x readers)
      attention   queries, keys and values, the result, and a float32 number per head                                b (2 q + kv)
                  where a padding mask is given, that mask, and keys and values for every query head                 b (4 q + S)
      MLP         gated: gate, activated gate, up, product, 4 m b; plain: before and after, 2 m b; ReLU: after, m b; a GELU
                  that is written out: 5 m b (16 m under autocast, which takes its powers in float32)
  and, once, copies of its matrices in b bytes where they are kept in more (autocast). The first block that trains keeps no stream
  of its own. After the blocks: the final norm, and the head's log-probabilities in float32.
* peak = weights + optimizer + the widest moment: the loss (all activations, and two gradients of word scores in float32),
  the backward pass of a block (activations still kept,
  gradients so far, and of its MLP's inner states at once), or the optimizer step (all gradients).

Not counted: dropout masks, copies inside experts, a prefix cache in memory (`cache_bytes` tells it); nor what a GPU adds: the matrix
library's workspaces (32 MiB on a GPU of the Hopper kind, 8 MiB on others, once for the thread that computes forward and once for the one
that computes backward), and the allocator's rounding (up to 1 MiB of each tensor above 1 MiB: 1.8 MiB for each trained layer of the
sample model at 8 x 67 tokens). In steps of a gigabyte and less that is a tenth, in large ones nothing to speak of. Architectures that
`training_parts` does not know are taken for Llama-like.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from analysis.contracts import BlockInfo, ModelInfo, StackInfo, StepModel, TrainingShape
from analysis.planning.memory import WIDTHS, WRITTEN_OUT
from analysis.planning.steps import predict_peak
from analysis.planning.training_flops import check_boundary, judged_tokens
from analysis.planning.training_parts import (
    EXPERTS,
    FUSED_QKV,
    NO_ROTARY,
    PART_ROTARY,
    PLAIN,
    QK_NORM,
    RELU,
    Parts,
    adapter_parameters,
    norm_parameters,
    parts_of,
)

GROUP = 64
"""Weights of a quantised base that share one 16-bit scale."""


@dataclass(frozen=True)
class TrainingBytes:
    """What a training step takes, in bytes; `n_trainable` in numbers."""

    n_trainable: int
    weights: int
    gradients: int
    optimizer: int
    activations: int
    peak: int


def training_bytes(
    info: ModelInfo,
    eof_layer: int,
    shape: TrainingShape,
    *,
    stack: str | None = None,
    steps: StepModel | None = None,
    padded: bool | None = None,
) -> TrainingBytes:
    """Bytes of one optimizer step with blocks 0..eof_layer frozen; see the module's formulas.

    Args:
        info: the model.
        eof_layer: the last frozen block; -1: none.
        shape: the step; its whole batch goes through in one pass.
        stack: the stack that trains; None: the model's first.
        steps: steps measured on a device with this shape: the peak is then theirs.
        padded: sequences of unlike length, so that a mask is given and grouped keys and values are repeated; None: more
            than one sequence.

    Raises:
        PlanError: nothing would train.
    """
    blocks = info.stack(stack)
    check_boundary(eof_layer, blocks.n_blocks)
    layout = _Layout.of(info, blocks, shape, shape.batch_size > 1 if padded is None else padded)
    training = blocks.blocks[eof_layer + 1 :]
    kept = [layout.kept(block, first=place == 0) for place, block in enumerate(training)]
    n_trainable = sum(layout.trainable(block) for block in training) + (norm_parameters(info) if shape.method == "full" else 0)
    gradients = n_trainable * shape.trained_bits // 8
    weights = layout.weights(training, n_trainable)
    activations = sum(kept) + layout.after()
    widest = max(_moments(training, kept, layout, gradients))
    measured = predict_peak(steps, eof_layer) if steps is not None else None
    peak = weights + 2 * gradients + widest if measured is None else round(measured)
    return TrainingBytes(n_trainable, weights, gradients, 2 * gradients, activations, peak)


def _moments(training: Sequence[BlockInfo], kept: list[int], layout: _Layout, gradients: int) -> Iterator[int]:
    """The widest moments beside weights and optimizer: at the loss, inside each block's backward pass, and in the optimizer step."""
    yield sum(kept) + layout.after() + layout.loss_moment()
    still, so_far = sum(kept), 0
    for block, bytes_kept in zip(reversed(training), reversed(kept), strict=True):
        yield still + so_far + layout.backward_moment(block)
        so_far += layout.trainable(block) * layout.shape.trained_bits // 8
        still -= bytes_kept
    yield gradients


@dataclass(frozen=True)
class _Layout:
    """How a step lies in memory: bytes of a number in the computation, in the residual stream, and in frozen weights."""

    info: ModelInfo
    blocks: StackInfo
    shape: TrainingShape
    computed: int
    stream: int
    padded: bool

    @classmethod
    def of(cls, info: ModelInfo, blocks: StackInfo, shape: TrainingShape, padded: bool) -> _Layout:
        computed = WIDTHS[shape.dtype]
        frozen = max(shape.weight_bits, 16) // 8
        return cls(info, blocks, shape, computed, max(frozen, computed), padded)

    @property
    def autocast(self) -> bool:
        """Weights are kept in a wider format than the computation's."""
        return self.shape.trained_bits // 8 > self.computed

    @property
    def n_tokens(self) -> int:
        return self.shape.batch_size * self.shape.sequence_tokens

    @property
    def full(self) -> bool:
        return self.shape.method == "full"

    def trainable(self, block: BlockInfo) -> int:
        """Numbers of a block that train."""
        return block.n_parameters if self.full else adapter_parameters(parts_of(self.info, self.blocks, block), self.shape.lora_rank)

    def weights(self, training: tuple[BlockInfo, ...], n_trainable: int) -> int:
        """Bytes of all weights, adapters included."""
        frozen = self.info.n_parameters - (n_trainable if self.full else 0)
        bits = self.shape.weight_bits
        if bits >= 16:
            base = frozen * bits // 8
        else:
            packed = sum(_matrices(block) for block in self.blocks.blocks if not (self.full and block in training))
            base = (frozen - packed) * 2 + packed * bits // 8 + packed * 2 // GROUP
        return base + n_trainable * self.shape.trained_bits // 8

    def kept(self, block: BlockInfo, *, first: bool) -> int:
        """Bytes that one block keeps for its backward pass."""
        parts = parts_of(self.info, self.blocks, block)
        per_token = self._norms(parts, first=first) + self._attention(parts) + self._mlp(parts)
        copies = self.computed * _matrices(block) if self._converted else 0
        if not self.full:
            per_token += self._adapters(parts)
            copies += self.computed * self.trainable(block) if self.autocast else 0
        return self.n_tokens * per_token + copies

    def after(self) -> int:
        """Bytes kept beyond the blocks: the final norm, the head's copy and log-probabilities."""
        d, words = self.info.hidden_size, self.info.vocab_size
        rms = not self._layer_norm
        norm = (4 * d + 4 + (self._unit(self.stream) * d if self.full else 0)) if rms else self._wide * d + 8
        head = self.computed * self.info.head_flops_per_token // 2 if self.shape.weight_bits // 8 > self.computed else 0
        return self.n_tokens * norm + head + 4 * judged_tokens(self.shape) * words

    def loss_moment(self) -> int:
        """Bytes of word scores beside those that are kept: two gradients in float32."""
        return judged_tokens(self.shape) * self.info.vocab_size * 8

    def backward_moment(self, block: BlockInfo) -> int:
        """Bytes of the widest moment of a block's backward pass beside what is kept: in its MLP, whose inner gradients come at once.

        The product goes when the last matrix is done, and that matrix' gradient, the stream's and those of the inner states stand.
        """
        parts = parts_of(self.info, self.blocks, block)
        inner = self.computed * parts.inner * (2 if parts.gated or self.info.architecture.startswith((*WRITTEN_OUT, *RELU)) else 1)
        stream = (self.stream + (self.computed if self.autocast else 0)) * parts.d
        gradient = self.shape.trained_bits // 8 + (self.computed if self.autocast else 0)
        return self.n_tokens * (inner + stream) + (gradient * parts.inner * parts.d if self.full else 0)

    @property
    def _converted(self) -> bool:
        """Matrices of blocks that train are kept in a wider format than they are multiplied in."""
        return self.autocast if self.full else self.shape.weight_bits // 8 > self.computed

    @property
    def _layer_norm(self) -> bool:
        return self.info.architecture.startswith(PLAIN)

    @property
    def _wide(self) -> int:
        """Bytes in which a LayerNorm reads the stream: autocast hands it float32."""
        return 4 if self.autocast else self.stream

    def _unit(self, width: int) -> int:
        """Bytes of a number that an RMSNorm has brought to unit size: Gemma's multiplies it in float32."""
        return 4 if self.info.architecture.startswith("Gemma") else width

    def _norms(self, parts: Parts, *, first: bool) -> int:
        """Bytes a token that norms keep, and what they hand on to matrices. `first`: no gradient goes further down."""
        d, parallel = parts.d, parts.layout == "parallel"
        n_norms = 4 if parts.layout == "sandwich_norm" else 1 if parallel and not self._two_norms else 2
        states = 1 if parallel else n_norms  # norms side by side read one stream
        readers = parts.attention_readers + parts.mlp_readers
        handed_on = (readers if self._cast_for_each else n_norms if parallel else 2) * self.computed * d
        unread = 1 if first and (not self.full or not self._layer_norm) else 0
        if self._layer_norm:
            return (states - unread) * self._wide * d + 8 * n_norms + handed_on
        gains = self._unit(self.stream) * d * n_norms if self.full else 0
        return (states - unread) * 4 * d + 4 * n_norms + gains + handed_on

    @property
    def _two_norms(self) -> bool:
        """Attention and MLP side by side, each with a norm of its own."""
        return self.info.architecture.startswith("GPTNeoX")

    @property
    def _cast_for_each(self) -> bool:
        """Every matrix converts what a norm hands on for itself: under autocast, unless it is in the computation's format."""
        fits = self.full and self.info.architecture.startswith("Gemma") and self.stream == self.computed
        return self.autocast and not fits

    def _attention(self, parts: Parts) -> int:
        name, b = self.info.architecture, self.computed
        repeated = self.padded and parts.kv < 2 * parts.q
        numbers = 2 * parts.q + (2 * parts.q if repeated else parts.kv)
        if name.startswith(FUSED_QKV) and not name.startswith(NO_ROTARY) and not repeated:
            numbers += parts.q + parts.kv // 2  # values are a view into the whole, and keep it
        if name.startswith(PART_ROTARY):
            numbers += parts.q
        normalised = (parts.q + parts.kv // 2) * (4 + (self._unit(b) if self.full else 0)) if name.startswith(QK_NORM) else 0
        mask = b * self.shape.sequence_tokens if self.padded else 0
        return b * numbers + normalised + 4 * parts.q // 64 + mask

    def _adapters(self, parts: Parts) -> int:
        """What adapters keep: their narrow states, and under autocast attention's result once more."""
        narrow = self.shape.lora_rank * (parts.attention_readers + parts.mlp_readers + 2)
        once_more = self.autocast and not self.info.architecture.startswith(PART_ROTARY)
        return self.computed * (narrow + (parts.q if once_more else 0))

    def _mlp(self, parts: Parts) -> int:
        name, m, b = self.info.architecture, parts.inner, self.computed
        if parts.gated:
            return 4 * m * b
        if name.startswith(WRITTEN_OUT):
            return 16 * m if self.autocast else 5 * m * b
        return m * b if name.startswith(RELU) else 2 * m * b


def _matrices(block: BlockInfo) -> int:
    """Numbers in a block's matrices; of experts all, though a token meets few of them."""
    halves = [half for half in (block.attention, block.mlp, block.cross_attention) if half]
    used = [half.linear_flops_per_token // 2 for half in halves]
    return sum(half.n_parameters if half.n_parameters > EXPERTS * n else n for half, n in zip(halves, used, strict=True))
