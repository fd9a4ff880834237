"""How the measures are put together: the rule, who votes, and with what weight; moved live, so that the order moves with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from analysis.contracts import RULES, Ranking, Rule, Vote, Voter
from analysis.errors import StrataError
from analysis.i18n import N_
from analysis.i18n.numbers import number
from analysis.planning.consensus_weights import FittedWeights, fit_weights
from analysis.planning.voters import RULE_WORDS, VOTER_WORDS
from pages.ui.glossary import term
from pages.ui.language import language, say, words
from pages.ui.plan_form import operation_field

HEAVIEST, STEP = 3.0, 0.25
Op = Literal["prune", "skip"]
ORDERS = {"consensus": N_("by the consensus"), "model": N_("by place in the model")}
_COLUMNS = 4


@dataclass(frozen=True)
class Weighed:
    """How the measures are put together now. `weights` are of the rule borda, by voter; `k`: how many are to be taken out."""

    rule: Rule
    voters: tuple[Voter, ...]
    weights: tuple[tuple[Voter, float], ...]
    k: int

    @property
    def by_voter(self) -> Mapping[Voter, float]:
        """The weights as a mapping."""
        return dict(self.weights)


def how_many(found: Ranking) -> tuple[int, int]:
    """How many may be taken out at most, and how many the slider begins with."""
    free = [ref for ref in found.steps[0].candidates if ref[1] not in found.settings.protect]
    most = max(1, min(len(free), len(found.steps[0].candidates) - 1))
    return most, min(most, len(found.taken) or max(1, len(found.steps[0].candidates) // 5))


def weigh(found: Ranking, beside_matrix: DeltaGenerator) -> tuple[Weighed, Op, bool]:
    """Draws the choices; returns what they amount to, how it is taken out, and whether step by step as it was measured.

    Args:
        found: the ranking.
        beside_matrix: where voters and weights go, so that the order is seen to move with them.
    """
    t, known = words(), found.id
    votes = [vote for vote in found.steps[0].votes if vote.votes]
    first, second, third, fourth = st.columns([4, 4, 4, 3], gap="medium", vertical_alignment="bottom")
    most, begin = how_many(found)
    with first:
        k = begin if most < 2 else st.slider(_how_many_words(found), 1, most, begin, key=f"take_{known}", persist_state="session")
    with second:
        rule = st.selectbox(
            t("How the measures are put together"),
            RULES,
            index=RULES.index(found.settings.rule),
            format_func=lambda name: t(RULE_WORDS[name].title),
            key=f"rule_{known}",
            persist_state="session",
            help=rules_help(),
        )
    with third:
        op = operation_field()
    with fourth:
        stepwise = bool(found.taken) and _stepwise(found)
    chosen: Rule = rule or found.settings.rule
    with (
        beside_matrix,
        st.expander(_weights_title(chosen), expanded=chosen == "borda", icon=":material/tune:", key=f"weights_{known}_{chosen}"),
    ):
        voters = _who_votes(found, votes)
        counted = tuple(vote.voter for vote in votes if vote.voter in voters)
        weights = _sliders(found, counted) if chosen == "borda" else ()
    return Weighed(chosen, voters, weights, int(k or begin)), op, stepwise


def _stepwise(found: Ranking) -> bool:
    t = words()
    return st.toggle(
        t("Step by step, as measured"),
        value=True,
        key=f"stepwise_{found.id}",
        persist_state="session",
        help=t("On: what the ranking took out one after the other, as far as it did. Off: the lowest of its first step, all at once."),
    )


def order_field() -> bool:
    """Whether the columns stand by the consensus, most replaceable first; else by their place in the model."""
    t = words()
    order = st.radio(
        t("Order of the columns"),
        list(ORDERS),
        format_func=lambda name: t(ORDERS[name]),
        horizontal=True,
        key="columns_by",
        persist_state="session",
        label_visibility="collapsed",
    )
    return order != "model"


def _how_many_words(found: Ranking) -> str:
    t = words()
    return {"block": t("Layers to take out"), "attention": t("Attentions to take out"), "mlp": t("MLPs to take out")}[found.settings.unit]


def rules_help() -> str:
    """What each rule does, for a tooltip."""
    t = words()
    return "\n\n".join([term("consensus"), *(f"**{t(one.title)}**  \n{t(one.meaning)}" for one in RULE_WORDS.values())])


def voters_help(names: Sequence[Voter]) -> str:
    """What each measure's low value says, for a tooltip."""
    t = words()
    return "\n\n".join(f"**{t(VOTER_WORDS[name].title)}**  \n{t(VOTER_WORDS[name].meaning)}" for name in names)


def _weights_title(rule: Rule) -> str:
    t = words()
    return t("Who votes, and with what weight") if rule == "borda" else t("Who votes")


