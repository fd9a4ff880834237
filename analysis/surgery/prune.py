"""Units taken out of a model in memory for good: their weights are freed, and it runs and generates without them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from analysis.contracts import BlockInfo, StackInfo
from analysis.contracts.search import UnitRef, ordered
from analysis.errors import PlanError
from analysis.models.anatomy import describe
from analysis.models.stack import LoadedModel, Stack
from analysis.models.structure import FoundStack
from analysis.surgery.config_cut import cut_config
from analysis.surgery.skip import left_out, run_on_few_tokens, runner, ways_of
from analysis.surgery.stand_in import StandIn

_NOISE = 1e-2
"""Largest difference, as a share of the largest number, that is the device's own: some GPU sums change from run to run."""


def prune_model(loaded: LoadedModel, removed: Iterable[UnitRef], *, stack: str | None = None) -> LoadedModel:
    """Takes units out of the model itself, which is used up: go on with what is returned.

    Whole blocks leave the model and its config; of a block whose attention or MLP goes, only the weights that did that
    work are freed. The result gives the same numbers as leaving the units out, which is checked on a few tokens. Its
    commit is its own, so a plan for the whole model is not taken for one for this.

    Args:
        removed: (unit, block) pairs, blocks counted from 0.
        stack: name of the stack; None: the model's first.

    Raises:
        PlanError: a unit is not there or cannot be taken out; the model is then as it was.
    """
    old = loaded.stack(stack)
    units = ordered(tuple((unit, block) for unit, block in removed))
    gone = {block for unit, block in units if unit == "block"}
    _keep_one(old, gone)
    with left_out(old, units):
        wanted = run_on_few_tokens(old)
    keep = [index for index in range(len(old.blocks)) if index not in gone]
    halves = {(unit, keep.index(block)): (unit, block) for unit, block in units if unit != "block"}
    with ExitStack() as undo:
        _take_out(loaded, old, keep, undo)
        for way in ways_of(old, halves.values()):
            for module, stand_in in way:
                _strip(module, stand_in, undo)
        _check_generates(loaded)
        shorter = replace(old, blocks=tuple(old.blocks[index] for index in keep), taps=tuple(old.taps[index] for index in keep))
        _check_same(wanted, run_on_few_tokens(shorter))
        undo.pop_all()
    return _described(loaded, old, shorter, keep, units)


def _keep_one(stack: Stack, gone: set[int]) -> None:
    if len(gone) == len(stack.blocks):
        raise PlanError(
            "The plan takes out all {n_blocks} layers. At least one has to stay: make the plan again with less.", n_blocks=len(stack.blocks)
        )


def _check_generates(loaded: LoadedModel) -> None:
    """Of a flat encoder-decoder config the library takes the encoder's count for the decoder's cache."""
    config, decoder = loaded.model.config, getattr(loaded.model, "get_decoder", lambda: None)()
    if not config.is_encoder_decoder or decoder is None or not loaded.model.can_generate():
        return
    room, needed = config.get_text_config(decoder=True).num_hidden_layers, decoder.config.get_text_config(decoder=True).num_hidden_layers
    if room < needed:
        raise PlanError(
            "With fewer layers in the encoder than in the decoder this model could not generate any more: its config counts both as one "
            "when it makes room for them. Skip the layers instead."
        )


def _check_same(wanted: Tensor, got: Tensor) -> None:
    if wanted.shape != got.shape or (wanted - got).abs().max() > _NOISE * wanted.abs().max():
        raise PlanError(
            "Without these layers the model did not give what it gives with them skipped, so they were put back. Skip them instead."
        )


# -- whole blocks ------------------------------------------------------------------------------------------------------


def _take_out(loaded: LoadedModel, stack: Stack, keep: Sequence[int], undo: ExitStack) -> None:
    """Blocks out of the module list, their settings out of the configs, the others' numbers moved up."""
    if len(keep) == len(stack.blocks):
        return
    blocks = loaded.model.get_submodule(stack.info.path)
    before = dict(blocks._modules)
    undo.callback(_refill, blocks._modules, before)
    for config, name in _configs(loaded, stack):
        _set_all(config, cut_config(config.to_dict(), keep, n_blocks=len(stack.blocks), stack=name), undo)
    _refill(blocks._modules, {str(new): before[str(old)] for new, old in enumerate(keep)})
    for new, old in enumerate(keep):
        for module in stack.blocks[old].modules():
            _renumber(module, old, new, undo)


