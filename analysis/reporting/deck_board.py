"""A slide as a board: boxes in inches, text that is set as large as it fits, tables and cards. No text is left to overflow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

from analysis.reporting.lettering import shortened_to, text_width, wrapped
from analysis.reporting.svg import QUIET, TEXT

WIDTH, HEIGHT, EDGE = 13.333, 7.5, 0.6
PANEL, RULE, DARK = "#F3F4F6", "#C9CDD5", "#334155"
LEADING = 1.25
"""Distance of base lines in sizes of the letters; set as points, so that no face opens the lines."""
_INSET, _INSET_DOWN = 0.08, 0.04
_POINTS = 72.0


class Box(NamedTuple):
    """A place on a slide in inches."""

    x: float
    y: float
    w: float
    h: float

    def columns(self, *shares: float, gap: float = 0.3) -> tuple[Box, ...]:
        """Side by side, in proportion to the shares."""
        room, x, found = self.w - gap * (len(shares) - 1), self.x, []
        for share in shares:
            width = room * share / sum(shares)
            found.append(Box(x, self.y, width, self.h))
            x += width + gap
        return tuple(found)

    def rows(self, *heights: float, gap: float = 0.15) -> tuple[Box, ...]:
        """One above the other, in proportion to the heights."""
        room, y, found = self.h - gap * (len(heights) - 1), self.y, []
        for height in heights:
            tall = room * height / sum(heights)
            found.append(Box(self.x, y, self.w, tall))
            y += tall + gap
        return tuple(found)


@dataclass(frozen=True)
class Type:
    """How a text is set: points, the smallest points it may shrink to, weight, colour, and where it stands in its box."""

    size: float = 14
    smallest: float = 10.5
    bold: bool = False
    colour: str = TEXT
    align: Literal["left", "center", "right"] = "left"
    anchor: Literal["top", "middle", "bottom"] = "top"
    gap: float = 0.35
    """Distance between paragraphs in lines."""


class Line(NamedTuple):
    """One paragraph; `head` stands before it in bold."""

    text: str
    head: str = ""
    bullet: bool = False

    @property
    def whole(self) -> str:
        """As it is read."""
        return f"{'• ' if self.bullet else ''}{self.head}{self.text}"


def text_height(lines: Sequence[Line], width: float, size: float, gap: float) -> float:
    """Inches that paragraphs take in a box of that width, by the estimate of their letters; bold heads are wider."""
    room = 0.97 * _POINTS * (width - 2 * _INSET)
    n = sum(len(wrapped(line.whole, room / (1.04 if line.head else 1.0), size)) for line in lines)
    return (n + gap * max(len(lines) - 1, 0)) * LEADING * size / _POINTS + 2 * _INSET_DOWN


def fitted(lines: Sequence[Line], box: Box, look: Type) -> tuple[tuple[Line, ...], float]:
    """The paragraphs and the largest size in which they fit; at the smallest size the last ones are cut, and end in "…"."""
    size, kept, width = look.size, tuple(lines), (0.95 if look.bold else 1.0) * box.w  # bold letters are wider

    def too_tall() -> bool:
        return text_height(kept, width, size, look.gap) > box.h

    while size > look.smallest and too_tall():
        size -= 0.5
    while len(kept) > 1 and too_tall():
        kept = (*kept[:-2], kept[-2]._replace(text=kept[-2].text.rstrip("… ") + " …"))
    while kept and len(kept[-1].text) > 1 and too_tall():
        kept = (*kept[:-1], kept[-1]._replace(text=kept[-1].text.rstrip("… ")[:-1].rstrip() + "…"))
    return kept, size


def alike(texts: Sequence[Sequence[Line]], boxes: Sequence[Box], look: Type) -> Type:
    """The type in which all of the texts fit their boxes: neighbours are set in one size."""
    return replace(look, size=min((fitted(lines, box, look)[1] for lines, box in zip(texts, boxes, strict=True)), default=look.size))


def snug(lines: Sequence[Line | str], box: Box, look: Type) -> Box:
    """The box, no taller than its text."""
    kept, size = fitted([line if isinstance(line, Line) else Line(line) for line in lines], box, look)
    return box._replace(h=min(box.h, text_height(kept, box.w, size, look.gap) + 0.06))


def that_fit(lines: Sequence[Line], box: Box, look: Type) -> tuple[Line, ...]:
    """As many whole paragraphs as fit at the smallest size."""
    kept = tuple(lines)
    while kept and text_height(kept, box.w, look.smallest, look.gap) > box.h:
        kept = kept[:-1]
    return kept


class Board:
    """One slide and the ways to put something on it."""

    def __init__(self, slide: Any) -> None:
        self.slide = slide

    def text(self, box: Box, lines: Sequence[Line | str], look: Type = Type(), *, fill: str = "", rule: str = "", name: str = "") -> Any:
        """A text box; nothing where there is nothing to say."""
        said = [line if isinstance(line, Line) else Line(line) for line in lines]
        said = [line for line in said if line.whole.strip()]
        if not said:
            return None
        shape = self.slide.shapes.add_textbox(*_emu(box))
        _paint(shape, fill, rule)
        write(shape.text_frame, said, box, look)
        if name:
            shape.name = name
        return shape

    def rect(self, box: Box, fill: str, *, rule: str = "", name: str = "") -> Any:
        """A rectangle without text, which screen readers pass over."""
        from pptx.enum.shapes import MSO_SHAPE

        shape = self.slide.shapes.add_shape(MSO_SHAPE.RECTANGLE, *_emu(box))
        plain(shape)
        _paint(shape, fill, rule)
        if name:
            shape.name = name
        return shape

    def table(self, box: Box, head: Sequence[str], rows: Sequence[Sequence[str]], shares: Sequence[float], *, size: float = 12) -> int:
        """A native table with a header row, in the largest size in which it fits; returns how many rows it shows."""
        shown, size = _fitting_rows(head, rows, shares, box, size)
        if not shown:
            return 0
        widths = [box.w * share / sum(shares) for share in shares]
        frame = self.slide.shapes.add_table(len(shown) + 1, len(head), *_emu(box._replace(h=0.3 * (len(shown) + 1))))
        table = frame.table
        _plain_table(table)
        for column, width in zip(table.columns, widths, strict=True):
            column.width = _inches(width)
        for place, row in enumerate((head, *shown)):
            table.rows[place].height = _inches(_row_height(row, widths, size))
            for cell, words, width in zip(table.rows[place].cells, row, widths, strict=True):
                _cell(cell, words, size, width, is_head=place == 0)
        return len(shown)

    def notes(self, paragraphs: Sequence[str]) -> None:
        """What to say, in the slide's notes."""
        self.slide.notes_slide.notes_text_frame.text = "\n".join(paragraphs)


