"""The point of Student's t that ends a 95 % interval of the mean of few values."""

from __future__ import annotations

import math


def student_t(freedom: int) -> float:
    """The 97.5 % point of Student's t, by its expansion around the normal's.

    >>> round(student_t(7), 3), round(student_t(30), 3)
    (2.364, 2.042)

    Source: Abramowitz & Stegun, Handbook of Mathematical Functions, 26.7.5.
    """
    z = 1.959963984540054
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return z + math.fsum(term / math.pow(freedom, place) for place, term in enumerate(terms, start=1))
