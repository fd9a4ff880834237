"""`rank`: many measures vote on which layers are replaceable, and their consensus takes them out one after the other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import typer

from analysis.cli import options
from analysis.cli import options_consensus as its
from analysis.cli.choosing import chosen_workload, layers
from analysis.cli.documents import read_profile
from analysis.cli.rank_words import summarise_ranking
from analysis.cli.ranking import announce, choice_of, ranked
from analysis.cli.terminal import check_output, examples, paragraphs, terminal_of
from analysis.cli.voting import check_weights, most_perplexity_of, voters_named, weights_named
from analysis.contracts import Profile, RankingRequest, RankingSettings, WorkloadChoice
from analysis.errors import InputError
from analysis.i18n import N_
from analysis.planning import parse_amount

SHORT_HELP = N_("Let many measures vote on which layers are replaceable.")
HELP = paragraphs(
    N_(
        "Let many measures vote on which layers are replaceable, say who agrees and what would be lost, and take them out step by step, "
        "everything measured again in between."
    ),
    N_("Examples:"),
    examples(
        "python -m analysis rank --profile profile.json --steps 6layers --out ranking.json",
        "python -m analysis rank --model ./my-model --workload prompts.jsonl --criteria members,taylor --rule median_rank --out r.json",
        'python -m analysis rank --profile profile.json --steps 20% --protect 0,1 --most-perplexity 1.5x --held-out "customer mail" \\',
        "    --out ranking.json",
        "python -m analysis plan --op prune --criterion consensus --budget 20% --profile profile.json --out plan.json",
    ),
    N_(
        "All measures come from one shared pass for every layer that is left out. A measure that cannot vote says why, and the vote "
        "goes on. Every step is kept when it is finished: the first Ctrl-C stops, and the same command goes on from there."
    ),
)
DEFAULTS = RankingSettings()
_AS_TYPED = ("device", "dtype", "batch_tokens", "rule", "per_step", "replicates", "feature_tokens", "classes", "attribution_steps")
"""Options that need no reading."""


def rank(
    ctx: typer.Context,
    profile: its.RankProfile = None,
    model: its.RankModel = None,
    workload: options.Workloads = None,
    criteria: its.Criteria = "default",
    rule: its.RankRule = DEFAULTS.rule,
    weights: its.Weights = "",
    steps: its.Steps = "",
    per_step: its.PerStep = DEFAULTS.per_step,
    protect: its.RankProtect = "",
    unit: its.RankUnit = DEFAULTS.unit,
    most_perplexity: its.MostPerplexity = None,
    held_out: its.HeldOut = None,
    replicates: its.Replicates = DEFAULTS.replicates,
    tokens: options.Tokens = None,
    feature_tokens: its.FeatureTokens = None,
    classes: its.Classes = DEFAULTS.classes,
    attribution_steps: its.AttributionSteps = DEFAULTS.attribution_steps,
    seed: its.RankSeed = 0,
    out: its.OutRanking = None,
    map_: options.Mapping = None,
    device: options.Device = "auto",
    dtype: options.Number = "auto",
    max_tokens: options.MaxTokens = DEFAULTS.max_tokens,
    batch_tokens: options.BatchTokens = None,
    slice_: options.Slices = None,
    slicing: options.Slicing = "given",
    stack: options.Stack = None,
    mask: options.Mask = False,
    chat_template: options.ChatTemplate = True,
    excerpts: its.RankExcerpts = True,
    name: options.Name = None,
    store: its.KeepRanking = True,
) -> None:
    """Ranks, writes what was voted, and says the order, the odd voice, what each step cost and what is lost."""
    terminal = terminal_of(ctx)
    if out is not None and str(out) != "-":
        check_output(out)
    settings = ranking_settings(ctx.params)
    measured = read_profile(profile) if profile is not None else None
    if measured is not None:
        settings = settings.model_copy(update=_as_profiled(measured, stack, slice_, chat_template))
    choice = _choice(measured, ctx.params)
    request = RankingRequest(**choice.model_dump(), settings=settings, name=name)
    announce(request, terminal)
    found = ranked(request, terminal, keep=store, out=out)
    summarise_ranking(found, out, terminal, profile)


def ranking_settings(typed: Mapping[str, Any]) -> RankingSettings:
    """What was typed as settings.

    Raises:
        InputError: measures, weights, layers or a limit that cannot be read.
        PlanError: an amount that cannot be read.
    """
    weights = weights_named(typed["weights"])
    check_weights(typed["rule"], weights)
    if typed["steps"]:
        parse_amount(typed["steps"])
    return RankingSettings(
        stack=typed["stack"],
        max_tokens=typed["max_tokens"],
        max_total_tokens=typed["tokens"],
        chat_template=typed["chat_template"],
        slices=tuple(typed["slice_"] or ()),
        held_out=tuple(typed["held_out"] or ()),
        unit=typed["unit"],
        protect=layers(typed["protect"]),
        voters=voters_named(typed["criteria"]),
        weights=weights,
        amount=typed["steps"],
        most_perplexity=most_perplexity_of(typed["most_perplexity"]),
        excerpts=typed["excerpts"],
        seed=typed["seed"],
        **{option: typed[option] for option in _AS_TYPED},
    )


def _choice(profile: Profile | None, typed: Mapping[str, Any]) -> WorkloadChoice:
    """Which model and prompts: the profile's, or those that were typed."""
    from analysis.models.source import parse_source

    if profile is None:
        model, files = parse_source(typed["model"] or "sample"), typed["workload"]
        return chosen_workload(model, files, typed["map_"], typed["slicing"], typed["mask"])
    given = {"--model": typed["model"], "--workload": typed["workload"], "--map": typed["map_"], "--mask": typed["mask"]}
    return choice_of(profile, {**given, "--slicing": typed["slicing"] != "given"})


def _as_profiled(profile: Profile, stack: str | None, slices: list[str] | None, chat_template: bool) -> dict[str, object]:
    """What a profile decides where nothing else was typed: stack, slices, and whether prompts are wrapped."""
    if stack is not None and stack != profile.stack:
        raise InputError(
            "--stack {given} is not the profile's stack, {known}. Leave --stack out, or profile that stack.",
            given=stack[:40],
            known=profile.stack,
        )
    chosen = tuple(slices) if slices else profile.settings.slices
    return {"stack": profile.stack, "slices": chosen, "chat_template": chat_template and profile.settings.chat_template}
