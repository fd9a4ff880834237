"""The limits a plan is held against: set before the run, one a line, each read as it is typed."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from analysis.contracts import Guardrail
from analysis.errors import StrataError
from analysis.i18n import N_
from analysis.planning.limits import CRITICAL, METRICS, parse_guardrail
from analysis.reporting.verification_words import item, limit
from pages.ui.glossary import term
from pages.ui.language import plain, say, words
from pages.ui.similarity_view import slice_title

LONGEST_LIST = 4000
USUAL = ("perplexity<=+5%", "latency_ms<=1x")
_OPS = {"<=": N_("at most"), ">=": N_("at least")}
_UNITS = {"x": N_("x (times the original)"), "%": "%", "abs": N_("plain figure")}


def guardrail_fields(plan_id: str, slices: Sequence[str], n_critical: int) -> tuple[str, ...] | None:
    """Draws the list of limits and the helper that adds one; returns the limits, or None while one cannot be read.

    Args:
        plan_id: each plan has a list of its own.
        slices: names of the workload's slices.
        n_critical: verification examples that are marked as critical; 0: a limit on them could not be kept.
    """
    t, key = words(), f"guardrails_{plan_id}"
    st.session_state.setdefault(key, "\n".join(usual(n_critical)))
    left, right = st.columns([3, 2], gap="large")
    with left:
        st.text_area(
            t("Limits, one a line"),
            key=key,
            height=120,
            max_chars=LONGEST_LIST,
            persist_state="session",
            help=term("guardrail"),
        )
        found = [_read(line) for line in st.session_state[key].splitlines() if line.strip()]
        st.markdown("\n".join(f"- {say(item(one))}: {say(limit(one))}" for one in found if one))
        for name in dict.fromkeys(one.slice for one in found if one and one.slice not in (None, CRITICAL, *slices)):
            if slices:
                st.warning(
                    t(
                        'The plan\'s own workload has no slice "{slice}". Its slices: {slices}.',
                        slice=plain(str(name)),
                        slices=tuple(plain(one) for one in slices),
                    ),
                    icon=":material/warning:",
                )
        if not found:
            st.caption(t("Without a limit the plan is measured, but there is no verdict."))
    with right:
        _helper(key, slices)
    return None if None in found else tuple(guardrail.text for guardrail in found if guardrail)


def usual(n_critical: int) -> tuple[str, ...]:
    """Limits to begin with; the one on critical prompts is as strict as their number can decide."""
    if not n_critical:
        return USUAL
    percent = next((step for step in (1, 5, 10, 20, 30, 40, 50) if 1 - 0.05 ** (1 / n_critical) <= step / 100), None)
    return (USUAL[0], f"flips@{CRITICAL}<={percent}%", *USUAL[1:]) if percent else USUAL


def _problem(line: str) -> StrataError | None:
    try:
        parse_guardrail(line)
    except StrataError as error:
        return error
    return None


def _read(line: str) -> Guardrail | None:
    problem = _problem(line)
    if problem:
        st.error(say(problem), icon=":material/error:")
        return None
    return parse_guardrail(line)


def _helper(key: str, slices: Sequence[str]) -> None:
    """Puts a limit together from its parts and adds it to the list."""
    t = words()
    with st.container(border=True, key=f"helper_{key}"):
        metric = st.selectbox(
            t("Add a limit on"),
            list(METRICS),
            format_func=lambda name: t(METRICS[name].title),
            key=f"metric_{key}",
            persist_state="session",
        )
        found = METRICS[metric or "perplexity"]
        st.caption(t(found.meaning))
        a, b, c = st.columns([3, 2, 3], gap="small", vertical_alignment="bottom")
        where = ("", CRITICAL, *slices) if found.source == "quality" else ("",)
        slice_name = a.selectbox(
            t("Of which prompts"),
            where,
            format_func=lambda name: t("all") if not name else t("critical prompts") if name == CRITICAL else slice_title(name),
            key=f"slice_{key}_{found.source}",
            disabled=len(where) == 1,
        )
        example = parse_guardrail(found.example)
        value = b.number_input(t(_OPS[found.better]), value=float(example.value), key=f"value_{key}_{metric}", format="%g")
        unit = c.selectbox(
            t("Unit"),
            found.units,
            index=found.units.index(example.unit) if example.unit in found.units else 0,
            format_func=lambda name: t(_UNITS[name]),
            key=f"unit_{key}_{metric}",
        )
        at = f"@{slice_name}" if slice_name else ""
        sign = "+" if unit == "%" and found.percent == "change" and (value or 0) >= 0 else ""
        text = f"{metric}{at}{found.better}{sign}{value:g}{'' if unit == 'abs' else unit}"
        if error := _problem(text):
            st.caption(say(error))
        st.button(
            t("Add {limit}", limit=plain(text)),
            key=f"add_{key}",
            icon=":material/add:",
            on_click=_add,
            args=(key, text),
            disabled=error is not None,
        )


def _add(key: str, text: str) -> None:
    lines = [line for line in st.session_state.get(key, "").splitlines() if line.strip()]
    if text not in lines:
        st.session_state[key] = "\n".join((*lines, text))