def _renumber(module: nn.Module, old: int, new: int, undo: ExitStack) -> None:
    """Under which number a module finds its keys in the cache; a half that was pruned before tells the cache its length."""
    own = vars(module)
    numbered: dict[str, Any] = {"layer_idx": new} if own.get("layer_idx") == old else {}
    stand_in = own.get("forward")
    if isinstance(stand_in, StandIn) and stand_in.cached_as == old:
        numbered["forward"] = replace(stand_in, cached_as=new)
    undo.callback(own.update, {name: own[name] for name in numbered})
    own.update(numbered)


def _configs(loaded: LoadedModel, stack: Stack) -> list[tuple[Any, str]]:
    """The configs that count the stack's blocks: its own model's, and the whole model's where that is another one."""
    own, whole = runner(stack).config, loaded.model.config
    inside = own is whole or any(value is own for value in vars(whole).values())
    return [(own, stack.info.name)] if inside else [(own, ""), (whole, stack.info.name)]


def _set_all(config: Any, cut: Mapping[str, Any], undo: ExitStack) -> None:
    for name, before in config.to_dict().items():
        if name in cut and cut[name] != before:
            undo.callback(setattr, config, name, getattr(config, name))
            setattr(config, name, cut[name])


def _refill(into: dict[str, Any], content: Mapping[str, Any]) -> None:
    into.clear()
    into.update(content)


# -- halves ------------------------------------------------------------------------------------------------------------


def _strip(module: nn.Module, stand_in: StandIn, undo: ExitStack) -> None:
    """Frees everything a module holds; a stand-in runs in its place from now on."""
    for held in (module._parameters, module._buffers, module._modules):
        undo.callback(_refill, held, dict(held))
        held.clear()
    own = vars(module)
    before: Callable[..., Any] | None = own.get("forward")
    undo.callback(own.__setitem__, "forward", before) if before else undo.callback(own.pop, "forward")
    own["forward"] = stand_in


# -- anatomy -----------------------------------------------------------------------------------------------------------


def _described(loaded: LoadedModel, old: Stack, shorter: Stack, keep: Sequence[int], units: Sequence[UnitRef]) -> LoadedModel:
    """The model counted again; which module does what, and the proved taps, stay as they were found in the whole model."""
    stacks = [shorter if stack is old else stack for stack in loaded.stacks]
    runs = [FoundStack(stack.info.name, stack.info.path, runner(stack), stack.blocks) for stack in stacks]
    before = loaded.info
    info = describe(
        loaded.model,
        runs,
        [stack.info.layout for stack in stacks],
        name=before.name,
        source=before.source,
        commit=hashlib.sha256(repr((before.commit, old.info.name, tuple(units))).encode()).hexdigest(),
        stored=getattr(torch, before.dtype),
        notes=before.notes,
    )
    infos = tuple(
        _without(stack.info, now, keep, units) if stack is shorter else stack.info for stack, now in zip(stacks, info.stacks, strict=True)
    )
    return replace(
        loaded,
        info=info.model_copy(update={"stacks": infos}),
        stacks=tuple(replace(stack, info=stack_info) for stack, stack_info in zip(stacks, infos, strict=True)),
    )


def _without(whole: StackInfo, now: StackInfo, keep: Sequence[int], units: Sequence[UnitRef]) -> StackInfo:
    def block(old: int, counted: BlockInfo) -> BlockInfo:
        gone: dict[str, Any] = {unit: None for unit, index in units if index == old}
        found = {"index": counted.index, "n_parameters": counted.n_parameters, "weight_bytes": counted.weight_bytes}
        return whole.blocks[old].model_copy(update=found | gone)

    return whole.model_copy(update={"blocks": tuple(block(old, counted) for old, counted in zip(keep, now.blocks, strict=True))})
