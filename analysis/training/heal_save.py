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
from analysis.errors import PlanError
from analysis.models.stack import LoadedModel
from analysis.profiling.stream import Watch
from analysis.surgery import compare
from analysis.surgery.config_cut import cut_for_stack, own_config
from analysis.surgery.export_folder import checked_target, companions, require_space, written_whole
from analysis.surgery.export_plan import StackCut, all_left_out, cuts_of
from analysis.surgery.shards import LARGEST_SHARD, Piece, Writing, block_prefix, pieces_of_model, renumbered, write_shards, write_synced
from analysis.training.heal_arm import Ground, HealRun

REPORT = "strata_healing.json"
_SAME = 1e-2
"""Largest difference of a score, as a share of the largest score, that the order of sums and rounded rotary tables explain."""


@dataclass(frozen=True)
class Saved:
    """A healed model as a folder.

    Attributes:
        folder: where it was written.
        difference: largest, of its scores from those of the same weights in memory with the units left out, both computed in float32.
        note: what rounding the trained weights to the checkpoint's number format changed; None: nothing was rounded.
    """

    folder: Path
    difference: float
    note: Message | None


def save_healed(ground: Ground, plan: Plan, run: HealRun, folder: str, watch: Watch) -> Saved:
    """Writes the healed model in its checkpoint's own number format; the folder appears whole and compared, or not at all.

    Raises:
        InputError: something is where the folder should go, or the model's class cannot express the cut.
        PlanError: the folder does not reload, or is not the same model.
        ResourceError: disk or memory ran out.
        Cancelled: `watch` said so.
    """
    loaded = ground.loaded
    cuts = cuts_of(plan, loaded.info, zeroed=False)
    target = checked_target(folder, overwrite=False)
    stored: torch.dtype = getattr(torch, loaded.info.dtype)
    questions = compare.questions_for(loaded.model, compare.real_ids(loaded.tokenizer_folder), loaded.info.max_context_tokens)
    names = list(loaded.model.state_dict())
    with ground.trainable(cuts[0].removed):
        if run.weights:
            ground.trainee(cuts[0].removed, "next_token").load_state_dict(run.weights)
        with in_float32(loaded.model), all_left_out(loaded, cuts):
            exact = compare.ask(loaded.model.eval(), questions, generate=False)
        tensors = merged(loaded.model, names, stored)
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
    return Saved(target, difference, _rounded(exact, answers, stored, len(questions.random) if questions.real else 0))


def _difference(one: compare.Answers, other: compare.Answers) -> float:
    return max(compare.largest(a, b) for a, b in zip(one.scores, other.scores, strict=True))


def _rounded(exact: compare.Answers, answers: compare.Answers, stored: torch.dtype, first: int) -> Message | None:
    """From the first real prompt on: made-up tokens say nothing about the size of what rounding does."""
    if stored == torch.float32:
        return None
    apart = torch.cat([(one - other).abs().flatten() for one, other in zip(exact.scores[first:], answers.scores[first:], strict=True)])
    return Message(
        id="The trained weights were written in {dtype}, as the model's own are. That rounding moves a score by {mean} on average, at most "
        "by {largest}.",
        values={"dtype": str(stored).removeprefix("torch."), "mean": f"{float(apart.mean()):.3g}", "largest": f"{float(apart.max()):.3g}"},
    )


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
