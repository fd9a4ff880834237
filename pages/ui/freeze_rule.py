"""Which rule places the boundary, what may train at most, and the slider with the last word."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import cast

import streamlit as st

from analysis.contracts import Aggregate, EofChoice, EofStrategy, Plan, Profile, Semantics, StepModel, Trial
from analysis.i18n import N_
from analysis.planning.eof import DEFAULT_STRATEGY, all_choices, default_rule
from analysis.planning.freeze import propose_freeze
from analysis.planning.propose import workload_ref
from analysis.reporting.training_words import OUR_READING, RULES
from pages.ui.freeze_saving import Training
from pages.ui.freeze_words import frozen_words
from pages.ui.glossary import term
from pages.ui.language import words
from pages.ui.session import forget

LIMITS = {
    "none": N_("no limit"),
    "layers": N_("a number of layers"),
    "flops": N_("a share of the FLOPs"),
    "memory": N_("memory"),
    "minutes": N_("minutes of training"),
}
_UNITS = {"layers": "{n}layers", "flops": "{n}%flops", "memory": "{n}GiB", "minutes": "{n}min"}
UNTRACED: tuple[EofStrategy, ...] = ("sweep", "train_last")
UNVOTED: tuple[EofStrategy, ...] = (*UNTRACED, "gradient", "plasticity")
"""Rules that read nothing of single prompts, so that there is nothing to put together."""
AGGREGATES: dict[Aggregate, str] = {"mean": N_("the mean over all prompts"), "vote": N_("what most prompts choose")}


@dataclass(frozen=True)
class Rule:
    """How the boundary is placed."""

    strategy: EofStrategy
    aggregate: Aggregate
    budget: str | None


@dataclass(frozen=True)
class Evidence:
    """What a boundary can be placed by."""

    found: Profile
    traces: Semantics | None
    trial: Trial | None
    steps: StepModel | None

    @property
    def mark(self) -> tuple[Hashable, ...]:
        """Ids of everything, to cache by."""
        there = (self.traces and self.traces.id, self.trial and self.trial.id, self.steps and self.steps.measured_at)
        return (self.found.id, self.found.workload.content_hash, *there)


def rules_for(evidence: Evidence) -> list[EofStrategy]:
    """The rules that can have an answer: a sweep's only where one recommends, those that read traces only where there are any."""
    swept = default_rule(evidence.trial) == "sweep"
    return [name for name in RULES if (swept or name != "sweep") and (evidence.traces is not None or name in UNTRACED)]


def rule_fields(evidence: Evidence) -> Rule:
    """Draws the rule, how prompts are put together, and what may train at most."""
    t, traces, names = words(), evidence.traces, rules_for(evidence)
    usual = default_rule(evidence.trial)
    left, middle, right = st.columns([4, 4, 6] if traces else [4, 6, 4], gap="medium")
    with left:
        strategy = st.selectbox(
            t("Rule"),
            names,
            index=names.index(usual) if usual in names else 0,
            format_func=rule_title,
            key="freeze_rule" + ("" if traces else "_untraced") + ("_swept" if "sweep" in names else ""),
            persist_state="session",
            on_change=_let_go,
            help=_rules_help(names),
        )
    aggregate: Aggregate | None = None
    if traces and strategy not in UNVOTED:
        with middle:
            aggregate = st.radio(
                t("Prompts are put together by"),
                list(AGGREGATES),
                format_func=lambda name: t(AGGREGATES[name]),
                key="freeze_aggregate",
                persist_state="session",
                on_change=_let_go,
                help=t("The mean can hide that prompts differ; the vote shows it. Both are given in the table of rules below."),
            )
    with right if traces else middle:
        budget = _budget_fields(evidence.found.n_blocks)
    return Rule(strategy or names[0], aggregate or "mean", budget)


