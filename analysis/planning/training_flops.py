"""FLOPs of one training step, part by part, 2 for every multiply-add.

With F = a block's matrix FLOPs forward and A = its attention scores' and weighted sums', per token:

* forward: F + A of every block, and the head's on tokens whose loss is taken. A cached prefix is not computed.
* backward of a block that trains: F for the gradient of its input, F for the gradient of its weights, 2 A.
* LoRA adds adapters of rank r on every matrix, 2 r (in + out) forward and twice that backward; base weights have no gradient.
* the head gives its input's gradient (its own weights stay as they are: embeddings and head never train here).
* the first block that trains needs no gradient of its own input. Where a norm that trains stands before its matrices (pre-norm,
  full fine-tuning) theirs is needed for that norm; with LoRA, or where matrices read the input itself (post-norm), it is not.
* frozen blocks: forward only.

Not counted: norms, activations, rotary tables, softmax, the optimizer (element-wise), and other stacks of an encoder-decoder.
Source: methods as in SALF's cost model (2 N forward, 2 N for activations, 2 N for weights), made exact by shapes.
"""

from __future__ import annotations

from collections.abc import Iterator

from analysis.contracts import ModelInfo, TrainingShape
from analysis.errors import PlanError
from analysis.planning.projection import mean_looked_at
from analysis.planning.training_parts import Parts, parts_of


def step_flops(
    info: ModelInfo,
    eof_layer: int,
    shape: TrainingShape,
    *,
    cached: bool = False,
    stack: str | None = None,
    counted: bool = False,
) -> float:
    """FLOPs of one optimizer step over `shape.batch_size` sequences.

    Args:
        info: the model.
        eof_layer: the last frozen block; -1: none.
        shape: the step.
        cached: the frozen prefix's output is read, not computed.
        stack: the stack that trains; None: the model's first.
        counted: as a counter of operations finds them, which sees no mask: every token looks at the whole sequence.

    Raises:
        PlanError: nothing would train.
    """
    blocks = info.stack(stack)
    check_boundary(eof_layer, blocks.n_blocks)
    tokens = shape.batch_size * shape.sequence_tokens
    total = 0.0
    for block in blocks.blocks:
        parts = parts_of(info, blocks, block)
        scores = _scores(parts, shape.sequence_tokens, blocks.causal, counted)
        if block.index <= eof_layer:
            total += 0.0 if cached else tokens * (parts.linear_flops + scores)
        else:
            total += tokens * sum(_trained(parts, scores, shape, first=block.index == eof_layer + 1))
    return total + 2 * info.head_flops_per_token * judged_tokens(shape)


def judged_tokens(shape: TrainingShape) -> int:
    """Tokens of a batch whose loss is taken: those go through the head."""
    return shape.batch_size * min(shape.response_tokens or shape.sequence_tokens, shape.sequence_tokens)


def check_boundary(eof_layer: int, n_blocks: int) -> None:
    """Raises PlanError unless at least one layer trains."""
    if not -1 <= eof_layer <= n_blocks - 2:
        raise PlanError(
            "The last frozen layer is given as {eof}. In a model of {n_blocks} layers it is -1 (none) to {last}: "
            "at least one layer must train.",
            eof=eof_layer,
            n_blocks=n_blocks,
            last=n_blocks - 2,
        )


def _scores(parts: Parts, length: int, causal: bool, counted: bool) -> float:
    mean = float(length) if counted else mean_looked_at(length, parts.window, causal)
    return parts.score_flops * mean + parts.cross_flops * length


def _trained(parts: Parts, scores: float, shape: TrainingShape, *, first: bool) -> Iterator[float]:
    """Per token: forward, gradients of inputs, gradients of weights."""
    reads_input = shape.method == "lora" or parts.layout == "post_norm"
    spared = first and reads_input
    yield parts.linear_flops + scores
    yield parts.linear_flops - (parts.reading_flops if spared else 0) + 2 * scores
    if shape.method == "full":
        yield parts.linear_flops
        return
    readers = parts.attention_readers + (parts.mlp_readers if parts.layout == "parallel" else 0)
    yield 6 * shape.lora_rank * (parts.adapter_inputs + parts.adapter_outputs)
    if spared:
        yield -2.0 * shape.lora_rank * readers * parts.d
