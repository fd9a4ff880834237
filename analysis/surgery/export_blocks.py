"""The proof for a model that does not fit into memory: every tensor, and then one layer at a time."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from analysis.errors import PlanError
from analysis.surgery import compare
from analysis.surgery.config_cut import cut_for_stack, own_config
from analysis.surgery.export_plan import StackCut
from analysis.surgery.shards import Piece, Writing, block_prefix, pieces_of_files, renumbered, same_bytes, write_shards, write_synced

_ROOM = ".one-layer"


@dataclass(frozen=True)
class Side:
    """One of the two models: without weights, and where its tensors lie."""

    model: PreTrainedModel
    pieces: Sequence[Piece]


def prove_block_by_block(
    source: Side, wanted: Sequence[Piece], folder: Path, cuts: Sequence[StackCut], *, device: torch.device, checkpoint: Callable[[], None]
) -> tuple[PreTrainedModel, float, int]:
    """Every tensor of the written folder is the source's, and every kept layer computes what it computed.

    Each layer is loaded alone, out of the source and out of the written folder, and both get the same random states.

    Args:
        source: the source model.
        wanted: the tensors as they should have been written.
        folder: the written folder.
        cuts: what was done to which stack.
        device: where the layers run.
        checkpoint: called between layers; raises when it is time to stop.

    Returns:
        The written model without weights, the largest difference, and how many random tokens each layer got.

    Raises:
        PlanError: a tensor differs, or the folder does not load whole.
    """
    written = compare.reload(folder, device="meta")
    pieces = pieces_of_files(sorted(folder.glob("*.safetensors")))
    _check_bytes(wanted, pieces, checkpoint)
    new = Side(compare.without_weights(written.config, type(written)), pieces)
    worst, n_tokens = 0.0, 0
    for cut in cuts:
        for index, block in enumerate(cut.keep):
            checkpoint()
            before, n_tokens = _output(source, cut, block, cut.info.n_blocks, folder / _ROOM, device)
            after, _ = _output(new, cut, index, len(cut.keep), folder / _ROOM, device)
            worst = max(worst, compare.largest(before, after))
    return written, worst, n_tokens


def _check_bytes(wanted: Sequence[Piece], found: Sequence[Piece], checkpoint: Callable[[], None]) -> None:
    by_name = {piece.name: piece for piece in found}
    for piece in wanted:
        checkpoint()
        if piece.name not in by_name or not same_bytes(piece, by_name[piece.name]):
            raise PlanError(
                "The weight {name} was not written as it stands in the source, so the export was not kept. Try again.", name=piece.name
            )


def _output(side: Side, cut: StackCut, block: int, n_blocks: int, room: Path, device: torch.device) -> tuple[Tensor, int]:
    """What one layer makes of random states, with the settings it has in its own model."""
    try:
        alone = _alone(side, cut, block, n_blocks, room, device)
    except PlanError as exc:
        raise PlanError(
            "The model does not fit into memory, and its layer {block} cannot be run alone, so the export could not be proved. Export it "
            "on a machine with more memory.",
            block=block,
        ) from exc
    finally:
        shutil.rmtree(room, ignore_errors=True)
    inner = alone.get_submodule(f"{cut.info.path}.0")
    layer = _filled(side.model.get_submodule(f"{cut.info.path}.{block}"), inner)
    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
    handle = inner.register_forward_pre_hook(lambda _, args, kwargs: calls.append((args, kwargs)), with_kwargs=True)
    questions = compare.questions_for(alone, [], None)
    try:
        compare.ask(alone, compare.Questions(questions.random[:1], ()), generate=False)
    finally:
        handle.remove()
    if not calls:
        raise PlanError(
            "The layers of {stack} are not run by text, so their export could not be proved. Skip them at run time instead "
            "(python -m analysis run-plan).",
            stack=cut.info.name,
        )
    args, kwargs = _random_states(*calls[0])
    with torch.no_grad():
        output = layer(*args, **kwargs)
    return cast(Tensor, output[0] if isinstance(output, tuple) else output), compare.Questions(questions.random[:1], ()).n_random_tokens


def _alone(side: Side, cut: StackCut, block: int, n_blocks: int, room: Path, device: torch.device) -> PreTrainedModel:
    """The model with this one layer only, loaded."""
    config = side.model.config
    own = own_config(side.model, config, cut.info.path)
    small = cut_for_stack(config, own, [block], n_blocks=n_blocks, stack=cut.info.name)
    small.architectures = [type(side.model).__name__]
    prefix = block_prefix([piece.name for piece in side.pieces], cut.info.path, n_blocks)
    named = [(piece, renumbered(piece.name, prefix, [block])) for piece in side.pieces]
    pieces = [piece.renamed(name) for piece, name in named if name is not None]
    room.mkdir()
    write_shards(room, pieces, 2**62, Writing(0, lambda _: None, lambda: False))
    write_synced(room / "config.json", small.to_json_string(use_diff=False).encode())
    return compare.reload(room, device=device)


def _filled(without_weights: nn.Module, filled: nn.Module) -> nn.Module:
    """A copy of a layer with the weights of another of the same make; its settings stay its own."""
    layer = copy.deepcopy(without_weights)
    layer.load_state_dict(filled.state_dict(), strict=True, assign=True)
    for name, module in layer.named_modules():
        for own in module._buffers:
            module._buffers[own] = filled.get_submodule(name)._buffers[own]
    return layer.eval()


def _random_states(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The layer's call with random numbers in the place of its residual stream."""

    def random(states: Tensor) -> Tensor:
        return torch.randn(states.shape, generator=torch.Generator().manual_seed(21)).to(states)

    return ((random(args[0]), *args[1:]), kwargs) if args else (args, kwargs | {"hidden_states": random(kwargs["hidden_states"])})
