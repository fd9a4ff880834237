"""Charts of a business case: what they show, what they say to those who cannot see them, and cases at the edge."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import plotly.graph_objects as go
import pytest

from analysis.contracts import BusinessCase, TargetBand
from analysis.reporting.charts import bands, cash_flow, tornado, waterfall
from analysis.reporting.charts.palette import PALETTES, Look
from tests.business_builders import make_case, make_result

ENGLISH, JAPANESE, DARK = Look(), Look("ja"), Look("en", "dark")
DRAWN: tuple[Callable[..., go.Figure], ...] = (waterfall.waterfall, cash_flow.cash_flow, tornado.tornado, bands.bands)
SAID: tuple[Callable[[BusinessCase, Look], str], ...] = (
    waterfall.waterfall_alt,
    cash_flow.cash_flow_alt,
    tornado.tornado_alt,
    bands.bands_alt,
)


def changed(pays: bool = True, **changes: Any) -> BusinessCase:
    return make_case(result=make_result(pays).model_copy(update=changes))


def texts(figure: go.Figure) -> str:
    return figure.to_json()


@pytest.mark.parametrize("draw", DRAWN)
@pytest.mark.parametrize("look", [ENGLISH, JAPANESE, DARK])
def test_every_chart_is_drawn_in_both_languages_and_themes(draw: Callable[..., go.Figure], look: Look) -> None:
    for case in (make_case(), make_case("serving"), make_case(pays=False), make_case(standing="outside")):
        assert draw(case, look).data


@pytest.mark.parametrize("draw", DRAWN)
def test_no_chart_uses_the_colour_of_a_verdict_or_of_an_operation_but_kept(draw: Callable[..., go.Figure]) -> None:
    drawn = texts(draw(make_case(), ENGLISH)).lower()
    palette = PALETTES["light"]
    taken = [palette.within, palette.outside, *(colour for name, colour in palette.operations.items() if name != "kept")]
    assert not [colour for colour in taken if colour.lower() in drawn]


@pytest.mark.parametrize("say", SAID)
def test_every_chart_has_words_for_those_who_cannot_see_it(say: Callable[[BusinessCase, Look], str]) -> None:
    assert say(make_case(), ENGLISH).startswith("Chart: ")
    assert say(make_case(), JAPANESE).startswith("図：")


def test_the_waterfall_goes_from_todays_cost_to_tomorrows() -> None:
    figure = waterfall.waterfall(make_case(), ENGLISH)
    assert [bar.text[0] for bar in figure.data] == ["1,200", "−156", "+60", "1,104"]
    ends = [bar.base[0] + bar.y[0] for bar in figure.data]
    assert ends == pytest.approx([1200, 1044, 1104, 1104])
    assert [row["JPY a month"] for row in waterfall.waterfall_rows(make_case(), ENGLISH)] == [1_200_000, -156_000, 60_000, 1_104_000]


def test_a_waterfall_of_a_plan_that_adds_cost_stays_in_its_frame() -> None:
    result = make_result()
    lines = tuple(line.model_copy(update={"plan": line.today + 50_000}) for line in result.lines)
    figure = waterfall.waterfall(changed(lines=lines), ENGLISH)
    low, high = figure.layout.yaxis.range
    assert all(low <= bar.base[0] + bar.y[0] <= high for bar in figure.data)


def test_steps_are_told_apart_without_colour() -> None:
    patterns = [bar.marker.pattern.shape for bar in waterfall.waterfall(make_case(), ENGLISH).data]
    assert patterns == ["", "/", "x", ""]
    ends = [bars.marker.pattern.shape for bars in tornado.tornado(make_case(), ENGLISH).data]
    assert ends == ["", "/"]


def test_the_payback_is_marked_on_the_cash_curve_and_said() -> None:
    figure = cash_flow.cash_flow(make_case(), ENGLISH)
    assert figure.layout.annotations[0].text == "back within 7 months"
    assert "back within 7 months" in cash_flow.cash_flow_alt(make_case(), ENGLISH)
    assert "back" not in cash_flow.cash_flow_alt(make_case(pays=False), ENGLISH)
    assert not cash_flow.cash_flow(make_case(pays=False), ENGLISH).layout.annotations


def test_a_payback_after_the_evaluation_period_is_not_marked() -> None:
    case = changed(payback_months=80.0)
    assert not cash_flow.cash_flow(case, ENGLISH).layout.annotations
    assert "back within" not in cash_flow.cash_flow_alt(case, ENGLISH)


def test_the_curve_ends_with_the_evaluation_period() -> None:
    rows = cash_flow.cash_flow_rows(make_case(), ENGLISH)
    assert (rows[0]["month"], rows[-1]["month"]) == (0, 36)
    assert rows[0]["cash, added up"] == -600_000


def test_a_case_without_a_simulated_band_has_a_curve_and_no_band() -> None:
    result = make_result()
    bare = result.simulation.model_copy(update={"cumulative_p10": (), "cumulative_p90": ()})
    case = changed(simulation=bare)
    assert len(cash_flow.cash_flow(case, ENGLISH).data) == 2
    assert "band" not in cash_flow.cash_flow(case, ENGLISH).layout.title.text
    assert cash_flow.cash_flow_rows(case, ENGLISH)[0]["cautious (P10)"] is None


def test_what_matters_most_stands_on_top_with_its_unit() -> None:
    figure = tornado.tornado(make_case(), ENGLISH)
    labels = [text.replace("<br>", " ") for text in figure.layout.yaxis.ticktext]
    assert labels[0].startswith("monthly bill for fine-tuning (JPY")
    assert labels[1] == "measured saving"
    assert list(figure.data[0].text)[1:] == ["15%", "7"]


def test_without_a_range_nothing_moves_the_result() -> None:
    case = changed(tornado=())
    assert "no assumption has a range" in tornado.tornado_alt(case, ENGLISH)
    assert not tornado.tornado_rows(case, ENGLISH)
    assert tornado.tornado(case, ENGLISH).data[0].x is None or not len(tornado.tornado(case, ENGLISH).data[0].x)


def test_an_unknown_figure_keeps_its_name_as_text() -> None:
    swing = make_result().tornado[0].model_copy(update={"name": "<b>odd</b>"})
    assert "<b>odd" not in texts(tornado.tornado(changed(tornado=(swing,)), ENGLISH)).replace("\\u003cb\\u003eodd", "<b>odd")


def test_targets_are_behind_own_figures_and_named_as_targets() -> None:
    rows = bands.band_rows(make_case(), ENGLISH)
    assert [row["Target"] for row in rows] == ["−40% to −70%", "−10% to −30%", "6 months to 18 months"]
    assert [row["This case"] for row in rows] == ["−13%", "−5%", "7 months"]
    assert [row["Reached"] for row in rows] == ["no", "yes", "yes"]
    kinds = [trace.type for trace in bands.bands(make_case(), ENGLISH).data]
    assert kinds == ["bar", "scatter"] * 3


def test_a_band_without_an_own_figure_says_so() -> None:
    band = TargetBand(kind="payback", low=6, high=18, unit="months", own=None, reached=None)
    case = changed(bands=(band,))
    assert bands.band_rows(case, ENGLISH)[0]["This case"] == "not known"
    assert [trace.type for trace in bands.bands(case, ENGLISH).data] == ["bar"]
    assert bands.bands(changed(bands=()), ENGLISH).layout.height > 0
