"""Money as still drawings: the way from today's cost to the plan's, and what the plan has brought in month by month."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.contracts import BusinessCase
from analysis.i18n import Language, translator
from analysis.reporting.case_pictures import MoneyUnit, Step, curves, end_words, money_unit, payback_words, step_words, waterfall_steps
from analysis.reporting.lettering import shortened_to, text_width, wrapped
from analysis.reporting.svg import GRID, QUIET, TEXT, Canvas

TOTAL, LESS, MORE = "#5C6270", "#CDD1D8", "#31333F"
"""Columns of the waterfall by lightness alone, so that they print: a total, a saving, an addition."""
_WIDTH, _LEFT, _TINY = 680.0, 56.0, 1e-9


def waterfall_svg(case: BusinessCase, language: Language) -> str:
    """From today's cost a month to the plan's, one column for each line that changes."""
    t, steps = translator(language), waterfall_steps(case.result, language)
    unit = money_unit(case.assumptions.currency, [case.result.cost.today], language)
    width, height, top, floor = 680.0, 250.0, 44.0, 204.0
    figures = step_words(case, steps, unit, language)
    said = t("; ").join(f"{step.label} {figure}" for step, figure in zip(steps, figures, strict=True))
    head = t("Cost a month, {unit}", unit=unit.name)
    canvas = Canvas(
        width,
        height,
        key="waterfall",
        title=t("Cost a month, today and with the plan"),
        desc=t("{about}: {limit}", about=head, limit=said),
        language=language,
    )
    canvas.text(0, 14, head, size=12, bold=True)
    highest = max(max(step.start, step.end) for step in steps) or 1.0
    pitch = width / len(steps)
    bar = min(76.0, 0.62 * pitch)

    def y(amount: float) -> float:
        return floor - (floor - top) * amount / highest

    for place, step in enumerate(steps):
        _column(canvas, step, place * pitch + (pitch - bar) / 2, bar, (y(step.start), y(step.end)))
        middle = (place + 0.5) * pitch
        canvas.text(middle, min(y(step.start), y(step.end)) - 5, figures[place], anchor="middle", size=12, bold=step.kind == "total")
        canvas.lines(middle, floor + 16, wrapped(step.label, pitch - 8, 11)[:2], size=11, anchor="middle")
        if place:
            level = y(steps[place - 1].end)
            canvas.line((place - 0.5) * pitch + bar / 2, level, middle - bar / 2, level, stroke=QUIET, dash="2 2")
    canvas.line(0, floor, width, floor, stroke=TEXT)
    return canvas.render()


def _column(canvas: Canvas, step: Step, x: float, width: float, ends: tuple[float, float]) -> None:
    high, low = min(ends), max(ends)
    fill = {"total": TOTAL, "less": LESS, "more": MORE}[step.kind]
    canvas.rect(x, high, width, max(low - high, 0.8), fill, stroke=TEXT if step.kind == "less" else "")


def cash_flow_svg(case: BusinessCase, language: Language) -> str:
    """What the plan has brought in by each month, with the middle 80 of 100 simulated cases as a band, and the month it pays back."""
    t, result = translator(language), case.result
    drawn = curves(case)
    unit = money_unit(case.assumptions.currency, [value for curve in drawn for value in curve], language)
    frame = _Frame(drawn, unit, language)
    end = end_words(case, unit, language)
    head = t("Cumulated, {unit}", unit=unit.name)
    canvas = Canvas(
        680,
        250,
        key="cash-flow",
        title=t("What the plan has brought in, month by month"),
        desc=t("{head}. After {n} months {end}. {payback}.", head=head, n=frame.last, end=end, payback=payback_words(case, language)),
        language=language,
    )
    canvas.text(0, 14, head, bold=True)
    if len(drawn) == 3:
        band = [*frame.points(drawn[1]), *reversed(frame.points(drawn[2]))]
        canvas.curve(band, fill="#E3E6EA", stroke="")
        for edge in drawn[1:]:
            canvas.curve(frame.points(edge), stroke=QUIET, width=0.8, dash="3 2")
    frame.axes(canvas)
    canvas.curve(frame.points(drawn[0]), stroke=TEXT, width=2)
    _payback_mark(canvas, frame, case, language)
    canvas.dot(frame.x(frame.last), frame.y(result.cumulative[-1]))
    canvas.text(frame.x(frame.last) + 7, frame.y(result.cumulative[-1]) + 4, end, bold=True)
    if len(drawn) == 3:
        canvas.text(680, 14, t("band: the middle 80 of 100 simulated cases"), anchor="end", size=11, fill=QUIET)
    return canvas.render()


class _Frame:
    """From months and money to the drawing's own places."""

    def __init__(self, drawn: Sequence[Sequence[float]], unit: MoneyUnit, language: Language) -> None:
        self.last, self.unit, self.language = max(len(drawn[0]) - 1, 1), unit, language
        self.low, self.high = (pick([0.0, *(value for curve in drawn for value in curve)]) for pick in (min, max))
        if self.high - self.low < _TINY:
            self.high = self.low + 1.0
        self.right = 680.0 - 12 - text_width(unit.figure(drawn[0][-1], language, signed=True), 12.5)

    def x(self, month: float) -> float:
        return 56 + (self.right - 56) * month / self.last

    def y(self, amount: float) -> float:
        return 210 - 180 * (amount - self.low) / (self.high - self.low)

    def points(self, curve: Sequence[float]) -> list[tuple[float, float]]:
        return [(self.x(month), self.y(value)) for month, value in enumerate(curve)]

    def axes(self, canvas: Canvas) -> None:
        """Lines at nothing, the lowest and the highest sum, and the months beneath."""
        zero = self.y(0)
        for value in sorted({self.low, 0.0, self.high}, key=abs):
            if value and abs(self.y(value) - zero) < 12:
                continue
            canvas.line(56, self.y(value), self.right, self.y(value), stroke=GRID if value else TEXT)
            canvas.text(50, self.y(value) + 4, self.unit.figure(value, self.language), size=11, anchor="end", fill=QUIET)
        step = next(step for step in (1, 3, 6, 12, 24, 60, 120) if self.last / step <= 8)
        for month in range(0, self.last + 1, step):
            canvas.text(self.x(month), 226, str(month), size=11, anchor="middle", fill=QUIET)
        canvas.text((56 + self.right) / 2, 243, translator(self.language)("months from the start"), size=11, anchor="middle", fill=QUIET)


def _payback_mark(canvas: Canvas, frame: _Frame, case: BusinessCase, language: Language) -> None:
    """A dot on the zero line where the curve crosses it, and the months beside it; without payback the words stand in the drawing."""
    months = case.result.payback_months
    words = payback_words(case, language)
    if months is None or months > frame.last:
        canvas.text(64, 46, shortened_to(words, frame.right - 70, 12), bold=True)
        return
    x, y = frame.x(months), frame.y(0)
    canvas.dot(x, y, 4.5)
    right = x + 10 + text_width(words, 12) < frame.right
    canvas.text(x + (8 if right else -8), y + 17 if y < 190 else y - 9, words, bold=True, anchor="start" if right else "end")
