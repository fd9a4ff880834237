"""A form for every assumption, one group at a time: value, range, source, and who stands for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import streamlit as st

from analysis.contracts import AlternativeInput, Assumption, Message, SliceVolume
from analysis.contracts.business import AlternativeKind
from analysis.economics.names import FIGURES, GROUPS
from analysis.economics.uses import serves, trains
from analysis.errors import InputError
from analysis.i18n import N_
from analysis.i18n.numbers import number
from pages.ui.language import plain, words
from pages.ui.roi_fields import (
    Take,
    amount_field,
    currency_of,
    date_field,
    label_of,
    say_problem,
    source_words,
    switch_field,
    text_field,
    unit_words,
)
from pages.ui.roi_views import ALTERNATIVES
from pages.ui.roi_work import Work, keep_typed
from pages.ui.similarity_view import slice_title

TITLES: Mapping[str, str] = {
    "bill": N_("Bill"),
    "load": N_("Load"),
    "machines": N_("Machines"),
    "prices": N_("Prices"),
    "training": N_("Fine-tunes"),
    "people": N_("People"),
    "quality": N_("Quality"),
    "general": N_("General"),
    "slices": N_("Slices"),
    "rules": N_("Dates and rules"),
    "alternatives": N_("Other ways"),
}
ESTIMATED: tuple[AlternativeKind, ...] = ("quantise", "smaller_model", "more_machines", "grow")
_LARGEST = 1e15


def edit_form(work: Work) -> None:
    """One group of assumptions at a time."""
    t = words()
    own = [name for name in GROUPS if any(_asked(work, figure) for figure in FIGURES if FIGURES[figure].group == name)]
    priced = work.assumptions.basis == "volume" and work.evidence.serving is not None
    groups = [*own, *(["slices"] if priced else []), "rules", "alternatives"]
    chosen = st.radio(
        t("Group"), groups, format_func=lambda name: t(TITLES[name]), horizontal=True, key=f"{work.key}_group", label_visibility="collapsed"
    )
    if chosen == "slices":
        _slices(work)
    elif chosen == "rules":
        _rules(work)
    elif chosen == "alternatives":
        _alternatives(work)
    else:
        for name in (one for one in FIGURES if FIGURES[one].group == (chosen or groups[0]) and _asked(work, one)):
            _figure(work, name)


def _asked(work: Work, name: str) -> bool:
    """Whether the case uses the figure; a bill that the plan does not touch is not asked for."""
    touched = {"bill_serving_per_month": serves, "bill_training_per_month": trains}
    return FIGURES[name].used(work.assumptions, work.evidence) and touched.get(name, lambda _: True)(work.evidence)


def _figure(work: Work, name: str) -> None:
    """Value, range, source and who stands for it."""
    t, figure = words(), FIGURES[name]
    given = work.assumptions.values.get(name) or Assumption(value=None)
    unit = unit_words(figure, currency_of(given, work))
    label = f"**{label_of(figure)}**"
    st.markdown(t("{value} ({range})", value=label, range=plain(unit)) if unit else label, help=plain(t(figure.own_figure)))
    a, b, c, d, e = st.columns([2, 2, 2, 4, 3], gap="small")
    for column, field, label in ((a, "value", t("Value")), (b, "low", t("Least")), (c, "high", t("Most"))):
        with column:
            place = name if field == "value" else f"{name}.{field}"
            amount_field(work, place, getattr(given, field), _taker(work, name, field), label=label, place="form_")
    with d:
        said = "" if given.source is None or not given.sourced else source_words(given).replace("\\", "")
        text_field(work, f"form_{name}_source", said, lambda text: _source_typed(work, name, text), label=t("Source"), limit=200)
    with e:
        text_field(
            work,
            f"form_{name}_who",
            given.confirmed_by,
            lambda text: _replace(work, name, confirmed_by=text),
            label=t("Confirmed by"),
            limit=80,
        )


def _taker(work: Work, name: str, field: str) -> Take:
    def take(value: float | None) -> None:
        figure, before = FIGURES[name], work.now.values.get(name)
        currency = currency_of(before, work) if figure.is_money else None
        changes: dict[str, object] = {field: value, "currency": currency, "origin": "assumed"}
        if field == "value":
            changes |= {"sourced": value is not None, "source": _own() if value is not None else None, "source_url": "", "as_of": ""}
        _replace(work, name, **changes)

    return take


def _own() -> Message:

    return Message(id="own figure, as entered")


def _source_typed(work: Work, name: str, text: str) -> None:
    source = Message(id="own figure: {source}", values={"source": text}) if text else None
    _replace(work, name, source=source, sourced=bool(text), source_url="", as_of="")


def _replace(work: Work, name: str, **changes: object) -> None:
    before = work.now.values.get(name) or Assumption(value=None)
    work.update(values=dict(work.now.values) | {name: before.model_copy(update=changes)})


def _slices(work: Work) -> None:
    """Each slice: how many requests, how long they are, what a wrong answer costs there."""
    t = words()
    for place, one in enumerate(work.assumptions.slices):
        st.markdown(f"**{plain(slice_title(one.name))}**")
        columns = st.columns([3, 2, 2, 3, 2], gap="small", vertical_alignment="bottom")
        fields = (
            ("requests_per_month", t("Requests a month")),
            ("prompt_tokens", t("Length of a request (tokens)")),
            ("new_tokens", t("Length of an answer (tokens)")),
            ("error_price", t("Price of a wrong answer ({currency})", currency=t(work.assumptions.currency))),
        )
        for column, (field, label) in zip(columns, fields, strict=False):
            with column:
                amount_field(work, f"slices[{place}].{field}", getattr(one, field), _slice_taker(work, place, field), label=label)
        with columns[4]:
            key = f"{work.key}_slice_{place}_critical"
            st.session_state[key] = one.critical
            st.checkbox(t("Critical"), key=key, on_change=_critical, args=(work, place, key))
    say_problem(work, "slices")


def _critical(work: Work, place: int, key: str) -> None:
    _slice(work, place, critical=bool(st.session_state[key]))


def _slice_taker(work: Work, place: int, field: str) -> Take:
    def take(value: float | None) -> None:
        least = 1e-9 if field == "prompt_tokens" else 0.0
        if value is not None and not least <= value <= _LARGEST:
            error = InputError("{given} was given; it has to be 0 or more. Check the figure.", given=value)
            keep_typed(work.plan.id, f"slices[{place}].{field}", number(value, "en"), error.message)
            return
        _slice(work, place, **{field: 0.0 if value is None and field == "requests_per_month" else value})

    return take


def _slice(work: Work, place: int, **changes: object) -> None:
    slices: list[SliceVolume] = list(work.now.slices)
    slices[place] = slices[place].model_copy(update=changes)
    work.update(slices=tuple(slices))


def _rules(work: Work) -> None:
    """Dates, books and what counts."""

    t = words()
    a, b = st.columns(2, gap="medium")
    with a:
        date_field(work, "starts_on", label=t("First day of the first month"))
    with b:
        key = f"{work.key}_fiscal"
        st.session_state[key] = work.assumptions.fiscal_year_starts
        st.selectbox(
            t("Fiscal year starts in month"),
            range(1, 13),
            key=key,
            on_change=lambda: work.update(fiscal_year_starts=int(st.session_state[key])),
        )
    switch_field(
        work, "count_capacity", label=t("Freed capacity counts towards payback"), help=t("It is worth money only if something uses it.")
    )
    switch_field(work, "after_tax", label=t("After tax"), help=t("Asks for the tax rate; none is offered."))
    switch_field(work, "capitalise", label=t("Spread the start-up cost in the books"), help=t("Cash and its payback do not change."))
    if work.evidence.device_kind is not None:
        help_ = t("Its figures are then marked as measured on another machine, with a wider range.")
        switch_field(
            work, "accept_other_device", label=t("Price times of another kind of device by a named factor"), help=help_, place="form_"
        )


def _alternatives(work: Work) -> None:
    """What a person estimates of other ways; nothing of them was measured here."""
    t = words()
    known = {one.kind: one for one in work.assumptions.alternatives}
    for kind in ESTIMATED:
        one = known.get(kind) or AlternativeInput(kind=kind)
        st.markdown(f"**{t(ALTERNATIVES[kind])}**")
        columns = st.columns([2, 2, 3, 3], gap="small")
        sums = ("start_cost", t("Cost to start")), ("cost_per_month", t("Cost a month"))
        for column, (field, label) in zip(columns, sums, strict=False):
            with column:
                amount_field(work, f"alternatives.{kind}.{field}", getattr(one, field), _alternative_taker(work, kind, field), label=label)
        for column, (field, label) in zip(columns[2:], (("quality", t("Quality")), ("source", t("Source"))), strict=True):
            with column:
                text_field(
                    work,
                    f"alternative_{kind}_{field}",
                    getattr(one, field),
                    _alternative_words(work, kind, field),
                    label=label,
                    limit=200,
                )


def _alternative_words(work: Work, kind: AlternativeKind, field: str) -> Callable[[str], None]:
    def take(text: str) -> None:
        _alternative(work, kind, **{field: text})

    return take


def _alternative_taker(work: Work, kind: AlternativeKind, field: str) -> Take:
    def take(value: float | None) -> None:
        if value is not None and not 0 <= value <= _LARGEST:
            error = InputError("{given} was given; it has to be 0 or more. Check the figure.", given=value)
            keep_typed(work.plan.id, f"alternatives.{kind}.{field}", number(value, "en"), error.message)
            return
        _alternative(work, kind, **{field: value})

    return take


def _alternative(work: Work, kind: AlternativeKind, **changes: object) -> None:
    known = {one.kind: one for one in work.now.alternatives}
    known[kind] = (known.get(kind) or AlternativeInput(kind=kind)).model_copy(update=changes)
    filled = tuple(one for one in known.values() if one != AlternativeInput(kind=one.kind))
    work.update(alternatives=filled)
