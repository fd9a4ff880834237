"""A still drawing for a printed page: no script, nothing from outside, a title and a description for those who cannot see it.

Patterns keep the operations apart where colours do not: in grey print and for colour-blind readers.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Literal

from analysis.i18n import Language

FONT = '"Source Sans", "Noto Sans JP", "Noto Sans CJK JP", "Hiragino Sans", "Yu Gothic UI", Meiryo, sans-serif'
TEXT, QUIET, GRID, PAPER = "#31333F", "#5C6270", "#D5D8DE", "#FFFFFF"

Treated = Literal["kept", "prune", "skip", "freeze", "expand"]
COLOURS: Mapping[Treated, str] = {"kept": "#7F8999", "prune": "#A33B00", "skip": "#BA7800", "freeze": "#0963AD", "expand": "#38966A"}
"""Of the operations on paper: those of the light theme. Not taken from the charts, which need Plotly."""

_MARKS: Mapping[Treated, str] = {
    "skip": '<circle cx="2" cy="2" r=".9" fill="#FFF"/>',
    "freeze": '<path d="M-1 1 1-1M0 4 4 0M3 5 5 3" stroke="#FFF" stroke-width="1"/>',
    "expand": '<path d="M2 0V4M0 2H4" stroke="#FFF" stroke-width=".9"/>',
}

Anchor = Literal["start", "middle", "end"]


class Canvas:
    """Shapes in the order in which they are drawn, in units of about a CSS pixel when the drawing is as wide as its page."""

    def __init__(self, width: float, height: float, *, key: str, title: str, desc: str, language: Language) -> None:
        self.width, self.height = width, height
        self._key, self._title, self._desc, self._language = key, title, desc, language
        self._shapes: list[str] = []
        self._patterns: dict[str, None] = {}

    def rect(self, x: float, y: float, width: float, height: float, fill: str = "none", *, stroke: str = "", dash: str = "") -> None:
        """A rectangle, filled, outlined, or both."""
        self._shapes.append(
            f'<rect x="{_n(x)}" y="{_n(y)}" width="{_n(width)}" height="{_n(height)}" fill="{fill}"{_outline(stroke, 1, dash)}/>'
        )

    def line(self, x1: float, y1: float, x2: float, y2: float, *, stroke: str = QUIET, width: float = 1, dash: str = "") -> None:
        """A straight line."""
        self._shapes.append(f'<path d="M{_n(x1)} {_n(y1)}L{_n(x2)} {_n(y2)}" fill="none"{_outline(stroke, width, dash)}/>')

    def curve(
        self, points: Sequence[tuple[float, float]], *, stroke: str = "", width: float = 1.5, dash: str = "", fill: str = "none"
    ) -> None:
        """Points joined by straight lines; filled, the last joins the first."""
        steps = "L".join(f"{_n(x)} {_n(y)}" for x, y in points)
        end = "Z" if fill != "none" else ""
        self._shapes.append(f'<path d="M{steps}{end}" fill="{fill}"{_outline(stroke, width, dash)}/>')

    def dot(self, x: float, y: float, radius: float = 3, fill: str = TEXT) -> None:
        """A filled circle with a rim of paper, so that it stands out from a line."""
        self._shapes.append(f'<circle cx="{_n(x)}" cy="{_n(y)}" r="{_n(radius)}" fill="{fill}" stroke="{PAPER}"/>')

    def bars(self, boxes: Sequence[tuple[float, float, float, float]], treatment: Treated) -> None:
        """Many bars (x, y, width, height) of one operation as one shape: a hundred layers stay a few kilobytes."""
        if not boxes:
            return
        steps = "".join(f"M{_n(x)} {_n(y)}h{_n(width)}v{_n(height)}h{_n(-width)}z" for x, y, width, height in boxes)
        if treatment == "prune":
            self._shapes.append(f'<path d="{steps}" fill="none"{_outline(COLOURS["prune"], 1, "3 2")}/>')
            return
        self._shapes.append(f'<path d="{steps}" fill="{COLOURS[treatment]}"/>')
        if treatment in _MARKS:
            self._patterns[treatment] = None
            self._shapes.append(f'<path d="{steps}" fill="url(#{self._key}-{treatment})"/>')

    def text(
        self, x: float, y: float, words: str, *, anchor: Anchor = "start", size: float = 12, bold: bool = False, fill: str = TEXT
    ) -> None:
        """One line of text, its base line at y."""
        weight = ' font-weight="600"' if bold else ""
        place = f' text-anchor="{anchor}"' if anchor != "start" else ""
        self._shapes.append(
            f'<text x="{_n(x)}" y="{_n(y)}" font-size="{_n(size)}"{place}{weight} fill="{fill}">{html.escape(words, quote=False)}</text>'
        )

    def lines(self, x: float, y: float, words: Sequence[str], *, size: float = 12, anchor: Anchor = "start", fill: str = TEXT) -> None:
        """Lines of text under each other, the first one's base line at y."""
        for place, line in enumerate(words):
            self.text(x, y + place * 1.25 * size, line, size=size, anchor=anchor, fill=fill)

    def render(self) -> str:
        """The drawing as one SVG element that can stand in a page or in a file of its own."""
        defs = "".join(
            f'<pattern id="{self._key}-{kind}" width="4" height="4" patternUnits="userSpaceOnUse">{_MARKS[_treated(kind)]}</pattern>'
            for kind in self._patterns
        )
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_n(self.width)} {_n(self.height)}" role="img" '
            f'lang="{self._language}" xml:lang="{self._language}" aria-labelledby="{self._key}-title {self._key}-desc" '
            f"font-family='{FONT}'>"
        )
        said = (
            f'<title id="{self._key}-title">{html.escape(self._title, quote=False)}</title>'
            f'<desc id="{self._key}-desc">{html.escape(self._desc, quote=False)}</desc>'
        )
        return f"{head}{said}{f'<defs>{defs}</defs>' if defs else ''}{''.join(self._shapes)}</svg>"


def _treated(kind: str) -> Treated:
    return next(known for known in COLOURS if known == kind)


def _outline(stroke: str, width: float, dash: str) -> str:
    if not stroke:
        return ""
    return f' stroke="{stroke}" stroke-width="{_n(width)}"' + (f' stroke-dasharray="{dash}"' if dash else "")


def _n(value: float) -> str:
    """A coordinate with one decimal at most."""
    return f"{round(value, 1) + 0.0:.1f}".removesuffix(".0")