def write(frame: Any, lines: Sequence[Line], box: Box, look: Type) -> None:
    """Sets paragraphs into a text frame so that they stay inside the box."""
    from pptx.enum.text import MSO_ANCHOR, MSO_AUTO_SIZE, PP_ALIGN

    kept, size = fitted(lines, box, look)
    frame.word_wrap = True
    frame.auto_size = MSO_AUTO_SIZE.NONE
    frame.margin_left = frame.margin_right = _inches(_INSET)
    frame.margin_top = frame.margin_bottom = _inches(_INSET_DOWN)
    frame.vertical_anchor = {"top": MSO_ANCHOR.TOP, "middle": MSO_ANCHOR.MIDDLE, "bottom": MSO_ANCHOR.BOTTOM}[look.anchor]
    for place, line in enumerate(kept):
        paragraph = frame.paragraphs[0] if place == 0 else frame.add_paragraph()
        paragraph.alignment = {"left": PP_ALIGN.LEFT, "center": PP_ALIGN.CENTER, "right": PP_ALIGN.RIGHT}[look.align]
        paragraph.line_spacing = _pt(LEADING * size)
        paragraph.space_before = _pt(look.gap * LEADING * size if place else 0)
        for words, bold in ((("• " if line.bullet else "") + line.head, True), (line.text, look.bold)):
            if words:
                _run(paragraph, words, replace(look, size=size, bold=bold))


