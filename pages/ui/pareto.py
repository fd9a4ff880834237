"""The Pareto front: what every measured set saves and costs; a click on a point makes it the plan."""

from __future__ import annotations

from functools import partial

import streamlit as st

from analysis.contracts import Plan, Profile, Search, UnitSet
from analysis.contracts.search import ordered
from analysis.i18n import N_
from analysis.i18n.numbers import number, percent
from analysis.planning.from_search import STRATEGY_WORDS
from analysis.planning.pareto import ParetoPoint, front_only, pareto_front
from analysis.planning.spending import COSTS, Cost
from analysis.reporting.charts.pareto import pareto_figure, pareto_rows, said_set
from pages.ui.charts import draw, look
from pages.ui.evidence import how_do_we_know, section
from pages.ui.glossary import term
from pages.ui.language import language, words
from pages.ui.search_form import set_in_url
from pages.ui.session import forget, remember

HEIGHT = 480
COST_TITLES: dict[Cost, str] = {"flops": N_("FLOPs"), "params": N_("Parameters"), "bytes": N_("Weight memory"), "layers": N_("Layers")}


def show_front(found: Profile, search: Search, plan: Plan | None, context_tokens: int) -> None:
    """Saving against measured loss; the plan's own set is marked where it was measured."""
    t = words()
    section(t("What it saves, and what it costs"), "measured", help=term("ablation"))
    cost = _axis()
    points = _points((search.id, len(search.sets), search.created_at), search, found, cost, context_tokens)
    chosen = removed_of(plan) if plan else None
    draw(
        partial(pareto_figure, points, look(), cost=cost, chosen=chosen, height=HEIGHT),
        of=(search.id, len(search.sets), search.created_at, cost, context_tokens, chosen),
        key="pareto",
        alt=t("Chart: loss that each measured set of layers adds, by what it saves. The list below it holds the best sets."),
        on_click=lambda at: choose(points[at[0]].removed) if at and 0 <= at[0] < len(points) else None,
    )
    _front_list(points, cost, chosen)
    how_do_we_know(
        formula=t(
            "mean loss with the layers left out - mean loss of the untouched model, over the same tokens of the calibration examples"
        ),
        source="",
        sample=t("{n} prompts, {tokens} tokens; {sets} sets", n=search.counts.n_examples, tokens=search.n_tokens, sets=len(points)),
        interval=t("95%, paired bootstrap over prompts"),
        rows=pareto_rows(points, look()),
        file_name="pareto.csv",
        key="pareto",
    )


def choose(removed: UnitSet) -> None:
    """Makes a measured set the plan, in this visit and in its address."""
    forget("plan")
    remember("set", set_in_url(removed))
    st.session_state.way = "costs"


def removed_of(plan: Plan) -> UnitSet:
    """What a plan takes out, as searches write it."""
    return ordered(tuple((unit, block) for unit, blocks in plan.removed.items() for block in blocks))


@st.cache_data(show_spinner=False, max_entries=64)
def _points(mark: tuple[str | int, ...], _search: Search, _found: Profile, cost: Cost, context_tokens: int) -> tuple[ParetoPoint, ...]:
    return pareto_front(_search, _found.model, cost=cost, context_tokens=context_tokens)


def _axis() -> Cost:
    t = words()
    chosen = st.radio(
        t("Saving in"),
        list(COSTS),
        format_func=lambda cost: t(COST_TITLES[cost]),
        horizontal=True,
        key="pareto_cost",
        persist_state="session",
    )
    return chosen or "flops"


def _front_list(points: tuple[ParetoPoint, ...], cost: Cost, chosen: UnitSet | None) -> None:
    """The front's points as a list: does the same as a click, from the keyboard."""
    t = words()
    front = {set_in_url(point.removed): point for point in front_only(points) if point.change is not None}
    now = set_in_url(chosen) if chosen else ""
    key = f"front_{cost}"

    def picked() -> None:
        if asked := st.session_state[key]:
            choose(front[asked].removed)

    st.session_state[key] = now if now in front else None
    st.selectbox(
        t("Best measured sets"),
        list(front),
        format_func=lambda name: _in_words(front[name], cost) if name in front else "",
        index=None,
        placeholder=t("Choose one to make it the plan"),
        key=key,
        on_change=picked,
        help=t("The sets that no other measured set beats, smallest saving first. Layers are counted from 0."),
    )


def _in_words(point: ParetoPoint, cost: Cost) -> str:
    t, code = words(), language()
    by = ", ".join(t(STRATEGY_WORDS[name].title) for name in point.found_by[:1])
    said = t(
        "{saved} less, loss {change}: {set}",
        saved=percent(point.saved_share, code, 1),
        change=("+" if point.change >= 0 else "−") + number(abs(point.change), code, 3),
        set=said_set(point.removed, look()),
    )
    return f"{said} ({by})" if by else said
