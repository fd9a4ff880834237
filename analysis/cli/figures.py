"""Figures and tables as the terminal writes them: an interval beside a value, columns under one another."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from analysis.cli.terminal import Terminal
from analysis.contracts import Estimate
from analysis.i18n.numbers import number, percent, span

UNKNOWN = "-"
"""What stands where there is no figure."""


def figure(value: float | None, terminal: Terminal, digits: int = 3) -> str:
    """A figure with so many decimals."""
    return UNKNOWN if value is None else number(value, terminal.language, digits)


def change(value: float | None, terminal: Terminal, digits: int = 3) -> str:
    """A figure with its sign: +0.140."""
    return UNKNOWN if value is None else f"{'+' if value > 0 else ''}{number(value, terminal.language, digits)}"


def with_interval(found: Estimate | None, terminal: Terminal, digits: int = 3, *, signed: bool = False) -> str:
    """A figure with its interval: "0.140 (0.112 to 0.168)"."""
    if found is None or found.value is None:
        return UNKNOWN
    said = change(found.value, terminal, digits) if signed else figure(found.value, terminal, digits)
    if found.low is None or found.high is None:
        return said
    return f"{said} ({span(figure(found.low, terminal, digits), figure(found.high, terminal, digits), terminal.language)})"


def share(found: Estimate | None, terminal: Terminal) -> str:
    """A share with its interval: "94% (88 to 101%)"."""
    if found is None or found.value is None:
        return UNKNOWN
    said = percent(found.value, terminal.language)
    if found.low is None or found.high is None:
        return said
    return f"{said} ({span(number(100 * found.low, terminal.language, 0), percent(found.high, terminal.language), terminal.language)})"


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines with their columns under one another, full-width characters counted double."""
    widths = [max(map(_width, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(text + " " * (wide - _width(text)) for text, wide in zip(row, widths, strict=True)).rstrip() for row in rows]


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in text)
