"""The heatmap and the influence bars: drawn, clickable, with their evidence below."""

from __future__ import annotations

from functools import partial

import streamlit as st

from analysis.contracts import Profile, Scores
from analysis.i18n import N_
from analysis.reporting.charts.heatmap import difference_heatmap, heatmap, heatmap_rows, subtract
from analysis.reporting.charts.influence import influence_bars, influence_rows
from pages.ui.charts import draw, look
from pages.ui.evidence import how_do_we_know
from pages.ui.language import plain, words
from pages.ui.pair import Pair, choose_pair
from pages.ui.similarity_view import View, matrix_of, scores_of, slice_title

CHART_HEIGHT = 580
"""Of the bars, as high as the heatmap beside them."""

FORMULAS = {
    "cosine_similarity": (N_("mean cosine of one token's states at two positions"), "ShortGPT (arXiv 2403.03853)"),
    "angular_distance": (
        N_("mean angle between one token's states at two positions, divided by 180°"),
        "The Unreasonable Ineffectiveness of the Deeper Layers (arXiv 2403.17887)",
    ),
    "linear_cka": (
        N_("unbiased linear CKA over minibatches of {n} tokens"),
        "Similarity of Neural Network Representations Revisited (arXiv 1905.00414)",
    ),
}


def bootstrap_words(found: Profile) -> str:
    """How the intervals were made."""
    intervals = found.overall.intervals
    return (
        words()("95%, by drawing the prompts anew {n} times (bootstrap)", n=intervals.replicates)
        if intervals
        else words()("none was measured")
    )


def sample_words(scores: Scores, slice_name: str) -> str:
    """Over how much a figure was measured."""
    return words()(
        "{n} prompts, {tokens} tokens: {slice}", n=scores.n_examples, tokens=scores.n_tokens, slice=plain(slice_title(slice_name))
    )


def show_heatmap(found: Profile, view: View, pair: Pair) -> None:
    """All pairs of positions by the measure; a click opens the pair."""
    t, shown = words(), look()
    scores = scores_of(found, view.slice_name)
    matrix = matrix_of(scores, view.measure)
    beside = matrix_of(view.other.scores, view.measure) if view.other else None
    if matrix is None or (view.other and beside is None):
        st.info(
            t(
                "This measure is not defined over these tokens: CKA is never pooled over first and sink tokens. "
                "Choose another measure or slice."
            )
        )
        return
    if view.other and beside:
        names = slice_title(view.slice_name), view.other.label
        build = partial(difference_heatmap, matrix, beside, view.measure, shown, names=names)
        matrix = subtract(matrix, beside)
    else:
        build = partial(heatmap, matrix, view.measure, shown, shown_range=view.shown_range, selected=pair)
    of = (view.run_id, view.measure.field, view.slice_name, view.shown_range, pair, view.other and view.other.key)
    alt = t("Heatmap of every pair of positions: {measure}. The same figures are in the table below it.", measure=t(view.measure.title))
    draw(build, of=of, key="heatmap", alt=alt, on_click=lambda at: choose_pair(view.run_id, at[0], at[1]))
    formula, source = FORMULAS[view.measure.field]
    how_do_we_know(
        formula=t(formula, n=found.settings.cka_minibatch),
        source=source,
        sample=sample_words(scores, view.slice_name),
        interval=bootstrap_words(found),
        rows=heatmap_rows(matrix, view.measure, shown),
        file_name=f"{view.measure.field}.csv",
        key="heatmap",
    )


def show_bars(found: Profile, view: View, pair: Pair) -> None:
    """Block Influence of layers, attentions and MLPs; a click opens the layer."""
    t, shown = words(), look()
    selected = pair[0] if pair[1] == pair[0] + 1 else None
    name = view.slice_name or None
    build = partial(
        influence_bars, found, shown, units=("block", "attention", "mlp"), slice_name=name, selected=selected, height=CHART_HEIGHT
    )
    alt = t("Bars with intervals: Block Influence of every layer, its attention and its MLP. The same figures are in the table below.")
    draw(build, of=(view.run_id, name, selected), key="influence", alt=alt, on_click=lambda at: choose_pair(view.run_id, at[0], at[0] + 1))
    how_do_we_know(
        formula=t("1 - mean cosine between what enters and what leaves a layer; 0: unchanged, 2: turned around"),
        source="ShortGPT (arXiv 2403.03853); What Matters in Transformers (arXiv 2406.15786)",
        sample=sample_words(scores_of(found, view.slice_name), view.slice_name),
        interval=bootstrap_words(found),
        rows=influence_rows(found, shown, slice_name=view.slice_name or None),
        file_name="block_influence.csv",
        key="influence",
    )
