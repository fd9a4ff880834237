"""The stacks of an instantiated model with proved taps, and the model as the profiler gets it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from analysis.contracts import Layout, Message, ModelInfo, ModelSource, StackInfo
from analysis.errors import ModelError
from analysis.models.anatomy import describe
from analysis.models.gguf import first_line
from analysis.models.probe import N_TOKENS, Finding, Place, probe_stack
from analysis.models.structure import FoundStack, SubBlockTaps, Tap, find_runs, parts_of

__all__ = ["LoadedModel", "Stack", "SubBlockTaps", "Tap", "find_stacks"]


class EncoderThenDecoder(nn.Module):
    """Runs an encoder-decoder on one text: the decoder rereads, token by token, what the encoder read."""

    def __init__(self, encoder: nn.Module, decoder: PreTrainedModel) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.config = decoder.config

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None, **kwargs: Any) -> Any:
        """As the decoder alone would be called, with the same ids and mask on both sides."""
        states = self.encoder(input_ids=input_ids, attention_mask=attention_mask)[0]
        return self.decoder(
            input_ids=input_ids,
            attention_mask=attention_mask,
            encoder_hidden_states=states,
            encoder_attention_mask=attention_mask,
            **kwargs,
        )


@dataclass(frozen=True)
class Stack:
    """A run of blocks with one residual stream.

    `root(input_ids=..., attention_mask=..., use_cache=False)` runs it without the output head; each block is called
    once per run with the residual stream as its first tensor.
    """

    info: StackInfo
    root: nn.Module
    blocks: tuple[nn.Module, ...]
    taps: tuple[SubBlockTaps, ...]


@dataclass(frozen=True)
class LoadedModel:
    """A model in memory, ready to be profiled."""

    model: PreTrainedModel
    info: ModelInfo
    stacks: tuple[Stack, ...]
    tokenizer_folder: Path | None
    device: torch.device
    dtype: torch.dtype

    def stack(self, name: str | None = None) -> Stack:
        """The stack of that name; None: the one that is profiled by default.

        Raises:
            ModelError: the model has no stack of that name.
        """
        found = next((stack for stack in self.stacks if name in (None, stack.info.name)), None)
        if found is None:
            names = tuple(stack.info.name for stack in self.stacks)
            raise ModelError("{model} has no stack named {name}. It has: {names}.", model=self.info.name, name=str(name), names=names)
        return found


def find_stacks(model: nn.Module) -> tuple[Stack, ...]:
    """The stacks of any instantiated transformers model, with taps proved by a run of a few tokens.

    Raises:
        ModelError: no stack was found, or its blocks do not run once each.
    """
    return assemble(model, Identity(type(model).__name__, ModelSource(kind="folder"), ""))[1]


@dataclass(frozen=True)
class Identity:
    """Which model it is. `stored`: its checkpoint's number format; None: the format it is in now."""

    name: str
    source: ModelSource
    commit: str
    stored: torch.dtype | None = None
    notes: tuple[Message, ...] = ()


def assemble(model: nn.Module, identity: Identity) -> tuple[ModelInfo, tuple[Stack, ...]]:
    """Describes an instantiated model and finds its stacks. On the meta device nothing can be proved: no taps."""
    runs = find_runs(model)
    assert isinstance(model, PreTrainedModel)
    taps = [prove_taps(model, run) for run in runs]
    layouts = [_layout(stack_taps) for stack_taps in taps]
    info = describe(
        model,
        runs,
        layouts,
        name=identity.name,
        source=identity.source,
        commit=identity.commit,
        stored=identity.stored or model.dtype,
        notes=identity.notes + _notes(taps),
    )
    stacks = (
        Stack(stack_info, _runner(model, run), run.blocks, stack_taps)
        for stack_info, run, stack_taps in zip(info.stacks, runs, taps, strict=True)
    )
    return info, tuple(stacks)


