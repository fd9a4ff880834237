"""The closed forms in docstrings hold."""

from __future__ import annotations

import doctest
import importlib

import pytest

MODULES = ("amount", "eof", "eof_budget", "eof_rules", "latency", "projection", "steps", "training_flops", "training_memory")


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_hold(name: str) -> None:
    assert doctest.testmod(importlib.import_module(f"analysis.planning.{name}")).failed == 0