def _budget_fields(n_blocks: int) -> str | None:
    """What may train at most, as planning reads it; None: no limit."""
    t = words()
    left, right = st.columns([3, 2], gap="small", vertical_alignment="bottom")
    kind = left.selectbox(
        t("What may train at most"),
        list(LIMITS),
        format_func=lambda name: t(LIMITS[name]),
        key="freeze_limit",
        persist_state="session",
        on_change=_let_go,
        help=t("Layers are freed from the output side inwards, as many as the limit allows, and never more than the rule asks for."),
    )
    if not kind or kind == "none":
        return None
    titles = {"layers": t("Layers"), "flops": t("Percent of everything"), "memory": t("GiB"), "minutes": t("Minutes")}
    starts = {"layers": max(1, n_blocks // 3), "flops": 60, "memory": 8, "minutes": 30}
    highest = {"layers": n_blocks, "flops": 100, "memory": 100_000, "minutes": 100_000}
    n = right.number_input(
        titles[kind],
        min_value=1,
        max_value=highest[kind],
        value=starts[kind],
        key=f"freeze_limit_{kind}",
        persist_state="session",
        on_change=_let_go,
    )
    return _UNITS[kind].format(n=int(n or starts[kind]))


def rule_title(name: str) -> str:
    """A rule's name; a formula that is our reading says so."""
    t, known = words(), RULES[cast(EofStrategy, name)]
    return t("{rule} (our reading)", rule=t(known.title)) if known.ours else t(known.title)


def _rules_help(names: list[EofStrategy]) -> str:
    t = words()
    ours = t('Rules marked "{mark}": the paper names the idea but does not give the formula.', mark=t(OUR_READING))
    return "\n\n".join([*(f"**{rule_title(name)}**  \n{t(RULES[name].meaning)}" for name in names), ours])


def _let_go() -> None:
    """A stored plan is left for a new draft."""
    forget("plan")


def proposed_by(rule: Rule, training: Training, evidence: Evidence) -> Plan:
    """The plan that the rule makes of what is known.

    Raises:
        PlanError: the rule has no answer, or the limit leaves nothing to train; the sentence says why.
    """
    return _proposed(rule, None, training, evidence.mark, evidence)


def placed_by_hand(eof_layer: int, training: Training, evidence: Evidence) -> Plan:
    """The plan for a boundary that a person chose."""
    return _proposed(None, eof_layer, training, evidence.mark, evidence)


@st.cache_data(show_spinner=False, max_entries=256)
def _proposed(rule: Rule | None, eof_layer: int | None, training: Training, mark: tuple[Hashable, ...], _evidence: Evidence) -> Plan:
    found, asked = _evidence.found, rule or Rule(DEFAULT_STRATEGY, "mean", None)
    return propose_freeze(
        found.model,
        semantics=_evidence.traces,
        workload=workload_ref(found.workload),
        strategy=asked.strategy,
        aggregate=asked.aggregate,
        eof_layer=eof_layer,
        budget=asked.budget,
        shape=training.shape,
        epochs=training.epochs,
        steps=_evidence.steps,
        trial=_evidence.trial,
        price_per_hour=training.price_per_hour,
        currency=training.currency,
        stack=found.stack,
        profile_id=found.id,
        n_sequences=None if _evidence.traces else found.counts.n_examples or None,
        mean_tokens=None if _evidence.traces else found.counts.n_tokens / max(found.counts.n_examples, 1) or None,
    )


def every_choice(evidence: Evidence) -> tuple[EofChoice, ...]:
    """What every rule would choose, without a limit."""
    return _choices(evidence.mark, evidence)


@st.cache_data(show_spinner=False, max_entries=32)
def _choices(mark: tuple[Hashable, ...], _evidence: Evidence) -> tuple[EofChoice, ...]:
    return all_choices(_evidence.traces, trial=_evidence.trial, n_blocks=_evidence.found.n_blocks)


def boundary_slider(run_id: str, n_blocks: int, start: int, mark: Hashable, *, stored: str | None) -> int:
    """The boundary under the hand; it goes to `start` whenever the rule, the limit or the stored plan changes.

    Args:
        run_id: the run; each keeps its own boundary.
        n_blocks: layers of the stack.
        start: where the rule or the stored plan has the boundary.
        mark: what `start` was worked out from.
        stored: id of the stored plan that is shown; moving the boundary leaves it.
    """
    t, key = words(), slider_key(run_id)
    source = stored or mark
    if (asked := st.session_state.pop(f"{key}_asked", None)) is not None:
        st.session_state[key], st.session_state[f"{key}_from"] = min(int(asked), n_blocks - 2), source
    if st.session_state.get(f"{key}_from") != source or key not in st.session_state:
        st.session_state[key], st.session_state[f"{key}_from"] = start, source

    def moved() -> None:
        st.session_state[f"{key}_from"] = mark
        _let_go()

    chosen = st.select_slider(
        t("Last frozen layer"),
        range(-1, n_blocks - 1),
        format_func=frozen_words,
        key=key,
        persist_state="session",
        on_change=moved,
        help=term("eof-layer"),
    )
    return int(start if chosen is None else chosen)


def slider_key(run_id: str) -> str:
    """Where the visit keeps the boundary of a run."""
    return f"boundary_{run_id}"


def ask_boundary(run_id: str, eof_layer: int) -> None:
    """Lets the Freeze page open with this boundary, as if it had been placed by hand."""
    st.session_state[f"{slider_key(run_id)}_asked"] = eof_layer
