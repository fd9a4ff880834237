"""The options of `rank`, `heal`, `robustness` and `plan --criterion consensus`, each with the sentence that explains it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from analysis.contracts import ClassesBy, HealMethod, HealObjective, Rule, Unit
from analysis.i18n import N_

# Of rank

RankProfile = Annotated[
    str | None,
    typer.Option(
        "--profile",
        metavar="FILE",
        help=N_("File written by python -m analysis profile --out, or the id of a kept run: its model, prompts and slices are ranked by."),
    ),
]
RankModel = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="MODEL",
        help=N_("Without --profile: sample, a hub id, a model folder, a .gguf file or a LoRA adapter folder; by default sample."),
    ),
]
Criteria = Annotated[
    str,
    typer.Option(
        metavar="NAMES",
        help=N_(
            "Measures that vote: default, all (with conductance and integrated_gradients, which cost many passes), cheap (without the "
            "loss), members (the paper's eight), or names with commas."
        ),
    ),
]
RankRule = Annotated[Rule, typer.Option(help=N_("How ranks become one order; borda takes --weights."))]
Weights = Annotated[
    str,
    typer.Option(
        metavar="NAME=X,...", help=N_("Weights of measures for the rule borda, e.g. cka=2,taylor=0.5; measures that are not named: 1.")
    ),
]
Steps = Annotated[
    str,
    typer.Option(
        "--steps",
        metavar="AMOUNT",
        help=N_("Take out step by step, all measured again in between, up to this: 6layers, 20%, 20%params. Without it: one ranking."),
    ),
]
PerStep = Annotated[int, typer.Option(metavar="N", min=1, help=N_("Units taken out before everything is measured again."))]
RankUnit = Annotated[Unit, typer.Option("--unit", help=N_("What is ranked: block (whole layers), attention or mlp."))]
RankProtect = Annotated[str, typer.Option(metavar="LAYERS", help=N_("Layers that are measured but never taken out, e.g. 0,1,29."))]
MostPerplexity = Annotated[
    str | None,
    typer.Option(metavar="LIMIT", help=N_("Stop before the calibration perplexity exceeds this: 1.5x, or +50%.")),
]
HeldOut = Annotated[
    list[str] | None,
    typer.Option(
        "--held-out",
        metavar="NAME",
        help=N_("Slice that nothing is chosen by, so that a plan can be judged on work it has never seen. Repeat for several."),
    ),
]
Replicates = Annotated[
    int, typer.Option(metavar="N", min=0, help=N_("Resamples of the prompts, which say how sure the order is; 0: none."))
]
FeatureTokens = Annotated[
    int | None,
    typer.Option(metavar="N", min=1, help=N_("Token positions the eight members look at; by default 8,192 on a GPU, 2,048 elsewhere.")),
]
Classes = Annotated[ClassesBy, typer.Option(help=N_("Where the classes of the Gaussian members come from."))]
AttributionSteps = Annotated[int, typer.Option(metavar="N", min=1, help=N_("Steps of conductance and integrated gradients."))]
RankSeed = Annotated[int, typer.Option(metavar="N", min=0, help=N_("Seed of everything that is drawn."))]
RankExcerpts = Annotated[
    bool, typer.Option("--excerpts/--no-excerpts", help=N_("Keep the first 80 characters of the prompts that lose most."))
]
OutRanking = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help=N_("File that receives the ranking; - for stdout. Without it the ranking is only kept.")),
]
KeepRanking = Annotated[
    bool, typer.Option("--store/--no-store", help=N_("Keep the ranking for the pages, step by step; a stopped one goes on from there."))
]

# Of plan --criterion consensus

RankingFile = Annotated[
    str | None,
    typer.Option(
        "--ranking",
        metavar="FILE",
        help=N_(
            "consensus: file written by python -m analysis rank, or the id of a kept ranking. "
            "Without it: the newest kept one of the profile's model and prompts."
        ),
    ),
]
PlanRule = Annotated[
    Rule | None, typer.Option("--rule", help=N_("consensus: how ranks become one order; by default as the ranking was made."))
]
PlanWeights = Annotated[
    str | None,
    typer.Option("--weights", metavar="NAME=X,...", help=N_("consensus, rule borda: weights, e.g. cka=2,taylor=0.5.")),
]
PlanVoters = Annotated[
    str | None,
    typer.Option("--criteria", metavar="NAMES", help=N_("consensus: only these measures vote: cheap, members, or names with commas.")),
]
OneShot = Annotated[
    bool, typer.Option("--one-shot", help=N_("consensus: by the first ranking alone, lowest first, whatever was measured step by step."))
]

# Of heal

HealData = Annotated[
    list[Path] | None,
    typer.Option(
        "--data",
        "--workload",
        metavar="FILE",
        help=N_(
            "File of prompts, as for profile, or plain text (.txt), which is read in windows without the chat template. Without it: the "
            "files that the plan was made from."
        ),
    ),
]
Lines = Annotated[bool, typer.Option("--lines", help=N_("Plain text: each line is a prompt of its own, as for profile."))]
HealTemplate = Annotated[
    bool | None,
    typer.Option(
        "--chat-template/--no-chat-template",
        help=N_("Wrap prompts in the model's chat template, if it has one. Without it: yes, but not for plain text read in windows."),
        show_default=False,
    ),
]
How = Annotated[HealMethod, typer.Option("--method", help=N_("lora: small matrices beside the weights. full: the weights themselves."))]
Objective = Annotated[
    HealObjective,
    typer.Option(help=N_("What is learnt: the next token, the uncut model's own choices (distillation), or both.")),
]
CompareObjectives = Annotated[
    list[str] | None,
    typer.Option(
        "--compare", metavar="NAME", help=N_("Another objective, trained beside it: next_token, distillation, both. Repeat for several.")
    ),
]
DistillationWeight = Annotated[
    float,
    typer.Option(metavar="SHARE", min=0.0, max=1.0, help=N_("Share of distillation in both; the rest is the next token.")),
]
Temperature = Annotated[float, typer.Option(metavar="X", min=0.01, help=N_("Temperature of distillation."))]
HiddenWeight = Annotated[
    float,
    typer.Option(metavar="X", min=0.0, help=N_("Weight of a term that keeps the direction of the final states; 0: without.")),
]
HealSteps = Annotated[int, typer.Option(metavar="N", min=1, help=N_("Optimiser steps at most."))]
HealRates = Annotated[
    list[float] | None,
    typer.Option("--learning-rate", metavar="RATE", help=N_("Learning rate. Repeat to have the best chosen; by default by method.")),
]
LoraAlpha = Annotated[int, typer.Option(metavar="N", min=1, help=N_("Scale of LoRA's matrices."))]
SelectionShare = Annotated[
    float,
    typer.Option(
        metavar="SHARE",
        min=0.01,
        max=0.5,
        help=N_("Share of the calibration examples kept back to choose rates and when to stop."),
    ),
]
EvaluateEvery = Annotated[int, typer.Option(metavar="N", min=1, help=N_("Steps between looks at the selection part."))]
Patience = Annotated[int, typer.Option(metavar="N", min=1, help=N_("Looks without a gain after which it stops."))]
Control = Annotated[
    bool,
    typer.Option("--control/--no-control", help=N_("Train the uncut model in the same way, to tell healing from mere training.")),
]
SaveFolder = Annotated[
    Path | None, typer.Option("--save", metavar="FOLDER", help=N_("Folder that receives the healed model as a plain Hugging Face model."))
]
OutHealing = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help=N_("File that receives the healing; - for stdout. Without it the healing is only kept.")),
]
KeepHealing = Annotated[bool, typer.Option("--store/--no-store", help=N_("Keep the healing for the pages, with its plan."))]

# Of robustness

Noises = Annotated[
    list[str] | None,
    typer.Option(
        "--noise",
        metavar="NAME",
        help=N_("Disturbance of the text: keyboard, swap, case, spacing, words, or none. Repeat for several; by default all."),
    ),
]
Levels = Annotated[
    list[float] | None,
    typer.Option("--level", metavar="SHARE", help=N_("Share of letters (or words) changed. Repeat; by default 0.02, 0.05, 0.1.")),
]
Attacks = Annotated[
    list[str] | None,
    typer.Option("--attack", metavar="NAME", help=N_("Attack on the embeddings: fgsm, pgd, or none. Repeat for several; by default both.")),
]
Epsilons = Annotated[
    list[float] | None,
    typer.Option(
        "--epsilon",
        metavar="X",
        help=N_("Largest change of a number of an embedding, in root mean squares of all. Repeat; by default 0.05, 0.1, 0.2."),
    ),
]
PgdSteps = Annotated[int, typer.Option(metavar="N", min=1, help=N_("Steps of the attack pgd."))]
AttackExamples = Annotated[int, typer.Option(metavar="N", min=1, help=N_("Prompts that are attacked at most, critical ones first."))]
NeverSeen = Annotated[
    list[str] | None,
    typer.Option(
        "--held-out",
        metavar="NAME",
        help=N_("Slice that the plan was not chosen by. Repeat for several; by default those that the plan itself names."),
    ),
]
Energy = Annotated[bool, typer.Option("--energy/--no-energy", help=N_("Measure the energy of both, or work it out from --watts."))]
Country = Annotated[
    str | None, typer.Option(metavar="CODE", help=N_("Country whose electricity is meant, for the carbon: three letters such as JPN."))
]
Grid = Annotated[
    float | None,
    typer.Option("--grid", metavar="X", min=0.0, help=N_("Your electricity in kg CO2 per kWh; goes before --country.")),
]
Watts = Annotated[
    float | None,
    typer.Option(metavar="X", min=0.1, help=N_("Assumed power of the device in watts where it has no counter; the energy is projected.")),
]
OutRobustness = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help=N_("File that receives the robustness test; - for stdout. Without it the test is only kept.")),
]
KeepRobustness = Annotated[bool, typer.Option("--store/--no-store", help=N_("Keep the robustness test for the pages, with its plan."))]
