"""The curves behind a boundary: deviation and gain, slices beside each other, the head's view, one prompt token by token, gradients."""

from __future__ import annotations

from functools import partial

import streamlit as st

from analysis.contracts import CurveName, EofChoice, Semantics
from analysis.contracts.semantics import CURVES, TokenTrace
from analysis.i18n.numbers import number, percent, span
from analysis.planning.eof import virtual_curve
from analysis.reporting.charts import deviation as charts
from analysis.reporting.charts.trace import token_trace, token_trace_alt, token_trace_rows
from analysis.reporting.training_words import CURVE_MEANINGS, CURVE_TITLES
from pages.ui.charts import draw, look
from pages.ui.evidence import download_rows, how_do_we_know, section
from pages.ui.freeze_rule import ask_boundary
from pages.ui.glossary import term
from pages.ui.language import language, plain, words
from pages.ui.session import forget
from pages.ui.similarity_view import slice_title

MOST_SLICES = 4


def deviation_heading(traces: Semantics | None) -> None:
    """What the slider and the chart under it are about."""
    t = words()
    if traces is None:
        section(t("Without traces: which layers stay as they are"), None, help=term("freeze"))
        st.caption(t("The last layers can be trained as it is widely done: place the boundary by hand or by a limit."))
    else:
        section(t("How far each layer still is from the right word"), "measured", help=term("semantic deviation"))


def show_deviation(traces: Semantics, eof_layer: int, run_id: str) -> None:
    """How far each layer's state still is from the right word; a click freezes up to there."""
    st.session_state.setdefault("freeze_curve", traces.default_curve)
    curve, slices = chosen_curve(traces), chosen_slices(traces)
    spoken = _spoken(traces)
    straight = virtual_curve(traces.overall.curves[curve]) if st.session_state.get("freeze_straight") and curve != "lens" else None
    titles = [slice_title(name) for name in slices]

    def clicked(at: list[int]) -> None:
        forget("plan")
        ask_boundary(run_id, max(-1, min(at[0] - 1, traces.n_blocks - 2)))

    draw(
        partial(charts.deviation, spoken, look(), curves=(curve,), slices=titles, eof_layer=eof_layer, straight=straight),
        of=(traces.id, curve, tuple(slices), eof_layer, straight is not None),
        key="deviation",
        alt=charts.deviation_alt(spoken, look(), curves=(curve,), eof_layer=eof_layer),
        on_click=clicked,
    )


def know_deviation(traces: Semantics) -> None:
    """Where the curves come from, and their figures."""
    t, curve, slices = words(), chosen_curve(traces), chosen_slices(traces)
    how_do_we_know(
        formula=t("1 - cosine between the state that predicts a token and the meaning of the right token; gain: what a layer takes off it")
        if curve != "lens"
        else t("-log p of the right token by the model's own head, from each layer's state"),
        source="Vocabulary-defined semantics (arXiv 2401.16184); logit lens",
        sample=t("{n} prompts, {tokens} response tokens", n=traces.overall.n_examples, tokens=traces.overall.n_tokens),
        interval=t("95%, by drawing the prompts anew (Poisson bootstrap)"),
        rows=charts.deviation_rows(_spoken(traces), look(), curves=(curve,), slices=[slice_title(name) for name in slices]),
        file_name="deviation.csv",
        key="deviation",
    )


def curve_fields(traces: Semantics) -> None:
    """Which curve is drawn, for which slices, with the straight way or without."""
    t = words()
    left, middle, right = st.columns([4, 5, 3], gap="medium", vertical_alignment="bottom")
    there = [name for name in CURVES if name in traces.overall.curves]
    left.selectbox(
        t("Measured against"),
        there,
        index=there.index(traces.default_curve) if traces.default_curve in there else 0,
        format_func=lambda name: t(CURVE_TITLES[name]),
        key="freeze_curve",
        persist_state="session",
        help="\n\n".join(f"**{t(CURVE_TITLES[name])}**  \n{t(CURVE_MEANINGS[name])}" for name in there),
    )
    middle.multiselect(
        t("Slices beside all prompts"),
        list(traces.slices),
        format_func=slice_title,
        max_selections=MOST_SLICES,
        key="freeze_slices",
        persist_state="session",
        placeholder=t("none"),
        help=term("slice"),
    )
    right.checkbox(
        t("The straight way"),
        key="freeze_straight",
        persist_state="session",
        help=t("How the curve would run if every layer turned the state evenly towards the right word: our reading of the paper."),
    )


def chosen_curve(traces: Semantics) -> CurveName:
    """The curve that is drawn; the one that names the right word most often to begin with."""
    chosen: CurveName = st.session_state.get("freeze_curve") or traces.default_curve
    return chosen if chosen in traces.overall.curves else traces.default_curve


