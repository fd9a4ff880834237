"""Native charts of the deck: PowerPoint draws them from a table that a reader can open and change.

The waterfall is stacked columns on a base that is not painted; the band of the cash flow is an area on an area that is not
painted. Lines stand in a chart of their own on the same axes, which python-pptx cannot make by itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from analysis.contracts import BusinessCase
from analysis.i18n import Language, translator
from analysis.reporting.case_pictures import (
    QualityPicture,
    curves,
    end_words,
    money_unit,
    payback_words,
    signed_percent,
    step_words,
    waterfall_steps,
)
from analysis.reporting.deck_board import Box
from analysis.reporting.drawing_money import LESS, MORE, TOTAL
from analysis.reporting.svg import GRID, PAPER, QUIET, TEXT

_CHART = "http://schemas.openxmlformats.org/drawingml/2006/chart"
_BAND = "#DDE1E7"
_SIZE = 12


def waterfall(slide: Any, box: Box, case: BusinessCase, language: Language) -> None:
    """Today's cost a month, what changes, and the cost with the plan."""
    from pptx.chart.data import CategoryChartData
    from pptx.enum.chart import XL_CHART_TYPE

    t, steps = translator(language), waterfall_steps(case.result, language)
    unit = money_unit(case.assumptions.currency, [case.result.cost.today], language)
    data = CategoryChartData()
    data.categories = [step.label for step in steps]
    data.add_series(t("base (not painted)"), [_low(step.start, step.end, step.kind) / unit.scale for step in steps])
    for kind, name in (("total", t("cost")), ("less", t("less")), ("more", t("more"))):
        heights = [abs(step.end - step.start) / unit.scale if step.kind == kind else None for step in steps]
        data.add_series(name, heights)
    data.add_series(t("labels (not painted)"), [max(step.start, step.end) / unit.scale for step in steps])
    title = t("Cost a month, {unit}", unit=unit.name)
    chart = _add(slide, XL_CHART_TYPE.COLUMN_STACKED, box, data, title, t("Cost a month, today and with the plan"))
    chart.plots[0].gap_width, chart.plots[0].overlap = 55, 100
    for series, colour in zip(chart.plots[0].series, (None, TOTAL, LESS, MORE), strict=False):
        _fill(series.format, colour)
    _outline(chart.plots[0].series[2].format, TEXT)
    _upright(chart.category_axis, 9 if len(steps) > 6 else 11)
    _hide_values(chart, 0.0, 1.15 * max(max(step.start, step.end) for step in steps) / unit.scale)
    lines = _as_lines(chart, 1)
    lines[0].format.line.fill.background()
    for place, (word, step) in enumerate(zip(step_words(case, steps, unit, language), steps, strict=True)):
        _label(lines[0], place, word, bold=step.kind == "total")


def _low(start: float, end: float, kind: str) -> float:
    return 0.0 if kind == "total" else min(start, end)


def cash_flow(slide: Any, box: Box, case: BusinessCase, language: Language) -> None:
    """What the plan has brought in by each month, the band of the simulated cases, and where it is back."""
    from pptx.chart.data import CategoryChartData
    from pptx.enum.chart import XL_CHART_TYPE

    t, drawn = translator(language), curves(case)
    unit = money_unit(case.assumptions.currency, [value for curve in drawn for value in curve], language)
    scaled = [[value / unit.scale for value in curve] for curve in drawn]
    data = CategoryChartData()
    data.categories = [str(month) for month in range(len(scaled[0]))]
    if len(scaled) == 3:
        data.add_series(t("cautious (P10)"), scaled[1])
        data.add_series(t("up to the optimistic (P90)"), [high - low for low, high in zip(scaled[1], scaled[2], strict=True)])
    data.add_series(t("nothing gained, nothing lost"), [0.0] * len(scaled[0]))
    data.add_series(t("as assumed"), scaled[0])
    title = t("Cumulated, {unit}", unit=unit.name)
    kind = XL_CHART_TYPE.AREA_STACKED if len(scaled) == 3 else XL_CHART_TYPE.LINE
    chart = _add(slide, kind, box, data, title, t("What the plan has brought in, month by month"))
    if len(scaled) == 3:
        _fill(chart.plots[0].series[0].format, None)
        _fill(chart.plots[0].series[1].format, _BAND)
        _between(chart)
    zero, line = _as_lines(chart, 2) if len(scaled) == 3 else chart.plots[0].series
    for series, width in ((zero, 0.75), (line, 2.25)):
        series.smooth = False
        _stroke(series.format, TEXT, width)
    _months_axis(chart, len(scaled[0]) - 1, t("months from the start"))
    _mark_payback(line, case, language)
    _label(line, len(scaled[0]) - 1, end_words(case, unit, language), bold=True, dot=True, shift=(-0.04, -0.03))


