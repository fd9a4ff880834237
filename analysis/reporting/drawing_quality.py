"""Quality as a still drawing: what was measured, by slice, with its interval, against the limit set beforehand."""

from __future__ import annotations

from analysis.contracts import BusinessCase
from analysis.i18n import Language, translator
from analysis.reporting.case_pictures import QualityPicture, QualityRow, from_trial, gain_picture, quality_picture, signed_percent
from analysis.reporting.lettering import shortened_to
from analysis.reporting.svg import QUIET, TEXT, Canvas


def quality_svg(case: BusinessCase, language: Language) -> str:
    """Quality lost on all prompts and on every slice, each with its interval, against the limit set beforehand; empty: nothing is known.

    Of a trial that no limit was set for: the gain it kept.
    """
    t, evidence = translator(language), case.evidence
    gain = gain_picture(evidence, language) if from_trial(evidence) and not evidence.guardrails else None
    picture = gain or quality_picture(evidence, language)
    if picture is None:
        return ""
    pitch, top, left = 22.0, 44.0, 190.0
    floor = top + pitch * len(picture.rows)
    said = t("; ").join(f"{row.label} {_quality_words(row, language)}" for row in picture.rows)
    head = picture.title if not case.evidence.quality.projected else t("{figure}, projected", figure=picture.title)
    canvas = Canvas(
        680,
        floor + 22,
        key="quality",
        title=t("Quality with the plan against the limit"),
        desc=t("{about}: {limit}", about=head, limit=said),
        language=language,
    )
    canvas.text(0, 14, head, bold=True)
    x = _quality_scale(picture, left, 590.0)
    _limit_line(canvas, picture, x, top, floor, language)
    for place, row in enumerate(picture.rows):
        y = top + (place + 0.5) * pitch
        canvas.text(0, y + 4, shortened_to(row.label, left - 14, 12), bold=place == 0)
        if row.low is not None and row.high is not None:
            canvas.line(x(row.low), y, x(row.high), y, stroke=TEXT, width=2)
        if row.limit is not None and row.limit != picture.limit:
            canvas.line(x(row.limit), y - 8, x(row.limit), y + 8, stroke=TEXT, width=2.5)
        canvas.dot(x(row.value), y, 4)
        figure = signed_percent(row.value, language) if picture.at_most else f"{row.value:.0f}%"
        canvas.text(680, y + 4, figure, anchor="end", size=12)
    return canvas.render()


def _quality_scale(picture: QualityPicture, left: float, right: float) -> _Linear:
    edges = [0.0] if picture.at_most else []
    for row in picture.rows:
        edges += [value for value in (row.value, row.low, row.high, row.limit) if value is not None]
    edges += [] if picture.limit is None else [picture.limit]
    low, high = min(edges), max(edges)
    margin = 0.06 * (high - low) or 1.0
    return _Linear(low - margin, high + margin, left, right)


class _Linear:
    """A straight scale."""

    def __init__(self, low: float, high: float, left: float, right: float) -> None:
        self.low, self.high, self.left, self.right = low, high, left, right

    def __call__(self, value: float) -> float:
        return self.left + (self.right - self.left) * (value - self.low) / (self.high - self.low)


def _limit_line(canvas: Canvas, picture: QualityPicture, x: _Linear, top: float, floor: float, language: Language) -> None:
    t = translator(language)
    if picture.at_most:
        canvas.line(x(0), top, x(0), floor, stroke=QUIET)
        canvas.text(x(0), floor + 14, "0", size=11, anchor="middle", fill=QUIET)
    if picture.limit is None:
        canvas.text(680, 14, t("no limit was set"), size=11, anchor="end", fill=QUIET)
        return
    at = x(picture.limit)
    allowed = (x.left, at - x.left) if picture.at_most else (at, x.right - at)
    canvas.rect(allowed[0], top, allowed[1], floor - top, "#ECEEF1")
    if picture.at_most:
        canvas.line(x(0), top, x(0), floor, stroke=QUIET)
    canvas.line(at, top - 4, at, floor, stroke=TEXT, width=1.5, dash="5 3")
    words = t("limit {value}", value=signed_percent(picture.limit, language) if picture.at_most else f"{picture.limit:.0f}%")
    canvas.text(at, top - 9, words, size=11, anchor="end" if at > 540 else "middle")


def _quality_words(row: QualityRow, language: Language) -> str:
    if row.low is None or row.high is None:
        return signed_percent(row.value, language)
    return translator(language)(
        "{value} ({low} to {high})",
        value=signed_percent(row.value, language),
        low=signed_percent(row.low, language),
        high=signed_percent(row.high, language),
    )
