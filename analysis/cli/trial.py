"""`trial`: a real fine-tune with a plan's layers frozen, beside full fine-tuning and LoRA."""

from __future__ import annotations

import typer

from analysis.cli import options, options_training
from analysis.cli.choosing import chosen_workload
from analysis.cli.documents import read_plan
from analysis.cli.terminal import check_output, examples, paragraphs, terminal_of
from analysis.cli.trial_words import summarise_trial
from analysis.cli.trying import trial_settings, tried
from analysis.contracts import TrialRequest, TrialSettings
from analysis.i18n import N_
from analysis.runs.plan_evidence import lean

SHORT_HELP = N_("Fine-tune with a plan's layers frozen, beside full fine-tuning.")
HELP = paragraphs(
    N_("Fine-tune on your own examples with a plan's layers frozen, beside full fine-tuning and LoRA, and say what that cost and gained."),
    N_("Examples:"),
    examples(
        "python -m analysis trial --plan plan.json --data answers.jsonl --epochs 3 --out trial.json",
        "python -m analysis trial --plan plan.json --data gsm8k.jsonl --map prompt=question --map response=answer --batch-size 8 \\",
        "    --learning-rate 1e-5 --learning-rate 3e-5 --compare full --cache disk --cache-limit 2GiB --max-minutes 20 --out trial.json",
    ),
    N_(
        "Only responses are learnt. Learning rates are chosen on a part of the training examples; the verification half judges and is "
        "never learnt from. The model itself is not changed and nothing of it is saved."
    ),
    N_("The first Ctrl-C stops within seconds and keeps what was trained; the same command goes on from there."),
)
DEFAULTS = TrialSettings()


def trial(
    ctx: typer.Context,
    plan: options.PlanFile,
    data: options_training.TrialData = None,
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
    model: options.PlansModel = None,
    device: options.Device = "auto",
    dtype: options.Number = "auto",
    out: options_training.OutTrial = None,
    store: options_training.KeepTrial = True,
) -> None:
    """Trains, writes what came of it, and says what freezing saved and kept."""
    from analysis.models.source import parse_source

    terminal = terminal_of(ctx)
    if out is not None and str(out) != "-":
        check_output(out)
    settings = trial_settings(ctx.params)
    chosen = read_plan(plan, terminal)
    choice = chosen_workload(parse_source(model) if model else chosen.model.source, data, map_, slicing, mask)
    found = tried(TrialRequest(**choice.model_dump(), plan=lean(chosen), settings=settings), terminal, keep=store, out=out)
    summarise_trial(found, out, terminal)
    if out is not None and str(out) != "-":
        terminal.tell("Next: {command}", command=f"python -m analysis roi --plan {plan} --trial {out} --bill 1200000 --out case.json")
