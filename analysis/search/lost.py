"""What is lost with some units: by slice, by kind of token that had to be predicted, and the prompts that lose most."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.contracts import Estimate, LostWith, PartLoss, PromptLoss, TokenKind
from analysis.contracts.ranking import TOKEN_KINDS
from analysis.search.token_losses import TokenLosses
from analysis.verification.statistics import Bootstrap

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
SHOWN_PROMPTS = 10


def lost_with(
    losses: TokenLosses,
    base: int,
    kinds: Sequence[TokenKind] = (),
    *,
    excerpts: Mapping[str, str] | None = None,
    replicates: int = 200,
    seed: int = 0,
) -> tuple[LostWith, ...]:
    """What each set but the one at `base` loses against it, in the order of the sets.

    Changes are nats per judged token, every token counting for its example's weight. Intervals resample prompts, the same
    ones for every set and part, and both sides of a difference together. Where a set's numbers overflowed in a part, its
    change there is undefined.

    Args:
        base: which of the sets is held against, mostly the empty one.
        kinds: [T] kind of each token that had to be predicted; empty: not told apart.
        excerpts: example id -> the beginning of its prompt; None: no text is kept.
        replicates: resamples; 0: no intervals.
    """
    parts = _parts(losses, kinds)
    return tuple(
        _lost(losses, base, number, parts, excerpts or {}, _Drawing(replicates, seed))
        for number in range(len(losses.sets))
        if number != base
    )


@dataclass(frozen=True)
class _Drawing:
    replicates: int
    seed: int


@dataclass(frozen=True, eq=False)
class _Parts:
    """Which tokens belong to each slice and to each kind that occurs."""

    whole: Bools
    slices: Mapping[str, Bools]
    kinds: Mapping[TokenKind, Bools]


def _parts(losses: TokenLosses, kinds: Sequence[TokenKind]) -> _Parts:
    names = np.array([example.slice for example in losses.examples], dtype=object)[losses.owners]
    found = np.array(kinds, dtype=object)
    assert len(found) in (0, losses.n_tokens)
    return _Parts(
        whole=np.ones(losses.n_tokens, dtype=bool),
        slices={name: names == name for name in sorted(set(names))},
        kinds={kind: found == kind for kind in TOKEN_KINDS if len(found) and (found == kind).any()},
    )


def _lost(losses: TokenLosses, base: int, number: int, parts: _Parts, excerpts: Mapping[str, str], drawing: _Drawing) -> LostWith:
    def part(where: Bools) -> PartLoss:
        return _part(losses, base, number, where, drawing)

    return LostWith(
        removed=losses.sets[number],
        change=part(parts.whole).change,
        slices={name: part(where) for name, where in parts.slices.items()},
        kinds={kind: part(where) for kind, where in parts.kinds.items()},
        prompts=_prompts(losses, base, number, excerpts),
    )


def _part(losses: TokenLosses, base: int, number: int, where: Bools, drawing: _Drawing) -> PartLoss:
    """[n, 3] weighted tokens, change and loss before of each prompt that has such tokens; resampled by rows."""
    owners = losses.owners[where]
    present = np.unique(owners)
    weights = losses.weights[owners]
    before = losses.losses[base][where] * weights
    after = losses.losses[number][where] * weights
    columns = [np.bincount(owners, weights=column, minlength=len(losses.examples)) for column in (weights, after - before, before)]
    table: Floats = np.stack(columns, axis=1)[present].astype(np.float64)
    total = table.sum(axis=0)
    return PartLoss(
        change=_estimate(table, drawing),
        loss_before=float(total[2] / total[0]),
        n_tokens=int(where.sum()),
        n_examples=len(present),
    )


def _estimate(table: Floats, drawing: _Drawing) -> Estimate:
    def per_token(sums: Floats) -> Floats:
        found: Floats = sums[..., 1] / sums[..., 0]
        return found

    if drawing.replicates == 0:
        value = float(per_token(table.sum(axis=0)))
        return Estimate(value=value if np.isfinite(value) else None)
    return Bootstrap(table, replicates=drawing.replicates, seed=drawing.seed).estimate(per_token)


def _prompts(losses: TokenLosses, base: int, number: int, excerpts: Mapping[str, str]) -> tuple[PromptLoss, ...]:
    """Those that lose anything, most first, critical ones first among equals; without those whose numbers overflowed."""
    sizes = np.bincount(losses.owners, minlength=len(losses.examples))
    change = np.bincount(losses.owners, weights=losses.losses[number] - losses.losses[base], minlength=len(losses.examples))
    with np.errstate(invalid="ignore", divide="ignore"):
        means = change / sizes
    order = sorted(
        (index for index in range(len(losses.examples)) if sizes[index] and means[index] > 0),
        key=_worst_first(losses, means),
    )
    return tuple(
        PromptLoss(
            example_id=losses.examples[index].example_id,
            slice=losses.examples[index].slice,
            critical=losses.examples[index].critical,
            n_tokens=int(sizes[index]),
            change=float(means[index]),
            excerpt=excerpts.get(losses.examples[index].example_id, ""),
        )
        for index in order[:SHOWN_PROMPTS]
    )


def _worst_first(losses: TokenLosses, means: Floats) -> Callable[[int], tuple[float, bool, str]]:
    def key(index: int) -> tuple[float, bool, str]:
        example = losses.examples[index]
        return -round(float(means[index]), 6), not example.critical, example.example_id

    return key
