"""`plan`: from what was measured to what should be removed, or frozen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import typer

from analysis.cli import options, options_consensus, options_training
from analysis.cli.choosing import layers, units_named
from analysis.cli.documents import read_profile, read_search, write_document
from analysis.cli.plan_consensus import CONSENSUS, Asked, Voting, voted_plan
from analysis.cli.plan_freeze import Freezing, ShapeGiven, frozen_plan, summarise_freeze
from analysis.cli.terminal import Terminal, check_output, examples, paragraphs, terminal_of
from analysis.contracts import LatencyModel, Plan, Quantity, Search, Unit
from analysis.errors import InputError
from analysis.i18n import N_
from analysis.i18n.numbers import amount, number, percent, size
from analysis.planning import DEFAULT_CONTEXT_TOKENS, plan_in_words, propose_plan
from analysis.planning.from_search import propose_from_search

_PHASES = {"prefill": N_("time to read a prompt"), "decode": N_("time to write a token")}
SHORT_HELP = N_("Choose what to remove or freeze, and say what it should save.")
HELP = paragraphs(
    N_("Choose what to remove from a model, or which layers to freeze while it is trained, by what was measured; say what it should save."),
    N_("Examples:"),
    examples(
        "python -m analysis plan --profile profile.json --budget 20% --out plan.json",
        "python -m analysis plan --profile profile.json --op skip --unit attention --budget 6layers --protect 0,1",
        "python -m analysis plan --profile profile.json --criterion angular_distance --budget 1GiB",
        "python -m analysis plan --search search.json --strategy beam --budget 20%flops --out plan.json",
        "python -m analysis plan --criterion consensus --profile profile.json --budget 20% --out plan.json",
        "python -m analysis plan --op freeze --semantics semantics.json --max-trainable-layers 10 --out plan.json",
    ),
    N_(
        "20% is that share of the unit, rounded down; 20%params and 20%flops count parameters and FLOPs; 1GiB counts weight memory. "
        "The savings are projected from the model's shapes; quality is not known until the plan is verified."
    ),
)


def plan(
    ctx: typer.Context,
    budget: options_training.PlanBudget = None,
    profile: options_training.PlanProfile = None,
    search: options_training.PlanSearch = None,
    op: options_training.PlanOp = "prune",
    unit: options_training.PlanUnits = None,
    criterion: options_training.Criterion = None,
    strategy: options_training.PlanStrategy = None,
    ranking: options_consensus.RankingFile = None,
    rule: options_consensus.PlanRule = None,
    weights: options_consensus.PlanWeights = None,
    criteria: options_consensus.PlanVoters = None,
    one_shot: options_consensus.OneShot = False,
    protect: options.Protect = "",
    context: options.Context = None,
    semantics: options_training.SemanticsFile = None,
    trial: options_training.TrialFile = None,
    model: options_training.FreezeModel = None,
    eof_layer: options_training.EofLayerByHand = None,
    max_trainable_layers: options_training.MaxTrainable = None,
    aggregate: options_training.HowAggregated = "mean",
    epochs: options_training.PlannedEpochs = 3,
    batch_size: options_training.PlannedBatch = None,
    sequence_tokens: options_training.SequenceTokens = None,
    method: options_training.Method = None,
    lora_rank: options_training.LoraRankOr = None,
    base_bits: options_training.BaseBits = None,
    price: options_training.Price = None,
    currency: options_training.Currency = "",
    out: options.OutPlan = None,
    name: options_training.PlanName = "",
    store: options_training.KeepPlan = True,
) -> None:
    """Proposes the plan, writes the file, and says what it should save."""
    if out is not None and str(out) != "-":
        check_output(out)
    voting = Voting(ranking, rule, weights, criteria, one_shot)
    by_vote = criterion == CONSENSUS or (ranking is not None and criterion is None)
    if op == "freeze":
        _refuse_with(op, {"--search": search, "--unit": unit, "--criterion": criterion, "--protect": protect, "--context": context,
                          **voting.given})  # fmt: skip
        freezing = Freezing(
            profile, semantics, trial, model, strategy, aggregate, eof_layer, max_trainable_layers, budget, name, epochs, price, currency,
            ShapeGiven(batch_size, sequence_tokens, method, lora_rank, base_bits),
        )  # fmt: skip
        proposed = frozen_plan(freezing)
    else:
        _refuse_with(op, {"--semantics": semantics, "--trial": trial, "--model": model, "--eof-layer": eof_layer,
                          "--max-trainable-layers": max_trainable_layers, "--method": method, "--price": price})  # fmt: skip
        asked = Asked(budget, op, layers(protect), context or DEFAULT_CONTEXT_TOKENS, name)
        if by_vote:
            proposed = voted_plan(voting, profile, units_named(unit, ()), {"--search": search, "--strategy": strategy}, asked)
        else:
            voting.refuse()
            proposed = _proposed(profile, search, unit, criterion or "block_influence", strategy or "beam", asked, store)
    _hand_over(proposed, out, terminal_of(ctx), store=store)


def _hand_over(proposed: Plan, out: Path | None, terminal: Terminal, *, store: bool) -> None:
    """Writes the plan, keeps it, and says what it should save."""
    if out is not None:
        write_document(proposed, out)
    if store:
        keep_plan(proposed)
    summarise = summarise_freeze if proposed.only_freezes else summarise_plan
    summarise(proposed, out, terminal)


def _refuse_with(op: str, given: Mapping[str, object]) -> None:
    wrong = tuple(name for name, value in given.items() if value not in (None, ""))
    if wrong:
        raise InputError("{options} cannot be used with --op {op}. Leave it out, or choose another --op.", options=wrong, op=op)


def _proposed(
    profile: str | None, search: str | None, unit: list[str] | None, criterion: str, strategy: str, asked: Asked, store: bool
) -> Plan:
    amount = asked.needed
    if profile is not None and search is None:
        return _from_profile(profile, units_named(unit, ("block",)), criterion, amount, asked)
    if search is not None and profile is None:
        return _from_search(search, units_named(unit, ()), strategy, amount, asked, latency=store)
    raise InputError("A plan is made from one thing: give either --profile or --search.")


def _from_profile(given: str, units: tuple[Unit, ...], criterion: str, amount: str, asked: Asked) -> Plan:
    if len(units) > 1:
        raise InputError("From a profile one kind of unit can be planned at a time. Give --unit once, or plan from a search (--search).")
    return propose_plan(
        read_profile(given),
        op=asked.op,
        unit=units[0],
        criterion=criterion,
        amount=amount,
        protect=asked.protect,
        context_tokens=asked.context_tokens,
        name=asked.name,
    )


def _from_search(given: str, units: tuple[Unit, ...], strategy: str, amount: str, asked: Asked, *, latency: bool) -> Plan:
    found = read_search(given)
    return propose_from_search(
        found,
        strategy=strategy,
        amount=amount,
        op=asked.op,
        units=units or None,
        protect=asked.protect,
        context_tokens=asked.context_tokens,
        name=asked.name,
        latency=kept_latency(found) if latency else None,
    )


def kept_latency(search: Search) -> LatencyModel | None:
    """How long the search's model takes on this machine, where that was measured; on the device of the search, if there."""
    from analysis.runs.store import open_store, this_host

    kept, commit = open_store().latencies, search.model.commit
    same = kept.model(commit, search.device_name, host=this_host(), stack=search.stack)
    return same or kept.model(commit, host=this_host(), stack=search.stack)


