"""Charts of the consensus: ranks in the order asked for, abstentions hatched, what a click carries, every word in both languages."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import plotly.graph_objects as go
import pytest

from analysis.contracts import Message, Ranking, Vote
from analysis.planning.agreement import agreement
from analysis.planning.consensus import consensus
from analysis.planning.voters import VOTER_WORDS
from analysis.reporting.charts.agreement import agreement_matrix, agreement_rows
from analysis.reporting.charts.film import film_rows, frame, path, removed_after
from analysis.reporting.charts.lost import kind_names, lost_parts, lost_rows
from analysis.reporting.charts.membership import membership_bars, membership_rows
from analysis.reporting.charts.palette import Look
from analysis.reporting.charts.rank_matrix import Columns, consensus_row, matrix_rows, rank_matrix, rank_spans, voter_row
from tests.builders import make_model
from tests.consensus_builders import make_ranking

LOOKS = [Look(language, theme) for language in ("en", "ja") for theme in ("light", "dark")]
RANKING = make_ranking(12, n_taken=3)
FIRST = RANKING.steps[0]
NOW = consensus(FIRST.votes, FIRST.candidates)


def columns(ranking: Ranking = RANKING, **changes: Any) -> Columns:
    step = ranking.steps[0]
    found = consensus(step.votes, step.candidates)
    order = tuple(step.candidates.index(ref) for ref in found.order)
    facts: dict[str, Any] = {"unit": "block", "blocks": tuple(block for _, block in step.candidates), "order": order}
    return Columns(**(facts | {"taken": frozenset(order[:3]), "selected": order[0]} | changes))


def matrix(look: Look, ranking: Ranking = RANKING, **changes: Any) -> go.Figure:
    step, shown, spans = ranking.steps[0], columns(ranking, **changes), rank_spans(ranking)
    top = consensus_row("Consensus", tuple(float(n) for n in range(len(step.candidates))), step.scores, shown, look)
    rows = [voter_row(vote, look.t(VOTER_WORDS[vote.voter].title), shown, look, spans.get(vote.voter, ())) for vote in step.votes]
    return rank_matrix([top], rows, shown, look)


def clickable(figure: go.Figure) -> go.Scatter:
    return next(trace for trace in figure.data if trace.customdata is not None)


def agreed(look: Look) -> go.Figure:
    found = agreement(FIRST.votes, FIRST.candidates)
    return agreement_matrix([look.t(VOTER_WORDS[name].title) for name in found.voters], found.matrix, look, odd=1)


SHARES = tuple(None if place == 4 else place / 12 for place in range(12))
FIGURES: dict[str, Callable[[Look], go.Figure]] = {
    "matrix": matrix,
    "many columns": lambda look: matrix(look, make_ranking(80, n_taken=2)),
    "agreement": agreed,
    "membership": lambda look: membership_bars(SHARES, columns(), 3, look),
    "lost": lambda look: lost_parts(RANKING.lost[2].slices, RANKING.lost[2].change, look, title="x", names={}),
    "kinds": lambda look: lost_parts(dict(RANKING.lost[2].kinds), RANKING.lost[2].change, look, title="x", names=kind_names(look)),
    "whole": lambda look: frame(RANKING, 0, look),
    "last": lambda look: frame(RANKING, 3, look),
    "path": lambda look: path(RANKING, 2, look),
}


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: f"{look.language}-{look.theme}")
@pytest.mark.parametrize("name", FIGURES)
def test_every_chart_can_be_drawn_and_carries_no_half_number(name: str, look: Look) -> None:
    text = FIGURES[name](look).to_json()
    assert "NaN" not in text
    assert "Infinity" not in text


def test_the_columns_stand_in_the_order_of_the_consensus() -> None:
    cells = next(trace for trace in matrix(LOOKS[0]).data if trace.type == "heatmap" and len(trace.z) == len(FIRST.votes))
    loss = list(cells.z[-1])
    assert loss == [FIRST.votes[-1].ranks[place] for place in columns().order]


def test_a_click_carries_the_place_of_the_candidate_not_of_the_column() -> None:
    targets = clickable(matrix(LOOKS[0]))
    first = next(data for x, data in zip(targets.x, targets.customdata, strict=True) if x == 0)
    assert list(first) == [FIRST.candidates.index(NOW.order[0])]


def test_who_abstains_is_hatched_from_end_to_end_and_says_why() -> None:
    figure = matrix(LOOKS[0])
    hatch = next(trace for trace in figure.data if trace.type == "scatter" and trace.fill == "toself")
    widths = [max(part) - min(part) for part in outlines(list(hatch.x))]
    assert max(widths) > 11
    assert min(widths) < 1, "one value of one voter is undefined"
    told = "\n".join(clickable(figure).text)
    assert "does not vote: Not measured: 400 positions, 640 are needed." in told
    assert "not defined for this one" in told


def outlines(xs: list[float | None]) -> list[list[float]]:
    parts: list[list[float]] = [[]]
    for x in xs:
        if x is None:
            parts.append([])
        else:
            parts[-1].append(x)
    return [part for part in parts if part]


def test_a_reason_with_markup_is_shown_as_text() -> None:
    vote = FIRST.votes[2].model_copy(update={"abstained": Message(id="<b>x</b> {n}", values={"n": 1})})
    row = voter_row(vote, "<i>CCA</i>", columns(), LOOKS[0])
    assert "&lt;b&gt;" in row.hovers[0]
    assert "<i>" not in row.hovers[0]


def test_the_hover_tells_rank_value_and_both_intervals() -> None:
    vote = FIRST.votes[0]
    told = voter_row(vote, "CKA", columns(), LOOKS[0], rank_spans(RANKING)["cka"]).hovers[3]
    assert "rank " in told
    assert "over resampled prompts, 95%: rank " in told
    assert "95% interval" in told


def test_spans_of_ranks_hold_the_middle_of_the_resamples_and_nothing_where_a_voter_is_silent() -> None:
    spans = rank_spans(RANKING)
    assert spans["cca"] == (None,) * 12
    assert spans["permutation"][5] is None
    low, high = spans["cka"][0]  # type: ignore[misc]
    assert 1 <= low <= high <= 12


def test_without_resamples_there_are_no_spans() -> None:
    assert rank_spans(make_ranking(12, replicates=0)) == {}


def test_the_table_has_a_row_for_every_measure_and_candidate() -> None:
    titles = {vote.voter: vote.voter for vote in FIRST.votes}
    rows = matrix_rows(RANKING, titles, LOOKS[0])
    assert len(rows) == 12 * len(FIRST.votes)
    silent = [row for row in rows if row["measure"] == "cca"]
    assert {row["rank"] for row in silent} == {None}
    assert all(row["not measured because"] for row in silent)


def test_what_the_plan_takes_is_outlined_in_the_first_row() -> None:
    outline = next(trace for trace in matrix(LOOKS[0]).data if trace.type == "scatter" and trace.line.dash == "4px,2px")
    assert sorted({math.floor(x + 0.5) for x in outline.x if x is not None}) == [0, 1, 2]


def test_shared_ranks_are_written_with_a_half() -> None:
    vote = Vote(voter="cka", values=(0.1, 0.1, 0.3), ranks=(1.5, 1.5, 3.0))
    shown = Columns("block", (0, 1, 2), (0, 1, 2))
    assert "rank 1.5 of 3" in voter_row(vote, "CKA", shown, LOOKS[0]).hovers[0]


def test_halves_of_layers_are_called_by_their_name() -> None:
    vote = Vote(voter="cka", values=(0.1,), ranks=(1.0,))
    shown = Columns("attention", (7,), (0,))
    assert "the attention of layer 7" in voter_row(vote, "CKA", shown, LOOKS[0]).hovers[0]


def test_undefined_agreement_is_hatched_and_the_odd_voice_outlined() -> None:
    figure = agreement_matrix(["a", "b"], ((1.0, None), (None, 1.0)), LOOKS[0], odd=1)
    assert sum(trace.type == "scatter" and trace.fill == "toself" for trace in figure.data) == 1
    assert (figure.layout.shapes[0].y0, figure.layout.shapes[0].y1) == (0.5, 1.5)
    assert agreement_rows(["a", "b"], ((1.0, None), (None, 1.0)), LOOKS[0])[0]["b"] is None


def test_a_share_that_is_not_known_is_told_and_not_drawn_as_sure() -> None:
    figure = membership_bars(SHARES, columns(), 3, LOOKS[0])
    texts = [text for trace in figure.data if trace.type == "bar" for text in trace.text]
    assert sum("not known" in text for text in texts) == 1
    rows = membership_rows(SHARES, columns(), 3, LOOKS[0])
    assert [row["layer"] for row in rows[:3]] == [block for _, block in NOW.order[:3]]
    assert None in {row["share of resamples"] for row in rows}


def test_parts_stand_worst_first_and_unknown_ones_last() -> None:
    lost = RANKING.lost[2]
    unknown = lost.slices["code"].model_copy(update={"change": lost.change.model_copy(update={"value": None, "low": None, "high": None})})
    parts = {**lost.slices, "code": unknown}
    names = list(lost_parts(parts, lost.change, LOOKS[0], title="x", names={}).layout.yaxis.ticktext)
    assert names[0] == "Japanese requests"
    assert names[-1] == "code"
    assert len(lost_rows(lost, LOOKS[0], {})) == len(lost.slices) + len(lost.kinds)


def test_a_frame_rings_what_goes_next_and_the_last_one_has_nothing_to_ring() -> None:
    scores = next(trace for trace in frame(RANKING, 1, LOOKS[0]).data if trace.xaxis == "x2")
    ringed = [y for y, symbol in zip(scores.y, scores.marker.symbol, strict=True) if symbol == "circle-open-dot"]
    assert ringed == [block for _, block in RANKING.steps[1].chosen]
    assert all(trace.xaxis != "x2" for trace in frame(RANKING, 3, LOOKS[0]).data)


def test_what_is_out_after_a_step_is_what_the_steps_chose() -> None:
    assert removed_after(RANKING, 0) == ()
    assert set(removed_after(RANKING, 2)) == {*RANKING.steps[0].chosen, *RANKING.steps[1].chosen}


def test_the_film_of_halves_draws_their_stack() -> None:
    model = make_model(12)
    halves = tuple(
        step.model_copy(
            update={
                "removed": tuple(("attention", block) for _, block in step.removed),
                "candidates": tuple(("attention", block) for _, block in step.candidates),
                "chosen": tuple(("attention", block) for _, block in step.chosen),
            }
        )
        for step in RANKING.steps
    )
    ranking = RANKING.model_copy(update={"steps": halves, "model": model})
    assert "attention of layer" in frame(ranking, 1, LOOKS[0]).to_json()


def test_the_steps_as_a_table_tell_cost_and_loss() -> None:
    rows = film_rows(RANKING, LOOKS[0])
    assert len(rows) == 3
    assert rows[0]["passes through a layer"] == 480
    assert rows[0]["loss"] == RANKING.steps[0].loss
