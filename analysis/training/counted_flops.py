"""FLOPs of one training pass, counted operation by operation by torch's own counter, to hold the arithmetic against."""

from __future__ import annotations

from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from analysis.contracts import TrainingShape
from analysis.models.stack import LoadedModel, Stack
from analysis.profiling.stream import out_of_memory
from analysis.training.callbacks import inputs_of
from analysis.training.checks import unchanged
from analysis.training.measure_steps import random_examples
from analysis.training.prefix import Prefix, norms_behind
from analysis.training.trainee import Trainee


def counted_step_flops(loaded: LoadedModel, stack: Stack, eof_layer: int, shape: TrainingShape) -> int | None:
    """FLOPs of a step of full weights behind a boundary: one sequence is run forward and backward, times the batch.

    Attention runs in its plain form, because the counter knows fused kernels on some devices only; it sees no mask, so every token
    counts as looking at the whole sequence.

    Args:
        loaded: the model; nothing in it is changed.
        stack: the stack that trains.
        eof_layer: the last frozen block.
        shape: the step; adapters are not counted.

    Returns:
        None where plain attention does not fit the memory.
    """
    examples = random_examples(shape.model_copy(update={"batch_size": 1}), loaded.info.vocab_size)
    ((batch, weights),) = examples.micro_batches([0], 1)
    modules = (*stack.blocks[eof_layer + 1 :], *norms_behind(stack))
    counter = FlopCounterMode(display=False)
    with unchanged(loaded):
        for parameter in loaded.model.parameters():
            parameter.requires_grad_(False)
        for module in modules:
            module.requires_grad_(True)
        trainee = Trainee(loaded, stack, Prefix(stack, eof_layer))
        inputs = inputs_of(batch, weights, loaded.device) | {"indices": None}
        try:
            with sdpa_kernel(SDPBackend.MATH), counter:
                trainee(**inputs).backward()
        except (RuntimeError, MemoryError) as exc:
            if not out_of_memory(exc):
                raise
            return None
    return int(counter.get_total_flops()) * shape.batch_size
