"""A model's block stacks, found by structure: runs of like modules through which one residual stream flows."""

from __future__ import annotations

import inspect
from collections import Counter
from dataclasses import dataclass, replace
from typing import Literal

from torch import nn
from transformers import PreTrainedModel

from analysis.contracts import Layout, Message
from analysis.errors import ModelError


@dataclass(frozen=True)
class Tap:
    """A tensor to read: what goes into or comes out of a module (of a tuple, its first tensor).

    It may have more or fewer dimensions than the residual stream ([tokens, d] instead of [batch, seq, d]), never
    another order. Read it at once: some models add to it in place afterwards.
    """

    module: nn.Module
    side: Literal["input", "output"]


@dataclass(frozen=True)
class SubBlockTaps:
    """How to see the inside of one block: where attention ends and the MLP begins, proved by numbers.

    Sequential blocks have `mid`: attention leads from the block's input to `mid`, the MLP from `mid` (with
    cross-attention in between: from `mlp_start`) to the block's output. Parallel blocks have `attention` and `mlp`:
    both are added to the block's input. A block whose inside could not be proved has none, and says so in `note`.
    """

    layout: Layout
    mid: Tap | None = None
    attention: Tap | None = None
    mlp: Tap | None = None
    mlp_start: Tap | None = None
    note: Message | None = None


@dataclass(frozen=True)
class Parts:
    """The modules of one block by role; norms between them belong to none."""

    attention: nn.Module | None
    cross_attention: nn.Module | None
    mlp: tuple[nn.Module, ...]


@dataclass(frozen=True)
class FoundStack:
    """A run of blocks: its name, its attribute path, the model that runs it, and the blocks."""

    name: str
    path: str
    root: PreTrainedModel
    blocks: tuple[nn.Module, ...]
    stages: tuple[int, ...] = ()
    """Of a vision model whose states change their shape on the way: which stage each block belongs to."""

    @property
    def accepts(self) -> frozenset[str]:
        """Names of what the root takes."""
        return frozenset(inspect.signature(self.root.forward).parameters)

    @property
    def reads_text(self) -> bool:
        """It can be run on token ids."""
        return "input_ids" in self.accepts

    @property
    def causal(self) -> bool:
        """A token sees only what stands before it."""
        attention = parts_of(self.blocks[0]).attention
        own = [m.is_causal for m in attention.modules() if isinstance(getattr(m, "is_causal", None), bool)] if attention else []
        return bool(own[0]) if own else "use_cache" in self.accepts


def find_runs(model: nn.Module) -> tuple[FoundStack, ...]:
    """The stacks of a model, the one that reads prompts first.

    Raises:
        ModelError: there is no run of like blocks with one residual stream.
    """
    if not isinstance(model, PreTrainedModel):
        raise ModelError(
            "{kind} is not a transformers model, so its layers cannot be found. Load it with transformers.", kind=type(model).__name__
        )
    lists = [(path, blocks) for path, blocks in _outermost_lists(model) if _is_stack(blocks)]
    if not lists and (staged := _staged(model)) is not None:
        return (staged,)
    if not lists:
        found = Counter(type(module).__name__ for module in model.modules() if next(module.children(), None) is not None)
        raise ModelError(
            "No stack of like layers was found in {architecture}. Found instead: {found}. Models with one row of "
            "transformer layers can be used.",
            architecture=type(model).__name__,
            found=tuple(name for name, _ in found.most_common(6)),
        )
    stacks = _named([FoundStack(path, path, _root(model, path), tuple(blocks)) for path, blocks in lists])
    encoder_decoder = bool(model.config.is_encoder_decoder)
    return tuple(sorted(stacks, key=lambda stack: not (stack.reads_text or encoder_decoder)))  # beside an image tower, text first


def _staged(model: PreTrainedModel) -> FoundStack | None:
    """Residual blocks of convolutions in stages, each stage a row of like blocks: ResNet and its kind."""
    for path, module in model.named_modules():
        rows = [_row_of_convolutions(stage) for stage in module] if isinstance(module, nn.ModuleList) and len(module) > 1 else []
        if rows and all(rows) and len({type(block) for row in rows for block in row}) == 1:
            stages = tuple(stage for stage, row in enumerate(rows) for _ in row)
            return FoundStack("encoder", path, _root(model, path), tuple(block for row in rows for block in row), stages)
    return None


def _row_of_convolutions(stage: nn.Module) -> tuple[nn.Module, ...]:
    """The blocks of a stage; empty: it is none."""
    rows = [child for child in stage.children() if type(child) in (nn.Sequential, nn.ModuleList)]
    blocks = tuple(rows[0].children()) if len(rows) == 1 and len(list(stage.children())) == 1 else ()
    alike = len({type(block) for block in blocks}) == 1
    return blocks if alike and all(any(isinstance(part, nn.Conv2d) for part in block.modules()) for block in blocks) else ()


def parts_of(block: nn.Module) -> Parts:
    """Attention and MLP of a block: what is called attention, and what else holds weight matrices."""
    attentions, rest = [], []
    for name, child in _members(block):
        if _is_attention(name, child):
            attentions.append(child)
        elif any(parameter.dim() > 1 for parameter in child.parameters()):
            rest.append(child)
    return Parts(attentions[0] if attentions else None, attentions[1] if len(attentions) > 1 else None, tuple(rest))


def _outermost_lists(model: nn.Module) -> list[tuple[str, nn.ModuleList]]:
    found: list[tuple[str, nn.ModuleList]] = []
    for path, module in model.named_modules():
        if isinstance(module, nn.ModuleList) and not any(path.startswith(f"{outer}.") for outer, _ in found) and _alike(module):
            found.append((path, module))
    return found


def _alike(blocks: nn.ModuleList) -> bool:
    return len(blocks) > 0 and len({type(block) for block in blocks}) == 1 and next(blocks[0].children(), None) is not None


def _is_stack(blocks: nn.ModuleList) -> bool:
    parts = parts_of(blocks[0])
    return parts.attention is not None and bool(parts.mlp)


def _members(block: nn.Module) -> list[tuple[str, nn.Module]]:
    """A block's children, with plain lists of modules (T5's `layer`) opened."""
    members: list[tuple[str, nn.Module]] = []
    for name, child in block.named_children():
        members += list(child.named_children()) if type(child) in (nn.ModuleList, nn.Sequential) else [(name, child)]
    return members


def _is_attention(name: str, module: nn.Module) -> bool:
    if all(parameter.dim() < 2 for parameter in module.parameters()):
        return False  # a norm called post_attention_layernorm
    words = f"{name} {type(module).__name__}".lower()
    return "attn" in words or "attention" in words


def _root(model: PreTrainedModel, path: str) -> PreTrainedModel:
    """The smallest model of its own around the list: it takes the tokens and has no head."""
    parts = path.split(".")
    for length in range(len(parts) - 1, -1, -1):
        module = model.get_submodule(".".join(parts[:length]))
        if isinstance(module, PreTrainedModel):
            return module
    return model


def _named(stacks: list[FoundStack]) -> list[FoundStack]:
    """Encoder and decoder by their path or by what they do; by path where that is not unique."""
    names = []
    for stack in stacks:
        said = [part for part in stack.path.split(".") if part in ("decoder", "encoder")] if len(stacks) > 1 else []
        names.append(said[-1] if said else "decoder" if stack.causal else "encoder")
    return [replace(stack, name=name) if names.count(name) == 1 else stack for stack, name in zip(stacks, names, strict=True)]
