"""The step-by-step removal as a film: a slider and a play button through the steps; the stack, the score, the loss, the time."""

from __future__ import annotations

from functools import partial

import streamlit as st

from analysis.contracts import Ranking
from analysis.i18n.numbers import duration, number, percent, span
from analysis.reporting.charts.film import film_rows, frame, path
from pages.ui.charts import draw, look
from pages.ui.consensus_matrix import units_words
from pages.ui.consensus_weights import mark_of_ranking
from pages.ui.evidence import how_do_we_know, section
from pages.ui.language import language, words

FRAME_SECONDS = 1.2


def show_film(found: Ranking) -> None:
    """How the ranking took layers out one after the other; a ranking that took none says so."""
    t = words()
    section(
        t("One step after the other"),
        "measured",
        help=t("After every removal all measures look at the model anew, and the consensus decides what goes next."),
    )
    if not found.taken:
        st.caption(
            t("This ranking took nothing out: it looked at every layer once. Ask for layers to be taken out to see how the order changes.")
        )
        return
    if not found.complete:
        st.info(t("Stopped on the way: the same ranking goes on from here when it is started again."), icon=":material/info:")
    playing = bool(st.session_state.get(f"playing_{found.id}"))
    st.fragment(_film, run_every=FRAME_SECONDS if playing else None)(found)
    cost = found.steps[0].cost
    how_do_we_know(
        formula=t(
            "score: the consensus over all layers still in; change: mean loss over the same calibration tokens - the untouched model's"
        ),
        source=t(
            "Counted while running, first step: {calls} passes through a layer; {naive} had every layer and measure been run by itself.",
            calls=number(cost.block_calls, language(), 0),
            naive=number(cost.naive_block_calls, language(), 0),
        ),
        sample=t("{n} prompts, {tokens} tokens", n=found.n_examples, tokens=found.n_tokens),
        interval=t("95%, paired bootstrap over prompts"),
        rows=film_rows(found, look()),
        file_name="steps.csv",
        key="film",
    )


def _film(found: Ranking) -> None:
    """One frame, with what moves it on."""
    t, key, playing = words(), f"film_{found.id}", f"playing_{found.id}"
    last = sum(bool(step.chosen) for step in found.steps)
    at = min(last, int(st.session_state.get(key, 0)))
    if st.session_state.pop(f"rewind_{found.id}", False):
        at = 0
    elif st.session_state.get(playing):
        if at >= last:
            st.session_state[playing] = False
            st.rerun()
        at += 1
    st.session_state[key] = at
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        st.slider(t("Steps taken"), 0, last, key=key, width=420)
        on = bool(st.session_state.get(playing))
        if st.button(t("Pause") if on else t("Play"), key="play", icon=":material/pause:" if on else ":material/play_arrow:"):
            st.session_state[playing] = not on
            if not on and at >= last:
                st.session_state[f"rewind_{found.id}"] = True  # the slider is drawn already: it moves in the next run
            st.rerun()
    st.markdown(_said(found, at))
    left, right = st.columns([6, 5], gap="large")
    with left:
        draw(
            partial(frame, found, at, look()),
            of=(mark_of_ranking(found), at),
            key="film_frame",
            alt=t("The model's layers as a stack after {n} steps, with the score of every layer that is left.", n=at),
        )
    with right:
        draw(
            partial(path, found, at, look()),
            of=(mark_of_ranking(found), at),
            key="film_path",
            alt=t("Line: rise of the loss after every step, with intervals. The table below has the figures."),
            on_click=lambda clicked: st.session_state.__setitem__(key, min(last, max(0, clicked[0]))) if clicked else None,
        )
        _times(found)


def _said(found: Ranking, at: int) -> str:
    """The frame in one sentence."""
    t, code = words(), language()
    if at == 0:
        return t("Nothing is out yet: every layer is measured once.")
    step = found.steps[at - 1]
    taken = units_words(step.chosen)
    if step.change is None:
        return t("Step {n}: {units} taken out.", n=at, units=taken)
    low, high = (number(value, code, 3) for value in step.interval or (step.change, step.change))
    return t(
        "Step {n}: {units} taken out; the loss is now {change} nats per token higher ({range}).",
        n=at,
        units=taken,
        change=number(step.change, code, 3),
        range=span(low, high, code),
    )


def _times(found: Ranking) -> None:
    """What all steps took, passes and arithmetic apart."""
    t, code = words(), language()
    passes = sum(step.cost.pass_seconds for step in found.steps)
    metrics = sum(step.cost.metric_seconds for step in found.steps)
    calls, naive = sum(step.cost.block_calls for step in found.steps), sum(step.cost.naive_block_calls for step in found.steps)
    said = t(
        "All steps took {time} on {device}: {passes} of passes through the model, {metrics} of the measures' arithmetic.",
        time=duration(sum(step.seconds for step in found.steps), code),
        device=found.device_name,
        passes=duration(passes, code),
        metrics=duration(metrics, code),
    )
    if naive:
        said += " " + t(
            "That is {share} of the passes that one forward a layer and measure would have taken.", share=percent(calls / naive, code)
        )
    st.caption(said)
