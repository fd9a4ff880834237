"""The binomial distribution and Student's t against exact fractions and tables."""

from __future__ import annotations

from fractions import Fraction
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.planning.binomial import at_most, paired_change, share, upper_bound
from analysis.planning.student_t import student_t


@given(st.integers(1, 60), st.data())
def test_the_probability_is_the_exact_sum(n: int, data: st.DataObject) -> None:
    changed, hundredths = data.draw(st.integers(0, n)), data.draw(st.integers(1, 99))
    rate = Fraction(hundredths, 100)
    exact = sum(comb(n, k) * rate**k * (1 - rate) ** (n - k) for k in range(changed + 1))
    assert at_most(changed, n, hundredths / 100) == pytest.approx(float(exact), rel=1e-9)


def test_the_ends_of_the_scale_are_certain() -> None:
    assert (at_most(3, 3, 0.5), at_most(0, 3, 0.0), at_most(-1, 3, 0.5), at_most(1, 3, 1.0)) == (1.0, 1.0, 0.0, 0.0)


@given(st.integers(1, 2_000_000), st.integers(0, 200))
def test_an_interval_holds_its_value_however_many_answers_there_are(n: int, changed: int) -> None:
    changed = min(changed, n)
    found, upper = share(changed, n), upper_bound(changed, n)
    assert found.low is not None
    assert found.high is not None
    assert upper is not None
    assert found.low <= changed / n <= upper <= found.high


def test_nothing_is_known_from_nothing() -> None:
    assert share(0, 0).value is None
    assert upper_bound(0, 0) is None
    assert paired_change(0, 0, 0).value is None


@pytest.mark.parametrize(("freedom", "point"), [(4, 2.776), (6, 2.447), (9, 2.262), (19, 2.093), (29, 2.045), (120, 1.980)])
def test_students_t_is_that_of_the_tables(freedom: int, point: float) -> None:
    assert student_t(freedom) == pytest.approx(point, rel=3e-3)