def quality(slide: Any, box: Box, picture: QualityPicture, language: Language) -> None:
    """The change on every slice as a column with its interval, and the limit as a line."""
    from pptx.chart.data import CategoryChartData
    from pptx.enum.chart import XL_CHART_TYPE

    t = translator(language)
    data = CategoryChartData()
    data.categories = [row.label for row in picture.rows]
    data.add_series(picture.title, [row.value for row in picture.rows])
    limits = [row.limit if row.limit is not None else picture.limit for row in picture.rows]
    if any(limit is not None for limit in limits):
        data.add_series(t("limit"), limits)
    title = _quality_title(picture, language)
    chart = _add(slide, XL_CHART_TYPE.COLUMN_CLUSTERED, box, data, title, t("Quality with the plan against the limit"))
    chart.plots[0].gap_width = 90
    _fill(chart.plots[0].series[0].format, "#AEB5C0")
    _whiskers(chart.plots[0].series[0], picture)
    _upright(chart.category_axis, 10 if len(picture.rows) > 6 else 11)
    _percent_axis(chart, picture)
    if any(limit is not None for limit in limits):
        _stroke(_as_lines(chart, 1)[0].format, TEXT, 2, dashed=True)


def _quality_title(picture: QualityPicture, language: Language) -> str:
    """The title names the dashed line: a label beside it would stand in the columns."""
    t = translator(language)
    limits = {row.limit for row in picture.rows if row.limit is not None} | ({picture.limit} - {None})
    if not limits:
        return picture.title
    if len(limits) > 1:
        return t("{figure}; dashed: the limit", figure=picture.title)
    value = signed_percent(max(limit for limit in limits if limit is not None), language)
    return t("{figure}; dashed: the limit, {value}", figure=picture.title, value=value)


def slices(slide: Any, box: Box, rows: Sequence[tuple[str, float]], title: str) -> None:
    """Amounts by slice as bars, the largest on top."""
    from pptx.chart.data import CategoryChartData
    from pptx.enum.chart import XL_CHART_TYPE, XL_LABEL_POSITION

    data = CategoryChartData()
    data.categories = [label for label, _ in rows]
    data.add_series(title, [value for _, value in rows])
    chart = _add(slide, XL_CHART_TYPE.BAR_CLUSTERED, box, data, title, title)
    plot = chart.plots[0]
    plot.gap_width = 45
    _fill(plot.series[0].format, "#7F8999")
    plot.has_data_labels = True
    plot.data_labels.number_format, plot.data_labels.number_format_is_linked = "#,##0", False
    plot.data_labels.position = XL_LABEL_POSITION.OUTSIDE_END
    chart.category_axis.reverse_order = True
    _hide_values(chart, 0.0, 1.15 * max(value for _, value in rows))


def _add(slide: Any, kind: Any, box: Box, data: Any, title: str, said: str) -> Any:
    """A chart with a small title inside, no legend, and words for a screen reader."""
    from pptx.util import Inches, Pt

    frame = slide.shapes.add_chart(kind, Inches(box.x), Inches(box.y), Inches(box.w), Inches(box.h), data)
    frame._element.nvGraphicFramePr.cNvPr.set("descr", f"{said}. {title}")
    chart = frame.chart
    chart.has_legend = False
    chart.font.size = Pt(_SIZE)
    chart.font.color.rgb = _rgb(TEXT)
    chart.has_title = True
    chart.chart_title.include_in_layout = False
    frame_text = chart.chart_title.text_frame
    frame_text.text = title
    frame_text.paragraphs[0].runs[0].font.size = Pt(_SIZE + 1)
    frame_text.paragraphs[0].runs[0].font.bold = True
    _quiet_category_axis(chart.category_axis)
    return chart


