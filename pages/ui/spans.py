"""The rest of the similarity evidence: runs of layers, first tokens that hide harm, and how many prompts are enough."""

from __future__ import annotations

from functools import partial

import streamlit as st

from analysis.contracts import Matrix, Profile
from analysis.i18n.numbers import number
from analysis.planning import says_harmless
from analysis.reporting.charts.small import stability_curve, stability_rows
from analysis.reporting.charts.spans import span_rows, span_triangle
from pages.ui.charts import draw, look
from pages.ui.evidence import how_do_we_know, section
from pages.ui.glossary import term
from pages.ui.language import language, words
from pages.ui.pair import choose_pair

SMALL, NOTABLE = 0.05, 0.1
ENOUGH = 0.95


def show_spans(run_id: str, found: Profile) -> None:
    """The triangle of runs (start, length); a click opens the pair of its entrance and exit."""
    t, shown = words(), look()
    section(t("Runs of layers"), "measured", help=term("angular distance"))
    last: Matrix | None = found.overall.angular_distance_last_token
    use_last = bool(last) and st.toggle(t("Only each prompt's last token, as published"), key="last_token", persist_state="session")
    distances = last if use_last and last else found.overall.angular_distance
    build = partial(span_triangle, distances, shown, last_token=use_last)
    alt = t("Triangle of every run of layers: how far it turns the tokens. The same figures are in the table below.")
    draw(build, of=(run_id, use_last), key="spans", alt=alt, on_click=lambda at: choose_pair(run_id, at[0], at[0] + at[1]))
    how_do_we_know(
        formula=t("mean angle between what enters and what leaves the run, divided by 180°"),
        source="The Unreasonable Ineffectiveness of the Deeper Layers (arXiv 2403.17887)",
        sample=t("{n} prompts", n=found.overall.n_examples)
        if use_last
        else t("{n} prompts, {tokens} tokens", n=found.overall.n_examples, tokens=found.overall.n_tokens),
        interval="",
        rows=span_rows(distances, shown),
        file_name="spans.csv",
        key="spans",
    )


def show_stability(run_id: str, found: Profile) -> None:
    """How many prompts are enough for the order of the layers to hold."""
    t = words()
    section(t("How many prompts are enough?"), "measured")
    if not found.rank_stability:
        st.caption(t("Not known for this run: it has too few prompts to draw smaller samples from."))
        return
    enough = next((one.n_examples for one in found.rank_stability if one.spearman_low >= ENOUGH), None)
    if enough:
        st.markdown(
            t(
                "From {n} prompts on, the order of the layers agrees with the order from all prompts "
                "(rank correlation at least 0.95, 19 times in 20).",
                n=enough,
            )
        )
    else:
        st.markdown(
            t(
                "More prompts than these are needed: with smaller samples the order of the layers still changes "
                "(rank correlation below 0.95)."
            )
        )
    build = partial(stability_curve, found.rank_stability, look())
    alt = t("Curve: agreement of the layers' order by number of prompts. The table below has the figures.")
    draw(build, of=(run_id,), key="stability", alt=alt)
    how_do_we_know(
        formula=t("Spearman rank correlation between the order from a random part of the prompts and the order from all"),
        source="",
        sample=t("{n} prompts", n=found.overall.n_examples),
        interval=t("median and 5th percentile over random parts"),
        rows=stability_rows(found.rank_stability, look()),
        file_name="rank_stability.csv",
        key="stability",
    )


def show_sinks(found: Profile) -> None:
    """Layers whose small average hides a large change of a prompt's first tokens."""
    t = words()
    section(t("First tokens, looked at apart"), "measured")
    sink = found.slices.get("sink")
    if sink is None:
        st.caption(t("This run did not measure first tokens apart, so no layer can be called harmless."))
        return
    pairs = list(enumerate(zip(found.overall.block_influence, sink.block_influence, strict=True)))
    hidden = [
        (block, usual, first)
        for block, (usual, first) in pairs
        if usual is not None and first is not None and first >= NOTABLE and first >= 2 * usual and not says_harmless(usual, first, SMALL)
    ]
    if not hidden:
        st.markdown(t("No layer treats a prompt's first tokens much more strongly than the others."))
    else:
        worst = max(hidden, key=lambda found: found[2] / max(found[1], 0.001))  # the one whose average hides most
        st.markdown(
            t(
                "Layer {block} changes ordinary tokens by {usual} but first and sink tokens by {first}: "
                "its average hides what removing it would break.",
                block=worst[0],
                usual=number(worst[1], language(), 3),
                first=number(worst[2], language(), 3),
            )
        )
    st.caption(
        t(
            "Models collect attention on the first token of a prompt (a sink). Such tokens are kept out of the scores above "
            "and measured as a slice of their own: a layer counts as harmless only if both agree."
        )
    )
    if len(hidden) > 1:
        heads = t("Layer"), t("Ordinary tokens"), t("First and sink tokens")
        rows = [
            dict(zip(heads, (block, number(usual, language(), 3), number(first, language(), 3)), strict=True))
            for block, usual, first in hidden
        ]
        with st.expander(t("All {n} such layers", n=len(hidden))):
            st.dataframe(rows, hide_index=True, alt=t("Layers whose change of first tokens is much larger than of ordinary ones"))
