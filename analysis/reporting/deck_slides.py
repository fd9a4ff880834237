"""The seven slides: one idea each, the title is the message, a source line under every picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from analysis.contracts import BusinessCase
from analysis.i18n import Language, render, translator
from analysis.reporting import deck_charts, deck_text
from analysis.reporting.assumption_rows import assumption_rows
from analysis.reporting.briefing_parts import Briefing
from analysis.reporting.case_pictures import QualityPicture, critical_words, curves, gain_picture, quality_picture, waterfall_steps
from analysis.reporting.deck_board import DARK, EDGE, PANEL, QUIET, RULE, WIDTH, Board, Box, Line, Type, alike, lines_of, snug, that_fit
from analysis.reporting.deck_stack import stack
from analysis.reporting.glossary_terms import TERMS
from analysis.reporting.headlines_business import limit_item, slice_words
from analysis.reporting.money_words import percent_of, percent_range
from analysis.reporting.verification_words import limit, measured, verdict

_FOOT = 6.86
_BAD = "#B3261E"


@dataclass(frozen=True)
class Talk:
    """What every slide is made from."""

    briefing: Briefing
    case: BusinessCase
    titles: deck_text.Titles

    @property
    def language(self) -> Language:
        """The deck's."""
        return self.briefing.language


def saving(board: Board, talk: Talk) -> None:
    """Slide 1: the sentence, three points, and what is asked."""
    briefing = talk.briefing
    room = framed(board, talk, 1, talk.titles.saving, deck_text.money_source(talk.case, talk.language))
    sentence, points, ask = room.rows(1.45, 1.9, 1.35, gap=0.2)
    board.text(sentence, [Line(one) for one in briefing.part("short").body], Type(size=22, smallest=13, anchor="middle"))
    cards, said = points.columns(1, 1, 1), [[_headed(point)] for point in briefing.points]
    look = alike(said, cards, Type(size=18, smallest=11))
    for box, lines in zip(cards, said, strict=True):
        board.text(box, lines, look, fill=PANEL, name=lines[0].head or lines[0].text[:24])
    board.text(ask, [Line("", head=briefing.part("ask").heading), *briefing.ask], Type(size=14, anchor="middle"), rule=DARK)


def basis(board: Board, talk: Talk) -> None:
    """Slide 2: how many examples, which machine, and how the work divides."""
    t, evidence = translator(talk.language), talk.case.evidence
    room = framed(board, talk, 2, talk.titles.basis, deck_text.basis_source(talk.briefing, talk.case))
    left, right = room.columns(1, 1.75, gap=0.4)
    facts = [
        (t("examples of the work"), evidence.n_prompts),
        (t("of these judged the plan, and had no part in choosing it"), evidence.n_judged),
        (t("critical cases"), evidence.n_critical),
        (t("slices of the work"), len(evidence.slices)),
    ]
    if evidence.standing == "rough":
        del facts[1]  # nothing was judged
    facts = [fact for fact in facts if fact[1]] or [(t("not yet tested"), 0)]
    for box, (label, n) in zip(left.rows(*([1.0] * len(facts))), facts, strict=True):
        number_box, label_box = box.columns(0.42, 1, gap=0)
        board.rect(box, PANEL)
        board.text(number_box, [str(n) if n else "–"], Type(size=30, bold=True, align="right", anchor="middle"))
        board.text(label_box, [label], Type(size=14, anchor="middle"))
    volumes = [(render(slice_words(one.name), talk.language), one.requests_per_month) for one in talk.case.assumptions.slices]
    shown = sorted((pair for pair in volumes if pair[1] > 0), key=lambda pair: -pair[1])[:12]
    if shown:
        deck_charts.slices(board.slide, right, shown, t("Requests a month by slice"))
    elif evidence.slices:
        names = [Line(render(slice_words(name), talk.language), bullet=True) for name in evidence.slices]
        board.text(right, [Line("", head=t("Slices of the work")), *names], Type(size=16))