def _quiet_category_axis(axis: Any) -> None:
    from pptx.enum.chart import XL_TICK_LABEL_POSITION, XL_TICK_MARK
    from pptx.util import Pt

    axis.tick_label_position = XL_TICK_LABEL_POSITION.LOW
    axis.major_tick_mark = XL_TICK_MARK.NONE
    axis.has_major_gridlines = False
    axis.format.line.color.rgb = _rgb(TEXT)
    axis.tick_labels.font.size = Pt(_SIZE - 1)


def _upright(axis: Any, size: float) -> None:
    """Labels stay horizontal and break into lines; PowerPoint would turn long ones."""
    from pptx.util import Pt

    axis.tick_labels.font.size = Pt(size)
    body = axis._element.find(_c("txPr")).find("{http://schemas.openxmlformats.org/drawingml/2006/main}bodyPr")
    body.set("rot", "0")
    body.set("vert", "horz")


def _hide_values(chart: Any, low: float, high: float) -> None:
    """The figures stand at the columns: an axis would say them twice."""
    axis = chart.value_axis
    axis.minimum_scale, axis.maximum_scale = low, high or 1.0
    axis.has_major_gridlines = False
    axis.visible = False


def _percent_axis(chart: Any, picture: QualityPicture) -> None:
    """From the lowest to the highest end of an interval: programs scale by the columns alone and would cut the lines."""
    ends = [0.0, *(end for row in picture.rows for end in (row.value, row.low, row.high, row.limit) if end is not None)]
    axis, step = chart.value_axis, _step(max(ends) - min(ends))
    axis.minimum_scale, axis.maximum_scale = math.floor(min(ends) / step) * step, (math.floor(max(ends) / step) + 1) * step
    axis.major_unit = step
    axis.tick_labels.number_format, axis.tick_labels.number_format_is_linked = ('0.0"%";"−"0.0"%"' if step < 1 else '0"%";"−"0"%"'), False
    axis.major_gridlines.format.line.color.rgb = _rgb(GRID)
    axis.format.line.fill.background()


def _step(reach: float) -> float:
    """A round step that divides a reach into four to ten parts."""
    size = 10.0 ** math.floor(math.log10(max(reach, 1e-6)))
    return next(factor * size for factor in (0.1, 0.2, 0.5, 1.0, 2.0) if reach / (factor * size) <= 10)


def _months_axis(chart: Any, last: int, name: str) -> None:
    from pptx.util import Pt

    step = next(step for step in (1, 3, 6, 12, 24, 60, 120) if last / step <= 8)
    element = chart.category_axis._element
    for tag in ("tickLblSkip", "tickMarkSkip"):
        mark = element.makeelement(_c(tag), {"val": str(step)})
        element.find(_c("noMultiLvlLbl")).addprevious(mark)
    chart.category_axis.has_title = True
    chart.category_axis.axis_title.text_frame.text = name
    chart.category_axis.axis_title.text_frame.paragraphs[0].runs[0].font.size = Pt(_SIZE - 1)
    chart.category_axis.axis_title.text_frame.paragraphs[0].runs[0].font.bold = False
    axis = chart.value_axis
    axis.tick_labels.number_format, axis.tick_labels.number_format_is_linked = '#,##0;"−"#,##0', False
    axis.major_gridlines.format.line.color.rgb = _rgb(GRID)
    axis.format.line.fill.background()


def _between(chart: Any) -> None:
    """The areas begin at the axis, at month 0, not half a month beside it."""
    for cross in chart.value_axis._element.iter(_c("crossBetween")):
        cross.set("val", "midCat")


def _mark_payback(line: Any, case: BusinessCase, language: Language) -> None:
    months = case.result.payback_months
    if months is not None and months < len(case.result.cumulative) - 1:
        _label(line, round(months), payback_words(case, language), bold=True, dot=True, side="right", shift=(0.0, 0.05))


def _label(
    series: Any,
    place: int,
    words: str,
    *,
    bold: bool = False,
    dot: bool = False,
    side: str = "above",
    shift: tuple[float, float] | None = None,
) -> None:
    """Words at one point of a line; `shift`: from there, in shares of the chart's width and height."""
    from pptx.enum.chart import XL_LABEL_POSITION, XL_MARKER_STYLE
    from pptx.util import Pt

    point = series.points[place]
    label = point.data_label
    label.has_text_frame = True
    label.text_frame.text = words
    label.text_frame.paragraphs[0].runs[0].font.size = Pt(_SIZE)
    label.text_frame.paragraphs[0].runs[0].font.bold = bold
    label.position = {"above": XL_LABEL_POSITION.ABOVE, "right": XL_LABEL_POSITION.RIGHT}[side]
    if shift is not None:
        _shifted(label._dLbl, shift)
    if dot:
        point.marker.style, point.marker.size = XL_MARKER_STYLE.CIRCLE, 9
        _fill(point.marker.format, TEXT)
        _outline(point.marker.format, PAPER)


