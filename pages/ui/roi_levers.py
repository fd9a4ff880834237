"""The figures that matter most, under the hand: sliders over their ranges that answer at once."""

from __future__ import annotations

import math

import streamlit as st

from analysis.contracts import Assumption, Message
from analysis.economics.names import FIGURES
from pages.ui.evidence import section
from pages.ui.language import words
from pages.ui.roi_fields import currency_of, field_help, label_of, unit_words
from pages.ui.roi_work import Work

MOST, STEPS = 6, 50
Lever = tuple[str, float, float]


def levers(work: Work) -> None:
    """Sliders of the four to six figures that move the result most, in an order that does not change while they are moved."""
    t, kept = words(), _kept(work)
    if not kept:
        return
    section(t("The levers that matter most"), "assumed")
    columns = st.columns(2, gap="medium")
    for place, lever in enumerate(kept):
        with columns[place % 2]:
            _slider(work, lever)
    st.button(
        t("Put the sliders back"),
        key=f"{work.key}_levers_back",
        icon=":material/undo:",
        type="tertiary",
        on_click=_put_back,
        args=(work,),
        disabled=all(_same(work, name) for name, _, _ in kept),
    )


def _kept(work: Work) -> list[Lever]:
    """The levers with their ranges: chosen anew only when the case asks for other figures."""
    mark = (work.assumptions.basis, work.assumptions.place, work.assumptions.currency, work.assumptions.name)
    place = f"{work.key}_levers"
    found = st.session_state.get(place)
    if found is not None and found[0] == mark:
        levers: list[Lever] = found[1]
        return [one for one in levers if one[0] in work.assumptions.values]
    if work.case is None:
        return []
    names = [swing.name for swing in work.case.result.tornado if swing.name in FIGURES and _range(work, swing.name)]
    levers = [(name, *_ends(work, name)) for name in names[:MOST]]
    st.session_state[place] = (mark, levers, {name: work.assumptions.values[name] for name, _, _ in levers})
    return levers


def _range(work: Work, name: str) -> bool:
    given = work.assumptions.values.get(name)
    return given is not None and given.value is not None and given.low is not None and given.high is not None and given.high > given.low


def _ends(work: Work, name: str) -> tuple[float, float]:
    given = work.assumptions.values[name]
    assert given.low is not None
    assert given.high is not None
    return given.low, given.high


def _slider(work: Work, lever: Lever) -> None:
    t, (name, low, high) = words(), lever
    given, figure, key = work.assumptions.values[name], FIGURES[name], f"{work.key}_lever_{name}"
    value = given.value if given.value is not None else low
    low, high = min(low, value), max(high, value)  # typed outside the range since
    unit = unit_words(figure, currency_of(given, work))

    def changed() -> None:
        move(work, name, float(st.session_state[key]))

    st.session_state[key] = float(value)
    st.slider(
        t("{figure} ({unit})", figure=label_of(figure), unit=unit) if unit else label_of(figure),
        min_value=float(low),
        max_value=float(high),
        step=1.0 if figure.whole else step_of(low, high),
        key=key,
        format="localized",
        on_change=changed,
        help=field_help(name, given),
    )


def move(work: Work, name: str, value: float) -> None:
    """A figure set by its slider: a what-if, so it stays to be confirmed; its range stays, and grows where the slider left it."""
    before = work.now.values.get(name, Assumption(value=None))
    ends = [end for end in (before.low, before.high) if end is not None]
    moved = before.model_copy(
        update={
            "value": value,
            "low": min(*ends, value) if ends else None,
            "high": max(*ends, value) if ends else None,
            "origin": "assumed",
            "source": Message(id="set with the slider: please confirm"),
            "source_url": "",
            "as_of": "",
            "sourced": False,
            "confirmed_by": "",
        }
    )
    work.update(values=dict(work.now.values) | {name: moved})


def _same(work: Work, name: str) -> bool:
    return bool(work.assumptions.values.get(name) == st.session_state[f"{work.key}_levers"][2].get(name))


def _put_back(work: Work) -> None:
    before: dict[str, Assumption] = st.session_state[f"{work.key}_levers"][2]
    work.update(values=dict(work.now.values) | before)


def step_of(low: float, high: float) -> float:
    """A round step, about a fiftieth of the range.

    >>> step_of(30_000, 60_000), step_of(0.7, 1.1)
    (500.0, 0.01)
    """
    rough = (high - low) / STEPS or 1.0
    power = 10.0 ** math.floor(math.log10(rough))
    return next(round(power * size, 9) for size in (1, 2, 5, 10) if power * size >= rough * 0.8)
