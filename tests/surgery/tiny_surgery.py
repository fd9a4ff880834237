"""Tiny models for the surgery tests, what leaving a unit out must give, and a count of matrix products."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from analysis.contracts.search import UnitRef
from analysis.models.stack import LoadedModel, Stack
from tests.models import tiny
from tests.profiling.tiny import loaded as as_loaded

ENCODERS = ("bert", "distilbert", "modernbert")
TWO_STACKS = ("t5", "whisper")
DECODERS = tuple(name for name in tiny.TINY if name not in (*ENCODERS, *TWO_STACKS, "vit"))
STACKS = tuple((name, place) for name in tiny.TINY for place in range(2 if name in TWO_STACKS else 1))

_OUT_PROJECTION = {
    "attention": re.compile(
        r"^((self_attn|self_attention|attention|attn|layer\.0\.SelfAttention)\.(o_proj|out_proj|c_proj|dense|out_lin|Wo|o|output\.dense)\.)"
    ),
    "mlp": re.compile(r"(^mlp\..*down_proj|^mlp\.(c_proj|fc2|dense_4h_to_h|Wo)\.|^fc2\.|^output\.dense\.|lin2\.|DenseReluDense\.wo\.)"),
}
_PRODUCTS = re.compile(r"aten::(mm|addmm|bmm|baddbmm|_grouped_mm|grouped_mm|.*scaled_dot_product.*|linear|matmul)$")


def build(name: str, dtype: torch.dtype = torch.float32) -> LoadedModel:
    """A tiny model whose biases and norms are random too, so that nothing vanishes by chance."""
    model = tiny.build(name)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    return as_loaded(model.to(dtype))


def tokens(n: int = 9, first: int = 20) -> Tensor:
    """One prompt."""
    return torch.arange(first, first + n)[None]


@torch.no_grad()
def outputs(loaded: LoadedModel, ids: Tensor | None = None) -> Tensor:
    """What the model gives for a prompt: logits, in the way each kind of model is asked for them."""
    model, ids = loaded.model, tokens() if ids is None else ids
    config, generator = model.config, torch.Generator().manual_seed(2)
    if model.main_input_name == "pixel_values":
        return model(pixel_values=torch.randn(1, 3, 16, 16, generator=generator).to(model.dtype)).logits
    if model.main_input_name == "input_features":
        sound = torch.randn(1, config.num_mel_bins, 2 * config.max_source_positions, generator=generator).to(model.dtype)
        return model(input_features=sound, decoder_input_ids=ids).logits
    if config.is_encoder_decoder:
        return model(input_ids=ids, decoder_input_ids=ids.flip(1)).logits
    return model(input_ids=ids).logits


@contextmanager
def undone(stack: Stack, removed: Sequence[UnitRef]) -> Iterator[None]:
    """The same by other means: a block's output is replaced by its input, a half's last projection is zero."""
    with ExitStack() as cleanup:
        for unit, index in removed:
            block = stack.blocks[index]
            if unit == "block":
                cleanup.callback(block.register_forward_hook(_passes, with_kwargs=True).remove)
                continue
            chosen = [parameter for name, parameter in block.named_parameters() if _OUT_PROJECTION[unit].search(name)]
            assert chosen
            for parameter in chosen:
                cleanup.callback(parameter.data.copy_, parameter.data.clone())
                parameter.data.zero_()
        yield


def _passes(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> Any:
    stream = args[0] if args else kwargs["hidden_states"]
    return (stream, *output[1:]) if isinstance(output, tuple) else stream


class _Products(TorchDispatchMode):
    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.count, self._inside = 0, False
        self._handles = [block.register_forward_pre_hook(self._enter), block.register_forward_hook(self._leave)]

    def _enter(self, *_: Any) -> None:
        self._inside = True

    def _leave(self, *_: Any) -> None:
        self._inside = False

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += self._inside and bool(_PRODUCTS.match(function._schema.name))
        return function(*args, **(kwargs or {}))

    def __exit__(self, *exc: Any) -> None:
        super().__exit__(*exc)
        for handle in self._handles:
            handle.remove()


def products(loaded: LoadedModel, block: nn.Module) -> int:
    """Matrix products that really happen inside one block during a run."""
    with _Products(block) as counter:
        outputs(loaded)
    return counter.count
