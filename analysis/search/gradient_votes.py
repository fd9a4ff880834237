"""What gradients say of every unit: how much the loss hangs on its weights (Taylor), from a few backward passes.

The model is borrowed: weights, gradients, requires_grad and training mode are afterwards what they were. Whatever goes
wrong with the gradients alone makes this voter abstain, with a sentence; it never ends a ranking.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from analysis.contracts import Message, UnitRef, UnitSet
from analysis.models.head import Head
from analysis.models.stack import LoadedModel, Stack
from analysis.models.structure import parts_of
from analysis.profiling.stream import out_of_memory
from analysis.search.batches import Batch, counted, cut_batches
from analysis.search.care import without_dropout
from analysis.search.walk import Walk
from analysis.semantics.tokens import slices_by_turns
from analysis.surgery.skip import left_out
from analysis.workload import EncodedExample

Floats = npt.NDArray[np.float64]
TOKENS = {"cpu": 2048, "cuda": 32768}
"""Tokens run backwards at most, template among them; arXiv 2402.02834 takes 1,280."""
GROUP_TOKENS = 512
"""About as many tokens have their gradients added up, sign and all, before they are held against the weights."""
FEWEST_GROUPS = 8
"""Groups get smaller rather than fewer than about these, so that resamples of the prompts have something to draw from."""
_AT_ONCE = 1 << 26


@dataclass(frozen=True, eq=False)
class GradientScores:
    """What one gradient voter says of M units: low = replaceable.

    Attributes:
        values: [M] mean of the groups' values by their weights; NaN: undefined.
        per_group: [G, M].
        group_weights: [G] judged tokens of the group, times what they count for.
        groups: indices of each group's examples, as they were given.
        members: [G, examples] what each example brings to its group's weight.
        n_tokens: judged tokens whose loss was taken.
        passes: runs through the whole model, forwards and backwards, in passes of all the tokens that were taken.
        abstained: why it says nothing; its values are then all NaN.
    """

    values: Floats
    per_group: Floats
    group_weights: Floats
    groups: tuple[tuple[int, ...], ...]
    members: Floats
    n_tokens: int = 0
    passes: float = 0.0
    notes: tuple[Message, ...] = ()
    abstained: Message | None = None

    def resampled(self, draws: Floats) -> Floats:
        """The values over resampled prompts, each group counting for as much as was drawn of it.

        Args:
            draws: [R, examples] how often each example was drawn.

        Returns:
            [R, M]; NaN where a resample holds none of the examples that were taken.
        """
        weights = draws @ self.members.T
        with np.errstate(invalid="ignore", divide="ignore"):
            found: Floats = (weights @ self.per_group) / weights.sum(axis=1, keepdims=True)
        return found


def taylor_scores(
    loaded: LoadedModel,
    stack: Stack,
    examples: Sequence[EncodedExample],
    refs: Sequence[UnitRef],
    removed: UnitSet = (),
    *,
    batch_tokens: int = 512,
    tokens: int | None = None,
    pause: Callable[[], None] = lambda: None,
) -> GradientScores:
    """How much the loss would change if each of a unit's weights went to zero on its own, to first order, added up without sign.

    Per group of prompts, sum over the unit's weights of abs(gradient * weight), norms among them, where the gradient is that of the
    group's mean loss per judged token; then the mean over groups. The paper takes one group (10 samples of 128 tokens) and the
    loss of all tokens. Of a half only the weights of its attention or MLP count: norms between the halves stay when it goes.

    A parameter's gradient is read and let go as soon as its group is complete, so that there is room needed for one
    parameter's gradient, or for all of them where a group takes more than one batch.

    Args:
        examples: what may be run; slices take turns, prompts in content-hash order, until the tokens are used up.
        removed: units that are out while this is measured.
        batch_tokens: tokens run together, padding included; changes no value.
        tokens: to run at most; None: by device.
        pause: called before each batch; may raise to stop.

    Source: Kim et al., Shortened LLaMA (arXiv 2402.02834), section 3.1.
    """
    taken = take(loaded, stack, examples, tokens)
    if isinstance(taken, Message):
        return abstaining(len(refs), len(examples), taken)
    parameters = [_weights(stack, ref) for ref in refs]
    if any(not one.is_floating_point() for unit in parameters for one in unit):
        return abstaining(len(refs), len(examples), _no_gradients(loaded, Message(id="some of its weights are whole numbers")))
    groups = _groups(taken)
    run = _Taylor(loaded, stack, _Reader(parameters), groups, batch_tokens, pause)
    try:
        with without_dropout(loaded.model), left_out(stack, removed):
            rows = run.values()
    except (MemoryError, RuntimeError, NotImplementedError) as exc:
        return abstaining(len(refs), len(examples), failed(loaded, exc, batch_tokens))
    return scores_of(groups, rows, len(examples), passes=1.0, notes=(*_taylor_notes(len(groups)), *told(taken, examples)))


# -- which prompts -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Taken:
    """An example that is run: its place among all that were given, and how many of its tokens are judged."""

    index: int
    example: EncodedExample
    judged: int

    @property
    def weight(self) -> float:
        """What its judged tokens count for together."""
        return self.judged * self.example.weight


def take(loaded: LoadedModel, stack: Stack, examples: Sequence[EncodedExample], tokens: int | None) -> list[Taken] | Message:
    """The examples whose gradients are taken, slices by turns; or why there can be none."""
    if not Head(loaded, stack).exists:
        return Message(id="This model names no words, so there is no loss whose gradients could be taken.")
    limit = left = tokens or TOKENS.get(loaded.device.type, TOKENS["cpu"])
    taken: list[Taken] = []
    for index in slices_by_turns(examples, lambda i: (examples[i].example_id,)):
        example = examples[index]
        judged = counted(example, causal=stack.info.causal)
        if judged and example.weight > 0 and len(example.input_ids) <= left:
            taken.append(Taken(index, example, judged))
            left -= len(example.input_ids)
    if not taken:
        return Message(
            id="No prompt fits into the {tokens} tokens that are run backwards. Give shorter prompts (--max-tokens).",
            values={"tokens": limit},
        )
    return taken


def told(taken: Sequence[Taken], examples: Sequence[EncodedExample]) -> tuple[Message, ...]:
    """That not every prompt was run, where that is so."""
    if len(taken) == len(examples):
        return ()
    return (
        Message(
            id="Gradients were taken of {n} of {total} prompts, slices taking turns.", values={"n": len(taken), "total": len(examples)}
        ),
    )


def _groups(taken: Sequence[Taken]) -> list[list[Taken]]:
    """Prompts in the order they were taken, so that every group holds some of every slice; the same for any device and batch."""
    lengths = np.array([len(one.example.input_ids) for one in taken])
    wanted = min(len(taken), max(FEWEST_GROUPS, -(-int(lengths.sum()) // GROUP_TOKENS)))
    middles = (np.cumsum(lengths) - lengths / 2) / lengths.sum()
    numbers = np.floor(middles * wanted).astype(int)
    return [[one for one, its in zip(taken, numbers, strict=True) if its == number] for number in np.unique(numbers)]


def scores_of(
    groups: Sequence[Sequence[Taken]], rows: Floats, n_examples: int, *, passes: float, notes: tuple[Message, ...]
) -> GradientScores:
    """From each group's values [G, M] to the voter's; one group that is undefined makes a unit undefined."""
    members = np.zeros((len(groups), n_examples))
    for row, group in enumerate(groups):
        for one in group:
            members[row, one.index] = one.weight
    weights = members.sum(axis=1)
    return GradientScores(
        values=weights @ np.where(np.isfinite(rows), rows, np.nan) / weights.sum(),
        per_group=rows,
        group_weights=weights,
        groups=tuple(tuple(one.index for one in group) for group in groups),
        members=members,
        n_tokens=sum(one.judged for group in groups for one in group),
        passes=passes,
        notes=notes,
    )


# -- abstaining --------------------------------------------------------------------------------------------------------


def abstaining(n_refs: int, n_examples: int, why: Message) -> GradientScores:
    """A voter that says nothing, and why."""
    none = np.empty((0, n_refs))
    return GradientScores(np.full(n_refs, np.nan), none, np.empty(0), (), np.empty((0, n_examples)), abstained=why)


def failed(loaded: LoadedModel, exc: BaseException, tokens: int) -> Message:
    """Why there are no gradients, from what torch said."""
    if out_of_memory(exc):
        return Message(
            id="There is not enough memory for the gradients of {tokens} tokens at a time. Leave them out, allow shorter prompts, or "
            "use a device with more memory.",
            values={"tokens": tokens},
        )
    return _no_gradients(loaded, str(exc).splitlines()[0][:100] if str(exc) else type(exc).__name__)


def _no_gradients(loaded: LoadedModel, reason: str | Message) -> Message:
    return Message(
        id="{model} could not be run backwards ({reason}), so there are no gradients. Load it unquantised, or leave the gradients out.",
        values={"model": loaded.info.name, "reason": reason},
    )


def _taylor_notes(n_groups: int) -> tuple[Message, ...]:
    return (
        Message(
            id="Weights times gradients were added up without sign over {groups} groups of prompts and averaged: compare the order of the "
            "layers, not the size.",
            values={"groups": n_groups},
        ),
    )


# -- running backwards -------------------------------------------------------------------------------------------------


def token_losses(loaded: LoadedModel, stack: Stack, walk: Walk, batch: Batch) -> Tensor:
    """[n] loss of each judged token of a batch, through which gradients flow; the head sees the judged places only."""
    final = walk.forward(batch, masked=True)
    rows = torch.from_numpy(batch.rows).to(final.device)
    logits = Head(loaded, stack).scores(final.flatten(0, 1).index_select(0, rows))
    targets = torch.from_numpy(batch.targets).to(logits.device)
    return nn.functional.cross_entropy(logits.float(), targets, reduction="none")


@dataclass
class _Taylor:
    """One run over all groups."""

    loaded: LoadedModel
    stack: Stack
    reader: _Reader
    groups: Sequence[Sequence[Taken]]
    batch_tokens: int
    pause: Callable[[], None]

    def values(self) -> Floats:
        """[G, M]."""
        walk = Walk(self.loaded, self.stack)
        with torch.enable_grad(), only_these_learn(self.loaded.model, self.reader.parameters), self.reader:
            return np.stack([self._group(walk, group) for group in self.groups])

    def _group(self, walk: Walk, group: Sequence[Taken]) -> Floats:
        batches = cut_batches([one.example for one in group], self.batch_tokens, causal=self.stack.info.causal)
        weights, total = np.array([one.example.weight for one in group]), sum(one.weight for one in group)
        for number, batch in enumerate(batches, start=1):
            self.pause()
            self.reader.complete = number == len(batches)
            losses = token_losses(self.loaded, self.stack, walk, batch)
            owners = np.asarray(batch.members)[batch.owners]
            (losses @ losses.new_tensor(weights[owners] / total)).backward()  # type: ignore[no-untyped-call]
        return self.reader.read()


@dataclass
class _Reader:
    """Reads each parameter's gradient against its weights as soon as a group's last batch has gone through it, and lets it go."""

    units: Sequence[Sequence[nn.Parameter]]
    complete: bool = False
    parameters: list[nn.Parameter] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._owners: dict[nn.Parameter, list[int]] = {}
        for number, unit in enumerate(self.units):
            for parameter in unit:
                self._owners.setdefault(parameter, []).append(number)
        self.parameters = list(self._owners)
        self._sums: dict[int, Tensor] = {}
        self._handles: list[torch.utils.hooks.RemovableHandle] = []

    def __enter__(self) -> None:
        register = Tensor.register_post_accumulate_grad_hook
        self._handles = [register(parameter, self._arrived) for parameter in self.parameters]  # type: ignore[no-untyped-call]

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()

    def read(self) -> Floats:
        """[M] of the group that is complete. Nothing that reached any of a unit's weights leaves it undefined."""
        for parameter in self.parameters:  # an expert that no token of the last batch came to
            if parameter.grad is not None:
                self._note(parameter)
        found = np.array([float(self._sums.get(number, np.nan)) for number in range(len(self.units))])
        self._sums.clear()
        return found

    def _arrived(self, parameter: Tensor) -> None:
        if self.complete:
            self._note(parameter)

    @torch.no_grad()
    def _note(self, parameter: Tensor) -> None:
        assert parameter.grad is not None
        pairs = zip(*(torch.split(one.flatten(), _AT_ONCE) for one in (parameter.grad, parameter)), strict=True)
        total = sum(
            ((gradient.float() * weight.float()).abs().sum() for gradient, weight in pairs), parameter.new_zeros((), dtype=torch.float32)
        )
        parameter.grad = None
        for number in self._owners[parameter]:  # type: ignore[index]
            self._sums[number] = total.to(self._sums[number].device) + self._sums[number] if number in self._sums else total


def _weights(stack: Stack, ref: UnitRef) -> list[nn.Parameter]:
    """The parameters that go with a unit."""
    unit, number = ref
    block = stack.blocks[number]
    if unit == "block":
        return list(block.parameters())
    parts = parts_of(block)
    modules = parts.mlp if unit == "mlp" else (parts.attention,) if parts.attention is not None else ()
    return list({parameter: None for module in modules for parameter in module.parameters()})


@contextmanager
def only_these_learn(model: nn.Module, parameters: Sequence[nn.Parameter]) -> Iterator[None]:
    """Inside, only these parameters want a gradient and have none yet; afterwards all is as before."""
    before = [(parameter, parameter.requires_grad, parameter.grad) for parameter in model.parameters()]
    try:
        for parameter, _, _ in before:
            parameter.grad = None
            parameter.requires_grad_(False)
        for parameter in parameters:
            parameter.requires_grad_(True)
        yield
    finally:
        for parameter, wanted, gradient in before:
            parameter.grad = None
            parameter.requires_grad_(wanted)
            parameter.grad = gradient
