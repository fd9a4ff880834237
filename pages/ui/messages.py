"""Failures as one sentence on the page, never as a traceback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from analysis.errors import StrataError
from pages.ui.language import say


@contextmanager
def saying_errors() -> Iterator[None]:
    """What goes wrong inside the block is said in one sentence where it happened; the rest of the page goes on."""
    try:
        yield
    except StrataError as error:
        st.error(say(error), icon=":material/error:")


@contextmanager
def stopping_on_errors() -> Iterator[None]:
    """Like `saying_errors`, but nothing that follows on the page would make sense."""
    try:
        yield
    except StrataError as error:
        st.error(say(error), icon=":material/error:")
        st.stop()
