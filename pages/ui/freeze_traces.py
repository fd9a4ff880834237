"""Measuring the traces: what is asked, what works without them, and the job while it runs."""

from __future__ import annotations

import re
from typing import Literal

import streamlit as st

from analysis.contracts import Profile, SemanticRequest, SemanticSettings, WorkloadChoice
from analysis.i18n import N_
from analysis.i18n.numbers import duration, number
from pages.ui.evidence import section
from pages.ui.glossary import term
from pages.ui.job_box import running, watched
from pages.ui.language import language, plain, say, words
from pages.ui.messages import saying_errors
from pages.ui.session import client, remember
from pages.ui.workload_choice import workload_fields

Vocabulary = Literal["all", "responses", "words"]
VOCABULARIES: dict[Vocabulary, str] = {
    "all": N_("All words of the model"),
    "responses": N_("Words of your responses"),
    "words": N_("Your own list"),
}
WORDS_LIMIT = 20_000


def watch_traces() -> None:
    """The measurement that this visit started, while it runs and when it failed; a finished one brings the page up to date."""
    over = watched("semantics_job")
    if over is None:
        return
    for note in over.notes:
        st.caption(say(note))
    st.rerun()


def traces_form(found: Profile, *, primary: bool) -> None:
    """What to measure, and the button that starts it.

    Args:
        found: the run whose model and prompts are traced.
        primary: whether measuring is the page's next step.
    """
    t = words()
    if primary:
        section(t("How near each layer comes to the right word"), None, help=term("semantic deviation"))
    st.caption(
        t(
            "Model: {model}. Prompts: {workload}. Only their responses count: a trace asks how near each layer is to the right next word.",
            model=plain(found.model.name),
            workload=plain(found.workload.name),
        )
    )
    settings = _settings(found)
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        pressed = st.button(
            t("Measure the traces"),
            type="primary" if primary else "secondary",
            icon=":material/play_arrow:",
            key="measure_traces",
            disabled=settings is None or running("semantics_job"),
        )
        st.caption(_what_it_takes(found))
    if pressed and settings is not None:
        with saying_errors():
            request = SemanticRequest(
                model=found.model.source, **workload_fields(found.workload), settings=found.settings, name=found.name, semantics=settings
            )
            remember("semantics_job", client().submit_semantics(request, force=not primary).id)
            st.rerun()


def _settings(found: Profile) -> SemanticSettings | None:
    """The vocabulary and what is judged; None: the list of words is still empty."""
    t = words()
    left, right = st.columns([2, 3], gap="large")
    with left:
        chosen = st.radio(
            t("Vocabulary"),
            list(VOCABULARIES),
            format_func=lambda name: t(VOCABULARIES[name]),
            key="traces_vocabulary",
            persist_state="session",
            help=t("Among which words a state has to find the right one. Fewer words ask an easier question, about your own work."),
        )
    listed: tuple[str, ...] = ()
    with right:
        if chosen == "words":
            listed = _listed(found)
        gradients = st.checkbox(
            t("Gradient of every layer too"),
            value=True,
            key="traces_gradients",
            persist_state="session",
            help=t("One backward pass over the responses; nothing is changed. The rule by gradients needs it."),
        )
    vocabulary = chosen or "all"
    if vocabulary == "words" and not listed:
        return None
    return SemanticSettings(vocabulary=vocabulary, words=listed, gradients=gradients)


def _listed(found: Profile) -> tuple[str, ...]:
    """The domain's words: begun with those of the responses, edited by a person."""
    t, proposed = words(), ""
    with saying_errors():
        proposed = _proposed(found.workload.content_hash, found)
    text = st.text_area(
        t("Words, one a line or separated by commas"),
        value=proposed,
        key=f"traces_words_{found.workload.content_hash[:8]}",
        persist_state="session",
        max_chars=WORDS_LIMIT,
        height=160,
    )
    st.caption(t("Begun with the words that most responses use. Take out what says nothing about your work, and add what is missing."))
    return read_words(text or "")


@st.cache_data(show_spinner=False, max_entries=16)
def _proposed(workload_hash: str, _found: Profile) -> str:
    choice = WorkloadChoice(model=_found.model.source, **workload_fields(_found.workload))
    return ", ".join(client().response_terms(choice))[:WORDS_LIMIT]


def read_words(text: str) -> tuple[str, ...]:
    """A list of words as people write it, each once, in their order.

    >>> read_words("pass, fail\\n合格、不合格\\npass")
    ('pass', 'fail', '合格', '不合格')
    """
    return tuple(dict.fromkeys(word.strip() for word in re.split(r"[\n,、]", text) if word.strip()))


def _what_it_takes(found: Profile) -> str:
    """What is known of the time beforehand: how long the profile of the same prompts took; nothing is guessed."""
    t, code = words(), language()
    return t(
        "{tokens} response tokens. The profile of these prompts took {time} on {device}; the traces come on top, and can be cancelled.",
        tokens=number(found.counts.n_response, code, 0),
        time=duration(found.timing.profile_seconds, code),
        device=plain(found.timing.device_name),
    )


def response_gap(found: Profile) -> str:
    """Why nothing can be traced for these prompts, if that is so; empty: they have responses."""
    t = words()
    if found.counts.n_response:
        return ""
    return t(
        "These prompts have no responses, so there is no right word to trace towards. "
        "Add responses to your examples and measure them anew, or train the last layers only, which needs no traces."
    )
