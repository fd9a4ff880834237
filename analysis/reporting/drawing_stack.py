"""The stack as a still drawing: the model's layers today and with the plan."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.contracts import CaseEvidence
from analysis.i18n import Language, render, translator
from analysis.reporting.case_pictures import Run, everything, runs, treatment_name, treatments
from analysis.reporting.lettering import text_width
from analysis.reporting.svg import COLOURS, QUIET, TEXT, Canvas, Treated

_LINED = 3.0
"""Height of a bar from which a line around it leaves some of it to be seen."""


def stack_svg(evidence: CaseEvidence, language: Language) -> str:
    """The model's layers as slim bars today and with the plan: attention left, MLP right, patterned by what is done to them."""
    t, n = translator(language), evidence.n_blocks
    pitch = max(2.2, min(9.0, 190.0 / n))
    top, panel, left, gap = 34.0, 138.0, 22.0, 20.0
    kinds = _kinds(evidence)
    legend = [(kind, treatment_name(kind, evidence, language)) for kind in kinds]
    rows = _legend_rows(legend, 2 * panel + gap + left)
    canvas = Canvas(
        left + 2 * panel + gap,
        top + n * pitch + 12 + 18 * rows,
        key="stack",
        title=t("The model's layers today and with the plan"),
        desc=t("{n} layers, counted from 0. {words}.", n=n, words=render(evidence.words, language)),
        language=language,
    )
    for place, name in enumerate((t("today"), t("with the plan"))):
        x = left + place * (panel + gap)
        canvas.text(x, 13, name, bold=True)
        if halves_apart(evidence):
            canvas.text(x, 28, t("attention"), size=9.5, fill=QUIET)
            canvas.text(x + panel, 28, t("MLP"), size=9.5, fill=QUIET, anchor="end")
        for kind in kinds:
            # Dashes around hairlines would be noise: there a removed run of layers is one hollow box.
            drawn = runs(evidence, kind, joined=kind == "prune" and pitch < 4) if place else everything(evidence) if kind == "kept" else []
            _bars(canvas, [_half(x, top, panel, pitch, run) for run in drawn], kind)
    _layer_numbers(canvas, n, top, pitch, left)
    _legend(canvas, legend, top + n * pitch + 22)
    return canvas.render()


def halves_apart(evidence: CaseEvidence) -> bool:
    """Whether the plan does something to one half of a layer alone; only then do the halves need their names."""
    found = treatments(evidence)
    return any(found.get(("attention", block)) != found.get(("mlp", block)) for block in range(evidence.n_blocks))


def _kinds(evidence: CaseEvidence) -> tuple[Treated, ...]:
    """What occurs in the drawing, kept first."""
    found = set(treatments(evidence).values())
    return ("kept", *(kind for kind in COLOURS if kind in found))


def _half(x: float, top: float, panel: float, pitch: float, run: Run) -> tuple[float, float, float, float]:
    half, first, last = run
    width, height = (panel - 2) / 2, (last - first + 1) * pitch - min(1.4, 0.25 * pitch)
    return x + (0 if half == "attention" else width + 2), top + first * pitch, width, height


def _bars(canvas: Canvas, boxes: Sequence[tuple[float, float, float, float]], kind: Treated) -> None:
    """Bars of one operation; what is skipped is as dark as what is kept once it is printed in grey, so a line goes around it."""
    canvas.bars(boxes, kind)
    for x, y, width, height in boxes if kind == "skip" else ():
        if height >= _LINED:
            canvas.rect(x, y, width, height, stroke=TEXT)


def _layer_numbers(canvas: Canvas, n: int, top: float, pitch: float, left: float) -> None:
    every = 1 if n <= 12 else 5 if n <= 50 else 10
    for block in range(0, n, every):
        canvas.text(left - 5, top + block * pitch + min(pitch, 8) / 2 + 3, str(block), size=9, fill=QUIET, anchor="end")


def _legend_rows(legend: Sequence[tuple[Treated, str]], width: float) -> int:
    return 1 + int(sum(36 + text_width(name, 11) for _, name in legend) // width)


def _legend(canvas: Canvas, legend: Sequence[tuple[Treated, str]], y: float) -> None:
    x = 22.0
    for kind, name in legend:
        if x > 22 and x + 22 + text_width(name, 11) > canvas.width:
            x, y = 22.0, y + 18
        _bars(canvas, [(x, y - 8, 16, 9)], kind)
        canvas.text(x + 21, y, name, size=11)
        x += 36 + text_width(name, 11)