def _shifted(label: Any, shift: tuple[float, float]) -> None:
    layout = label.makeelement(_c("layout"), {})
    manual = layout.makeelement(_c("manualLayout"), {})
    layout.append(manual)
    for tag, value in zip(("x", "y"), shift, strict=True):
        manual.append(manual.makeelement(_c(tag), {"val": f"{value:g}"}))
    for old in label.findall(_c("layout")):
        label.remove(old)
    label.find(_c("idx")).addnext(layout)


def _as_lines(chart: Any, n: int) -> Any:
    """Moves the last `n` series into a line chart on the same axes; returns them."""
    plot = chart.plots[0]._element
    moved = plot.findall(_c("ser"))[-n:]
    line_chart = plot.makeelement(_c("lineChart"), {})
    for tag, value in (("grouping", "standard"), ("varyColors", "0")):
        line_chart.append(line_chart.makeelement(_c(tag), {"val": value}))
    for series in moved:
        for extra in series.findall(_c("invertIfNegative")):
            series.remove(extra)
        line_chart.append(series)
        _no_marker(series)
    line_chart.append(line_chart.makeelement(_c("marker"), {"val": "1"}))
    for axis in plot.findall(_c("axId")):
        line_chart.append(line_chart.makeelement(_c("axId"), {"val": axis.get("val")}))
    plot.addnext(line_chart)
    return chart.plots[1].series


def _no_marker(series: Any) -> None:
    marker = series.makeelement(_c("marker"), {})
    marker.append(marker.makeelement(_c("symbol"), {"val": "none"}))
    before = next(child for child in series if child.tag in (_c("cat"), _c("val"), _c("dLbls")))
    before.addprevious(marker)
    smooth = series.makeelement(_c("smooth"), {"val": "0"})
    series.find(_c("val")).addnext(smooth)


def _whiskers(series: Any, picture: QualityPicture) -> None:
    """Error bars with ends of their own: the interval of every slice that has one; a bar of no length would claim certainty."""
    element = series._element
    bars = element.makeelement(_c("errBars"), {})
    for tag, value in (("errBarType", "both"), ("errValType", "cust"), ("noEndCap", "1")):
        bars.append(bars.makeelement(_c(tag), {"val": value}))
    plus = [None if row.high is None else max(row.high - row.value, 0.0) for row in picture.rows]
    minus = [None if row.low is None else max(row.value - row.low, 0.0) for row in picture.rows]
    for tag, values in (("plus", plus), ("minus", minus)):
        side = bars.makeelement(_c(tag), {})
        bars.append(side)
        literal = side.makeelement(_c("numLit"), {})
        side.append(literal)
        literal.append(literal.makeelement(_c("ptCount"), {"val": str(len(values))}))
        for place, length in enumerate(values):
            if length is None:
                continue
            point = literal.makeelement(_c("pt"), {"idx": str(place)})
            written = point.makeelement(_c("v"), {})
            written.text = f"{length:.6g}"
            point.append(written)
            literal.append(point)
    element.find(_c("cat")).addprevious(bars)


def _fill(form: Any, colour: str | None) -> None:
    if colour is None:
        form.fill.background()
        form.line.fill.background()
    else:
        form.fill.solid()
        form.fill.fore_color.rgb = _rgb(colour)


def _outline(form: Any, colour: str) -> None:
    form.line.color.rgb = _rgb(colour)


def _stroke(form: Any, colour: str, width: float, *, dashed: bool = False) -> None:
    from pptx.enum.dml import MSO_LINE
    from pptx.util import Pt

    form.line.color.rgb = _rgb(colour)
    form.line.width = Pt(width)
    if dashed:
        form.line.dash_style = MSO_LINE.DASH


def _rgb(colour: str) -> Any:
    from pptx.dml.color import RGBColor

    return RGBColor.from_string(colour.removeprefix("#"))


def _c(name: str) -> str:
    return f"{{{_CHART}}}{name}"


__all__ = ["QUIET", "cash_flow", "quality", "slices", "waterfall"]
