"""Each measure's own example holds."""

from __future__ import annotations

import doctest

import pytest

from analysis.similarity import angular, cka, cosine


@pytest.mark.parametrize("module", [angular, cka, cosine])
def test_the_examples_in_the_docstrings_hold(module):
    found = doctest.testmod(module)
    assert found.attempted > 0
    assert found.failed == 0
