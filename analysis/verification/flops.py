"""FLOPs of a prefill by torch's own counter, on a twin of the model without weights.

What is counted: the matrix products of the stack's blocks, and of the head for the last position of each sequence. Scores
above the diagonal of a causal attention and outside a window are counted too, because a counter sees shapes and no masks;
additions, norms, activations, the embedding and rotary angles are not. Of experts, those each token is sent to.

The twin is on the meta device with plain (eager) attention: on a CPU the counter knows nothing of fused attention.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from analysis.contracts.search import UnitRef
from analysis.models.stack import LoadedModel, Stack
from analysis.surgery.skip import left_out
from analysis.verification.passes import head_of

META = torch.device("meta")


@torch.no_grad()
def prefill_flops(loaded: LoadedModel, stack: Stack, removed: Iterable[UnitRef], *, batch_size: int, prompt_tokens: int) -> int:
    """FLOPs of reading a batch of prompts once, with the units left out.

    Args:
        loaded: the model; it is not run.
        stack: the stack that is run.
        removed: units that are not computed.
        batch_size: prompts.
        prompt_tokens: tokens of each.

    Raises:
        RuntimeError: the model looks at values while running, which one without weights does not have.
    """
    twin = _twin(loaded, stack, removed)
    own = twin.stacks[loaded.stacks.index(stack)]
    head = head_of(twin, own)
    ids = torch.zeros(batch_size, prompt_tokens, dtype=torch.long, device=META)
    with FlopCounterMode(display=False) as counter:
        with _inside(own.blocks, counter.get_total_flops) as spent:
            states: Tensor = own.root(input_ids=ids)[0]
        before = counter.get_total_flops()
        if head is not None:
            head.logits(states[:, -1])
        return int(spent() + counter.get_total_flops() - before)


def _twin(loaded: LoadedModel, stack: Stack, removed: Iterable[UnitRef]) -> LoadedModel:
    """The same modules and taps, what is left out included, with weights that have a shape and nothing else."""
    weightless: dict[int, Any] = {}
    for tensor in (*loaded.model.parameters(), *loaded.model.buffers()):
        empty = torch.empty_like(tensor, device=META)
        weightless[id(tensor)] = nn.Parameter(empty, requires_grad=False) if isinstance(tensor, nn.Parameter) else empty
    with left_out(stack, removed):
        model, stacks = copy.deepcopy((loaded.model, loaded.stacks), weightless)
    for config in {id(module.config): module.config for module in model.modules() if hasattr(module, "config")}.values():
        config.pad_token_id = None  # some look for padding among the ids, only to warn of it
        config._attn_implementation = "eager"
        config._experts_implementation = "batched_mm"  # the others look at which experts were chosen
    return replace(loaded, model=model, stacks=stacks, device=META)


@contextmanager
def _inside(blocks: Iterable[nn.Module], total: Callable[[], int]) -> Iterator[Callable[[], int]]:
    """What `total` grew by while a block was running."""
    spent, marks, handles = [0], list[int](), []

    def enters(*_: object) -> None:
        marks.append(total())

    def leaves(*_: object) -> None:
        spent[0] += total() - marks.pop()

    for block in blocks:
        handles += [block.register_forward_pre_hook(enters), block.register_forward_hook(leaves)]
    try:
        yield lambda: spent[0]
    finally:
        for handle in handles:
            handle.remove()
