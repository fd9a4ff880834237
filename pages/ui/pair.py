"""The pair of positions that is open: what lies between them, and which prompts it changes most and least."""

from __future__ import annotations

import streamlit as st

from analysis.contracts import ExampleScore, Interval, Profile, Scores
from analysis.i18n.numbers import number, span
from analysis.reporting.charts.heatmap import MEASURES, position_name
from analysis.reporting.charts.pair import pair_curves, pair_rows
from pages.ui.charts import draw, look
from pages.ui.evidence import Rows, download_rows, section
from pages.ui.language import language, words
from pages.ui.similarity_view import View, matrix_of, scores_of, slice_title

Pair = tuple[int, int]
N_PROMPTS = 5


def open_pair(run_id: str, found: Profile) -> Pair:
    """The pair that is open: as clicked, else the layer that changes least."""
    asked: Pair | None = st.session_state.get(f"pair_{run_id}")
    if asked and 0 <= asked[0] < asked[1] <= found.n_blocks:
        return asked
    scored = [(score, block) for block, score in enumerate(found.overall.block_influence) if score is not None]
    least = min(scored)[1] if scored else 0
    return least, least + 1


def choose_pair(run_id: str, first: int, second: int) -> None:
    """Opens a pair; a position and itself opens the layer behind it."""
    low, high = sorted((first, second))
    st.session_state[f"pair_{run_id}"] = (low, high) if high > low else (max(0, low - 1), max(1, low))


def pair_fields(run_id: str, found: Profile, pair: Pair) -> None:
    """The pair as two fields, for those who do not click."""
    t, shown = words(), look()

    def changed() -> None:
        choose_pair(run_id, st.session_state.pair_from, st.session_state.pair_to)

    st.session_state.pair_from, st.session_state.pair_to = pair
    positions = range(found.n_blocks + 1)
    left, right = st.columns(2, gap="small")
    left.selectbox(t("From position"), positions, format_func=lambda place: position_name(place, shown), key="pair_from", on_change=changed)
    right.selectbox(t("To position"), positions, format_func=lambda place: position_name(place, shown), key="pair_to", on_change=changed)


def pair_table(scores: Scores, slice_name: str, pair: Pair) -> Rows:
    """Every measure of the pair with its interval."""
    t = words()
    first, second = pair
    rows = []
    for measure in MEASURES.values():
        matrix = matrix_of(scores, measure)
        if matrix is None:
            continue
        value = matrix[first][second]
        rows.append(
            {
                t("Measure"): t(measure.title),
                t("Value"): t("not defined") if value is None else number(value, language(), 3),
                t("95% interval"): _interval(scores, measure.field, pair),
                t("Tokens"): slice_title(slice_name),
            }
        )
    return rows


def _interval(scores: Scores, field: str, pair: Pair) -> str:
    rows = getattr(scores.intervals, field, None)
    found: Interval | None = rows[pair[0]][pair[1]] if rows else None
    return span(number(found[0], language(), 3), number(found[1], language(), 3), language()) if found else ""


def extreme_prompts(found: Profile, slice_name: str, pair: Pair) -> tuple[Rows, Rows]:
    """The prompts that the layers between the two positions change most and least."""
    own = [
        example
        for example in found.examples
        if slice_name not in found.slices or example.slice == slice_name or slice_name in ("prompt", "response", "template", "sink")
    ]
    scored = sorted(((change, example) for example in own if (change := _change(example, pair)) is not None), key=lambda pair: -pair[0])
    few = min(N_PROMPTS, max(1, len(scored) // 2)) if scored else 0
    return _prompts(scored[:few]), _prompts(scored[::-1][:few])


def _change(example: ExampleScore, pair: Pair) -> float | None:
    """Mean Block Influence of the layers between the positions for one prompt."""
    between = [score for score in example.block_influence[pair[0] : pair[1]] if score is not None]
    return sum(between) / len(between) if between else None


def _prompts(scored: list[tuple[float, ExampleScore]]) -> Rows:
    t = words()
    return [
        {
            t("Change"): number(change, language(), 3),
            t("Slice"): slice_title(example.slice) + (f" ({t('critical case')})" if example.critical else ""),
            t("Prompt"): example.excerpt or example.example_id,
        }
        for change, example in scored
    ]


def show_pair(found: Profile, view: View, pair: Pair) -> None:
    """The open pair: its figures, its curves, and the prompts behind it."""
    t, shown = words(), look()
    scores, (first, second) = scores_of(found, view.slice_name), pair
    with st.container(border=True, key="pair"):
        names = {"first": position_name(first, shown), "second": position_name(second, shown)}
        title = t("Layer {block}", block=first) if second == first + 1 else t("Layers {first} to {last}", first=first, last=second - 1)
        section(t("{title}: from {first} to {second}", title=title, **names), "measured")
        st.caption(t("Click a cell, a bar or a run of layers to open another pair, or choose it here."))
        left, right = st.columns([5, 6], gap="medium")
        with left:
            pair_fields(view.run_id, found, pair)
            st.dataframe(pair_table(scores, view.slice_name, pair), hide_index=True, alt=t("The open pair by every measure"))
        with right:
            alt = t("Curves: how alike each of the two positions is to every other position")
            draw(lambda: pair_curves(scores, first, second, shown), of=(view.run_id, view.slice_name, pair), key="pair_curves", alt=alt)
            download_rows(pair_rows(scores, first, second, shown), "pair.csv", key="pair")
        most, least = extreme_prompts(found, view.slice_name, pair)
        left, right = st.columns(2, gap="medium")
        for place, table, head in ((left, most, t("Prompts it changes most")), (right, least, t("Prompts it changes least"))):
            with place:
                st.markdown(f"**{head}**")
                if len(table):
                    st.dataframe(table, hide_index=True, alt=head)
                else:
                    st.caption(t("No prompt of this slice has a score here."))
