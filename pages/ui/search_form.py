"""A plan from what removing layers was measured to cost: strategy, parts, amount; or one measured set, picked by hand."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, cast

import streamlit as st

from analysis.contracts import Plan, Profile, Search, Unit, UnitRef, UnitSet
from analysis.contracts.search import ordered
from analysis.errors import PlanError
from analysis.i18n import N_
from analysis.planning.from_search import STRATEGY_WORDS, plan_from_set, propose_from_search
from analysis.planning.rank import units_in
from pages.ui.glossary import term
from pages.ui.language import words
from pages.ui.plan_form import MOST_PERCENT, OF_WHAT, UNITS, context_field, first_percent, operation_field, protect_field
from pages.ui.session import forget, remembered

MIXED = "mixed"
_LETTERS: Mapping[str, Unit] = {"b": "block", "a": "attention", "m": "mlp"}
_ONE = re.compile(r"([bam])(\d{1,4})")


@dataclass(frozen=True)
class AskedOfSearch:
    """What a plan from measured sets is asked to be."""

    op: Literal["prune", "skip"]
    units: tuple[Unit, ...]
    strategy: str
    amount: str
    protect: tuple[int, ...]
    context_tokens: int


def set_in_url(removed: UnitSet) -> str:
    """A set as it stands in an address.

    >>> set_in_url((("block", 3), ("attention", 12)))
    'b3-a12'
    """
    return "-".join(f"{unit[0]}{block}" for unit, block in removed)


def set_from_url(text: str) -> UnitSet | None:
    """The set that an address names; None: it names none.

    >>> set_from_url("b3-a12"), set_from_url("x9")
    ((('block', 3), ('attention', 12)), None)
    """
    parts = [_ONE.fullmatch(part) for part in text.split("-")] if len(text) < 4096 else []
    found: tuple[UnitRef, ...] = tuple((_LETTERS[part[1]], int(part[2])) for part in parts if part)
    return ordered(found) if found and len(found) == len(parts) else None


def search_controls(profile: Profile, search: Search) -> AskedOfSearch:
    """Draws the choices and returns what they ask for; moving any of them lets go of a point picked by hand."""
    t = words()
    left, middle, right, last = st.columns([4, 4, 4, 3], gap="medium")
    with left:
        percent = st.slider(
            t("How much to remove"),
            1,
            MOST_PERCENT,
            first_percent(profile),
            format="%d%%",
            key="amount",
            persist_state="session",
            help=term("layer"),
            on_change=_let_go,
        )
        of_what = st.selectbox(
            t("Share of what"),
            list(OF_WHAT),
            format_func=lambda kind: t(OF_WHAT[kind]),
            key="amount_of",
            persist_state="session",
            on_change=_let_go,
            help=term("FLOPs"),
        )
    with middle:
        units = units_of(profile, key="search_units", on_change=_let_go)
        strategy = _strategy(search)
    with right:
        op = operation_field()
        protect = protect_field(profile, on_change=_let_go)
    with last:
        context_tokens = context_field()
    return AskedOfSearch(op, units, strategy, f"{percent}%{of_what}", protect, context_tokens)


def plan_of_search(run_id: str, search: Search, asked: AskedOfSearch, found: Profile) -> Plan:
    """The plan for the set in the address, else for what the choices ask for.

    Raises:
        PlanError: nothing that was measured fits; the sentence says what would.
    """
    picked = remembered("set")
    removed = set_from_url(picked) if picked else None
    if picked and removed is None:
        forget("set")
        raise PlanError("The address names no set of layers that can be read. Choose a point of the chart below.")
    mark = (run_id, search.id, len(search.sets), search.created_at)
    try:
        return _plan(mark, asked, removed, search, found)
    except PlanError:
        if removed:
            forget("set")
        raise


@st.cache_data(show_spinner=False, max_entries=256)
def _plan(mark: tuple[str | int, ...], asked: AskedOfSearch, removed: UnitSet | None, _search: Search, _found: Profile) -> Plan:
    if removed is None:
        return propose_from_search(
            _search,
            strategy=asked.strategy,
            amount=asked.amount,
            op=asked.op,
            units=asked.units,
            protect=asked.protect,
            context_tokens=asked.context_tokens,
            profile=_found,
        )
    return plan_from_set(_search, removed, op=asked.op, protect=asked.protect, context_tokens=asked.context_tokens, profile=_found)


def strategies_help(names: Iterable[str]) -> str:
    """What each strategy does, for a tooltip."""
    t = words()
    return "\n\n".join(f"**{t(STRATEGY_WORDS[name].title)}**  \n{t(STRATEGY_WORDS[name].meaning)}" for name in names)


def _strategy(search: Search) -> str:
    t = words()
    there = [name for name in STRATEGY_WORDS if name in search.paths or name == "one_shot"]
    chosen = st.selectbox(
        t("Strategy"),
        there,
        format_func=lambda name: t(STRATEGY_WORDS[name].title),
        key="search_strategy",
        persist_state="session",
        on_change=_let_go,
        help=strategies_help(there),
    )
    return str(chosen or there[0])


def units_of(profile: Profile, *, key: str, on_change: Callable[[], None] | None = None) -> tuple[Unit, ...]:
    """Which parts may go: layers, attentions, MLPs, or all of them mixed."""
    t = words()
    stack = profile.model.stack(profile.stack)
    there = [unit for unit in UNITS if len(units_in(stack, cast(Unit, unit))) > 1]
    choices: dict[str, tuple[Unit, ...]] = {unit: (cast(Unit, unit),) for unit in there}
    if len(there) > 1:
        choices = {MIXED: tuple(cast(Unit, unit) for unit in there), **choices}
    titles = {**UNITS, MIXED: N_("Mixed")}
    chosen = st.radio(
        t("What is removed"),
        list(choices),
        format_func=lambda unit: t(titles[unit]),
        horizontal=True,
        key=key,
        persist_state="session",
        on_change=on_change,
        help="\n\n".join(term(name) for name in ("layer", "attention", "MLP")),
    )
    return choices[chosen or next(iter(choices))]


def _let_go() -> None:
    forget("set")
