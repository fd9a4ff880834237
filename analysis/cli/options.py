"""The options of the commands that run a model, each with the sentence that explains it.

An option whose metavar is its own name in capitals is named in full: Typer 0.27 takes the metavar for the name otherwise.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from analysis.contracts import DType
from analysis.i18n import N_

Model = Annotated[
    str,
    typer.Option(
        "--model",
        metavar="MODEL",
        help=N_("sample, a hub id (owner/name or owner/name@revision), a model folder, a .gguf file or a LoRA adapter folder."),
    ),
]
Workloads = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="FILE",
        help=N_(
            "File of prompts: JSON Lines, JSON, CSV, TSV, Excel, Parquet or text. Repeat for several. Without it: the sample workload."
        ),
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help=N_("File that receives the profile; - for stdout. Without it the profile is only kept in the store.")
    ),
]
Mapping = Annotated[
    list[str] | None,
    typer.Option(
        "--map", metavar="FIELD=COLUMN", help=N_("FIELD=COLUMN when your columns have other names, e.g. prompt=text. Repeat for several.")
    ),
]
Device = Annotated[str, typer.Option("--device", metavar="DEVICE", help=N_("auto, cpu, cuda, cuda:1, mps"))]
Number = Annotated[DType, typer.Option(help=N_("Number format of the weights; auto: float32 on a CPU, the model's own on a GPU."))]
MaxTokens = Annotated[
    int, typer.Option(metavar="N", min=1, help=N_("Longest prompt in tokens; longer ones are cut, counted and reported."))
]
BatchTokens = Annotated[
    int | None, typer.Option(metavar="N", min=1, help=N_("Tokens in one batch. Changes speed and memory, never results."))
]
Slices = Annotated[
    list[str] | None, typer.Option("--slice", metavar="NAME", help=N_("Only this slice of the workload. Repeat for several."))
]
Stack = Annotated[
    str | None,
    typer.Option(metavar="NAME", help=N_("Stack to measure where a model has several, such as encoder or decoder; by default its first.")),
]
Slicing = Annotated[
    Literal["given", "language", "length", "none"],
    typer.Option(help=N_("Where slices come from: the slice column, or made by language or by length.")),
]
Mask = Annotated[bool, typer.Option("--mask", help=N_("Mask likely mail addresses and telephone numbers before the model sees them."))]
ChatTemplate = Annotated[
    bool, typer.Option("--chat-template/--no-chat-template", help=N_("Wrap prompts in the model's chat template, if it has one."))
]
Name = Annotated[str | None, typer.Option("--name", metavar="NAME", help=N_("Name of the run in the list of runs."))]
Excerpts = Annotated[
    bool,
    typer.Option("--excerpts/--no-excerpts", help=N_("Keep the first 80 characters of each prompt in the profile, to tell prompts apart.")),
]
Keep = Annotated[
    bool,
    typer.Option("--store/--no-store", help=N_("Keep the run for the pages; a run that is already kept is not computed again.")),
]

# Of commands that search, verify and export

OutSearch = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help=N_("File that receives every loss that was measured; - for stdout. Without it they are only kept in the store."),
    ),
]
Units = Annotated[
    list[str] | None,
    typer.Option(
        "--unit",
        metavar="UNIT",
        help=N_("What may be left out: block (whole layers), attention, mlp. Repeat for several; by default all three."),
    ),
]
Strategies = Annotated[
    list[str] | None,
    typer.Option(
        "--strategy",
        metavar="NAME",
        help=N_(
            "How sets of layers are found: block_influence, angular_run, one_shot, greedy, beam, last_n, random. "
            "Repeat for several; the plan comes from the first. By default beam."
        ),
    ),
]
Tokens = Annotated[
    int | None,
    typer.Option(
        "--tokens",
        metavar="N",
        min=1,
        help=N_("Calibration tokens that are run at most, taken evenly over slices; by default 16,384 on a GPU and 4,096 elsewhere."),
    ),
]
Protect = Annotated[str, typer.Option(metavar="LAYERS", help=N_("Layers that stay whatever was measured, e.g. 0,1,29."))]
Budget = Annotated[
    str, typer.Option(metavar="AMOUNT", help=N_("How much to remove at most: 20%, 20%params, 20%flops, 20%latency, 1GiB or 6layers."))
]
BeamWidth = Annotated[int, typer.Option(metavar="N", min=1, help=N_("Sets that the beam search follows at once."))]
Seed = Annotated[int, typer.Option(metavar="N", min=0, help=N_("Seed of the random strategy."))]
Op = Annotated[
    Literal["prune", "skip"], typer.Option(help=N_("prune: gone from the saved model. skip: left out while running, can come back."))
]
OutPlan = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help=N_("File that receives the plan; - for stdout. Without it the plan is only kept in the store.")),
]
Context = Annotated[int | None, typer.Option(metavar="N", min=1, help=N_("Sequence length in tokens behind the projected figures."))]
PlanFile = Annotated[
    str, typer.Option("--plan", metavar="FILE", help=N_("File written by python -m analysis plan or search, or the id of a kept plan."))
]
PlansModel = Annotated[
    str | None,
    typer.Option(
        "--model", metavar="MODEL", help=N_("Where the plan's model is found now, if not where the plan says; it must be the same version.")
    ),
]

# Of verify

Tested = Annotated[
    list[Path] | None,
    typer.Option(metavar="FILE", help=N_("File of prompts, as for profile. Without it: the files that the plan was made from.")),
]
Guardrails = Annotated[
    list[str] | None,
    typer.Option(metavar="LIMIT", help=N_('Limit set beforehand, e.g. "perplexity<=1.05x", "flips@critical<=10%". Repeat for several.')),
]
OutVerification = Annotated[Path | None, typer.Option(metavar="FILE", help=N_("File that receives the verification; - for stdout."))]
AllowUndecided = Annotated[
    bool, typer.Option("--allow-undecided", help=N_("Exit with 0 also when there is not enough data to decide a limit."))
]
Texts = Annotated[bool, typer.Option("--texts", help=N_("Write prompts and both models' answers into the file and the certificate too."))]
CertificateFile = Annotated[
    Path | None, typer.Option(metavar="FILE", help=N_("File that receives the certificate: one page of HTML, to print and sign."))
]
MadeBy = Annotated[str, typer.Option(metavar="NAME", help=N_("Who made the certificate, printed as entered."))]
CheckedBy = Annotated[str, typer.Option(metavar="NAME", help=N_("Who checked it, printed as entered."))]
ApprovedBy = Annotated[str, typer.Option(metavar="NAME", help=N_("Who approved it, printed as entered."))]
Generate = Annotated[int, typer.Option(metavar="N", min=0, help=N_("Prompts that both models answer; critical ones first."))]
NewTokens = Annotated[int, typer.Option(metavar="N", min=1, help=N_("Longest generated answer in tokens."))]
Cost = Annotated[bool, typer.Option("--cost/--no-cost", help=N_("Measure times, memory and FLOPs too."))]
BatchSizes = Annotated[
    list[int] | None, typer.Option(metavar="N", min=1, help=N_("Requests timed at once. Repeat for several; by default 1."))
]
PromptTokens = Annotated[
    list[int] | None, typer.Option(metavar="N", min=1, help=N_("Length of the timed prompts. Repeat for several; by default 256."))
]
Tasks = Annotated[
    list[str] | None, typer.Option(metavar="NAME", help=N_("lm-eval task, with requirements-eval.txt installed. Repeat for several."))
]
KeepVerification = Annotated[bool, typer.Option("--store/--no-store", help=N_("Keep the verification for the pages, with its plan."))]
