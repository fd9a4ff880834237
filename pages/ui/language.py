"""The language of this visit: from the URL, else as chosen before, else from the browser."""

from __future__ import annotations

import streamlit as st

from analysis.contracts import Message
from analysis.errors import StrataError
from analysis.i18n import LANGUAGES, N_, Language, Translator, language_of, render, translator

_NAMES: dict[Language, str] = {"en": "English", "ja": "日本語"}
_SAMPLE_TITLES = (N_("Two attentions fewer"), N_("Three layers fewer"), N_("Freeze for the next fine-tune"))
# Constant scripts: Streamlit writes <html lang="en"> and offers no setting; a screen reader goes by it.
_SET_LANG: dict[Language, str] = {code: f"<script>document.documentElement.lang = '{code}'</script>" for code in LANGUAGES}


def speak() -> None:
    """Settles the language for this run, keeps it in the URL, and tells the document."""
    asked = st.query_params.get("lang")
    if asked in LANGUAGES:
        st.session_state.language = asked
    st.session_state.setdefault("language", language_of(st.context.locale))
    if asked != language():
        st.query_params["lang"] = language()


def tell_document() -> None:
    """Sets the document's `lang`, so that it is read and drawn as what it is."""
    st.html(_SET_LANG[language()], unsafe_allow_javascript=True)


def language() -> Language:
    """The language being spoken."""
    code: Language = st.session_state.get("language", "en")
    return code


def words() -> Translator:
    """A function ``t(sentence, **values)`` for the language being spoken."""
    return translator(language())


def say(message: Message | StrataError) -> str:
    """A message or an error in words, safe to place in markdown."""
    return plain(render(message.message if isinstance(message, StrataError) else message, language()))


def plain(text: str) -> str:
    """Text of others (names, paths, prompts) with markdown's special characters made harmless."""
    return "".join("\\" + letter if letter in "\\`*_{}[]()<>#+!|$:~" else letter for letter in " ".join(text.split()))


def title_of(name: str, is_sample: bool) -> str:
    """A stored name as it is shown: the sample's in the language being spoken, a person's as it was typed."""
    return words()(name) if is_sample and name in _SAMPLE_TITLES else name


def language_switch() -> None:
    """The switch that stands on every page."""

    def switch() -> None:
        st.session_state.language = st.session_state.language_switch
        st.query_params["lang"] = st.session_state.language

    st.session_state.language_switch = language()
    st.radio(
        "Language / 言語",
        LANGUAGES,
        format_func=lambda code: _NAMES[code],
        key="language_switch",
        on_change=switch,
        horizontal=True,
        label_visibility="collapsed",
    )