def change(board: Board, talk: Talk) -> None:
    """Slide 3: the stack before and after, and the figures that move."""
    t, briefing = translator(talk.language), talk.briefing
    room = framed(board, talk, 3, talk.titles.change, deck_text.change_source(briefing, talk.case))
    left, right = room.columns(1, 1.5, gap=0.45)
    stack(board, left, talk.case.evidence, talk.language)
    words, table = right.rows(1, 1.15, gap=0.2)
    changes, stays = words.columns(1, 1.35)
    board.text(changes, _what_changes(talk), Type(size=15, smallest=10.5), fill=PANEL, name=t("What changes"))
    kept = [briefing.points[2], *(f"{risk.concern} → {risk.limit}" for risk in briefing.risks[:1])]
    board.text(stays, [Line("", head=t("What does not")), *kept], Type(size=15, smallest=10.5), fill=PANEL, name=t("What does not"))
    rows = [(row.label, row.today, row.after, row.change, row.origin) for row in briefing.table]
    board.table(table, briefing.table_head, rows, (1.5, 1.1, 1.1, 1.1, 0.9), size=13)


def _what_changes(talk: Talk) -> list[Line | str]:
    """The plan in its own words, and what each operation means."""
    t, colon = translator(talk.language), _colon(talk.language)
    kinds = dict.fromkeys(one.op for one in talk.case.evidence.operations)
    meanings = [Line(t(TERMS[kind]), head=f"{t(kind)}{colon}") for kind in kinds]
    return [Line("", head=t("What changes")), render(talk.case.evidence.words, talk.language), *meanings]


def _colon(language: Language) -> str:
    return ": " if language == "en" else "："


def quality(board: Board, talk: Talk) -> None:
    """Slide 4: intervals against the limit by slice, limits with their verdicts, the critical cases."""
    evidence = talk.case.evidence
    room = framed(board, talk, 4, talk.titles.quality, deck_text.quality_source(talk.case, talk.language))
    picture, gain = quality_picture(evidence, talk.language), gain_picture(evidence, talk.language)
    if picture is None or len(picture.rows) == 1:
        left, right = room.columns(1, 1.3, gap=0.4)
        _one_figure(board, left, gain or picture, talk)
        _limits(board, right, talk)
        return
    left, right = room.columns(1.95, 1, gap=0.3)
    deck_charts.quality(board.slide, left, picture, talk.language)
    if gain is not None and not evidence.guardrails:
        figure, right = right.rows(1.2, 1)
        _one_figure(board, figure, gain, talk)
    _limits(board, right, talk)


def _one_figure(board: Board, box: Box, picture: QualityPicture | None, talk: Talk) -> None:
    """A single result is no chart: the figure large, its interval and limit beneath."""
    t = translator(talk.language)
    if picture is None:
        board.text(box, [t("not yet tested")], Type(size=30, bold=True, anchor="middle", align="center"), fill=PANEL)
        return
    row = picture.rows[0]
    width = (row.high - row.low) / 100 if row.low is not None and row.high is not None else None
    figure = percent_of(row.value / 100, width=width)
    beneath = [picture.title]
    if row.low is not None and row.high is not None:
        beneath.append(t("95% interval {range}", range=percent_range(row.low / 100, row.high / 100, talk.language)))
    if picture.limit is not None:
        least = percent_of(picture.limit / 100)
        beneath.append(
            t("limit")
            + _colon(talk.language)
            + (t("at most {value}", value=least) if picture.at_most else t("at least {value}", value=least))
        )
    board.rect(box, PANEL)
    upper, lower = box.rows(1.1, 1)
    board.text(upper, [figure], Type(size=54, bold=True, anchor="bottom", align="center"))
    board.text(lower, beneath, Type(size=15, align="center"))


def _limits(board: Board, box: Box, talk: Talk) -> None:
    """Every limit as it was set, what came out, the verdict in a word; under it the critical cases."""
    t, evidence = translator(talk.language), talk.case.evidence
    rows = [
        (
            render(limit_item(one), talk.language),
            render(limit(one.guardrail), talk.language),
            measured(one, talk.language),
            render(verdict(one.verdict), talk.language),
        )
        for one in evidence.guardrails[:5]
    ]
    table, words = box.rows(1.6, 1) if rows else (None, box)
    if table is not None:
        board.table(table, (t("Limit of"), t("Limit"), t("Result"), t("Verdict")), rows, (1.2, 1, 1.15, 0.9), size=12)
    critical = critical_words(evidence)
    said = [talk.briefing.points[1], *([render(critical, talk.language)] if critical else [])]
    lines, look = [_headed(said[0]), *map(Line, said[1:])], Type(size=15, smallest=10.5)
    board.text(snug(lines, words, look), lines, look, fill=PANEL)


