"""Differences between two sets, prompt by prompt, and how sure they are."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from analysis.contracts import Interval

Sums = npt.NDArray[np.float64]
"""One number per example of the workload; NaN: not run yet."""


def paired(differences: Sums, tokens: Sums) -> tuple[float, float, int]:
    """Mean difference per token, its standard error over prompts, and how many prompts there are.

    Source: the ratio estimator and its linearised variance (Cochran, Sampling Techniques, chapter 6).
    """
    n, total = len(differences), float(tokens.sum())
    if not total:
        return 0.0, math.inf, n
    mean = float(differences.sum() / total)
    rest = differences - mean * tokens
    error = math.sqrt(float((rest**2).sum()) * n / (n - 1)) / total if n > 1 else math.inf
    return mean, error, n


def interval(change: float, error: float, n: int) -> Interval | None:
    """95 % interval from a standard error over n prompts; None where there is one prompt only."""
    if n < 2 or not math.isfinite(error):
        return None
    half = student_95(n - 1) * error
    return change - half, change + half


def student_95(freedom: int) -> float:
    """The 97.5 % point of Student's t, by Cornish and Fisher's expansion (Abramowitz & Stegun 26.7.5).

    >>> [round(student_95(n), 2) for n in (5, 10, 30)]
    [2.57, 2.23, 2.04]
    """
    exact = {1: 12.706, 2: 4.303, 3: 3.182}
    z = 1.959964
    series = z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
    return exact.get(freedom, series + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * freedom**3))