def prove_taps(model: PreTrainedModel, run: FoundStack) -> tuple[SubBlockTaps, ...]:
    """How to see inside each block of a stack; unknown, with a reason, where the numbers do not prove it.

    Raises:
        ModelError: the blocks of the stack are not run once each, so that there is no single residual stream.
    """
    if model.device.type == "meta" or run.stages:
        return (SubBlockTaps("unknown"),) * len(run.blocks)
    try:
        findings, once = probe_stack(run, _inputs(model, run))
    except (RuntimeError, ValueError, TypeError, AttributeError, IndexError, NotImplementedError) as exc:
        if isinstance(exc, torch.OutOfMemoryError):
            raise
        if not run.reads_text:
            return tuple(_taps(block, None) for block in run.blocks)
        raise ModelError(
            "{architecture} could not run a test of a few tokens ({reason}). Choose another model, or another number format.",
            architecture=type(model).__name__,
            reason=first_line(exc),
        ) from exc
    if not once:
        raise ModelError(
            "{architecture} does not run each of its layers once per token, so its layers cannot be told apart. Choose a "
            "model whose layers each have their own weights.",
            architecture=type(model).__name__,
        )
    return tuple(_taps(block, finding) for block, finding in zip(run.blocks, findings, strict=True))


def _taps(block: nn.Module, finding: Finding | None) -> SubBlockTaps:
    if finding is None:
        note = Message(
            id=(
                "Inside {kind}, the point between attention and MLP could not be confirmed by a test run, so scores are given "
                "for whole layers only."
            ),
            values={"kind": type(block).__name__},
        )
        return SubBlockTaps("unknown", note=note)

    def tap(place: Place | None) -> Tap | None:
        return None if place is None else Tap(block.get_submodule(place.path), place.side)

    return SubBlockTaps(finding.layout, tap(finding.mid), tap(finding.attention), tap(finding.mlp), tap(finding.mlp_start))


def _layout(taps: Sequence[SubBlockTaps]) -> Layout:
    layouts = Counter(tap.layout for tap in taps)
    return layouts.most_common(1)[0][0]


def _notes(taps: Sequence[Sequence[SubBlockTaps]]) -> tuple[Message, ...]:
    notes = [tap.note for stack in taps for tap in stack if tap.note is not None]
    return tuple({note.in_english(): note for note in notes}.values())


def _runner(model: PreTrainedModel, run: FoundStack) -> nn.Module:
    return EncoderThenDecoder(model.get_encoder(), run.root) if _reads_an_encoder(model, run) else run.root


def _reads_an_encoder(model: PreTrainedModel, run: FoundStack) -> bool:
    return bool(model.config.is_encoder_decoder) and parts_of(run.blocks[0]).cross_attention is not None


def _inputs(model: PreTrainedModel, run: FoundStack) -> dict[str, Any]:
    """A few tokens for the root: ids where it takes them, else an image or a sound of the size it takes."""
    root, config = run.root, run.root.config
    device, dtype = root.device, root.dtype
    generator = torch.Generator().manual_seed(0)
    accepts = run.accepts
    if run.reads_text:
        vocab = config.get_text_config().vocab_size
        ids = (torch.arange(N_TOKENS) * 7 + 11) % vocab
        inputs: dict[str, Any] = {"input_ids": ids[None].to(device)}
        if _reads_an_encoder(model, run):
            inputs["encoder_hidden_states"] = torch.randn(1, 4, config.hidden_size, generator=generator).to(device, dtype)
    elif "pixel_values" in accepts:
        side = config.image_size if isinstance(config.image_size, list | tuple) else (config.image_size, config.image_size)
        inputs = {"pixel_values": torch.randn(1, config.num_channels, *side, generator=generator).to(device, dtype)}
    else:
        frames = 2 * config.max_source_positions
        inputs = {"input_features": torch.randn(1, config.num_mel_bins, frames, generator=generator).to(device, dtype)}
    return inputs | ({"use_cache": False} if "use_cache" in accepts else {})
