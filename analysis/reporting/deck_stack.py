"""The stack as native shapes: one shape for each operation, so that a slide with eighty layers stays light and can be recoloured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from analysis.contracts import CaseEvidence
from analysis.i18n import Language, render, translator
from analysis.reporting.case_pictures import Run, everything, runs, treatment_name, treatments
from analysis.reporting.deck_board import QUIET, Board, Box, Type, plain, width_of
from analysis.reporting.svg import COLOURS, TEXT, Treated

_PER_INCH = 914_400
_LEGEND, _NUMBERS = 0.36, 0.48


def stack(board: Board, box: Box, evidence: CaseEvidence, language: Language) -> None:
    """The layers today and with the plan: attention left, MLP right; layer 0 on top."""
    t = translator(language)
    bars = Box(box.x, box.y + 0.62, box.w, box.h - 0.62 - _LEGEND - 0.1)
    numbers, today, after = _panels(bars)
    for panel, name in ((today, t("today")), (after, t("with the plan"))):
        board.text(panel._replace(y=box.y, h=0.34), [name], Type(size=13, bold=True))
        left, right = panel._replace(y=box.y + 0.3, h=0.3).columns(1, 1, gap=0.04)
        board.text(left, [t("attention")], Type(size=10.5, colour=QUIET))
        board.text(right, [t("MLP")], Type(size=10.5, colour=QUIET, align="right"))
    _layer_numbers(board, numbers, evidence.n_blocks)
    kinds = _kinds(treatments(evidence))
    dense = bars.h / evidence.n_blocks < 0.06
    for kind in kinds:
        name = treatment_name(kind, evidence, language)
        if kind == "kept":
            _bars(board, today, everything(evidence), evidence.n_blocks, kind, f"{t('today')}: {name}")
        places = runs(evidence, kind, joined=kind == "prune" and dense)
        _bars(board, after, places, evidence.n_blocks, kind, f"{t('with the plan')}: {name}. {render(evidence.words, language)}")
    _legend(board, Box(box.x, box.y + box.h - _LEGEND, box.w, _LEGEND), kinds, evidence, language)


def _panels(box: Box) -> tuple[Box, Box, Box]:
    numbers = box._replace(w=_NUMBERS - 0.02)
    today, after = Box(box.x + _NUMBERS, box.y, box.w - _NUMBERS, box.h).columns(1, 1, gap=0.35)
    return numbers, today, after


def _kinds(treated: Mapping[tuple[str, int], Treated]) -> tuple[Treated, ...]:
    found = set(treated.values())
    return ("kept", *(kind for kind in COLOURS if kind in found))


def _layer_numbers(board: Board, box: Box, n: int) -> None:
    every, pitch = 1 if n <= 12 else 5 if n <= 50 else 10, box.h / n
    for block in range(0, n, every):
        middle = box.y + (block + 0.45) * pitch
        board.text(Box(box.x, middle - 0.15, box.w, 0.3), [str(block)], Type(size=10.5, colour=QUIET, align="right", anchor="middle"))


def _bars(board: Board, panel: Box, places: Sequence[Run], n: int, kind: Treated, said: str) -> None:
    """All bars of one operation in one panel as a single freeform."""
    if not places:
        return
    pitch = panel.h / n
    gap, half = min(0.03, 0.2 * pitch), (panel.w - 0.04) / 2
    builder = None
    for side, top, bottom in places:
        x = panel.x + (0 if side == "attention" else half + 0.04)
        y, thick = panel.y + top * pitch, (bottom - top + 1) * pitch - gap
        corners = [(x, y), (x + half, y), (x + half, y + thick), (x, y + thick)]
        first, *rest = ((round(_PER_INCH * across), round(_PER_INCH * down)) for across, down in corners)
        if builder is None:
            builder = board.slide.shapes.build_freeform(*first, scale=1.0)
        else:
            builder.move_to(*first)
        builder.add_line_segments(rest, close=True)
    assert builder is not None
    shape = builder.convert_to_shape()
    shape.name = said.split(".")[0]
    shape._element.nvSpPr.cNvPr.set("descr", said)
    paint(shape, kind)


def paint(shape: Any, kind: Treated) -> None:
    """Colour and pattern of an operation; what is pruned is hollow and dashed."""
    from pptx.dml.color import RGBColor
    from pptx.enum.dml import MSO_LINE, MSO_PATTERN
    from pptx.util import Pt

    colour = RGBColor.from_string(COLOURS[kind].removeprefix("#"))
    plain(shape)
    if kind == "prune":
        shape.fill.background()
        shape.line.color.rgb, shape.line.width, shape.line.dash_style = colour, Pt(1), MSO_LINE.DASH
        return
    shape.line.fill.background()
    pattern = {"skip": MSO_PATTERN.PERCENT_50, "freeze": MSO_PATTERN.WIDE_UPWARD_DIAGONAL, "expand": MSO_PATTERN.SMALL_GRID}.get(kind)
    if pattern is None:
        shape.fill.solid()
        shape.fill.fore_color.rgb = colour
        return
    shape.fill.patterned()
    shape.fill.pattern = pattern
    shape.fill.fore_color.rgb, shape.fill.back_color.rgb = RGBColor(0xFF, 0xFF, 0xFF), colour
    if kind == "skip":  # as dark as what is kept once it is printed in grey: half of it stays white, inside a line
        shape.line.color.rgb, shape.line.width = RGBColor.from_string(TEXT.removeprefix("#")), Pt(0.75)


def _legend(board: Board, box: Box, kinds: Sequence[Treated], evidence: CaseEvidence, language: Language) -> None:
    x = box.x + _NUMBERS
    for kind in kinds:
        name = treatment_name(kind, evidence, language)
        paint(board.rect(Box(x, box.y + 0.09, 0.28, 0.18), COLOURS[kind], name=name), kind)
        width = width_of(name, 12) + 0.1
        board.text(Box(x + 0.3, box.y, width, box.h), [name], Type(size=12, anchor="middle"))
        x += 0.45 + width