def _run(paragraph: Any, words: str, look: Type) -> None:
    run = paragraph.add_run()
    run.text = words
    run.font.size = _pt(look.size)
    run.font.bold = look.bold
    run.font.color.rgb = _rgb(look.colour)


def _fitting_rows(
    head: Sequence[str], rows: Sequence[Sequence[str]], shares: Sequence[float], box: Box, size: float
) -> tuple[list[Sequence[str]], float]:
    widths = [box.w * share / sum(shares) for share in shares]

    def height(shown: Sequence[Sequence[str]], at: float) -> float:
        return sum(_row_height(row, widths, at) for row in (head, *shown))

    while size > 10 and height(rows, size) > box.h:
        size -= 0.5
    shown = list(rows)
    while shown and height(shown, size) > box.h:
        shown.pop()
    return shown, size


def _row_height(row: Sequence[str], widths: Sequence[float], size: float) -> float:
    return max(text_height([Line(words)], width, size, 0.0) for words, width in zip(row, widths, strict=True))


def _cell(cell: Any, words: str, size: float, width: float, *, is_head: bool) -> None:
    cell.margin_left = cell.margin_right = _inches(_INSET)
    cell.margin_top = cell.margin_bottom = _inches(_INSET_DOWN)
    write(cell.text_frame, [Line(words)], Box(0, 0, width, 99), Type(size=size, smallest=size, bold=is_head))
    cell.fill.solid()
    cell.fill.fore_color.rgb = _rgb("#E5E7EB" if is_head else "#FFFFFF")


def _plain_table(table: Any) -> None:
    """A grid of thin lines in place of PowerPoint's coloured bands."""
    style = table._tbl.tblPr.find("{http://schemas.openxmlformats.org/drawingml/2006/main}tableStyleId")
    style.text = "{5940675A-B579-460E-94D1-54222C63F5DA}"
    table.horz_banding = False


def plain(shape: Any) -> None:
    """Takes the template's shadow and outline from a shape."""
    style = shape._element.find("{http://schemas.openxmlformats.org/presentationml/2006/main}style")
    if style is not None:
        shape._element.remove(style)


def _paint(shape: Any, fill: str, rule: str) -> None:
    if fill:
        shape.fill.solid()
        shape.fill.fore_color.rgb = _rgb(fill)
    else:
        shape.fill.background()
    if rule:
        shape.line.color.rgb = _rgb(rule)
        shape.line.width = _pt(1)
    else:
        shape.line.fill.background()


def one_line(text: str, width: float, size: float) -> str:
    """A text cut to one line of a box."""
    return shortened_to(text, _POINTS * (width - 2 * _INSET), size)


def lines_of(text: str, width: float, size: float) -> int:
    """How many lines a text takes in a box of that width."""
    return len(wrapped(text, _POINTS * (width - 2 * _INSET), size))


def width_of(text: str, size: float) -> float:
    """Inches that a text takes in one line, with the box's insets."""
    return text_width(text, size) / _POINTS + 2 * _INSET


def _emu(box: Box) -> tuple[Any, Any, Any, Any]:
    return _inches(box.x), _inches(box.y), _inches(box.w), _inches(box.h)


def _inches(value: float) -> Any:
    from pptx.util import Inches

    return Inches(value)


def _pt(value: float) -> Any:
    from pptx.util import Pt

    return Pt(value)


def _rgb(colour: str) -> Any:
    from pptx.dml.color import RGBColor

    return RGBColor.from_string(colour.removeprefix("#"))


__all__ = [
    "DARK",
    "EDGE",
    "HEIGHT",
    "PANEL",
    "QUIET",
    "RULE",
    "TEXT",
    "WIDTH",
    "Board",
    "Box",
    "Line",
    "Type",
    "alike",
    "fitted",
    "lines_of",
    "one_line",
    "plain",
    "snug",
    "text_height",
    "that_fit",
    "width_of",
    "write",
]
