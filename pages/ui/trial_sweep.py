"""A sweep: every boundary on the plane of time and loss, and which rule would have chosen well."""

from __future__ import annotations

from functools import partial

import streamlit as st

from analysis.contracts import EofChoice, Trial, TrialArm
from analysis.i18n.numbers import percent
from analysis.reporting.charts.sweep import sweep_alt, sweep_front, sweep_rows
from analysis.reporting.rules_judged import neighbours, rules_message
from pages.ui.charts import draw, look
from pages.ui.evidence import Rows, download_rows, section, table
from pages.ui.freeze_rule import ask_boundary, rule_title
from pages.ui.freeze_words import frozen_words
from pages.ui.glossary import term
from pages.ui.language import language, say, words
from pages.ui.session import forget, go
from pages.ui.trial_view import origin_of_trial
from pages.ui.verdicts import estimate_words


def show_sweep(found: Trial, run_id: str | None) -> None:
    """The front and, beside it, every rule held against what came out."""
    t = words()
    left, right = st.columns([6, 5], gap="large")
    with left:
        section(t("Boundaries side by side"), origin_of_trial(found), help=term("eof-layer"))
        draw(partial(sweep_front, found, look()), of=(found.id,), key="sweep", alt=sweep_alt(found, look()))
        download_rows(sweep_rows(found, look()), "sweep.csv", key="sweep")
    with right:
        section(t("Which rule would have chosen well?"), origin_of_trial(found))
        rows = rule_rows(found)
        if rows:
            if judged := rules_message(found):
                st.markdown(say(judged))
            table(rows, alt=t("Every rule with the boundary it chooses, and what that boundary kept and cost in this sweep"))
        else:
            st.caption(t("No rule's choice was stored with this sweep: it was run without traces."))
        if run_id is not None:
            _take_another(found, run_id)


def rule_rows(found: Trial) -> Rows:
    """Each rule's boundary with what the sweep measured there; a boundary that was not tried says so."""
    t, code = words(), language()
    full = next((arm for arm in found.arms if arm.kind == "full"), None)
    rows = []
    for choice in found.choices:
        arm = _tried(found, choice)
        seconds = _seconds(arm)
        share = seconds / whole if seconds is not None and (whole := _seconds(full)) else None
        rows.append(
            {
                t("Rule"): rule_title(choice.strategy),
                t("Kept gain"): kept_in_sweep(found, choice.eof_layer),
                t("Freezes"): t("no answer") if choice.eof_layer is None else frozen_words(choice.eof_layer),
                t("Training time, of full fine-tuning's"): "" if share is None else percent(share, code),
            }
        )
    return rows


def kept_in_sweep(found: Trial, eof_layer: int | None) -> str:
    """What a boundary kept in the sweep; one that was not tried, what its neighbours kept."""
    t, code = words(), language()
    if eof_layer is None:
        return ""
    if eof_layer < 0:
        return t("all of it, nothing frozen")
    arm = next((arm for arm in found.arms if arm.kind == "freeze" and arm.eof_layer == eof_layer), None)
    if arm is not None:
        return estimate_words(arm.kept_at_tokens, share=True)
    known = tuple(
        t("{boundary}: {share}", boundary=t("0–{last}", last=one.eof_layer), share=percent(one.kept_at_tokens.value, code))
        for one in neighbours(found, eof_layer)
        if one is not None and one.kept_at_tokens is not None and one.kept_at_tokens.value is not None
    )
    return t("not tried ({neighbours})", neighbours=known) if known else t("not tried")


def _tried(found: Trial, choice: EofChoice) -> TrialArm | None:
    return next((arm for arm in found.arms if arm.kind == "freeze" and arm.eof_layer == choice.eof_layer), None)


def _seconds(arm: TrialArm | None) -> float | None:
    return arm.points[-1].seconds if arm and arm.points else None


def _take_another(found: Trial, run_id: str) -> None:
    """Goes back to Freeze with another boundary of the sweep."""
    t = words()
    others = sorted({arm.eof_layer for arm in found.arms if arm.kind == "freeze" and arm.eof_layer != found.eof_layer})
    if not others:
        return
    best = found.recommended if found.recommended in others else None
    if best is not None:
        st.info(t("Freeing layers stopped helping at: {boundary}.", boundary=frozen_words(best)), icon=":material/lightbulb:")
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        chosen = st.selectbox(
            t("Another boundary of this sweep"),
            others,
            index=others.index(best) if best is not None else 0,
            format_func=frozen_words,
            key=f"take_{found.id}",
            width=260,
        )
        if st.button(t("Take this boundary"), key="take_boundary", icon=":material/arrow_forward:", icon_position="right"):
            ask_boundary(run_id, int(others[0] if chosen is None else chosen))
            forget("plan")
            forget("trial")
            go("freeze")
