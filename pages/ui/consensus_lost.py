"""What is lost with the layer that was clicked, or with everything taken out together: slices, kinds of token, prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import streamlit as st

from analysis.contracts import LostWith, Ranking, UnitRef
from analysis.i18n.numbers import number
from analysis.reporting.charts.lost import kind_names, lost_parts, lost_rows
from pages.ui.charts import draw, look
from pages.ui.consensus_matrix import unit_words, units_words
from pages.ui.consensus_weights import mark_of_ranking
from pages.ui.evidence import how_do_we_know, section, table
from pages.ui.language import language, plain, words
from pages.ui.similarity_view import slice_title
from pages.ui.verdicts import estimate_words


def options_of(found: Ranking) -> Mapping[str, LostWith]:
    """What can be looked at: every single unit, and everything that is out after each step."""
    singles = {f"one-{place}": lost for place, lost in enumerate(found.lost)}
    return singles | {f"all-{place}": lost for place, lost in enumerate(found.lost_together, start=1) if len(lost.removed) > 1}


def first_looked_at(found: Ranking, order: Sequence[UnitRef]) -> str | None:
    """Which one is looked at: the one clicked or picked, else what goes first; None: nothing was measured."""
    options = options_of(found)
    asked = st.session_state.get(f"lost_{found.id}")
    first = next((name for name, lost in options.items() if order and lost.removed == (order[0],)), None)
    return asked if asked in options else first or next(iter(options), None)


def alone(found: Ranking, chosen: str | None) -> UnitRef | None:
    """The single unit that is looked at; None: several at once, or none."""
    removed = options_of(found)[chosen].removed if chosen else ()
    return removed[0] if len(removed) == 1 else None


def show_lost(found: Ranking, chosen: str) -> None:
    """How much worse each part of the work is predicted without these layers."""
    t, options = words(), options_of(found)
    lost, key = options[chosen], f"lost_{found.id}"
    section(t("What is lost"), "measured", help=t("How much the loss rises on each part of the calibration examples without these layers."))
    st.session_state[key] = chosen

    st.selectbox(
        t("Without"),
        list(options),
        format_func=lambda name: _title(name, options[name]) if name in options else "",
        key=key,
        help=t("The same as a click on a column of the matrix. Layers are counted from 0."),
        width=480,
    )
    st.markdown(_sentence(found, lost))
    names = {name: slice_title(name) for name in lost.slices}
    left, right = st.columns(2, gap="large")
    of = (mark_of_ranking(found), chosen)
    with left:
        if lost.slices:
            draw(
                partial(lost_parts, lost.slices, lost.change, look(), title=t("By slice"), names=names),
                of=of,
                key="lost_slices",
                alt=t("Chart: rise of the loss by slice, worst first. The table below has the figures."),
            )
    with right:
        if lost.kinds:
            kinds = {str(kind): part for kind, part in lost.kinds.items()}
            draw(
                partial(lost_parts, kinds, lost.change, look(), title=t("By kind of token"), names=kind_names(look())),
                of=of,
                key="lost_kinds",
                alt=t("Chart: rise of the loss by kind of token, worst first. The table below has the figures."),
            )
    _prompts(lost)
    how_do_we_know(
        formula=t("mean loss with the layers left out - mean loss of the untouched model, over the same tokens"),
        source="",
        sample=t("{n} prompts, {tokens} tokens", n=found.n_examples, tokens=found.n_tokens),
        interval=t("95%, paired bootstrap over prompts"),
        rows=lost_rows(lost, look(), names),
        file_name="lost.csv",
        key="lost",
    )


def _title(name: str, lost: LostWith) -> str:
    t = words()
    if name.startswith("one-"):
        return unit_words(lost.removed[0])
    return t("everything taken out so far: {units}", units=units_words(lost.removed))


def _sentence(found: Ranking, lost: LostWith) -> str:
    """The rise over everything, and where it is largest."""
    t = words()
    change = estimate_words(lost.change, digits=3)
    what = units_words(lost.removed)
    known = {name: part.change.value for name, part in lost.slices.items() if part.change.value is not None}
    if not known:
        return t("Without {units} the loss rises by {change} nats per token.", units=what, change=change)
    worst = max(known, key=lambda name: known[name])
    return t(
        "Without {units} the loss rises by {change} nats per token; most on {slice}, by {worst}.",
        units=what,
        change=change,
        slice=plain(slice_title(worst)),
        worst=number(known[worst], language(), 3),
    )


def _prompts(lost: LostWith) -> None:
    """The prompts whose loss rises most."""
    if not lost.prompts:
        return
    t, code = words(), language()
    excerpts = any(prompt.excerpt for prompt in lost.prompts)
    rows: list[dict[str, object]] = []
    for prompt in lost.prompts:
        row: dict[str, object] = {t("Prompt"): prompt.excerpt or prompt.example_id}
        row |= {t("Slice"): slice_title(prompt.slice), t("Rise of the loss (nats per token)"): number(prompt.change, code, 2)}
        row[t("Tokens")] = prompt.n_tokens
        if any(one.critical for one in lost.prompts):
            row[t("Critical")] = t("yes") if prompt.critical else ""
        rows.append(row)
    st.subheader(t("The prompts that lose most"), anchor=False)
    table(rows, alt=t("The prompts whose loss rises most, worst first"))
    if not excerpts:
        st.caption(t("Texts were not kept with this ranking; the names are those of the examples."))