def keep_plan(plan: Plan) -> None:
    """Stores the plan for the pages and later commands."""
    from analysis.runs.client import open_client

    open_client().save_plan(plan, plan.name)


def summarise_plan(plan: Plan, out: Path | None, terminal: Terminal) -> None:
    """Says what the plan does, what to beware of, and what it is projected to save."""
    for operation in plan.operations:
        terminal.hear(plan_in_words(plan.model_copy(update={"operations": (operation,)})))
    warnings = (reason.warning for reason in plan.provenance.reasons if reason.warning is not None)
    for note in (*warnings, *plan.provenance.notes):
        terminal.hear(note)
    if plan.projection is not None:
        saves, language = plan.projection, terminal.language
        terminal.tell("Projected, not yet run, at {context} tokens of context:", context=saves.context_tokens)
        _line(terminal, terminal.t("parameters"), saves.n_parameters, lambda value: amount(value, language))
        _line(terminal, terminal.t("FLOPs per token, reading"), saves.prefill_flops_per_token, lambda value: amount(value, language))
        _line(terminal, terminal.t("FLOPs per token, writing"), saves.decode_flops_per_token, lambda value: amount(value, language))
        _line(terminal, terminal.t("weight memory"), saves.weight_bytes, lambda value: size(value, language))
        _line(terminal, terminal.t("KV cache"), saves.kv_bytes_at_context, lambda value: size(value, language))
        for time in saves.latency:
            _line(terminal, terminal.t(_PHASES[time.phase]), time.ms, lambda value: f"{number(value, language, 1)} ms")
        if saves.quality is not None:
            low, high = saves.quality.perplexity_ratio_interval
            terminal.tell(
                "  perplexity on the calibration half: {ratio}x ({low} to {high})",
                ratio=number(saves.quality.perplexity_ratio, language, 3),
                low=number(low, language, 3),
                high=number(high, language, 3),
            )
    if out is not None and str(out) != "-":
        terminal.tell("Wrote {path} (plan {id}).", path=str(out), id=plan.id)
        terminal.tell("Quality is not known until it was tested: python -m analysis verify --plan {path}", path=str(out))


def _line(terminal: Terminal, what: str, quantity: Quantity, written: Callable[[float], str]) -> None:
    share = percent(quantity.saved_share, terminal.language, 1)
    terminal.tell(
        "  {what}: {before} -> {after} ({share} saved)",
        what=what,
        before=written(quantity.before),
        after=written(quantity.after),
        share=share,
    )
