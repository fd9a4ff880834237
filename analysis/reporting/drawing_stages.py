"""The stages as a still timeline: what each serves, how much of it, how long, and in which state it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from analysis.contracts import Rollout, Stage, StageState
from analysis.i18n import N_, Language, render, translator
from analysis.i18n.numbers import number, percent
from analysis.reporting.headlines_business import slices_words
from analysis.reporting.lettering import shortened_to, wrapped
from analysis.reporting.svg import GRID, QUIET, TEXT, Canvas

STATE_NAMES: Final[Mapping[StageState, str]] = {
    "planned": N_("planned"),
    "running": N_("running now"),
    "passed": N_("passed"),
    "held": N_("held"),
    "rolled_back": N_("rolled back"),
    "stopped": N_("stopped"),
}
_SHADES: Final[Mapping[StageState, str]] = {
    "planned": "#FFFFFF",
    "running": "#DADDE3",
    "passed": "#B9BEC8",
    "held": "#DADDE3",
    "rolled_back": "#FFFFFF",
    "stopped": "#FFFFFF",
}
_WIDTH, _GAP, _HEIGHT = 680.0, 12.0, 132.0


def stages_svg(rollout: Rollout, language: Language) -> str:
    """One box a stage in their order, the weeks as a bar beneath; the share of requests fills the box's foot."""
    t, stages = translator(language), rollout.stages
    said = t("; ").join(" ".join((_head(stage, language), *stage_lines(stage, language))) for stage in stages)
    canvas = Canvas(_WIDTH, _HEIGHT + 40, key="stages", title=t("The stages of the rollout"), desc=said, language=language)
    pitch = (_WIDTH + _GAP) / len(stages)
    for place, stage in enumerate(stages):
        _box(canvas, stage, place * pitch, pitch - _GAP, language)
    _weeks(canvas, stages, language)
    return canvas.render()


def stage_lines(stage: Stage, language: Language) -> tuple[str, str, str, str]:
    """What a stage serves, how much lighter, the share of their requests, and how long: one short line each."""
    t = translator(language)
    weeks = t("{weeks} weeks", weeks=number(stage.weeks, language))
    served = render(slices_words(stage.slices), language)
    return served, t("{share} lighter", share=percent(stage.compression, language)), _traffic(stage, language), weeks


def _traffic(stage: Stage, language: Language) -> str:
    return translator(language)("{share} of requests", share=percent(stage.traffic, language))


def _head(stage: Stage, language: Language) -> str:
    t = translator(language)
    return t("Stage {number}: {state}", number=stage.number, state=t(STATE_NAMES[stage.state]))


def _box(canvas: Canvas, stage: Stage, x: float, width: float, language: Language) -> None:
    dash = "4 3" if stage.state in ("rolled_back", "stopped") else ""
    canvas.rect(x + 0.5, 0.5, width - 1, _HEIGHT - 1, _SHADES[stage.state], stroke=TEXT, dash=dash)
    canvas.text(x + 8, 18, shortened_to(_head(stage, language), width - 14, 12), bold=True)
    served, *rest = stage_lines(stage, language)
    first = wrapped(served, width - 16, 11)
    lines = [*first[:2], shortened_to(first[2], width - 16, 11)] if len(first) > 2 else first
    if len(first) > 3:
        lines[-1] = shortened_to(lines[-1] + "…", width - 16, 11)
    canvas.lines(x + 8, 36, lines, size=11)
    canvas.lines(x + 8, 36 + 13.75 * 3 + 4, rest, size=11)
    canvas.rect(x + 8, _HEIGHT - 11, width - 16, 5, "#FFFFFF", stroke=QUIET)
    canvas.rect(x + 8, _HEIGHT - 11, (width - 16) * stage.traffic, 5, QUIET)


def _weeks(canvas: Canvas, stages: tuple[Stage, ...], language: Language) -> None:
    """The stages' lengths beside each other, so that eight weeks look twice as long as four."""
    total, at, y = sum(stage.weeks for stage in stages), 0.0, _HEIGHT + 14
    canvas.line(0, y, _WIDTH, y, stroke=GRID, width=4)
    for stage in stages:
        x, width = _WIDTH * at / total, _WIDTH * stage.weeks / total
        canvas.line(x, y - 5, x, y + 5, stroke=TEXT)
        if width > 30:
            canvas.text(x + width / 2, y + 18, str(stage.number), size=11, anchor="middle", fill=QUIET)
        at += stage.weeks
    canvas.line(_WIDTH, y - 5, _WIDTH, y + 5, stroke=TEXT)
    canvas.text(
        _WIDTH, y + 18, translator(language)("{weeks} weeks in all", weeks=number(total, language)), size=11, anchor="end", fill=QUIET
    )
