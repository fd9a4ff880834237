"""Verdicts and figures in words: never by colour alone, never finer than their interval."""

from __future__ import annotations

from typing import Literal

import streamlit as st

from analysis.contracts import Estimate, Verdict, Verification
from analysis.i18n.numbers import number, percent, span
from analysis.reporting.verification_words import NOT_RUN, VERDICTS
from pages.ui.language import language, words
from pages.ui.session import client

COLOURS: dict[Verdict | None, Literal["green", "red", "gray"]] = {"within": "green", "outside": "red", "undecided": "gray", None: "gray"}


def verdict_word(verdict: Verdict | None, *, run: bool = False) -> str:
    """A verdict in words; without limits a plan that was run has none."""
    t = words()
    return t(NOT_RUN) if verdict is None and not run else t(VERDICTS[verdict])


def verdict_mark(verdict: Verdict | None, *, run: bool = False) -> str:
    """A verdict for markdown: the word on a quiet patch of its colour."""
    return f":{COLOURS[verdict]}-badge[{verdict_word(verdict, run=run)}]"


def origin_of(found: Verification) -> Literal["measured", "elsewhere"]:
    """Whether it ran here; times of another machine are not this one's."""
    return "measured" if _ran_here(found.id, found.machine.device_name) else "elsewhere"


@st.cache_data(show_spinner=False, max_entries=64)
def _ran_here(verification_id: str, device_name: str) -> bool:
    """It ran in this store, or was brought back to the machine whose device it names."""
    if device_name in {device.name for device in client().devices()}:
        return True
    return any(summary.id == verification_id for summary, _ in client().calibration())


def change_words(ratio: Estimate, *, percents: int | None = None) -> str:
    """plan / original as more or less, with its interval: "4% more (2 to 6%)"; the sign is a word."""
    t, code = words(), language()
    if ratio.value is None:
        return t("not known")
    change = ratio.value - 1
    digits = _digits(ratio) if percents is None else percents
    size = percent(abs(change), code, digits)
    said = (
        t("unchanged")
        if round(abs(change) * 100, digits) == 0
        else t("{percent} more", percent=size)
        if change > 0
        else t("{percent} less", percent=size)
    )
    if ratio.low is None or ratio.high is None:
        return said
    return t("{change} ({low} to {high})", change=said, low=_signed(ratio.low - 1, digits), high=_signed(ratio.high - 1, digits))


def estimate_words(found: Estimate | None, *, share: bool = False, signed: bool = False, digits: int | None = None) -> str:
    """A figure with its interval; empty where it cannot be had.

    Args:
        found: the figure.
        share: a share, to be written in percent.
        signed: a change, to be written with its sign (shares only).
        digits: decimals; None: as many as the interval allows.
    """
    if found is None or found.value is None:
        return ""
    code = language()
    kept = _digits(found, 100 if share else 1) if digits is None else digits

    def write(value: float) -> str:
        if signed:
            return _signed(value, kept)
        return percent(value, code, kept) if share else number(value, code, kept)

    if found.low is None or found.high is None:
        return write(found.value)
    return f"{write(found.value)} ({span(write(found.low), write(found.high), code)})"


def _signed(share: float, digits: int) -> str:
    """A change as a figure with its sign."""
    written = percent(abs(share), language(), digits)
    if round(abs(share) * 100, digits) == 0:
        return written
    return ("+" if share > 0 else "−") + written


def _digits(found: Estimate, scale: float = 100) -> int:
    """Decimals that the interval's width allows: a width of 10 or more none, of 1 or more one, and so on."""
    if found.low is None or found.high is None:
        return 1
    width = abs(found.high - found.low) * scale
    return 0 if width >= 5 else 1 if width >= 0.5 else 2 if width >= 0.05 else 3