def _who_votes(found: Ranking, votes: Sequence[Vote]) -> tuple[Voter, ...]:
    """The measures that count; with nobody chosen all do."""
    t, names = words(), [vote.voter for vote in votes]
    chosen = st.multiselect(
        t("Measures that vote"),
        names,
        default=names,
        format_func=lambda name: t(VOTER_WORDS[name].title),
        key=f"voters_{found.id}",
        persist_state="session",
        help=voters_help(names),
    )
    if not chosen:
        st.caption(t("Nobody is chosen, so all vote."))
    counted = [name for name in names if name in chosen] or names
    silent = [vote.voter for vote in found.steps[0].votes if not vote.votes]  # they stay asked, so that it is said why they are silent
    return tuple(vote.voter for vote in found.steps[0].votes if vote.voter in (*counted, *silent))


def _sliders(found: Ranking, voters: Sequence[Voter]) -> tuple[tuple[Voter, float], ...]:
    """One slider a measure; the buttons set them all."""
    t = words()
    keys = {name: f"weight_{found.id}_{name}" for name in voters}
    for name, key in keys.items():
        st.session_state.setdefault(key, _snapped(found.settings.weights.get(name, 1.0)))
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.button(t("All alike"), key="weights_alike", on_click=_set, args=(keys, {}))
        fitted = _fit_button(found, keys)
    columns = st.columns(_COLUMNS, gap="medium")
    for place, (name, key) in enumerate(keys.items()):
        with columns[place % _COLUMNS]:
            st.slider(
                t(VOTER_WORDS[name].title), 0.0, HEAVIEST, step=STEP, key=key, help=t(VOTER_WORDS[name].meaning), persist_state="session"
            )
    if fitted:
        _say_fitted(fitted)
    weights = {name: float(st.session_state[key]) for name, key in keys.items()}
    if not any(weights.values()):
        st.caption(t("Every weight is 0, so all count the same."))
        weights = dict.fromkeys(weights, 1.0)
    return tuple(weights.items())


def _fit_button(found: Ranking, keys: Mapping[Voter, str]) -> FittedWeights | None:
    """Weights by what leaving single layers out was measured to cost; None: they were not asked for, or cannot be had."""
    t, asked = words(), f"fitted_{found.id}"

    def fit() -> None:
        try:
            weights = _fitted(mark_of_ranking(found), found)
        except StrataError as error:
            st.session_state[asked] = error
            return
        st.session_state[asked] = weights
        _set(keys, weights.weights)

    st.button(
        t("Fit them to the measured losses"),
        key="weights_fit",
        on_click=fit,
        disabled=not found.lost,
        help=t("Takes the loss that every single layer was measured to cost, and finds weights whose order comes nearest to it."),
    )
    known = st.session_state.get(asked)
    if isinstance(known, StrataError):
        st.caption(say(known))
        return None
    return cast("FittedWeights | None", known)


def mark_of_ranking(found: Ranking) -> tuple[str, str, int, bool]:
    """Under what a ranking's figures are kept: it grows under its id."""
    return found.id, found.created_at, len(found.taken), found.complete


@st.cache_data(show_spinner=False, max_entries=16)
def _fitted(mark: tuple[str, str, int, bool], _found: Ranking) -> FittedWeights:
    return fit_weights(_found.steps[0].votes, tuple(one.change.value for one in _found.lost))


def _set(keys: Mapping[Voter, str], weights: Mapping[Voter, float]) -> None:
    """Moves every slider; measures that a fit says nothing about (the loss itself) stand at 0 then."""
    for name, key in keys.items():
        st.session_state[key] = _snapped(weights.get(name, 0.0 if weights else 1.0))


def _snapped(weight: float) -> float:
    """A weight where a slider can stand."""
    return min(HEAVIEST, max(0.0, round(weight / STEP) * STEP))


def _say_fitted(found: FittedWeights) -> None:
    """Whether fitted weights are worth having, judged on layers that they have not seen."""
    t, code = words(), language()
    if found.cv_spearman is None or found.unweighted_spearman is None:
        return
    figures = {
        "n": found.n,
        "fitted": number(found.cv_spearman, code, 2),
        "plain": number(found.unweighted_spearman, code, 2),
    }
    said = (
        t(
            "Judged on layers that they have not seen, fitted weights do better: correlation {fitted}, plain sum {plain}, {n} layers.",
            **figures,
        )
        if found.better
        else t(
            "Judged on layers that they have not seen, fitted weights do no better: correlation {fitted}, plain sum {plain}, {n} layers.",
            **figures,
        )
    )
    how = t("Cross-validated over the layers, on the calibration examples; the loss itself does not vote here.")
    st.caption(f"{said} {how} :gray-badge[{t('measured')}]")
