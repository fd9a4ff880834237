"""Asking for a ranking: which measures, by which rule, how much to take out step by step, what it costs, and the job."""

from __future__ import annotations

from typing import Any, cast

import streamlit as st

from analysis.contracts import (
    AUTOMATIC_SLICES,
    DEFAULT_VOTERS,
    RULES,
    VOTERS,
    Profile,
    Ranking,
    RankingRequest,
    RankingSettings,
    Unit,
    Voter,
)
from analysis.i18n.numbers import duration, number
from analysis.planning.rank import units_in
from analysis.planning.voters import RULE_WORDS, VOTER_WORDS
from pages.ui.consensus_weights import rules_help, voters_help
from pages.ui.glossary import term
from pages.ui.job_box import running, started
from pages.ui.language import language, words
from pages.ui.messages import saying_errors
from pages.ui.plan_form import UNITS
from pages.ui.session import client
from pages.ui.similarity_view import slice_title
from pages.ui.workload_choice import workload_fields
from pages.ui.workload_form import device_field

PATH_VOTERS: tuple[Voter, ...] = ("conductance", "integrated_gradients")
TOKENS = 16_384


def ranking_box(found: Profile, shown: Ranking | None, *, primary: bool) -> None:
    """What will be asked and what it costs, and the button that starts it.

    Args:
        found: the run whose model and prompts are ranked.
        shown: the ranking there is already, for the time it took.
        primary: whether starting is the page's next step.
    """
    t = words()
    button = st.container()
    settings = _settings(found)
    with button, st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        pressed = st.button(
            t("Let the measures vote"),
            type="primary" if primary else "secondary",
            icon=":material/play_arrow:",
            key="rank",
            disabled=running("ranking_job") or not settings.voters,
        )
        again = st.checkbox(
            t("Measure again"),
            key="rank_again",
            help=t("The same model, prompts and settings are answered from the store at once. Tick to run them anew."),
        )
    with button:
        st.caption(_what_it_takes(found, shown, settings))
    if pressed:
        with saying_errors():
            request = RankingRequest(model=found.model.source, **workload_fields(found.workload), settings=settings, name=found.name)
            started("ranking_job", client().submit_ranking(request, force=again))
            st.rerun()


def _settings(found: Profile) -> RankingSettings:
    """Draws the choices and returns what they ask for."""
    t = words()
    voters = st.multiselect(
        t("Measures that vote"),
        VOTERS,
        default=DEFAULT_VOTERS,
        format_func=lambda name: t(VOTER_WORDS[name].title),
        key="rank_voters",
        persist_state="session",
        help=voters_help(VOTERS),
    )
    left, middle, right = st.columns(3, gap="medium")
    with left:
        fields = _what_goes(found)
    with middle:
        fields |= _how_decided(found)
    with right:
        fields |= _on_what(found)
    return RankingSettings(
        stack=found.stack,
        dtype=found.settings.dtype,
        chat_template=found.settings.chat_template,
        slices=found.settings.slices,
        voters=tuple(name for name in VOTERS if name in voters),
        **fields,
    )


