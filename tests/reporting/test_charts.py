"""Charts: what they show, what a click carries, how undefined values look, in both languages and themes."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import plotly.graph_objects as go
import pytest

from analysis.contracts import Freeze, Profile
from analysis.planning import propose_plan
from analysis.reporting.charts.anatomy import pieces, stack_rows, treatments
from analysis.reporting.charts.heatmap import (
    FULL_RANGE,
    MEASURES,
    difference_heatmap,
    heatmap,
    heatmap_rows,
    position_name,
    robust_range,
    subtract,
)
from analysis.reporting.charts.influence import influence_bars, influence_rows, ranks
from analysis.reporting.charts.pair import pair_curves, pair_rows
from analysis.reporting.charts.palette import CONFIG, DIVERGING, PALETTES, RAMP, Look
from analysis.reporting.charts.small import (
    length_bins,
    length_histogram,
    savings_rows,
    slice_bars,
    stability_curve,
    stability_rows,
)
from analysis.reporting.charts.spans import best_of_each_length, span_rows, span_triangle
from analysis.reporting.charts.stack import stack_figure
from analysis.reporting.csv import to_csv
from tests.builders import make_preview, make_profile

PROFILE = make_profile(12)
LOOKS = [Look(language, theme) for language in ("en", "ja") for theme in ("light", "dark")]  # type: ignore[arg-type]
EN = Look()


def all_figures(look: Look, profile: Profile = PROFILE) -> dict[str, go.Figure]:
    prune, skip = propose_plan(profile, amount="2", name="A"), propose_plan(profile, op="skip", unit="attention", amount="3", name="B")
    scores, preview = profile.overall, make_preview()
    return {
        "stack": stack_figure(profile.model, look),
        "stack, profile": stack_figure(profile.model, look, profile=profile),
        "stack, plan": stack_figure(profile.model, look, profile=profile, plans=[prune], compact=True),
        "stack, plans": stack_figure(profile.model, look, profile=profile, plans=[prune, skip], unit="attention", selected=3),
        "heatmap": heatmap(scores.linear_cka or (), MEASURES["linear_cka"], look, selected=(1, 2)),
        "difference": difference_heatmap(
            scores.angular_distance, profile.slices["code"].angular_distance, MEASURES["angular_distance"], look, names=("all", "code")
        ),
        "influence": influence_bars(profile, look, units=("block", "attention", "mlp"), selected=2),
        "influence, slice": influence_bars(profile, look, slice_name="code"),
        "spans": span_triangle(scores.angular_distance, look, selected=(1, 3)),
        "pair": pair_curves(scores, 1, 4, look),
        "stability": stability_curve(profile.rank_stability, look),
        "lengths": length_histogram(preview.lengths, look, max_tokens=64),
        "slices": slice_bars(preview.slice_tokens, look, marked=("code",)),
    }


def trace_with_clicks(figure: go.Figure) -> Any:
    return next(trace for trace in reversed(figure.data) if trace.customdata is not None)


@pytest.mark.parametrize("look", LOOKS, ids=str)
def test_every_chart_draws_in_both_languages_and_themes_at_a_stable_size(look: Look) -> None:
    for name, figure in all_figures(look).items():
        assert json.loads(figure.to_json())["data"], name
        assert figure.layout.height, name
        assert "Noto Sans CJK JP" in figure.layout.font.family, name
        assert figure.layout.font.color == look.palette.text, name
        assert figure.layout.paper_bgcolor == "rgba(0,0,0,0)", name


def test_japanese_charts_speak_japanese() -> None:
    for name, figure in all_figures(Look("ja")).items():
        layout = figure.layout
        axes = [*figure.select_xaxes(), *figure.select_yaxes()]
        words = [layout.title.text or "", *(axis.title.text or "" for axis in axes)]
        assert any(ord(sign) > 0x3000 for text in words for sign in text) or name in ("pair", "stack, plan"), name


def test_the_logo_is_off_and_nothing_is_sent_anywhere() -> None:
    assert CONFIG["displaylogo"] is False
    assert "sendChartToCloud" in CONFIG["modeBarButtonsToRemove"]


def test_a_click_on_a_cell_carries_its_two_positions() -> None:
    cells = trace_with_clicks(all_figures(EN)["heatmap"])
    assert len(cells.customdata) == 13 * 13
    place = [list(pair) for pair in cells.customdata].index([3, 5])
    assert (cells.y[place], cells.x[place]) == (3, 5)
    assert "after 2 and after 4" in cells.text[place]


def test_light_means_alike_for_every_measure() -> None:
    scores = PROFILE.overall
    alike = {"cosine_similarity": RAMP, "linear_cka": RAMP, "angular_distance": RAMP[::-1], "angular_distance_last_token": RAMP[::-1]}
    for name, ramp in alike.items():
        scale = heatmap(getattr(scores, name), MEASURES[name], EN).data[0].colorscale
        assert (scale[0][1], scale[-1][1]) == (ramp[0], ramp[-1])


def test_undefined_cells_are_hatched_with_their_reason_and_never_coloured() -> None:
    figure = all_figures(EN)["heatmap"]
    undefined = [(i, j) for i, row in enumerate(PROFILE.overall.linear_cka or ()) for j, cell in enumerate(row) if cell is None]
    assert undefined
    assert all(figure.data[0].z[i][j] is None for i, j in undefined)
    hatch = next(trace for trace in figure.data if trace.type == "scatter" and trace.fillpattern.shape == "/")
    assert len([x for x in hatch.x if x is None]) == len(undefined)
    i, j = undefined[0]
    assert "not defined" in trace_with_clicks(figure).text[i * 13 + j]


def test_the_range_is_robust_shared_and_said() -> None:
    matrices = [scores.cosine_similarity for scores in (PROFILE.overall, PROFILE.slices["code"])]
    low, high = robust_range(matrices)
    cells = sorted(cell for matrix in matrices for i, row in enumerate(matrix) for j, cell in enumerate(row) if cell is not None and i != j)
    assert cells[0] < low < cells[len(cells) // 10]
    assert cells[-(len(cells) // 10)] < high < cells[-1]
    figure = heatmap(matrices[0], MEASURES["cosine_similarity"], EN, shown_range=(low, high))
    assert (figure.data[0].zmin, figure.data[0].zmax) == (low, high)
    assert f"{low:.2f}" in figure.layout.title.text
    assert heatmap(matrices[0], MEASURES["cosine_similarity"], EN, shown_range=FULL_RANGE).data[0].zmax == 1.0


def test_a_range_of_nothing_or_of_one_value_still_draws() -> None:
    empty = ((None, None), (None, None))
    assert robust_range([empty]) == FULL_RANGE
    low, high = robust_range([((1.0, 0.5), (0.5, 1.0))])
    assert low < 0.5 < high
    assert heatmap(empty, MEASURES["linear_cka"], EN).data


def test_a_difference_is_centred_on_zero_and_undefined_where_either_is() -> None:
    figure = all_figures(EN)["difference"]
    assert figure.data[0].zmin == -figure.data[0].zmax
    assert figure.data[0].colorscale[len(DIVERGING)][1] == DIVERGING[len(DIVERGING) // 2]
    assert subtract(((1.0, None),), ((0.25, 1.0),)) == ((0.75, None),)


def test_positions_are_named_in_and_after() -> None:
    assert [position_name(place, EN) for place in (0, 1, 30)] == ["in", "after 0", "after 29"]
    assert position_name(0, Look("ja")) == "入口"


@pytest.mark.parametrize("n_blocks", [1, 2, 6, 48, 96])
def test_charts_hold_for_small_and_large_models(n_blocks: int) -> None:
    profile = make_profile(n_blocks, slices=("code",))
    stack = stack_figure(profile.model, EN, profile=profile)
    assert 100 < stack.layout.height < 1000
    assert heatmap(profile.overall.cosine_similarity, MEASURES["cosine_similarity"], EN).data
    assert len(best_of_each_length(profile.overall.angular_distance)) == n_blocks
    assert span_triangle(profile.overall.angular_distance, EN).data
    assert influence_bars(profile, EN).data


def test_the_stack_is_as_wide_as_its_parameters_and_clickable() -> None:
    figure = stack_figure(PROFILE.model, EN)
    bars = figure.data[0]
    block = PROFILE.model.stacks[0].blocks[0]
    assert block.attention is not None
    assert bars.x[0] == block.attention.n_parameters
    assert bars.base[1] == block.attention.n_parameters
    assert {tuple(item) for item in bars.customdata} == {(index,) for index in range(12)}
    assert "counted from 0" in bars.text[0]


def test_pruned_layers_are_hollow_with_a_dashed_outline_and_skipped_ones_patterned() -> None:
    prune, skip = propose_plan(PROFILE, amount="2"), propose_plan(PROFILE, op="skip", unit="mlp", amount="3")
    figure = stack_figure(PROFILE.model, EN, plans=[prune, skip])
    dashed = [trace for trace in figure.data if trace.type == "scatter" and trace.line.dash]
    assert [trace.line.color for trace in dashed] == [PALETTES["light"].operations["prune"]]
    assert len([x for x in dashed[0].x if x is None]) == 4
    assert {trace.marker.color for trace in figure.data if trace.name == "prune"} == {"rgba(0,0,0,0)"}
    assert [trace.marker.pattern.shape for trace in figure.data if trace.name == "skip"] == ["."]
    drawn = {(piece.part, piece.treatment) for piece in pieces(PROFILE.model.stacks[0].blocks, skip)}
    assert drawn == {("attention", "kept"), ("mlp", "kept"), ("mlp", "skip")}


def test_freezing_marks_everything_up_to_the_last_frozen_layer() -> None:
    plan = propose_plan(PROFILE, amount="2").model_copy(update={"operations": (Freeze(eof_layer=4),)})
    assert {block for _, block in treatments(plan, 12)} == {0, 1, 2, 3, 4}
    assert treatments(None, 12) == {}


def test_influence_keeps_the_order_of_the_layers_and_tells_the_rank() -> None:
    bars = influence_bars(PROFILE, EN).data[0]
    assert list(bars.x) == list(range(12))
    placed = ranks(PROFILE.overall, "block")
    assert f"rank {placed[4]} of 12" in bars.text[4]
    assert "95% interval" in bars.text[4]
    assert bars.customdata[4] == [4] or list(bars.customdata[4]) == [4]


def test_a_layer_without_a_score_is_hatched_in_bars_and_crossed_in_the_stack() -> None:
    series = tuple(None if block == 3 else value for block, value in enumerate(PROFILE.overall.attention_influence))
    profile = PROFILE.model_copy(update={"overall": PROFILE.overall.model_copy(update={"attention_influence": series})})
    bars = influence_bars(profile, EN, units=("attention",))
    assert 3 not in bars.data[0].x
    assert any(trace.type == "scatter" and trace.fillpattern.shape == "/" for trace in bars.data)
    stack = stack_figure(profile.model, EN, profile=profile, unit="attention")
    assert [list(trace.y) for trace in stack.data if trace.type == "scatter" and trace.marker.symbol == "x-thin"] == [[3]]


def test_the_best_span_of_each_length_is_the_smallest_defined_distance() -> None:
    matrix = ((0.0, 0.3, None), (0.3, 0.0, 0.1), (None, 0.1, 0.0))
    assert [(best.start, best.n, best.distance) for best in best_of_each_length(matrix)] == [(1, 1, 0.1)]
    targets = trace_with_clicks(span_triangle(matrix, EN))
    assert [list(pair) for pair in targets.customdata] == [[0, 1], [1, 1], [0, 2]]
    assert "not defined" in targets.text[2]


def test_a_slice_cannot_write_markup_into_a_chart() -> None:
    hostile = '<a href="https://example.org">x</a>'
    bars = slice_bars({hostile: 3}, EN)
    matrix = PROFILE.overall.cosine_similarity
    compared = difference_heatmap(matrix, matrix, MEASURES["cosine_similarity"], EN, names=(hostile, "b"))
    shown = (*bars.layout.yaxis.ticktext, *bars.data[0].hovertext, compared.layout.title.text)
    assert not [text for text in shown if "<a" in text]


def test_bins_hold_every_length_once() -> None:
    for lengths in ((), (1,), (5, 5, 5), tuple(range(1, 3000, 7))):
        counts, edges = length_bins(lengths)
        assert sum(counts) == len(lengths)
        assert len(counts) <= 20
        assert len(edges) == len(counts) + 1


TABLES: list[Callable[[], list[dict[str, object]]]] = [
    lambda: heatmap_rows(PROFILE.overall.cosine_similarity, MEASURES["cosine_similarity"], Look("ja")),
    lambda: influence_rows(PROFILE, Look("ja")),
    lambda: influence_rows(PROFILE, EN, slice_name="sink"),
    lambda: pair_rows(PROFILE.overall, 1, None, EN),
    lambda: span_rows(PROFILE.overall.angular_distance, EN),
    lambda: stability_rows(PROFILE.rank_stability, EN),
    lambda: savings_rows(propose_plan(PROFILE, amount="2").projection, Look("ja")),  # type: ignore[arg-type]
    lambda: stack_rows(PROFILE.model, EN, profile=PROFILE, plans=[propose_plan(PROFILE, amount="2")]),
]


@pytest.mark.parametrize("table", TABLES)
def test_every_chart_is_a_table_too(table: Callable[[], list[dict[str, object]]]) -> None:
    rows = table()
    assert rows
    assert len({tuple(row) for row in rows}) == 1
    data = to_csv(rows)
    assert data.startswith(b"\xef\xbb\xbf")
    assert data.count(b"\r\n") == len(rows) + 1


def test_a_cell_that_looks_like_a_formula_is_text() -> None:
    assert b"'=1+1" in to_csv([{"a": "=1+1", "b": -1.5, "c": None, "d": (1, 2)}])
    assert b",-1.5,,1 2" in to_csv([{"a": "=1+1", "b": -1.5, "c": None, "d": (1, 2)}])
    assert to_csv([]) == b"\xef\xbb\xbf\r\n"
