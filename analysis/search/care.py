"""What is seen to around a measurement: no dropout, a question whether to stop before every block, and refusals in words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from torch import nn

from analysis.errors import ModelError
from analysis.models.stack import LoadedModel, Stack


@contextmanager
def without_dropout(model: nn.Module) -> Iterator[None]:
    """Inside, every module evaluates; those that were training train again afterwards."""
    training = [module for module in model.modules() if module.training]
    try:
        for module in training:
            module.training = False
        yield
    finally:
        for module in training:
            module.training = True


@contextmanager
def asking(stack: Stack, ask: Callable[[], None]) -> Iterator[None]:
    """Inside, every block of a whole run asks whether to go on before it runs."""
    handles = [block.register_forward_pre_hook(lambda *_: ask()) for block in stack.blocks]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def overflowed(loaded: LoadedModel) -> ModelError:
    """Where the untouched model's loss is no number, nothing can be compared with it."""
    return ModelError(
        "The untouched model {model} gives no usable numbers in {dtype} on this workload (infinite, or not a number). Choose float32 "
        "or bfloat16.",
        model=loaded.info.name,
        dtype=str(loaded.dtype).removeprefix("torch."),
    )


def check_vocabulary(loaded: LoadedModel, largest: int) -> None:
    """Found out here in words, because a GPU would end the whole process over it."""
    known = int(loaded.model.get_input_embeddings().weight.shape[0])
    if largest >= known:
        raise ModelError(
            "The tokenizer of {model} gives token number {token}, but the model knows only {known} tokens. Copy the tokenizer that "
            "belongs to this model beside its weights.",
            model=loaded.info.name,
            token=largest,
            known=known,
        )
