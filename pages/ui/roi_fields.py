"""Fields of figures: typed as people write them, shown back as they were read, with what is wrong beside them in words."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import streamlit as st

from analysis.contracts import Assumption
from analysis.contracts.business import Currency
from analysis.economics.check import unit_of
from analysis.economics.defaults import answer
from analysis.economics.money_text import parse_amount_text
from analysis.economics.names import FIGURES, Figure
from analysis.errors import InputError
from analysis.i18n.numbers import number
from pages.ui.language import language, plain, say, words
from pages.ui.roi_work import Work, forget_typed, keep_typed, typed

TEXT_LIMIT = 60
Take = Callable[[float | None], None]


def label_of(figure: Figure) -> str:
    """A figure's name to stand at the head of a field or row."""
    said = words()(figure.label)
    return said[:1].upper() + said[1:]


def unit_words(figure: Figure, currency: Currency) -> str:
    """A figure's unit in words, with its currency where it is money."""
    return say(unit_of(figure, currency)) if figure.unit else ""


def shown(value: float | None) -> str:
    """A figure as it stands in a field: with separators, as fine as it was given."""
    return "" if value is None else number(value, "en", _decimals(value))


def _decimals(value: float) -> int:
    written = f"{value:.6f}".rstrip("0")
    return min(len(written.partition(".")[2]), 6 if abs(value) < 1 else 4)


def written(value: float | None) -> str:
    """A figure as it stands in a table: no more than two decimals, four where it is below 1, none from 1,000 on."""
    if value is None:
        return ""
    said = number(abs(value), language(), min(_decimals(value), 0 if abs(value) >= 1000 else 2 if abs(value) >= 1 else 4))
    return f"−{said}" if value < 0 else said


def currency_of(given: Assumption | None, work: Work) -> Currency:
    """The currency in which a sum was given."""
    return given.currency if given is not None and given.currency is not None else work.assumptions.currency


def figure_field(work: Work, name: str, *, label: str | None = None, help: str | None = None) -> None:
    """One figure of the case as a text field.

    Args:
        work: the case at hand.
        name: of the figure.
        label: what stands above the field; None: the figure's own name with its unit.
        help: tooltip; None: where the company finds its own figure, and where this one comes from.
    """
    t, figure, given = words(), FIGURES[name], work.assumptions.values.get(name)
    currency = currency_of(given, work)
    unit = unit_words(figure, currency)
    heading = label or (t("{figure} ({unit})", figure=label_of(figure), unit=unit) if unit else label_of(figure))

    def take(value: float | None) -> None:
        work.change(answer(work.now, name, value, currency=currency if figure.is_money else None))

    amount_field(
        work,
        name,
        given.value if given else None,
        take,
        label=heading,
        help=help or field_help(name, given),
        placeholder=t("not known yet"),
    )


def field_help(name: str, given: Assumption | None) -> str:
    """Where the company finds its own figure, and where the one in the field comes from."""
    t, figure = words(), FIGURES[name]
    lines = [t("Where to find your own: {place}.", place=plain(t(figure.own_figure)))]
    if given is not None and given.value is not None:
        lines.append(t("This figure: {source}.", source=source_words(given)))
    return "\n\n".join(lines)


def source_words(given: Assumption) -> str:
    """Where a figure comes from, in words, safe to place in markdown."""
    t = words()
    return say(given.source) if given.source is not None else plain(t("starting value, no source: please confirm"))


def amount_field(
    work: Work,
    field: str,
    value: float | None,
    take: Take,
    *,
    label: str,
    help: str | None = None,
    placeholder: str = "",
    place: str = "",
) -> None:
    """A figure as text: full-width digits, separators, 万 and 億 are read; what was read is shown back.

    Args:
        work: the case at hand.
        field: name under which problems of it are said.
        value: as it stands.
        take: gets the figure that was read; None where the field was emptied.
        label, help, placeholder: of the field.
        place: part of the page, where the same figure can be typed in two.
    """
    key = f"{work.key}_{place}{field}"

    def changed() -> None:
        text = str(st.session_state.get(key) or "").strip()
        try:
            found = parse_amount_text(text) if text else None
        except InputError as error:
            keep_typed(work.plan.id, field, text, error.message)
            return
        forget_typed(work.plan.id, field)
        take(found)

    wrong = typed(work.plan.id, field)
    st.session_state[key] = shown(value) if wrong is None else wrong
    st.text_input(label, key=key, on_change=changed, help=help, placeholder=placeholder, max_chars=TEXT_LIMIT)
    say_problem(work, field)


def say_problem(work: Work, field: str) -> None:
    """What stands against a field, beside it; what is only missing is asked for, not held against anyone."""
    if (problem := work.problems.get(field)) is None:
        return
    work.said.add(field)
    given = work.assumptions.values.get(field)
    missing = field in FIGURES and (given is None or given.value is None) and typed(work.plan.id, field) is None
    if missing or field == "contract_ends_on":
        st.info(say(problem), icon=":material/edit:")
    else:
        st.error(say(problem), icon=":material/error:")


def choice_field(work: Work, field: str, options: dict[str, str], *, label: str, help: str | None = None) -> None:
    """One setting of the case among a few; `field` is its name among the assumptions."""
    key = f"{work.key}_{field}"

    def changed() -> None:
        if found := st.session_state.get(key):
            forget_typed(work.plan.id)  # other fields are asked for now
            work.update(**{field: found})

    st.session_state[key] = getattr(work.assumptions, field)
    st.radio(label, list(options), format_func=lambda one: options[one], key=key, on_change=changed, help=help, horizontal=True)
    say_problem(work, field)


def switch_field(work: Work, field: str, *, label: str, help: str | None = None, place: str = "") -> None:
    """One yes or no of the case."""
    key = f"{work.key}_{place}{field}"
    st.session_state[key] = bool(getattr(work.assumptions, field))

    def changed() -> None:
        work.update(**{field: bool(st.session_state.get(key))})

    st.checkbox(label, key=key, on_change=changed, help=help)
    say_problem(work, field)


def date_field(work: Work, field: str, *, label: str, help: str | None = None) -> None:
    """One date of the case; it may be empty."""
    key, now = f"{work.key}_{field}", getattr(work.assumptions, field)

    def changed() -> None:
        found = st.session_state.get(key)
        work.update(**{field: found.isoformat() if isinstance(found, date) else ""})

    st.session_state[key] = _date(now)
    st.date_input(
        label, key=key, on_change=changed, help=help, min_value=date(2000, 1, 1), max_value=date(2100, 12, 31), format="YYYY-MM-DD"
    )
    say_problem(work, field)


def _date(text: str) -> date | None:
    try:
        found = date.fromisoformat(text)
    except ValueError:
        return None
    return found if date(2000, 1, 1) <= found <= date(2100, 12, 31) else None


def text_field(
    work: Work, key: str, now: str, take: Callable[[str], None], *, label: str, help: str | None = None, limit: int = 120
) -> None:
    """A few words of the case."""
    place = f"{work.key}_{key}"
    st.session_state[place] = now
    st.text_input(
        label, key=place, on_change=lambda: take(" ".join(str(st.session_state.get(place) or "").split())), help=help, max_chars=limit
    )