def money(board: Board, talk: Talk) -> None:
    """Slide 5: from today's cost to the plan's, and when it is back."""
    room = framed(board, talk, 5, talk.titles.money, "")
    wide = 1.35 if len(waterfall_steps(talk.case.result, talk.language)) > 6 else 0.9
    left, right = room._replace(h=room.h - 0.05).columns(wide, 1, gap=0.4)
    foot = 0.62
    deck_charts.waterfall(board.slide, left._replace(h=left.h - foot), talk.case, talk.language)
    deck_charts.cash_flow(board.slide, right._replace(h=right.h - foot), talk.case, talk.language)
    for box, said in (
        (left, deck_text.money_source(talk.case, talk.language)),
        (right, deck_text.cash_source(talk.case, talk.language)),
    ):
        board.text(Box(box.x, box.y + box.h - foot, box.w, foot), [said], Type(size=11, smallest=10, colour=QUIET))
    _reason(board, right._replace(h=right.h - foot), talk)


def _reason(board: Board, chart: Box, talk: Talk) -> None:
    """Why there is no payback, in the corner of the chart that the curve leaves free."""
    found = talk.case.result
    if found.payback_reason is None:
        return
    y = chart.y + 0.55 if _room_above(curves(talk.case)) else chart.y + chart.h - 1.75
    note, look = Box(chart.x + 0.85, y, 0.6 * chart.w, 0.9), Type(size=13, bold=True, anchor="middle")
    said = [render(found.payback_reason, talk.language)]
    board.text(snug(said, note, look), said, look, fill="#FFFFFF", rule=DARK)


def _room_above(drawn: Sequence[Sequence[float]]) -> bool:
    """Whether the left part of the chart has more room over its curves than under them."""
    everything = [0.0, *(value for curve in drawn for value in curve)]
    left = [0.0, *(value for curve in drawn for value in curve[: max(1, round(0.6 * len(curve)))])]
    return max(everything) - max(left) >= min(left) - min(everything)


def stages(board: Board, talk: Talk) -> None:
    """Slide 6: the stages as boxes in their order, the stop rule, the dates; where the answer is no, the ways there are instead."""
    briefing = talk.briefing
    room = framed(board, talk, 6, talk.titles.stages, deck_text.stages_source(talk.case, talk.language))
    request = [Line("", head=briefing.part("ask").heading), *map(Line, briefing.ask)]
    if deck_text.says_no(briefing, talk.case):
        ways, notes, ask = room.rows(2.3, 1.2, 1, gap=0.2)
        rows = [(row.label, row.start, row.cost, row.saving, row.payback, row.quality, row.origin) for row in briefing.alternatives]
        board.table(ways, briefing.alternatives_head, rows, (1.4, 1, 1.1, 0.9, 0.9, 1.6, 0.9), size=14)
        said = [Line(row.note, head=f"{row.label}{_colon(talk.language)}") for row in briefing.alternatives if row.note]
        board.text(notes, said, Type(size=13, smallest=10.5, gap=0.2))
    else:
        boxes, stop, ask = room.rows(2.6, 0.85, 1.15, gap=0.2)
        _stage_boxes(board, boxes, talk)
        board.text(stop, [_headed(briefing.stop)], Type(size=15, smallest=10.5, bold=True, anchor="middle"), rule=DARK)
    board.text(ask, request, Type(size=14, smallest=10.5, anchor="middle"), fill=PANEL)


def _stage_boxes(board: Board, boxes: Box, talk: Talk) -> None:
    t, briefing = translator(talk.language), talk.briefing
    if not briefing.stages:
        said = briefing.part("stages").body or (t("Stages have not been set yet."),)
        board.text(boxes, said, Type(size=18, anchor="middle"), fill=PANEL)
        return
    gap = 0.42
    columns = boxes.columns(*([1.0] * len(briefing.stages)), gap=gap)
    texts = [
        [Line("", head=stage.title), *map(Line, stage.lines), *([Line("→ " + stage.go_on)] if stage.go_on else [])]
        for stage in briefing.stages
    ]
    look = alike(texts, columns, Type(size=16, smallest=10.5))
    for place, (box, lines) in enumerate(zip(columns, texts, strict=True)):
        fill, rule = (PANEL, RULE) if place else ("#FFFFFF", DARK)
        board.text(box, lines, look, fill=fill, rule=rule, name=lines[0].head)
        if place:
            arrow = Type(size=18, bold=True, align="center", anchor="middle", colour=QUIET)
            board.text(Box(box.x - gap, box.y, gap, box.h), ["→"], arrow)