def chosen_slices(traces: Semantics) -> list[str]:
    """The slices drawn beside all prompts; those of another run's traces are passed over."""
    return [name for name in st.session_state.get("freeze_slices") or () if name in traces.slices]


@st.cache_resource(show_spinner=False, max_entries=8)
def _named(semantics_id: str, code: str, _traces: Semantics) -> Semantics:
    return _traces.model_copy(update={"slices": {slice_title(name): scores for name, scores in _traces.slices.items()}})


def _spoken(traces: Semantics) -> Semantics:
    """The same with slices called by their names in the language spoken."""
    return _named(traces.id, language(), traces)


def show_gain(traces: Semantics, eof_layer: int, choice: EofChoice | None) -> None:
    """What each layer takes off the deviation, and the layer that the rule chose."""
    t, curve = words(), chosen_curve(traces)
    section(t("What each layer brings"), "measured")
    draw(
        partial(charts.gain, _spoken(traces), look(), curve=curve, eof_layer=eof_layer, choice=choice),
        of=(traces.id, curve, eof_layer, choice.eof_layer if choice else None, choice.strategy if choice else None),
        key="gain",
        alt=charts.gain_alt(_spoken(traces), look(), curve=curve, choice=choice),
    )


def show_lens(traces: Semantics) -> None:
    """What the model's own head would say from every layer."""
    t = words()
    if traces.overall.lens is None:
        return
    st.subheader(t("What the model would say at each layer"), anchor=False)
    draw(
        partial(charts.lens, traces, look()),
        of=(traces.id,),
        key="lens",
        alt=charts.lens_alt(traces, look()),
    )


def show_trace(traces: Semantics, eof_layer: int) -> None:
    """One prompt, token by token."""
    t = words()
    if not traces.traces:
        st.caption(t("No prompt's own trace is stored: traces were measured without texts or for no prompt."))
        return
    st.subheader(t("One prompt, token by token"), anchor=False)
    chosen = st.selectbox(
        t("Prompt"),
        range(len(traces.traces)),
        format_func=lambda place: _trace_title(traces.traces[place]),
        key=f"trace_{traces.id}",
        help=t("Critical prompts first. Their texts stay on this machine."),
    )
    place = int(chosen or 0)
    trace = traces.traces[place]
    draw(
        partial(token_trace, trace, look(), eof_layer=eof_layer),
        of=(traces.id, place, eof_layer),
        key="token_trace",
        alt=token_trace_alt(trace, look()),
    )
    download_rows(token_trace_rows(trace, look()), "trace.csv", key="trace")


def _trace_title(trace: TokenTrace) -> str:
    t = words()
    said = trace.excerpt or trace.example_id[:12]
    parts = [said, slice_title(trace.slice), *([t("critical")] if trace.critical else [])]
    return " · ".join(parts)


def fidelity_words(traces: Semantics) -> str:
    """What the nearest word's meaning is worth as a guide, in plain words."""
    t, code = words(), language()
    judged = {one.curve: one for one in traces.fidelity}
    own, head = judged.get(traces.default_curve), judged.get("lens")
    if own is None:
        return t("How often the nearest word is the right one was not measured, so take the curves as a sketch.")
    values = {"basis": t(CURVE_TITLES[own.curve]), "share": percent(own.right, code, 1), "n": number(own.n_tokens, code, 0)}
    if head is None or head is own:
        return t("At the last layer the nearest word ({basis}) is the right one for {share} of {n} tokens.", **values)
    return t(
        "At the last layer the nearest word ({basis}) is the right one for {share} of {n} tokens; "
        "the model's own head gets {head} right. The nearer the two, the more a deviation is worth.",
        **values,
        head=percent(head.right, code, 1),
    )


def fidelity_rows(traces: Semantics) -> list[dict[str, str]]:
    """Every basis with how often it names the right word, best first."""
    t, code = words(), language()
    rows = []
    for one in sorted(traces.fidelity, key=lambda one: -one.right):
        low_high = "" if one.interval is None else span(percent(one.interval[0], code, 1), percent(one.interval[1], code, 1), code)
        used = t("used by the rules") if one.curve == traces.default_curve else t("the model's own head") if one.curve == "lens" else ""
        rows.append(
            {
                t("Words' meanings"): t(CURVE_TITLES[one.curve]),
                t("Right word nearest"): percent(one.right, code, 1),
                t("95% interval"): low_high,
                t("Remark"): used,
            }
        )
    return rows


def excerpt_words(traces: Semantics) -> str:
    """What was traced, on one line."""
    t = words()
    return t(
        "Traced: {n} response tokens of {prompts} prompts of {workload}, among {words} words.",
        n=traces.overall.n_tokens,
        prompts=traces.overall.n_examples,
        workload=plain(traces.workload.name),
        words=number(traces.n_words, language(), 0),
    )
