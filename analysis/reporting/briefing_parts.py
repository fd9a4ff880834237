"""What a briefing is made of: every word of it in one language, ready to be laid out as a page, as slides or on a screen.

Nothing here is HTML and nothing is cut: whoever lays it out escapes and cuts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from analysis.contracts import FigureOrigin, Standing
from analysis.i18n import Language

PartName = Literal["short", "points", "table", "risks", "stages", "ask", "sources"]
"""The seven parts of the page, in their fixed order."""


@dataclass(frozen=True)
class Part:
    """One numbered part of the page: its heading and its sentences (for tables and boxes: what stands around them)."""

    number: int
    name: PartName
    heading: str
    body: tuple[str, ...] = ()


@dataclass(frozen=True)
class TableRow:
    """One row of "today and after"; an unknown cell says so in words."""

    label: str
    today: str
    after: str
    change: str
    origin: str = ""


@dataclass(frozen=True)
class AlternativeRow:
    """One way to go, in the same columns as every other."""

    label: str
    start: str
    cost: str
    saving: str
    payback: str
    quality: str
    origin: str
    note: str = ""
    own: bool = False


@dataclass(frozen=True)
class RiskRow:
    """A concern, what limits it, and who acts."""

    concern: str
    limit: str
    who: str


@dataclass(frozen=True)
class StageBox:
    """One stage as a box: a title and a few short lines, then the condition to go on."""

    number: int
    title: str
    lines: tuple[str, ...]
    go_on: str = ""


@dataclass(frozen=True)
class Sentence:
    """One sentence to say in the meeting, by its number."""

    number: int
    text: str


@dataclass(frozen=True)
class Dropped:
    """A sentence that is not said, and why, in words that stand between brackets: "missing: ...", "it does not pay back"."""

    number: int
    why: str


@dataclass(frozen=True)
class Answer:
    """A question that the board will ask, and what can be said."""

    question: str
    answer: str


@dataclass(frozen=True)
class Entry:
    """A term that occurs, and what it means."""

    term: str
    meaning: str


@dataclass(frozen=True)
class Signature:
    """A box to sign in: whose it is, and the name as typed; empty: to be signed by hand."""

    role: str
    name: str = ""


@dataclass(frozen=True)
class SourcedFigure:
    """A figure of the page with its source line."""

    label: str
    text: str
    source: str
    origin: FigureOrigin


@dataclass(frozen=True)
class Counts:
    """How many figures are measured, projected, assumed, or measured on another machine."""

    measured: int = 0
    projected: int = 0
    assumed: int = 0
    elsewhere: int = 0


@dataclass(frozen=True)
class Briefing:
    """One page for people who decide, and what goes with it: sentences for the meeting, questions, terms, the ringi text."""

    language: Language
    standing: Standing
    title: str
    subtitle: str
    stamp: str
    author: str
    date: str
    banner: str | None = field(
        metadata={"why": "stands over part 1 whenever the evidence does not carry the case; nothing switches it off"}
    )
    """Stands over part 1 whenever the evidence does not carry the case; nothing switches it off."""
    parts: tuple[Part, ...]
    points: tuple[str, str, str]
    table_head: tuple[str, ...]
    table: tuple[TableRow, ...]
    risks: tuple[RiskRow, ...]
    stages: tuple[StageBox, ...]
    stop: str
    ask: tuple[str, ...]
    sources: tuple[str, ...]
    sentences: tuple[Sentence, ...]
    dropped: tuple[Dropped, ...]
    questions: tuple[Answer, ...]
    glossary: tuple[Entry, ...]
    alternatives_head: tuple[str, ...]
    alternatives: tuple[AlternativeRow, ...]
    ringi: str
    signatures: tuple[Signature, ...]
    counts: Counts
    figures: tuple[SourcedFigure, ...]
    words: Mapping[str, str] = field(default_factory=dict)
    """The places of the sentences by name (saving_pct, cost_name, payback_months, top_driver, ...), already written; absent: not known."""
    drawing: str = ""
    """The stack before and after as SVG; empty: none could be drawn."""

    def part(self, name: PartName) -> Part:
        """One part by its name."""
        return next(part for part in self.parts if part.name == name)

    @property
    def says_no(self) -> bool:
        """Whether the page advises against the plan."""
        return self.standing == "outside"
