"""The options of the commands that freeze and train, each with the sentence that explains it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from analysis.contracts import Aggregate, CacheKind, TrainMethod
from analysis.i18n import N_

# Of profile --semantics

WithSemantics = Annotated[
    bool,
    typer.Option(
        "--semantics", help=N_("Also measure, in the same pass, how the states move towards the right word: what freezing is chosen by.")
    ),
]
OutSemantics = Annotated[
    Path | None, typer.Option(metavar="FILE", help=N_("With --semantics: file that receives the traces; - for stdout."))
]
Vocabulary = Annotated[
    Literal["all", "responses"],
    typer.Option(help=N_("With --semantics: the words that states are compared with: all, or those of the workload's responses.")),
]
Words = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help=N_("With --semantics: compare with the words in this file only, one a line.")),
]

# Of plan

PlanOperation = Literal["prune", "skip", "freeze"]
PlanOp = Annotated[
    PlanOperation,
    typer.Option(
        help=N_(
            "prune: gone from the saved model. skip: left out while running, can come back. "
            "freeze: kept as it is while the rest is trained."
        )
    ),
]
PlanBudget = Annotated[
    str | None,
    typer.Option(
        "--budget",
        metavar="AMOUNT",
        help=N_(
            "How much to remove: 20%, 20%params, 20%flops, 20%latency, 1GiB or 6layers. "
            "freeze: what training may take at most: 6layers, 60%flops, 5GiB or 20min."
        ),
    ),
]
PlanProfile = Annotated[
    str | None,
    typer.Option("--profile", metavar="FILE", help=N_("File written by python -m analysis profile --out, or the id of a kept run.")),
]
PlanSearch = Annotated[
    str | None,
    typer.Option(
        "--search",
        metavar="FILE",
        help=N_("File written by python -m analysis scan or search, or the id of a kept search: the plan then comes from measured losses."),
    ),
]
PlanUnits = Annotated[
    list[str] | None,
    typer.Option(
        "--unit",
        metavar="UNIT",
        help=N_("Remove whole layers (block), or only their attention or their mlp. With --search it may be repeated."),
    ),
]
Criterion = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help=N_("block_influence: least change first (default). angular_distance: the most similar run of layers.")
    ),
]
PlanStrategy = Annotated[
    str | None,
    typer.Option(
        "--strategy",
        metavar="NAME",
        help=N_(
            "With --search: whose answer is taken, e.g. beam (default), greedy, one_shot, last_n. freeze: the rule that chooses: "
            "sweep, train_last, gain, scaled_gain, exponent, smallest_deviation, lens, gradient, plasticity."
        ),
    ),
]
PlanName = Annotated[str, typer.Option("--name", metavar="NAME", help=N_("Name of the plan."))]
KeepPlan = Annotated[bool, typer.Option("--store/--no-store", help=N_("Keep the plan for the pages."))]

# Of plan --op freeze

SemanticsFile = Annotated[
    str | None,
    typer.Option(
        "--semantics",
        metavar="FILE",
        help=N_("freeze: file written by python -m analysis profile --semantics-out, or the id of kept traces."),
    ),
]
TrialFile = Annotated[
    str | None,
    typer.Option(
        "--trial",
        metavar="FILE",
        help=N_(
            "freeze, strategies sweep and plasticity: file written by python -m analysis trial or sweep, or the id of a kept one. "
            "Without it: the newest that is kept."
        ),
    ),
]
FreezeModel = Annotated[
    str | None,
    typer.Option("--model", metavar="MODEL", help=N_("freeze: the model, where neither a profile nor traces are given.")),
]
EofLayerByHand = Annotated[
    int | None,
    typer.Option(
        "--eof-layer", metavar="N", min=-1, help=N_("freeze: the last frozen layer, chosen by hand, counted from 0; -1 freezes none.")
    ),
]
MaxTrainable = Annotated[
    int | None, typer.Option("--max-trainable-layers", metavar="N", min=1, help=N_("freeze: layers that may train at most."))
]
HowAggregated = Annotated[
    Aggregate, typer.Option(help=N_("freeze: mean follows the curve over all prompts, vote what most prompts choose for themselves."))
]
PlannedEpochs = Annotated[int, typer.Option("--epochs", metavar="N", min=1, help=N_("freeze: epochs behind the projected hours."))]
PlannedBatch = Annotated[
    int | None, typer.Option("--batch-size", metavar="N", min=1, help=N_("Sequences in a training step; by default 8."))
]
SequenceTokens = Annotated[
    int | None, typer.Option("--sequence-tokens", metavar="N", min=1, help=N_("Padded length of a training sequence; by default 512."))
]
Method = Annotated[
    TrainMethod | None, typer.Option(help=N_("full: the weights themselves train (default). lora: small matrices beside them."))
]
LoraRankOr = Annotated[int | None, typer.Option("--lora-rank", metavar="N", min=1, help=N_("Rank of LoRA's matrices; by default 16."))]
BaseBits = Annotated[
    int | None,
    typer.Option("--base-bits", metavar="BITS", help=N_("Bits of a frozen weight: 32, 16, or with lora also 8 and 4 (a quantised base).")),
]
Price = Annotated[float | None, typer.Option(metavar="AMOUNT", min=0.0, help=N_("freeze: price of an hour on this device."))]
Currency = Annotated[str, typer.Option(metavar="CODE", help=N_("freeze: currency of --price, e.g. EUR."))]

# Of trial and sweep

TrialData = Annotated[
    list[Path] | None,
    typer.Option(
        "--data",
        "--workload",
        metavar="FILE",
        help=N_("File of prompts with responses, as for profile. Without it: the files that the plan was made from."),
    ),
]
Epochs = Annotated[int, typer.Option(metavar="N", min=1, help=N_("Times each training example is seen."))]
BatchSize = Annotated[int, typer.Option(metavar="N", min=1, help=N_("Examples in an optimiser step."))]
MicroBatch = Annotated[
    int | None, typer.Option(metavar="N", min=1, help=N_("Examples in one pass; fewer take less memory. By default the whole batch."))
]
LearningRates = Annotated[
    list[float] | None,
    typer.Option(
        "--learning-rate",
        metavar="RATE",
        help=N_(
            "Learning rate of full and frozen runs. Repeat to have the best chosen; by default 3e-5, 1e-4 and 3e-4, and on from there."
        ),
    ),
]
LoraRates = Annotated[
    list[float] | None,
    typer.Option(
        "--lora-learning-rate",
        metavar="RATE",
        help=N_("Learning rate of LoRA runs. Repeat to have the best chosen; by default 1e-4, 3e-4 and 1e-3, and on from there."),
    ),
]
Compare = Annotated[
    list[str] | None,
    typer.Option(
        "--compare",
        metavar="NAME",
        help=N_("What is trained beside the plan: full, lora, lora_freeze, or none. Repeat for several; by default full and lora."),
    ),
]
Cache = Annotated[
    CacheKind,
    typer.Option(
        help=N_("Where the frozen layers' output is kept from the first epoch on, so that they are not computed again: in memory, on disk.")
    ),
]
CacheLimit = Annotated[
    str | None, typer.Option(metavar="SIZE", help=N_("Most that this cache may take, e.g. 2GiB; by default half of what is free."))
]
TrialSeed = Annotated[int, typer.Option(metavar="N", min=0, help=N_("Seed of the order of examples and of LoRA's first weights."))]
MaxMinutes = Annotated[
    float | None, typer.Option(metavar="N", min=0.01, help=N_("Minutes of training at most, over all runs together; by default no limit."))
]
TrialTokens = Annotated[
    int, typer.Option(metavar="N", min=1, help=N_("Longest example in tokens; longer ones are cut at the end, counted and reported."))
]
LoraRank = Annotated[int, typer.Option(metavar="N", min=1, help=N_("Rank of LoRA's matrices."))]
TuningShare = Annotated[
    float,
    typer.Option(
        metavar="SHARE", min=0.0, max=0.5, help=N_("Share of the training examples kept back to choose learning rates and stops.")
    ),
]
WeightDecay = Annotated[float, typer.Option(metavar="X", min=0.0, help=N_("Weight decay of the optimiser."))]
TrainNorm = Annotated[bool, typer.Option("--train-norm/--no-train-norm", help=N_("The norm after the last layer trains too."))]
OutTrial = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help=N_("File that receives the trial; - for stdout. Without it the trial is only kept in the store.")),
]
KeepTrial = Annotated[bool, typer.Option("--store/--no-store", help=N_("Keep the trial for the pages, with its plan."))]
Boundaries = Annotated[
    str | None,
    typer.Option(metavar="LAYERS", help=N_("Last frozen layers to try, e.g. 9,14,19,24; by default four, evenly over the stack.")),
]
Release = Annotated[
    bool,
    typer.Option("--release", help=N_("Free one step of layers more at a time, from the output side, until that gains nothing certain.")),
]
ReleaseStep = Annotated[
    int | None, typer.Option(metavar="N", min=1, help=N_("With --release: layers freed at a time; by default a tenth of the stack."))
]
SweepPlan = Annotated[
    str | None,
    typer.Option(
        "--plan",
        metavar="FILE",
        help=N_(
            "File written by python -m analysis plan --op freeze, or the id of a kept plan. Without it one is made by the default rule."
        ),
    ),
]
SweepModel = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="MODEL",
        help=N_("Without --plan: the model (sample if nothing is given). With --plan: where its model is found now."),
    ),
]
MaxReleased = Annotated[
    int | None, typer.Option("--max-trainable-layers", metavar="N", min=1, help=N_("With --release: layers that may be freed at most."))
]
