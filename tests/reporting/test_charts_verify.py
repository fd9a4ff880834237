"""The Pareto front and a test's findings as charts: what a click carries, what stays still, both languages and themes."""

from __future__ import annotations

import plotly.graph_objects as go
import pytest

from analysis.contracts import Estimate, Guardrail, GuardrailResult, Message, ProjectionError
from analysis.planning import ParetoPoint, pareto_front
from analysis.reporting.charts.palette import Look
from analysis.reporting.charts.pareto import SYMBOLS, pareto_figure, pareto_rows, said_set
from analysis.reporting.charts.verification import (
    limits_figure,
    limits_rows,
    projection_figure,
    projection_rows,
    slices_figure,
)
from tests.measured_builders import make_search, make_verification

LOOKS = [Look(language, theme) for language in ("en", "ja") for theme in ("light", "dark")]
SEARCH = make_search()
POINTS = pareto_front(SEARCH, SEARCH.model)


def figures(look: Look) -> list[go.Figure]:
    found = make_verification(verdict="outside")
    return [
        pareto_figure(POINTS, look, chosen=SEARCH.paths["beam"][2], limit_share=0.05),
        limits_figure(found.guardrails, look),
        slices_figure(found.slices, look, overall=found.quality, limit_ratio=1.05),
        projection_figure(found.projection_errors, look),
    ]


@pytest.mark.parametrize("look", LOOKS)
def test_every_chart_draws_with_a_title_and_a_stable_height(look: Look) -> None:
    for figure in figures(look):
        assert figure.layout.height
        assert figure.layout.title.text
        assert figure.layout.xaxis.fixedrange
        assert figure.layout.xaxis.range
        assert figure.layout.yaxis.range


def test_japanese_charts_speak_japanese() -> None:
    for english, japanese in zip(figures(Look("en")), figures(Look("ja")), strict=True):
        assert english.layout.title.text != japanese.layout.title.text


def test_no_operation_colour_and_no_verdict_colour_are_in_them() -> None:
    for look in LOOKS:
        colours = look.palette
        forbidden = {colours.within, colours.outside, *(c for name, c in colours.operations.items() if name != "kept")}
        assert not [colour for figure in figures(look) for colour in forbidden if colour in figure.to_json()]


def test_a_click_on_a_point_finds_its_set() -> None:
    figure = pareto_figure(POINTS, Look())
    clicked = {int(data[0]) for trace in figure.data if trace.customdata is not None for data in trace.customdata}
    assert clicked <= set(range(len(POINTS)))
    assert {index for index, point in enumerate(POINTS) if point.on_front or point.found_by} <= clicked
    for trace in figure.data:
        for x, data in zip(trace.x, trace.customdata if trace.customdata is not None else (), strict=False):
            assert x == pytest.approx(100 * POINTS[int(data[0])].saved_share)


def test_strategies_are_told_apart_by_shape() -> None:
    figure = pareto_figure(POINTS, Look())
    shapes = {trace.name: trace.marker.symbol for trace in figure.data if trace.mode == "markers"}
    assert len(set(shapes.values()) - {"circle"}) == len(SYMBOLS) - 1
    assert len(set(SYMBOLS.values())) == len(SYMBOLS)


def test_the_chosen_set_is_ringed_and_the_axis_does_not_move_for_it() -> None:
    plain, chosen = pareto_figure(POINTS, Look()), pareto_figure(POINTS, Look(), chosen=SEARCH.paths["greedy"][1])
    assert chosen.data[-1].marker.symbol == "circle-open"
    assert (plain.layout.yaxis.range, plain.layout.xaxis.range) == (chosen.layout.yaxis.range, chosen.layout.xaxis.range)


def test_one_ruinous_set_does_not_press_the_rest_flat_and_stays_on_the_chart() -> None:
    worst = ParetoPoint((("block", 0),), 0.03, 9.0, None)
    figure = pareto_figure((*POINTS, worst), Look())
    assert figure.layout.yaxis.range == pareto_figure(POINTS, Look()).layout.yaxis.range
    top = figure.layout.yaxis.range[1]
    assert max(max(trace.y) for trace in figure.data if len(trace.y)) == pytest.approx(top)
    assert "810,208.4" in figure.to_json() or "+810208.4" in figure.to_json()


def test_thousands_of_sets_are_thinned_but_never_the_front() -> None:
    many = [ParetoPoint((("block", 1),), share / 5000, 0.5 + share / 1000, None, on_front=share == 2501) for share in range(5000)]
    figure = pareto_figure(many, Look())
    drawn = {int(data[0]) for trace in figure.data if trace.customdata is not None for data in trace.customdata}
    assert 2501 in drawn
    assert len(drawn) < 500


