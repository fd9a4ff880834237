"""Measuring what removing layers costs: what is asked, what it takes, and the job while it runs."""

from __future__ import annotations

import streamlit as st

from analysis.contracts import Profile, Search, SearchRequest, SearchSettings, Strategy
from analysis.i18n.numbers import duration, number
from analysis.planning.from_search import STRATEGY_WORDS
from pages.ui.glossary import term
from pages.ui.job_box import running, watched
from pages.ui.language import language, say, words
from pages.ui.messages import saying_errors
from pages.ui.plan_form import MOST_PERCENT
from pages.ui.search_form import strategies_help, units_of
from pages.ui.session import client, remember
from pages.ui.workload_choice import workload_fields

FIRST: tuple[Strategy, ...] = ("beam", "greedy", "one_shot", "last_n", "random")
TOKENS, LARGEST = 16_384, 30


def watch_search() -> None:
    """The search that this visit started, while it runs and when it failed; a finished one brings the page up to date."""
    over = watched("search_job")
    if over is None:
        return
    for note in over.notes:
        st.caption(say(note))
    st.rerun()


def measure_first(found: Profile) -> None:
    """Nothing was measured yet: what it would take, the button, and its choices behind an expander."""
    t = words()
    st.markdown(
        t(
            "It is not known yet what removing layers of this model costs on these prompts. "
            "Measuring leaves layers out, alone and together, on the calibration examples; the model's files are not touched."
        )
    )
    start = st.container()
    with st.expander(t("What to measure"), icon=":material/tune:"):
        settings = _choices(found, None)
    with start:
        _start_button(found, None, settings)


def measure_more(found: Profile, search: Search) -> None:
    """Other strategies, larger sets or more tokens, added to what is measured already."""
    with st.expander(words()("Measure more"), icon=":material/tune:"):
        _start_button(found, search, _choices(found, search))
    watch_search()


def _start_button(found: Profile, search: Search | None, settings: SearchSettings) -> None:
    t = words()
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        pressed = st.button(
            t("Measure what removing layers costs"),
            type="secondary" if search else "primary",
            icon=":material/play_arrow:",
            key="measure_costs",
            disabled=running("search_job"),
        )
        st.caption(_what_it_takes(found, search, settings), width="content" if search is None else "stretch")
    if pressed:
        with saying_errors():
            request = SearchRequest(model=found.model.source, **workload_fields(found.workload), settings=settings, name=found.name)
            remember("search_job", client().submit_search(request).id)
            st.rerun()


def _choices(found: Profile, search: Search | None) -> SearchSettings:
    t = words()
    strategies = st.multiselect(
        t("Strategies"),
        list(STRATEGY_WORDS),
        default=FIRST,
        format_func=lambda name: t(STRATEGY_WORDS[name].title),
        key="measure_strategies",
        persist_state="session",
        help=strategies_help(STRATEGY_WORDS),
    )
    a, b, c = st.columns(3, gap="medium")
    limit = a.slider(
        t("Remove at most"), 1, MOST_PERCENT, LARGEST, format="%d%%", key="measure_limit", persist_state="session", help=term("layer")
    )
    most = b.number_input(
        t("Calibration tokens to run at most"),
        min_value=256,
        max_value=1_048_576,
        value=(search.settings.max_total_tokens if search else None) or TOKENS,
        step=4096,
        key="measure_tokens",
        persist_state="session",
        help=t("More tokens narrow the intervals and take longer. Another number starts a new measurement."),
    )
    with c:
        units = units_of(found, key="measure_units")
    return SearchSettings(
        stack=found.stack,
        device=found.settings.device,
        dtype=found.settings.dtype,
        chat_template=found.settings.chat_template,
        slices=found.settings.slices,
        units=units,
        strategies=tuple(strategies),
        limit=f"{limit}%",
        max_total_tokens=_tokens_asked(int(most or TOKENS), search),
        protect=(0, found.n_blocks - 1),
    )


def _tokens_asked(most: int, search: Search | None) -> int | None:
    """The tokens typed; a stored search whose own number was left to the device goes on with it."""
    untouched = search is not None and search.settings.max_total_tokens is None and most == TOKENS
    return None if untouched else most


def _what_it_takes(found: Profile, search: Search | None, settings: SearchSettings) -> str:
    """Tokens that will run, and how long the last such search took where there was one; nothing is guessed."""
    t, code = words(), language()
    there = found.counts.n_tokens
    tokens = number(min(there, settings.max_total_tokens or there), code, 0)
    seconds = sum(cost.seconds for cost in search.costs.values()) if search else 0
    if search and seconds:
        return t(
            "{tokens} calibration tokens. All that was measured so far took {time} on {device}; what is known is not run again.",
            tokens=tokens,
            time=duration(seconds, code),
            device=search.device_name,
        )
    return t("{tokens} calibration tokens. How long it takes is shown as soon as it runs; it can be cancelled.", tokens=tokens)