def sources(board: Board, talk: Talk) -> None:
    """Slide 7: the figures that people gave, those without a source first, and the terms that occur."""
    t, briefing, counts = translator(talk.language), talk.briefing, talk.briefing.counts
    said = t(
        "{measured} figures are measured, {projected} projected, {assumed} assumed.",
        measured=counts.measured,
        projected=counts.projected,
        assumed=counts.assumed,
    )
    room = framed(board, talk, 7, talk.titles.sources, said)
    left, right = room.columns(1.45, 1, gap=0.35)
    rows = [
        (row.label, row.written(talk.language), row.range_written(talk.language) or "–", row.source or row.origin)
        for row in assumption_rows(talk.case, talk.language)
    ]
    table, facts = left.rows(3.2, 1)
    shown = board.table(table, (t("Assumption"), t("Value"), t("Range"), t("Source")), rows, (1.5, 1, 1.15, 1.7), size=11.5)
    lines = [*briefing.sources]
    if shown < len(rows):
        lines.append(t("{n} more assumptions stand in the table of the case (CSV).", n=len(rows) - shown))
    board.text(facts, lines, Type(size=11.5, smallest=10, gap=0.15))
    terms = [Line(entry.meaning, head=f"{entry.term}{_colon(talk.language)}") for entry in briefing.glossary]
    look = Type(size=12, smallest=10, gap=0.25)
    shown_terms = that_fit(terms, right, look)
    board.text(snug(shown_terms, right, look), shown_terms, look, fill=PANEL, name=t("Terms"))


def framed(board: Board, talk: Talk, number: int, title: str, source: str) -> Box:
    """Banner, sample mark, title, source line and page number; returns the room between them."""
    top = _strips(board, talk)
    holder = board.slide.shapes.title
    box = Box(EDGE, top + 0.18, WIDTH - 2 * EDGE, 1.0)
    _title(holder, title, box)
    foot = Box(EDGE, _FOOT, WIDTH - 2 * EDGE - 1.6, 0.44)
    board.text(foot, [source], Type(size=11, smallest=9.5, colour=QUIET, anchor="middle"), name=translator(talk.language)("Source"))
    board.text(Box(WIDTH - EDGE - 1.5, _FOOT, 1.5, 0.44), [f"{number} / 7"], Type(size=11, colour=QUIET, align="right", anchor="middle"))
    y = box.y + box.h + 0.1
    return Box(EDGE, y, WIDTH - 2 * EDGE, _FOOT - 0.12 - y)


def _strips(board: Board, talk: Talk) -> float:
    """The banner and the mark of the sample over the title; returns where they end."""
    t, y = translator(talk.language), 0.0
    if talk.briefing.banner:
        height = 0.16 + 0.24 * min(lines_of(talk.briefing.banner, WIDTH - 2 * EDGE, 13), 2)
        fill = _BAD if talk.briefing.standing == "outside" else DARK
        board.rect(Box(0, y, WIDTH, height), fill)
        look = Type(size=13, smallest=10.5, bold=True, colour="#FFFFFF", anchor="middle")
        board.text(Box(EDGE, y, WIDTH - 2 * EDGE, height), [talk.briefing.banner], look, name=t("Banner"))
        y += height
    if talk.case.is_sample or talk.case.evidence.is_sample:
        board.rect(Box(0, y, WIDTH, 0.34), "#E5E7EB")
        look = Type(size=12, bold=True, anchor="middle")
        board.text(Box(EDGE, y, WIDTH - 2 * EDGE, 0.34), [t("These are the sample's figures, not yours.")], look)
        y += 0.34
    return y


def _title(holder: Any, title: str, box: Box) -> None:
    from pptx.util import Inches

    from analysis.reporting.deck_board import write

    holder.left, holder.top, holder.width, holder.height = (Inches(value) for value in box)
    write(holder.text_frame, [Line(title)], box, Type(size=28, smallest=18, bold=True, anchor="middle"))


def _headed(text: str) -> Line:
    """A sentence whose first words name it ("Saving: ...") with these in bold."""
    for mark in (": ", "："):
        head, found, rest = text.partition(mark)
        if found and len(head) <= 24:
            return Line(rest, head=head + mark)
    return Line(text)