def test_a_search_without_a_single_set_still_draws() -> None:
    for figure in (pareto_figure((), Look()), limits_figure((), Look()), slices_figure({}, Look()), projection_figure((), Look())):
        assert figure.layout.height


def test_sets_are_said_in_words() -> None:
    removed = (("block", 3), ("mlp", 5), ("block", 6), ("mlp", 7))
    assert said_set(removed, Look("en")) == "layers 3 and 6 and the MLP of layers 5 and 7"
    assert said_set(removed, Look("ja")) == "層3、6、層5、7のMLP"
    assert said_set((("attention", 2),), Look("en")) == "the attention of layer 2"


def guardrail(value: float, unit: str, op: str = "<=") -> Guardrail:
    return Guardrail.model_validate({"text": "x", "metric": "perplexity", "op": op, "value": value, "unit": unit})


@pytest.mark.parametrize(
    ("limit", "low", "value", "high", "left"),
    [
        (guardrail(5, "%"), 1.0, 2.0, 3.0, True),
        (guardrail(5, "%"), 6.0, 7.0, 9.0, False),
        (guardrail(1.05, "x"), 1.0, 1.02, 1.04, True),
        (guardrail(0.9, "x"), 0.85, 0.87, 0.89, True),
        (guardrail(0.9, "x"), 0.92, 0.95, 0.99, False),
        (guardrail(-2, "%", ">="), -1.5, -1.0, 0.5, True),
        (guardrail(-2, "%", ">="), -9.0, -5.0, -3.0, False),
        (guardrail(95, "%", ">="), 96.0, 97.0, 98.0, True),
        (guardrail(0.99, "abs", ">="), 0.97, 0.975, 0.98, False),
        (guardrail(0, "%"), 0.5, 1.0, 2.0, False),
    ],
)
def test_within_is_left_of_the_limit_whatever_its_unit(limit: Guardrail, low: float, value: float, high: float, left: bool) -> None:
    result = GuardrailResult(
        guardrail=limit,
        verdict="within" if left else "outside",
        measured=Estimate(value=value, low=low, high=high),
        n=30,
        reason=Message(id="-"),
    )
    figure = limits_figure((result,), Look())
    (trace,) = figure.data
    at, whisker = trace.x[0], trace.error_x
    ends = (at - whisker.arrayminus[0], at + whisker.array[0])
    assert ends[0] <= at <= ends[1]
    assert (ends[1] <= 1) if left else (ends[0] >= 1)
    assert figure.layout.xaxis.range[0] < ends[0]
    assert ends[1] < figure.layout.xaxis.range[1]


def test_every_row_says_its_verdict_in_words() -> None:
    found = make_verification(verdict="outside")
    texts = [annotation.text for annotation in limits_figure(found.guardrails, Look()).layout.annotations]
    assert any("outside limits" in text and "+38.0%" in text for text in texts)


def test_slices_are_listed_worst_first_under_all_prompts() -> None:
    found = make_verification()
    figure = slices_figure(found.slices, Look(), overall=found.quality, names={"code": "プログラム"})
    names = [trace.customdata[0][0] for trace in figure.data]
    assert names[0] == ""
    ratios = [found.slices[name].perplexity_ratio.value for name in names[1:]]
    assert ratios == sorted(ratios, key=lambda ratio: -(ratio or 0))
    assert "プログラム" in figure.layout.yaxis.ticktext


def test_a_name_cannot_write_markup_into_a_chart() -> None:
    found = make_verification(slices=("<b>bold</b>", "code"))
    assert "<b>bold</b>" not in "".join(slices_figure(found.slices, Look()).layout.yaxis.ticktext)


def test_projections_that_came_true_lie_at_zero() -> None:
    errors = (
        ProjectionError(quantity="parameters", projected=10, measured=10, error_share=0),
        ProjectionError(quantity="prefill_ms", projected=11, low=10, high=12, measured=10, error_share=0.1, inside=True),
        ProjectionError(quantity="kv_cache_bytes", projected=0, measured=0, error_share=0),
    )
    xs = [trace.x[0] for trace in projection_figure(errors, Look()).data]
    assert xs == pytest.approx([0, 10, 0])


@pytest.mark.parametrize("look", LOOKS[::2])
def test_every_chart_is_a_table_too(look: Look) -> None:
    found = make_verification(verdict="outside")
    tables = [
        pareto_rows(POINTS, look),
        pareto_rows(POINTS, look, only_front=True),
        limits_rows(found.guardrails, look),
        projection_rows(found.projection_errors, look),
    ]
    assert [len(table) for table in tables] == [
        len(POINTS),
        sum(point.on_front for point in POINTS),
        len(found.guardrails),
        len(found.projection_errors),
    ]
    assert all(len({tuple(row) for row in table}) == 1 for table in tables)
