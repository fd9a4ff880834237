"""`heal`: a short training after a cut that wins back quality, and how much of it mere training would have gained too."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import typer

from analysis.cli import options, options_training
from analysis.cli import options_consensus as its
from analysis.cli.choosing import chosen_workload, stoppable
from analysis.cli.documents import read_plan, write_document
from analysis.cli.heal_words import summarise_healing
from analysis.cli.progress import shown_progress, stages_of
from analysis.cli.terminal import Terminal, check_output, examples, paragraphs, stopping, terminal_of
from analysis.cli.trying import rates_of
from analysis.contracts import Healing, HealObjective, HealRequest, HealSettings, Progress
from analysis.errors import Cancelled, InputError
from analysis.i18n import N_
from analysis.runs.plan_evidence import lean

SHORT_HELP = N_("Win back quality after a cut by a short training.")
HELP = paragraphs(
    N_(
        "Train a cut model briefly on prompts of its calibration half, by the next token, by the uncut model's own choices, or by both, "
        "and say how much of the lost quality came back."
    ),
    N_("Examples:"),
    examples(
        "python -m analysis heal --plan plan.json --objective both --out healing.json",
        "python -m analysis heal --plan plan.json --data corpus.txt --method full --steps 500 --learning-rate 1e-5 --save ./healed \\",
        "    --out healing.json",
    ),
    N_(
        "The verification half judges and is never learnt from. The uncut model is trained in the same way as a control: what it gains too "
        "is no healing. The original model is not changed; only --save writes weights."
    ),
    N_(
        "Plain text (.txt) is read in windows: lines that follow each other stand together, without the chat template. --lines reads each "
        "line as a prompt."
    ),
    N_("The first Ctrl-C stops within seconds and keeps what was trained; the same command goes on from there."),
)
DEFAULTS = HealSettings()
_CHARACTERS_PER_TOKEN = 4.5
"""Of English prose; other text makes longer pieces, which train window by window."""
_AS_TYPED = (
    "device",
    "dtype",
    "max_tokens",
    "method",
    "objective",
    "distillation_weight",
    "temperature",
    "hidden_weight",
    "steps",
    "batch_size",
    "micro_batch",
    "lora_rank",
    "lora_alpha",
    "selection_share",
    "evaluate_every",
    "patience",
    "weight_decay",
    "control",
    "max_minutes",
    "seed",
)
"""Options that need no reading."""


def heal(
    ctx: typer.Context,
    plan: options.PlanFile,
    data: its.HealData = None,
    lines: its.Lines = False,
    method: its.How = DEFAULTS.method,
    objective: its.Objective = DEFAULTS.objective,
    compare: its.CompareObjectives = None,
    distillation_weight: its.DistillationWeight = DEFAULTS.distillation_weight,
    temperature: its.Temperature = DEFAULTS.temperature,
    hidden_weight: its.HiddenWeight = DEFAULTS.hidden_weight,
    steps: its.HealSteps = DEFAULTS.steps,
    batch_size: options_training.BatchSize = DEFAULTS.batch_size,
    micro_batch: options_training.MicroBatch = None,
    learning_rate: its.HealRates = None,
    lora_rank: options_training.LoraRank = DEFAULTS.lora_rank,
    lora_alpha: its.LoraAlpha = DEFAULTS.lora_alpha,
    selection_share: its.SelectionShare = DEFAULTS.selection_share,
    evaluate_every: its.EvaluateEvery = DEFAULTS.evaluate_every,
    patience: its.Patience = DEFAULTS.patience,
    weight_decay: options_training.WeightDecay = DEFAULTS.weight_decay,
    control: its.Control = DEFAULTS.control,
    seed: options_training.TrialSeed = 0,
    max_minutes: options_training.MaxMinutes = None,
    max_tokens: options_training.TrialTokens = DEFAULTS.max_tokens,
    save: its.SaveFolder = None,
    map_: options.Mapping = None,
    slicing: options.Slicing = "given",
    mask: options.Mask = False,
    slice_: options.Slices = None,
    chat_template: its.HealTemplate = None,
    model: options.PlansModel = None,
    device: options.Device = "auto",
    dtype: options.Number = "auto",
    out: its.OutHealing = None,
    store: its.KeepHealing = True,
) -> None:
    """Heals, writes what came of it, and says how much came back and against what control."""
    from analysis.models.source import parse_source

    terminal = terminal_of(ctx)
    if out is not None and str(out) != "-":
        check_output(out)
    settings = heal_settings(ctx.params)
    chosen = read_plan(plan, terminal)
    choice = chosen_workload(parse_source(model) if model else chosen.model.source, data, map_, slicing, mask)
    choice = choice.model_copy(update={"joined_characters": joined_characters(data, lines, max_tokens)})
    folder = str(save.expanduser().absolute()) if save is not None else None
    request = HealRequest(**choice.model_dump(), plan=lean(chosen), settings=settings, save_folder=folder)
    found = healed(request, terminal, keep=store, out=out)
    summarise_healing(found, out, terminal)


def heal_settings(typed: Mapping[str, Any]) -> HealSettings:
    """What was typed as settings.

    Raises:
        InputError: a rate or an objective that cannot be meant.
    """
    return HealSettings(
        learning_rates=rates_of(typed["learning_rate"], "--learning-rate"),
        compare=objectives_named(typed["compare"], typed["objective"]),
        slices=tuple(typed["slice_"] or ()),
        chat_template=chat_template_of(typed),
        **{name: typed[name] for name in _AS_TYPED},
    )


def joined_characters(data: Sequence[Path] | None, lines: bool, max_tokens: int) -> int | None:
    """How long lines of plain text are read together: about a window; None: there is none, or each line is a prompt."""
    plain = any(path.suffix.lower() == ".txt" for path in data or ())
    return round(max_tokens * _CHARACTERS_PER_TOKEN) if plain and not lines else None


def chat_template_of(typed: Mapping[str, Any]) -> bool:
    """What was asked for; where nothing was, not for plain text that is read in windows."""
    if typed["chat_template"] is not None:
        return bool(typed["chat_template"])
    files = typed["data"] or ()
    return not files or typed["lines"] or any(Path(path).suffix.lower() != ".txt" for path in files)


def objectives_named(given: Sequence[str] | None, own: HealObjective) -> tuple[HealObjective, ...]:
    """What --compare names, each once, without the objective itself.

    Raises:
        InputError: something that is no objective.
    """
    known: tuple[HealObjective, ...] = get_args(HealObjective)
    unknown = next((one for one in given or () if one not in known), None)
    if unknown is not None:
        raise InputError("--compare {given} is not one of: {known}. Choose among these.", given=unknown[:40], known=known)
    return tuple(objective for objective in known if objective in (given or ()) and objective != own)


def healed(request: HealRequest, terminal: Terminal, *, keep: bool, out: Path | None) -> Healing:
    """The healing, written to its file first: a store that is full or locked costs nothing that was trained.

    Stopped half-way, what was trained so far stays in the storage folder, and the same command goes on from there.
    """
    from analysis.runs.store import open_store
    from analysis.training.heal import run_heal

    store = open_store()
    with stopping() as should_stop:
        with shown_progress(terminal) as show:
            watch = stoppable(show, should_stop)
            folder = _folder(request, watch)
            try:
                found = run_heal(request, on_progress=watch, should_stop=should_stop, folder=folder)
            except Cancelled as exc:
                if any(folder.glob("*")):
                    raise Cancelled("Stopped. What was trained so far is kept; the same command goes on from there.") from exc
                raise
        if out is not None:
            write_document(found, out)
        if keep:
            store.keep_healing(request, found)
        shutil.rmtree(folder, ignore_errors=True)
    return found


def _folder(request: HealRequest, show: Callable[[Progress], None]) -> Path:
    """Where this healing is taken up again: the same place as for a worker that does it."""
    from analysis.models.device import resolve_device
    from analysis.models.load import describe_model
    from analysis.runs.jobs_consensus import heal_folder
    from analysis.runs.keys import heal_key, judged_on
    from analysis.runs.store import this_host
    from analysis.workload import requested_workload

    info = describe_model(request.model, on_progress=stages_of(show)).info
    workload = requested_workload(judged_on(request)).info.content_hash
    device = str(resolve_device(request.settings.device))
    return heal_folder(heal_key(request, commit=info.commit, workload_hash=workload, device=device, host=this_host()))