def _what_goes(found: Profile) -> dict[str, Any]:
    """Which kind of part, how many of them, and how many at a time."""
    t, unit = words(), _unit_field(found)
    n = len(units_in(found.model.stack(found.stack), unit))
    taken = st.slider(
        t("Take out step by step"),
        0,
        max(1, n - 1),
        min(max(1, n // 5), n - 1),
        key=f"rank_amount_{unit}_{n}",
        persist_state="session",
        help=t("0: every layer is looked at once, and nothing is taken out."),
    )
    per_step = st.number_input(
        t("At a time"),
        1,
        max(1, n - 1),
        1,
        key=f"rank_per_step_{n}",
        persist_state="session",
        help=t("How many go before everything is measured again. One at a time finds the best order and takes longest."),
    )
    return {"unit": unit, "amount": f"{taken} layers" if taken else "", "per_step": int(per_step or 1)}


def _how_decided(found: Profile) -> dict[str, Any]:
    """By which rule, what must stay, and when to stop."""
    t, n = words(), found.n_blocks
    rule = st.selectbox(
        t("How the measures are put together"),
        RULES,
        format_func=lambda name: t(RULE_WORDS[name].title),
        key="rank_rule",
        persist_state="session",
        help=rules_help(),
    )
    protect = st.multiselect(
        t("Layers that must stay"),
        range(n),
        default=[0, n - 1] if n > 2 else [],
        format_func=str,
        key=f"rank_protect_{n}",
        persist_state="session",
        placeholder=t("none"),
        help=t("Numbered from 0. The first and the last layer translate between words and meaning and are protected to begin with."),
    )
    ratio = st.number_input(
        t("Stop before perplexity is so many times as high"),
        1.0,
        1000.0,
        None,
        0.1,
        key="rank_most",
        persist_state="session",
        placeholder=t("no limit"),
        help=term("perplexity"),
    )
    return {"rule": rule or "rank_sum", "protect": tuple(sorted(protect)), "most_perplexity": float(ratio) if ratio else None}


def _on_what(found: Profile) -> dict[str, Any]:
    """Where it runs, on how much of the work, and what is kept of it."""
    t = words()
    device = device_field(key="rank_device")
    held_out = st.multiselect(
        t("Slices to keep out"),
        [name for name in found.slices if name not in AUTOMATIC_SLICES],
        format_func=slice_title,
        placeholder=t("none"),
        key=f"rank_held_out_{found.id}",
        persist_state="session",
        help=t("Nothing is chosen by these slices, so that the plan can be judged on work it has never seen."),
    )
    tokens = st.number_input(
        t("Calibration tokens to run at most"),
        256,
        1_048_576,
        TOKENS,
        4096,
        key="rank_tokens",
        persist_state="session",
        help=t("More tokens narrow the intervals and take longer. Another number starts a new measurement."),
    )
    excerpts = st.checkbox(
        t("Keep the beginnings of prompts that lose most"),
        value=True,
        key="rank_excerpts",
        persist_state="session",
        help=t("The first 80 characters, on this machine and in the file that you download. Off: only their names."),
    )
    return {"device": device, "held_out": tuple(held_out), "max_total_tokens": int(tokens or TOKENS), "excerpts": bool(excerpts)}


def _unit_field(found: Profile) -> Unit:
    t = words()
    stack = found.model.stack(found.stack)
    there = [unit for unit in UNITS if len(units_in(stack, cast(Unit, unit))) > 1] or ["block"]
    chosen = st.radio(
        t("What is removed"),
        there,
        format_func=lambda unit: t(UNITS[unit]),
        horizontal=True,
        key=f"rank_unit_{len(there)}",
        persist_state="session",
        help="\n\n".join(term(name) for name in ("layer", "attention", "MLP")),
    )
    return cast(Unit, chosen or there[0])


def _what_it_takes(found: Profile, shown: Ranking | None, settings: RankingSettings) -> str:
    """Passes of all tokens before anything runs, and how long the last ranking took; nothing is guessed."""
    t, code = words(), language()
    tokens = min(found.counts.n_tokens, settings.max_total_tokens or found.counts.n_tokens)
    forward, backward = passes_of(found, settings)
    said = [
        t(
            "About {n} passes of {tokens} calibration tokens through the model, in {steps} steps.",
            n=number(forward, code, 0),
            tokens=tokens,
            steps=_n_steps(settings),
        )
    ]
    if backward:
        said.append(t("Measures by gradients add about {n} passes there and back.", n=backward))
    if dear := [t(VOTER_WORDS[name].title) for name in PATH_VOTERS if name in settings.voters]:
        said.append(t("{names} cost most: {n} passes there and back a step for each.", names=tuple(dear), n=settings.attribution_steps))
    if shown and (seconds := sum(step.seconds for step in shown.steps)):
        said.append(
            t(
                "The ranking shown took {time} for {n} steps on {device}.",
                time=duration(seconds, code),
                n=len(shown.steps),
                device=shown.device_name,
            )
        )
    else:
        said.append(t("How long it takes is shown as soon as it runs; it can be cancelled and goes on later."))
    return " ".join(said)


def _n_steps(settings: RankingSettings) -> int:
    taken = int(settings.amount.split()[0]) if settings.amount else 0
    return max(1, -(-taken // settings.per_step))


def passes_of(found: Profile, settings: RankingSettings) -> tuple[float, int]:
    """Whole forward passes, and passes there and back, that all steps take: every candidate shares what lies before it."""
    n, forward = found.n_blocks, 0.0
    for step in range(_n_steps(settings)):
        left = n - (step * settings.per_step if settings.unit == "block" else 0)
        forward += (left + left * (left - 1) / 2) / n
    gradients = sum(VOTER_WORDS[name].family == "gradients" and name not in PATH_VOTERS for name in settings.voters)
    paths = settings.attribution_steps * sum(name in PATH_VOTERS for name in settings.voters)
    return forward, _n_steps(settings) * (gradients + paths)
