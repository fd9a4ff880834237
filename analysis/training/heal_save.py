"""The healed model as a plain Hugging Face folder: adapters merged, layers renumbered, reloaded and compared."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from analysis.contracts import Message, Plan, Progress
from analysis.contracts.search import UnitSet
from analysis.errors import PlanError, ResourceError
from analysis.models.stack import LoadedModel
from analysis.profiling.stream import Watch, out_of_memory
from analysis.surgery import compare
from analysis.surgery.config_cut import cut_for_stack, own_config
from analysis.surgery.export_folder import checked_target, companions, require_space, written_whole
from analysis.surgery.export_plan import StackCut, all_left_out, cuts_of
from analysis.surgery.shards import LARGEST_SHARD, Piece, Writing, block_prefix, pieces_of_model, renumbered, write_shards, write_synced
from analysis.training.heal_arm import Ground, HealRun

REPORT = "strata_healing.json"
_SAME = 1e-2
"""Largest difference of a score, as a share of the largest score, that the order of sums and rounded rotary tables explain."""
_SHARE_OF_GAIN, _NOTICED, _MOST_COST = 0.05, 1e-3, 1e-2
"""Rounding may cost a twentieth of the gain, at most 0.01 nats per token (1 % of perplexity); less than 0.001 does not count."""


@dataclass(frozen=True)
class Saved:
    """A healed model as a folder.

    Attributes:
        folder: where it was written.
        difference: largest, of its scores from those of the same weights in memory with the units left out, both computed in float32.
        note: in which number format it was written and why; None: the checkpoint's own is float32, so nothing is rounded.
    """

    folder: Path
    difference: float
    note: Message | None


def save_healed(ground: Ground, plan: Plan, run: HealRun, folder: str, watch: Watch) -> Saved:
    """Writes the healed model; the folder appears whole and compared, or not at all.

    It is written in the checkpoint's own number format where the selection part's loss bears that rounding, else in float32.

    Raises:
        InputError: something is where the folder should go, or the model's class cannot express the cut.
        PlanError: the folder does not reload, or is not the same model.
        ResourceError: disk or memory ran out.
        Cancelled: `watch` said so.
    """
    loaded = ground.loaded
    cuts = cuts_of(plan, loaded.info, zeroed=False)
    target = checked_target(folder, overwrite=False)
    try:
        return _saved(ground, plan, run, cuts, target, watch)
    except (MemoryError, RuntimeError) as exc:
        if not out_of_memory(exc):
            raise
        raise ResourceError(
            "Memory ran out while the healed model was written; it is checked in float32. Use a device with more memory, or heal without "
            "writing the model (leave --save out)."
        ) from exc


def _saved(ground: Ground, plan: Plan, run: HealRun, cuts: Sequence[StackCut], target: Path, watch: Watch) -> Saved:
    loaded = ground.loaded
    questions = compare.questions_for(loaded.model, compare.real_ids(loaded.tokenizer_folder), loaded.info.max_context_tokens)
    tensors, stored, note = _kept_well(ground, run, cuts[0].removed, watch)
    with in_float32(loaded.model), holding(loaded.model, tensors), all_left_out(loaded, cuts):
        answers = compare.ask(loaded.model, questions, generate=False)
    config = _cut_config(loaded, cuts, stored)
    pieces = _pieces(tensors, cuts)
    require_space(target, sum(piece.n_bytes for piece in pieces) + 2**20)
    with written_whole(target) as place:
        write_shards(place, pieces, LARGEST_SHARD, Writing(sum(piece.n_bytes for piece in pieces), watch.on_progress, watch.should_stop))
        write_synced(place / "config.json", config.to_json_string(use_diff=False).encode())
        for file in companions([loaded.tokenizer_folder]):
            write_synced(place / file.name, file.read_bytes())
        watch.on_progress(Progress(stage=Message(id="Checking the written model")))
        model = compare.reload(place, device=loaded.device)
        found = compare.ask(model, questions, generate=False)
        difference = _difference(answers, found)
        if difference > _SAME * max(float(scores.abs().max()) for scores in answers.scores):
            raise PlanError(
                "The written model is not the healed model: their scores differ by up to {difference}, more than rounding explains. It was "
                "not kept. Try again, and report this if it happens twice.",
                difference=f"{difference:.3g}",
            )
        write_synced(place / REPORT, json.dumps({"plan_id": plan.id, "reload_difference": difference}).encode())
    return Saved(target, difference, note)


def _difference(one: compare.Answers, other: compare.Answers) -> float:
    return max(compare.largest(a, b) for a, b in zip(one.scores, other.scores, strict=True))


def _kept_well(ground: Ground, run: HealRun, removed: UnitSet, watch: Watch) -> tuple[dict[str, Tensor], torch.dtype, Message | None]:
    """The healed weights in the checkpoint's own number format where that keeps what was trained, else in float32; and what was found."""
    model, own = ground.loaded.model, getattr(torch, ground.loaded.info.dtype)
    names = list(model.state_dict())
    with _trained(ground, run, removed):
        if own == torch.float32:
            return merged(model, names, own), own, None
        with in_float32(model):
            exact = ground.judged(ground.parts.selection, removed, watch).loss
        tensors = merged(model, names, own)
    with in_float32(model), holding(model, tensors):
        rounded = ground.judged(ground.parts.selection, removed, watch).loss
    told = {"dtype": str(own).removeprefix("torch."), "exact": f"{exact:.4f}", "rounded": f"{rounded:.4f}"}
    if rounded - exact <= may_cost(run):  # not so where a number overflowed
        return (
            tensors,
            own,
            Message(
                id="The healed model was written in {dtype}, as the original is. By that rounding its loss on the selection part went from "
                "{exact} to {rounded} nats per token.",
                values=told,
            ),
        )
    del tensors
    with _trained(ground, run, removed):
        return (
            merged(model, names, torch.float32),
            torch.float32,
            Message(
                id="The healed model was written in float32: in {dtype}, as the original is, rounding would have taken its loss on the "
                "selection part from {exact} to {rounded} nats per token. It needs twice the space.",
                values=told,
            ),
        )


