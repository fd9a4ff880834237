"""The rules that choose the last frozen layer, as scores over every place at which freezing could end.

*Place* p = eof_layer + 1 is the number of frozen blocks, 0 (none) to L. It is the number k by which the paper counts layers from
1: place k is "layer k", residual position k, and eof_layer k - 1. A place that a rule does not allow, or cannot score, is minus
infinity; place L never is allowed, as nothing would train. The largest score is chosen, the earliest of equals.

Shapes: curves [..., P] with P = L + 1 residual positions, undefined values nan; scores [..., P] over places.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from analysis.contracts import EofStrategy

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]
KAPLAN = 0.076
"""Exponent of a model's size in the scaling law of its loss. Source: Kaplan et al., arXiv 2001.08361 (from memory)."""


def smallest_deviation(curve: Floats) -> Floats:
    """R0: freeze up to where the state is nearest to the right word.

    >>> (chosen(smallest_deviation(np.array([0.9, 0.5, 0.2, 0.1]))) - 1).item()  # d_2 is the smallest of d_0..d_2: eof_layer 1
    1
    """
    return _allowed(-curve, first=0)


def gain(curve: Floats) -> Floats:
    """R1: freeze up to the block that takes most off the deviation, d_(k-1) - d_k.

    >>> (chosen(gain(np.array([0.9, 0.8, 0.3, 0.2, 0.0]))) - 1).item()  # from 0.8 to 0.3: block 1, "layer 2" in the paper
    1
    """
    taken = np.full_like(curve, np.nan)
    taken[..., 1:] = curve[..., :-1] - curve[..., 1:]
    return _allowed(taken, first=1)


def scaled_gain(curve: Floats) -> Floats:
    """R2: what deviation is left, times what the layers above could still do by a scaling law, d_k (1 - (k / L) ^ 0.076)."""
    n_blocks = curve.shape[-1] - 1
    above: Floats = 1.0 - (np.arange(n_blocks + 1) / max(n_blocks, 1)) ** KAPLAN
    return _allowed(curve * above, first=1)


def exponent(curve: Floats) -> Floats:
    """R3: the steepest local power law d ~ k ^ -a, a_k = ln(d_(k-1) / d_k) / ln(k / (k-1)); deviations of 0 or less are passed over.

    >>> power = np.arange(1.0, 6.0) ** -2.0  # positions 1 to 5 of a curve that falls as k^-2
    >>> exponent(np.concatenate(([9.0], power)))[2:5].round(6).tolist()
    [2.0, 2.0, 2.0]
    """
    slope = np.full_like(curve, np.nan)
    logs = np.log(np.where(curve > 0.0, curve, np.nan))
    places = np.arange(2, curve.shape[-1])
    slope[..., 2:] = (logs[..., 1:-1] - logs[..., 2:]) / np.log(places / (places - 1))
    return _allowed(slope, first=2)


CURVE_RULES: Mapping[EofStrategy, Callable[[Floats], Floats]] = {
    "smallest_deviation": smallest_deviation,
    "gain": gain,
    "scaled_gain": scaled_gain,
    "exponent": exponent,
    "lens": gain,
}
"""Rules that read a deviation curve; `lens` is R1 on the logit lens' own loss."""


def prefix_below_median(values: Floats) -> Floats:
    """Freeze the prefix of blocks below the median: every place inside it scores its own depth, so that its end is chosen.

    Source: AutoFreeze (arXiv 2102.01386), its 50th percentile over blocks. Undefined values neither end the prefix nor count.

    Args:
        values: [L] one per block.

    >>> (chosen(prefix_below_median(np.array([0.1, 0.2, 0.9, 0.3, 0.8]))) - 1).item()  # median 0.3; block 2 is the first above
    1
    """
    scores = np.full(len(values) + 1, -np.inf)
    if np.isfinite(values).any():
        active = np.nonzero(values >= np.nanmedian(values))[0]
        end = min(int(active[0]), len(values) - 1)
        scores[: end + 1] = np.arange(end + 1)
    return scores


def chosen(scores: Floats) -> Places:
    """The place with the largest score; -1 where none is allowed."""
    best: Places = np.asarray(scores.argmax(axis=-1), dtype=np.int64)
    return np.where(np.isneginf(scores.max(axis=-1)), -1, best)


def resampled_means(curves: Floats, weights: Floats, times: Floats) -> Floats:
    """[R, P] weighted means of prompts' curves when each prompt is taken as often as `times` [R, n] says; undefined values skipped."""
    known = np.isfinite(curves)
    weighted = times * weights
    with np.errstate(invalid="ignore", divide="ignore"):
        means: Floats = (weighted @ np.where(known, curves, 0.0)) / (weighted @ known.astype(np.float64))
    return means


@lru_cache(maxsize=2)
def resamples(n: int, replicates: int, seed: int = 0) -> Floats:
    """[R, n] how often each of n prompts is drawn, n draws with replacement each time; the same for the same seed."""
    drawn: Floats = np.random.default_rng(seed).multinomial(n, np.full(n, 1.0 / n), size=replicates).astype(np.float64)
    drawn.flags.writeable = False  # kept for the next rule
    return drawn


def _allowed(scores: Floats, *, first: int) -> Floats:
    """Only places from `first` to L - 1 with a finite score."""
    places = np.arange(scores.shape[-1])
    inside = (places >= first) & (places < scores.shape[-1] - 1)
    kept: Floats = np.where(inside & np.isfinite(scores), scores, -np.inf)
    return kept
