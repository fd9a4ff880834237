"""What is lost with some units: by slice, by kind of token that had to be predicted, and the prompts that lose most."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

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
    ones for every set, and both sides of a difference together. Where a set's numbers overflowed in a part, its change there
    is undefined.

    Args:
        base: which of the sets is held against, mostly the empty one; its losses are finite.
        kinds: [T] kind of each token that had to be predicted; empty: not told apart.
        excerpts: example id -> the beginning of its prompt; None: no text is kept.
        replicates: resamples; 0: no intervals.
    """
    assert len(kinds) in (0, losses.n_tokens)
    part = partial(_part, losses, base, replicates, seed)
    counts = losses.weights[losses.owners] > 0
    whole = part(counts)
    slices = {name: part(where & counts) for name, where in _slices(losses).items() if (where & counts).any()}
    by_kind = {kind: part(where & counts) for kind, where in _kinds(kinds).items() if (where & counts).any()}
    return tuple(
        LostWith(
            removed=losses.sets[number],
            change=whole[number].change,
            slices={name: found[number] for name, found in slices.items()},
            kinds={kind: found[number] for kind, found in by_kind.items()},
            prompts=_prompts(losses, base, number, excerpts or {}),
        )
        for number in range(len(losses.sets))
        if number != base
    )


def _slices(losses: TokenLosses) -> dict[str, Bools]:
    names = np.array([example.slice for example in losses.examples], dtype=object)[losses.owners]
    return {name: names == name for name in sorted(set(names))}


def _kinds(kinds: Sequence[TokenKind]) -> dict[TokenKind, Bools]:
    found = np.array(kinds, dtype=object)
    return {kind: found == kind for kind in TOKEN_KINDS if kind in set(kinds)}


def _part(losses: TokenLosses, base: int, replicates: int, seed: int, where: Bools) -> list[PartLoss]:
    """What every set does to these tokens; one row of sums per prompt that has any, so that prompts are resampled."""
    owners = losses.owners[where]
    present, rows = np.unique(owners, return_inverse=True)
    weights, found = losses.weights[owners], losses.losses[:, where]
    columns = [weights, *((found - found[base]) * weights)]
    table: Floats = np.stack([np.bincount(rows, weights=column, minlength=len(present)) for column in columns], axis=1).astype(np.float64)
    estimate = Bootstrap(table, replicates=replicates, seed=seed).estimate if replicates else partial(_plain, table.sum(axis=0))
    return [
        PartLoss(
            change=estimate(partial(_per_token, number)),
            loss_before=float(found[base] @ weights / weights.sum()),
            n_tokens=len(owners),
            n_examples=len(present),
        )
        for number in range(len(losses.sets))
    ]


def _per_token(number: int, sums: Floats) -> Floats:
    found: Floats = sums[..., 1 + number] / sums[..., 0]
    return found


def _plain(sums: Floats, statistic: Callable[[Floats], Floats]) -> Estimate:
    value = float(statistic(sums))
    return Estimate(value=value if np.isfinite(value) else None)


def _prompts(losses: TokenLosses, base: int, number: int, excerpts: Mapping[str, str]) -> tuple[PromptLoss, ...]:
    """Those that lose anything, most first, critical ones first among equals; without those whose numbers overflowed."""
    sizes = np.bincount(losses.owners, minlength=len(losses.examples))
    changes = np.bincount(losses.owners, weights=losses.losses[number] - losses.losses[base], minlength=len(sizes))
    means = [float(change / size) if size else 0.0 for change, size in zip(changes, sizes, strict=True)]
    losing = (index for index, mean in enumerate(means) if mean > 0)
    order = sorted(
        losing, key=lambda index: (-round(means[index], 6), not losses.examples[index].critical, losses.examples[index].example_id)
    )
    return tuple(
        PromptLoss(
            example_id=example.example_id,
            slice=example.slice,
            critical=example.critical,
            n_tokens=int(sizes[index]),
            change=means[index],
            excerpt=excerpts.get(example.example_id, ""),
        )
        for index, example in ((index, losses.examples[index]) for index in order[:SHOWN_PROMPTS])
    )