@contextmanager
def _trained(ground: Ground, run: HealRun, removed: UnitSet) -> Iterator[None]:
    """Inside, the model has the weights of the best look."""
    with ground.trainable(removed):
        if run.weights:
            ground.trainee(removed, "next_token").load_state_dict(run.weights)
        ground.loaded.model.eval()
        yield


def may_cost(run: HealRun) -> float:
    """Nats per token that rounding the healed weights may cost: a small part of what training gained, and never much."""
    before = run.points[0].tuning_loss
    gained = 0.0 if before is None else before - run.best_loss
    return min(max(gained * _SHARE_OF_GAIN, _NOTICED), _MOST_COST)


def merged(model: nn.Module, names: Sequence[str], stored: torch.dtype) -> dict[str, Tensor]:
    """The model's tensors under the names that they had without adapters, those added in, in the checkpoint's number format.

    A tensor that stands under several names stays one.
    """
    now = model.state_dict()
    adapted = {name: module for name, module in model.named_modules() if hasattr(module, "get_delta_weight")}
    made: dict[tuple[int, torch.Size], Tensor] = {}
    found = {}
    for name in names:
        path, _, last = name.rpartition(".")
        value = now[name] if name in now else now[f"{path}.base_layer.{last}"]
        place = (value.data_ptr(), value.shape)
        if place not in made:
            with torch.no_grad():
                whole = value.float() + adapted[path].get_delta_weight("default").float() if path in adapted and last == "weight" else value
            made[place] = whole.detach().to("cpu", stored if whole.is_floating_point() else whole.dtype, copy=True)
        found[name] = made[place]
    return found


@contextmanager
def in_float32(model: nn.Module) -> Iterator[None]:
    """Inside, the model computes in float32; every value stays what it was, and afterwards every tensor is the one it was."""
    held = [(parameter, parameter.data) for parameter in model.parameters() if parameter.is_floating_point()]
    half = [
        (module._buffers, name, buffer)
        for module in model.modules()
        for name, buffer in module._buffers.items()
        if buffer is not None and buffer.dtype in (torch.bfloat16, torch.float16)
    ]
    try:
        for parameter, data in held:
            parameter.data = data.float()
        for buffers, name, buffer in half:
            buffers[name] = buffer.float()
        yield
    finally:
        for parameter, data in held:
            parameter.data = data
        for buffers, name, buffer in half:
            buffers[name] = buffer


@contextmanager
def holding(model: nn.Module, tensors: Mapping[str, Tensor]) -> Iterator[None]:
    """Inside, the model's parameters have these values, in float32; afterwards they are the tensors that they were."""
    held = [(parameter, parameter.data) for parameter in model.parameters()]
    try:
        for name, parameter in model.named_parameters():
            parameter.data = tensors[name].to(parameter.device, torch.float32)
        yield
    finally:
        for parameter, data in held:
            parameter.data = data


def _cut_config(loaded: LoadedModel, cuts: Sequence[StackCut], stored: torch.dtype) -> Any:
    """The config of the written model; that its layers are what they were is checked."""
    source, config = loaded.model, loaded.model.config
    for cut in cuts:
        if cut.is_cut:
            config = cut_for_stack(
                config, own_config(source, config, cut.info.path), cut.keep, n_blocks=cut.info.n_blocks, stack=cut.info.name
            )
    config = deepcopy(config)
    config.architectures, config.dtype = [type(source).__name__], stored
    whole, written = (compare.without_weights(deepcopy(one), type(source)) for one in (source.config, config))
    for cut in cuts:
        compare.check_settings(whole, written, cut.info.path, cut.keep)
    return config


def _pieces(tensors: Mapping[str, Tensor], cuts: Sequence[StackCut]) -> list[Piece]:
    pieces = pieces_of_model(tensors)
    for cut in cuts:
        if cut.is_cut:
            prefix = block_prefix([piece.name for piece in pieces], cut.info.path, cut.info.n_blocks)
            named = [(piece, renumbered(piece.name, prefix, cut.keep)) for piece in pieces]
            pieces = [piece.renamed(name) for piece, name in named if name is not None]
    return pieces
