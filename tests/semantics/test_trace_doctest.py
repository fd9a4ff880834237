"""The formulas' own examples."""

from __future__ import annotations

import doctest

import pytest

from analysis.semantics import curves


@pytest.mark.parametrize("module", [curves])
def test_the_examples_in_the_docstrings_hold(module):
    found = doctest.testmod(module)
    assert found.attempted > 0
    assert found.failed == 0
