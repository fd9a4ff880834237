"""`sweep`: the same fine-tune with several last frozen layers, and which rule would have chosen well."""

from __future__ import annotations

import typer

from analysis.cli import options, options_training
from analysis.cli.sweep_start import Given, ReadAs, start_of
from analysis.cli.terminal import check_output, examples, paragraphs, terminal_of
from analysis.cli.trial import DEFAULTS
from analysis.cli.trial_words import summarise_sweep, summarise_trial
from analysis.cli.trying import boundaries_of, trial_settings, tried
from analysis.contracts import TrialRequest
from analysis.errors import InputError
from analysis.i18n import N_
from analysis.runs.plan_evidence import lean

SHORT_HELP = N_("Fine-tune with several last frozen layers, side by side.")
HELP = paragraphs(
    N_("Fine-tune with several last frozen layers side by side, and say which of them paid and which rule would have chosen well."),
    N_("Examples:"),
    examples(
        "python -m analysis sweep --plan plan.json --data answers.jsonl --boundaries 9,14,19,24 --out sweep.json",
        "python -m analysis sweep --model sample --epochs 2 --out sweep.json",
        "python -m analysis sweep --plan plan.json --data answers.jsonl --release --release-step 2 --max-minutes 60 --out sweep.json",
    ),
    N_(
        "Without --plan one is made by the default rule; traces are measured first where none are kept. "
        "--release frees layers from the output side until a step more gains nothing certain, or the minutes are spent."
    ),
    N_("The first Ctrl-C stops within seconds and keeps what was trained; the same command goes on from there."),
)


def sweep(
    ctx: typer.Context,
    plan: options_training.SweepPlan = None,
    profile: options_training.PlanProfile = None,
    semantics: options_training.SemanticsFile = None,
    model: options_training.SweepModel = None,
    data: options_training.TrialData = None,
    boundaries: options_training.Boundaries = None,
    release: options_training.Release = False,
    release_step: options_training.ReleaseStep = None,
    max_trainable_layers: options_training.MaxReleased = None,
    epochs: options_training.Epochs = DEFAULTS.epochs,
    batch_size: options_training.BatchSize = DEFAULTS.batch_size,
    micro_batch: options_training.MicroBatch = None,
    learning_rate: options_training.LearningRates = None,
    lora_learning_rate: options_training.LoraRates = None,
    compare: options_training.Compare = None,
    lora_rank: options_training.LoraRank = DEFAULTS.lora_rank,
    weight_decay: options_training.WeightDecay = DEFAULTS.weight_decay,
    tuning_share: options_training.TuningShare = DEFAULTS.tuning_share,
    train_norm: options_training.TrainNorm = True,
    cache: options_training.Cache = "auto",
    cache_limit: options_training.CacheLimit = None,
    seed: options_training.TrialSeed = 0,
    max_minutes: options_training.MaxMinutes = None,
    max_tokens: options_training.TrialTokens = DEFAULTS.max_tokens,
    map_: options.Mapping = None,
    slicing: options.Slicing = "given",
    mask: options.Mask = False,
    slice_: options.Slices = None,
    chat_template: options.ChatTemplate = True,
    device: options.Device = "auto",
    dtype: options.Number = "auto",
    out: options_training.OutTrial = None,
    store: options_training.KeepTrial = True,
) -> None:
    """Trains at every boundary, writes what came of it, and says which rule would have chosen well."""
    terminal = terminal_of(ctx)
    if out is not None and str(out) != "-":
        check_output(out)
    settings = trial_settings(
        ctx.params,
        release=release,
        release_step=_step(release, release_step),
        max_trainable=max_trainable_layers if release else None,
    )
    read_as = ReadAs(tuple(data or ()), tuple(map_ or ()), slicing, mask)
    start = start_of(Given(plan, profile, semantics, model), read_as, settings, terminal, keep=store)
    if not release or boundaries is not None:
        settings = settings.model_copy(update={"boundaries": boundaries_of(boundaries, start.plan.model.n_blocks)})
    request = TrialRequest(**start.choice.model_dump(), plan=lean(start.plan), settings=settings)
    found = tried(request, terminal, keep=store, out=out, semantics=start.semantics)
    summarise_trial(found, out, terminal)
    summarise_sweep(found, terminal)


def _step(release: bool, step: int | None) -> int | None:
    if step is not None and not release:
        raise InputError("--release-step belongs to --release. Add it, or leave both out.")
    return step
