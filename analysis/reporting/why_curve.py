"""The deviation curve as a still drawing for a printed page: grey only, no script."""

from __future__ import annotations

import html
import itertools
from collections.abc import Sequence

from analysis.contracts.semantics import DeviationCurve
from analysis.i18n import Translator

_WIDTH, _HEIGHT = 680.0, 170.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 34.0, 8.0, 18.0, 22.0


def drawing(curve: DeviationCurve, eof_layer: int, t: Translator) -> str:
    """The curve over all positions with its interval, the frozen part hatched, a line at the boundary, and words."""
    scale = _Scale(curve)
    n_blocks = len(curve.mean) - 1
    parts = [
        '<defs><pattern id="frozen" width="7" height="7" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
        '<line x1="0" y1="0" x2="0" y2="7" stroke="#bbb" stroke-width="1.4"/></pattern></defs>'
    ]
    edge = scale.x(eof_layer + 1.5)
    if eof_layer >= 0:
        parts.append(f'<rect x="{_LEFT}" y="{_TOP}" width="{edge - _LEFT:.1f}" height="{_HEIGHT - _TOP - _BOTTOM}" fill="url(#frozen)"/>')
    parts += [*_axes(scale, n_blocks, t), *_bands(curve, scale), *_lines(curve.mean, scale)]
    parts.append(f'<line x1="{edge:.1f}" x2="{edge:.1f}" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}" stroke="#000" stroke-width="1.8"/>')
    if eof_layer >= 0:
        frozen = t("frozen: layers 0 to {last}", last=eof_layer) if eof_layer else t("frozen: layer 0")
        parts.append(_word(_LEFT, _TOP - 6, frozen, "start"))
    parts.append(_word(_WIDTH - _RIGHT, _TOP - 6, t("trained: from layer {first}", first=eof_layer + 1), "end"))
    label = html.escape(t("Curve of the distance from the right word by layer, with the boundary between frozen and trained layers"))
    return f'<svg viewBox="0 0 {_WIDTH:.0f} {_HEIGHT:.0f}" role="img" aria-label="{label}">{"".join(parts)}</svg>'


class _Scale:
    """From positions and values to the drawing's own places."""

    def __init__(self, curve: DeviationCurve) -> None:
        edges = [end for interval in curve.intervals if interval is not None for end in interval]
        known = [value for value in (*curve.mean, *edges) if value is not None] or [0.0, 1.0]
        gap = 0.06 * (max(known) - min(known)) or 0.05
        self.low, self.high = min(known) - gap, max(known) + gap
        self.last = max(len(curve.mean) - 1, 1)

    def x(self, position: float) -> float:
        """Where a position stands across; the first and last are half a step from the edges."""
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * (position + 0.5) / (self.last + 1)

    def y(self, value: float) -> float:
        """Where a value stands, high values up."""
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * (value - self.low) / (self.high - self.low)


def _axes(scale: _Scale, n_blocks: int, t: Translator) -> list[str]:
    floor = _HEIGHT - _BOTTOM
    found = [
        f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{floor}" y2="{floor}" stroke="#555"/>',
        f'<line x1="{_LEFT}" x2="{_LEFT}" y1="{_TOP}" y2="{floor}" stroke="#555"/>',
    ]
    for share in (0.1, 0.5, 0.9):
        value = scale.low + share * (scale.high - scale.low)
        found.append(_word(_LEFT - 4, scale.y(value) + 3, f"{value:.2f}", "end"))
    every = 1 if n_blocks <= 12 else 5 if n_blocks <= 50 else 10
    found.append(_word(scale.x(0), floor + 13, t("in"), "middle"))
    last = n_blocks - 1
    shown = [block for block in range(n_blocks) if (last - block) % every == 0 and block + 1 > every / 2]
    return [*found, *(_word(scale.x(block + 1), floor + 13, t("after {block}", block=block), "middle") for block in shown)]


def _bands(curve: DeviationCurve, scale: _Scale) -> list[str]:
    found = []
    for known, run in itertools.groupby(enumerate(curve.intervals), key=lambda pair: pair[1] is not None):
        if not known:
            continue
        held = [(position, interval) for position, interval in run if interval is not None]
        corners = [(position, high) for position, (_, high) in held] + [(position, low) for position, (low, _) in reversed(held)]
        points = " ".join(f"{scale.x(position):.1f},{scale.y(value):.1f}" for position, value in corners)
        found.append(f'<polygon points="{points}" fill="#777" fill-opacity="0.3"/>')
    return found


def _lines(mean: Sequence[float | None], scale: _Scale) -> list[str]:
    found = []
    for known, run in itertools.groupby(enumerate(mean), key=lambda pair: pair[1] is not None):
        if not known:
            continue
        held = [(position, value) for position, value in run if value is not None]
        points = " ".join(f"{scale.x(position):.1f},{scale.y(value):.1f}" for position, value in held)
        found.append(f'<polyline points="{points}" fill="none" stroke="#000" stroke-width="1.6"/>')
        found += [f'<circle cx="{scale.x(position):.1f}" cy="{scale.y(value):.1f}" r="2" fill="#000"/>' for position, value in held]
    return found


def _word(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="10" fill="#1a1a1a">{html.escape(text)}</text>'
