"""How the loss of two models rises under a disturbance: sums by example, and from them the figures with their intervals."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from analysis.contracts import Estimate, Message, Value
from analysis.contracts.robustness import Comparison, Disturbance, Disturbed
from analysis.errors import ModelError
from analysis.models.head import Head
from analysis.planning.readings import FEWEST_PROMPTS
from analysis.verification.batches import Batch, Ints, Runner, batch_of
from analysis.verification.disturbed import Bools, Judged
from analysis.verification.quality import chunk_rows
from analysis.verification.statistics import Bootstrap, Floats

Applied = Callable[[], AbstractContextManager[object]]
"""Inside what it returns, the plan is carried out on the live model."""


@dataclass(frozen=True, eq=False)
class Told:
    """What one model makes of the judged tokens of one example.

    Attributes:
        losses: [t] nats.
        first: [t] the word it would say itself.
    """

    losses: Floats
    first: Ints


@dataclass(frozen=True, eq=False)
class Pair:
    """The same of both models."""

    original: Told
    plan: Told


def run_both(
    runner: Runner, sequences: Sequence[Ints], counts: Sequence[Bools], applied: Applied, stage: Message, names: Sequence[str]
) -> list[Pair]:
    """What both models make of the judged tokens of each sequence.

    Args:
        runner: runs the model.
        sequences: token ids.
        counts: their judged tokens.
        applied: carries the plan out.
        stage: what is being done.
        names: of each sequence's example, for messages.

    Raises:
        ModelError: numbers overflowed.
        Cancelled, ResourceError: see `Runner.all_of`.
    """
    head = Head(runner.loaded, runner.stack)
    found: dict[int, Pair] = {}

    def run(members: tuple[int, ...]) -> dict[int, Pair]:
        batch = batch_of(members, sequences, counts, causal=True)
        original = _told(runner, head, batch)
        with applied():
            plan = _told(runner, head, batch)
        _check_finite(runner, batch, original, plan, names)
        return {member: Pair(_of(original, batch, member), _of(plan, batch, member)) for member in members}

    with runner.interruptible():
        for part in runner.all_of([len(ids) for ids in sequences], run, stage):
            found |= part
    return [found[number] for number in range(len(sequences))]


def _told(runner: Runner, head: Head, batch: Batch) -> Told:
    states = runner.states(batch)
    targets = torch.from_numpy(batch.targets).to(states.device)
    step = chunk_rows(states.device, runner.loaded.info.vocab_size)
    parts = [_losses(head.logits(states[at : at + step]), targets[at : at + step]) for at in range(0, len(targets), step)]
    losses, first = (torch.cat(column).cpu().numpy() for column in zip(*parts, strict=True))
    return Told(losses.astype(np.float64), first)


def _losses(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    scores = logits.float().log_softmax(-1)
    return -scores.gather(1, targets[:, None])[:, 0], scores.argmax(-1)


def _of(told: Told, batch: Batch, member: int) -> Told:
    mine = batch.owners == member
    return Told(told.losses[mine], told.first[mine])


def _check_finite(runner: Runner, batch: Batch, original: Told, plan: Told, names: Sequence[str]) -> None:
    bad = ~(np.isfinite(original.losses) & np.isfinite(plan.losses))
    if not bad.any():
        return
    values: dict[str, Value] = {
        "dtype": str(runner.loaded.dtype).removeprefix("torch."),
        "example": names[int(batch.owners[np.flatnonzero(bad)[0]])][:12],
        "n": int(bad.sum()),
    }
    if not np.isfinite(original.losses).all():
        raise ModelError(
            "The original model's numbers overflowed in {dtype} (prompt {example}, tokens: {n}), so nothing can be compared with it. "
            "Choose bfloat16 or float32.",
            **values,
        )
    raise ModelError(
        "With the plan the model's numbers overflowed in {dtype} (prompt {example}, tokens: {n}). Choose bfloat16 or float32, or "
        "another plan.",
        **values,
    )


# -- from sums to figures ----------------------------------------------------------------------------------------------

CLEAN_ORIGINAL, CLEAN_PLAN, ORIGINAL, PLAN, KEPT_ORIGINAL, KEPT_PLAN, TOKENS = range(7)


@dataclass(frozen=True, eq=False)
class Rises:
    """Sums over the judged tokens of each example under one disturbance, times its weight: [n, 7], see the columns above."""

    examples: Sequence[Judged]
    sums: Floats

    def estimate(self, statistic: Callable[[Floats], Floats], members: Sequence[int] | None, *, replicates: int, seed: int) -> Estimate:
        """A mean per token over some examples (None: all), with its interval over prompts."""
        chosen = self.sums if members is None else self.sums[list(members)]
        return Bootstrap(chosen, replicates=replicates, seed=seed).estimate(lambda sums: np.asarray(statistic(sums) / sums[..., TOKENS]))


def rises(examples: Sequence[Judged], clean: Sequence[Pair], disturbed: Sequence[Pair]) -> Rises:
    """The sums of one disturbance."""
    rows = [
        example.encoded.weight
        * np.array(
            [
                before.original.losses.sum(),
                before.plan.losses.sum(),
                after.original.losses.sum(),
                after.plan.losses.sum(),
                np.count_nonzero(before.original.first == after.original.first),
                np.count_nonzero(before.plan.first == after.plan.first),
                example.n_judged,
            ]
        )
        for example, before, after in zip(examples, clean, disturbed, strict=True)
    ]
    return Rises(examples, np.array(rows).reshape(-1, 7))


def difference(sums: Floats) -> Floats:
    """How much more the plan's loss rises than the original's."""
    return np.asarray((sums[..., PLAN] - sums[..., CLEAN_PLAN]) - (sums[..., ORIGINAL] - sums[..., CLEAN_ORIGINAL]))


def disturbed_of(kind: Disturbance, level: float, found: Rises, *, replicates: int, seed: int, **more: object) -> Disturbed:
    """The figures of one disturbance.

    Args:
        kind: of the disturbance.
        level: its strength.
        found: the sums.
        replicates: resamples for the intervals.
        seed: of them; the same for all disturbances, so that they are paired.
        more: further fields of the contract.
    """

    def mean(statistic: Callable[[Floats], Floats], members: Sequence[int] | None = None) -> Estimate:
        return found.estimate(statistic, members, replicates=replicates, seed=seed)

    seen = mean(difference)
    return Disturbed(
        kind=kind,
        level=level,
        n_examples=len(found.examples),
        n_tokens=sum(example.n_judged for example in found.examples),
        loss_original=mean(lambda sums: sums[..., ORIGINAL]),
        loss_plan=mean(lambda sums: sums[..., PLAN]),
        rise_original=mean(lambda sums: sums[..., ORIGINAL] - sums[..., CLEAN_ORIGINAL]),
        rise_plan=mean(lambda sums: sums[..., PLAN] - sums[..., CLEAN_PLAN]),
        difference=seen,
        comparison=comparison(seen, len(found.examples)),
        agreement_original=mean(lambda sums: sums[..., KEPT_ORIGINAL]),
        agreement_plan=mean(lambda sums: sums[..., KEPT_PLAN]),
        slices={name: mean(difference, members) for name, members in by_slice(found.examples).items()},
        **more,
    )


def comparison(seen: Estimate, n_examples: int) -> Comparison:
    """What an interval of a difference in loss says: above 0 worse, below 0 better.

    >>> comparison(Estimate(value=0.2, low=0.1, high=0.3), 40), comparison(Estimate(value=0.2, low=-0.1, high=0.5), 40)
    ('worse', 'no_difference')
    >>> comparison(Estimate(value=0.2, low=0.1, high=0.3), 4)
    'unknown'
    """
    if n_examples < FEWEST_PROMPTS or seen.low is None or seen.high is None:
        return "unknown"
    return "worse" if seen.low > 0 else "better" if seen.high < 0 else "no_difference"


def by_slice(examples: Sequence[Judged]) -> Mapping[str, list[int]]:
    """Places of the examples of each slice, slices by name."""
    found: dict[str, list[int]] = {}
    for place, example in enumerate(examples):
        found.setdefault(example.encoded.slice, []).append(place)
    return dict(sorted(found.items()))
