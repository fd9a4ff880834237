"""The choices of the Plans page: how much to remove, of what, by which measure, and what must stay."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, cast

import streamlit as st

from analysis.contracts import Plan, Profile, Unit
from analysis.i18n import N_
from analysis.planning import CRITERIA, DEFAULT_CONTEXT_TOKENS, criteria_for, propose_plan
from analysis.planning.rank import units_in
from pages.ui.evidence import badge
from pages.ui.glossary import term
from pages.ui.language import words

OF_WHAT = {"": N_("of the layers"), "params": N_("of the parameters"), "flops": N_("of the FLOPs"), "memory": N_("of the weight memory")}
UNITS: dict[str, str] = {"block": N_("Layer"), "attention": N_("Attention"), "mlp": N_("MLP")}
OPERATIONS = {"prune": N_("Prune (gone from the saved model)"), "skip": N_("Skip (weights stay, can come back)")}
MOST_PERCENT = 60


@dataclass(frozen=True)
class Asked:
    """What a plan is asked to be."""

    op: Literal["prune", "skip"]
    unit: Unit
    criterion: str
    amount: str
    protect: tuple[int, ...]
    context_tokens: int


@st.cache_data(show_spinner=False, max_entries=256)
def proposed(run_id: str, asked: Asked, _profile: Profile) -> Plan:
    """The plan for what was asked; the same for the same run and the same question."""
    return propose_plan(
        _profile,
        op=asked.op,
        unit=asked.unit,
        criterion=asked.criterion,
        amount=asked.amount,
        protect=asked.protect,
        context_tokens=asked.context_tokens,
    )


def controls(profile: Profile) -> Asked:
    """Draws the choices and returns what they ask for."""
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
        )
        of_what = st.selectbox(
            t("Share of what"),
            list(OF_WHAT),
            format_func=lambda kind: t(OF_WHAT[kind]),
            key="amount_of",
            persist_state="session",
            help=term("FLOPs"),
        )
    with middle:
        unit = _unit(profile)
        names = criteria_for(unit)
        criterion = st.selectbox(
            t("Strategy"),
            names,
            format_func=lambda name: t(CRITERIA[name].title),
            key=f"criterion_{unit}",
            persist_state="session",
            help=t("Which measure decides what goes first; each is explained below the drawing."),
        )
    with right:
        op = operation_field()
        protect = protect_field(profile)
    with last:
        context_tokens = context_field()
    return Asked(op, unit, str(criterion), f"{percent}%{of_what}", protect, context_tokens)


def context_field(start: int = DEFAULT_CONTEXT_TOKENS, *, key: str = "context_tokens") -> int:
    """The sequence length behind the per-token figures: an assumption that can be edited."""
    t = words()
    tokens = st.number_input(
        t("Context length (tokens)"),
        min_value=16,
        max_value=1_048_576,
        value=start,
        step=256,
        key=key,
        persist_state="session",
        help=t("How long a prompt with its answer is. FLOPs per token and the KV cache depend on it."),
    )
    badge("assumed")
    return int(tokens or start)


def operation_field() -> Literal["prune", "skip"]:
    """Whether what is removed goes for good or is only left out."""
    t = words()
    op = st.selectbox(
        t("Operation"),
        list(OPERATIONS),
        format_func=lambda op: t(OPERATIONS[op]),
        key="operation",
        persist_state="session",
        help=term("prune"),
    )
    return cast(Literal["prune", "skip"], op)


def protect_field(profile: Profile, on_change: Callable[[], None] | None = None) -> tuple[int, ...]:
    """The layers that no plan may touch."""
    t = words()
    protect = st.multiselect(
        t("Layers that must stay"),
        range(profile.n_blocks),
        default=[0, profile.n_blocks - 1],
        format_func=str,
        key=f"protect_{profile.n_blocks}",
        persist_state="session",
        on_change=on_change,
        help=t("Numbered from 0. The first and the last layer translate between words and meaning and are protected to begin with."),
    )
    return tuple(sorted(protect))


def first_percent(profile: Profile) -> int:
    """Where the slider stands at first: enough for at least one layer."""
    return min(MOST_PERCENT, max(10, -(-100 // profile.n_blocks)))


def _unit(profile: Profile) -> Unit:
    t = words()
    stack = profile.model.stack(profile.stack)
    there = [unit for unit in UNITS if len(units_in(stack, cast(Unit, unit))) > 1]
    chosen = st.radio(
        t("What is removed"),
        there,
        format_func=lambda unit: t(UNITS[unit]),
        horizontal=True,
        key="unit",
        persist_state="session",
        help="\n\n".join(term(name) for name in ("layer", "attention", "MLP")),
    )
    return cast(Unit, chosen or there[0])
