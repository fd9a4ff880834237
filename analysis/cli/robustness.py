"""`robustness`: how well a plan and the original bear typing errors, other words, attacks and unknown work; energy and carbon."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import typer

from analysis.cli import options
from analysis.cli import options_consensus as its
from analysis.cli.choosing import chosen_workload, stoppable
from analysis.cli.documents import read_plan, write_document
from analysis.cli.progress import shown_progress
from analysis.cli.robustness_words import summarise_robustness
from analysis.cli.terminal import Terminal, check_output, examples, paragraphs, stopping, terminal_of
from analysis.contracts import ATTACKS, NOISES, Robustness, RobustnessRequest, RobustnessSettings
from analysis.errors import InputError
from analysis.i18n import N_
from analysis.runs.plan_evidence import lean

SHORT_HELP = N_("Test how well a plan bears typing errors, other words, attacks and unknown work.")
HELP = paragraphs(
    N_(
        "Disturb what the original and the plan read, and say whether the cut made the model more sensitive: typing errors, other words, "
        "attacks on the embeddings, slices that the plan was not chosen by. Energy and carbon of running both come along."
    ),
    N_("Examples:"),
    examples(
        "python -m analysis robustness --plan plan.json --country JPN --watts 65 --out robustness.json",
        'python -m analysis robustness --plan plan.json --noise keyboard --noise case --attack none --held-out "customer mail" \\',
        "    --out robustness.json",
    ),
    N_("Only verification examples are used, and what is judged stays clean: only the text before it is disturbed."),
)
DEFAULTS = RobustnessSettings()
K = TypeVar("K", bound=str)
_NONE = "none"
_AS_TYPED = ("device", "dtype", "max_tokens", "batch_tokens", "chat_template", "pgd_steps", "attack_examples", "energy", "watts", "seed")
"""Options that need no reading."""


def robustness(
    ctx: typer.Context,
    plan: options.PlanFile,
    workload: options.Tested = None,
    noise: its.Noises = None,
    level: its.Levels = None,
    attack: its.Attacks = None,
    epsilon: its.Epsilons = None,
    pgd_steps: its.PgdSteps = DEFAULTS.pgd_steps,
    attack_examples: its.AttackExamples = DEFAULTS.attack_examples,
    held_out: its.NeverSeen = None,
    energy: its.Energy = DEFAULTS.energy,
    country: its.Country = None,
    grid: its.Grid = None,
    watts: its.Watts = None,
    seed: its.RankSeed = 0,
    map_: options.Mapping = None,
    slicing: options.Slicing = "given",
    mask: options.Mask = False,
    slice_: options.Slices = None,
    chat_template: options.ChatTemplate = True,
    model: options.PlansModel = None,
    device: options.Device = "auto",
    dtype: options.Number = "auto",
    max_tokens: options.MaxTokens = DEFAULTS.max_tokens,
    batch_tokens: options.BatchTokens = None,
    out: its.OutRobustness = None,
    store: its.KeepRobustness = True,
) -> None:
    """Disturbs, writes what came of it, and says where the plan is more sensitive than the original."""
    from analysis.models.source import parse_source

    terminal = terminal_of(ctx)
    if out is not None and str(out) != "-":
        check_output(out)
    settings = robustness_settings(ctx.params)
    chosen = read_plan(plan, terminal)
    choice = chosen_workload(parse_source(model) if model else chosen.model.source, workload, map_, slicing, mask)
    found = tested(RobustnessRequest(**choice.model_dump(), plan=lean(chosen), settings=settings), terminal, keep=store, out=out)
    summarise_robustness(found, out, terminal)


def robustness_settings(typed: Mapping[str, Any]) -> RobustnessSettings:
    """What was typed as settings.

    Raises:
        InputError: a disturbance, a strength or a country that cannot be meant.
    """
    from analysis.planning.carbon import grid_of

    country = typed["country"].upper() if typed["country"] else None
    grid_of(country, typed["grid"])  # a country that there is not is said before anything runs
    return RobustnessSettings(
        noises=named(typed["noise"], NOISES, "--noise"),
        levels=strengths(typed["level"], "--level", DEFAULTS.levels, most=1.0),
        attacks=named(typed["attack"], ATTACKS, "--attack"),
        epsilons=strengths(typed["epsilon"], "--epsilon", DEFAULTS.epsilons, most=math.inf),
        held_out=tuple(typed["held_out"] or ()),
        country=country,
        grid_kg_per_kwh=typed["grid"],
        slices=tuple(typed["slice_"] or ()),
        **{name: typed[name] for name in _AS_TYPED},
    )


def named(given: Sequence[str] | None, known: Sequence[K], option: str) -> tuple[K, ...]:
    """What an option names, each once; nothing: all of it; "none" alone: nothing.

    Raises:
        InputError: something else, or "none" beside others.
    """
    if not given:
        return tuple(known)
    if tuple(given) == (_NONE,):
        return ()
    unknown = next((one for one in given if one not in known), None)
    if unknown is not None:
        raise InputError(
            "{option} {given} is not one of: {known}. Choose among these, or give none alone.",
            option=option,
            given=unknown[:40],
            known=tuple(known),
        )
    return tuple(one for one in known if one in given)


def strengths(given: Sequence[float] | None, option: str, default: tuple[float, ...], *, most: float) -> tuple[float, ...]:
    """Strengths in ascending order, each once.

    Raises:
        InputError: one that is no number above zero, or more than there can be.
    """
    if not given:
        return default
    wrong = next((one for one in given if not 0 < one <= most or one == math.inf), None)
    if wrong is not None and most == 1:
        raise InputError("{option} {given} is not possible: a share lies above 0 and is at most 1.", option=option, given=f"{wrong:g}")
    if wrong is not None:
        raise InputError("{option} {given} is not possible: a strength lies above 0, for example 0.1.", option=option, given=f"{wrong:g}")
    return tuple(sorted(set(given)))


def tested(request: RobustnessRequest, terminal: Terminal, *, keep: bool, out: Path | None) -> Robustness:
    """The test, written to its file first: a store that is full or locked costs nothing that was measured."""
    from analysis.runs.store import open_store
    from analysis.verification.robustness import run_robustness

    store = open_store() if keep else None
    with stopping() as should_stop:
        with shown_progress(terminal) as show:
            found = run_robustness(request, on_progress=stoppable(show, should_stop), should_stop=should_stop)
        if out is not None:
            write_document(found, out)
        if store is not None:
            store.keep_robustness(request, found)
    return found
