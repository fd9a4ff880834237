"""The options of the commands about money, each with the sentence that explains it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from analysis.contracts import Basis, Currency, Place
from analysis.i18n import N_

Preset = Literal["standard", "cautious", "bold"]
ReportFormat = Literal["html", "pptx", "ringi", "csv"]

CasePlan = Annotated[
    str | None,
    typer.Option("--plan", metavar="FILE", help=N_("Plan file or id of a kept plan. Without it: the plan of the verification or trial.")),
]
CaseVerification = Annotated[
    str | None,
    typer.Option(
        "--verification", metavar="FILE", help=N_("Verification file or id of a kept one. Without it: what the plan was last verified by.")
    ),
]
CaseTrial = Annotated[
    str | None,
    typer.Option("--trial", metavar="FILE", help=N_("Trial file or id of a kept one. Without it: what the plan was last tried by.")),
]
AssumptionsFile = Annotated[
    str | None,
    typer.Option(
        "--assumptions", metavar="FILE", help=N_("File of assumptions, or a case whose assumptions are taken. Without it: starting values.")
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help=N_("One figure: NAME=VALUE, NAME=LOW..VALUE..HIGH, with @SOURCE behind it if you like. Repeat for several."),
    ),
]
Bill = Annotated[
    str | None,
    typer.Option(
        metavar="AMOUNT", help=N_("Start from this bill a month, for serving or fine-tuning as the plan needs it. 1200000, 120万.")
    ),
]
Requests = Annotated[
    str | None, typer.Option(metavar="N", help=N_("Requests a month in all, spread over the slices as the workload has them."))
]
StartFrom = Annotated[
    Basis | None, typer.Option(help=N_("Where today's cost comes from: bill (the invoice) or volume (requests, measured time, price)."))
]
Where = Annotated[
    Place | None, typer.Option(help=N_("Where it runs: cloud (by the hour), reserved (or leased, until a date), own (own machines)."))
]
Gpu = Annotated[str | None, typer.Option(metavar="NAME", help=N_("The priced device: an id of the catalogue, or a name."))]
CaseCurrency = Annotated[Currency | None, typer.Option(help=N_("Currency of the case; JPY if not said."))]
Rates = Annotated[
    list[str] | None,
    typer.Option(
        "--rate",
        metavar="CURRENCY=RATE@DATE:SOURCE",
        help=N_("What one unit of another currency is worth in the case's, e.g. JPY=0.0061@2026-11-20:ECB. Repeat for several."),
    ),
]
Starts = Annotated[str | None, typer.Option(metavar="DATE", help=N_("First day of the first month, e.g. 2026-12-01."))]
ContractEnds = Annotated[str | None, typer.Option(metavar="DATE", help=N_("Reserved or leased: until when it is paid whatever is used."))]
AfterTax = Annotated[bool, typer.Option("--after-tax", help=N_("After tax; needs --set tax_rate_percent=..."))]
CountCapacity = Annotated[bool, typer.Option("--count-capacity", help=N_("Let freed capacity count towards payback."))]
OtherDevice = Annotated[
    bool,
    typer.Option(
        "--accept-other-device", help=N_("Price a measurement of another kind of device all the same; marked, with a wider range.")
    ),
]
Presets = Annotated[Preset | None, typer.Option(help=N_("Shift the assumptions as a scenario: standard, cautious or bold."))]
CaseName = Annotated[str | None, typer.Option("--name", metavar="NAME", help=N_("Name of the case in the list of cases."))]
Draws = Annotated[int, typer.Option(metavar="N", min=100, max=100_000, help=N_("Simulated cases."))]
CaseSeed = Annotated[int, typer.Option("--seed", metavar="N", min=0, help=N_("Seed of the simulation."))]
WithCase = Annotated[
    str | None, typer.Option("--with-case", metavar="FILE", help=N_("Make no new case: take this one, for --plan-out or its summary."))
]
PlanOut = Annotated[Path | None, typer.Option("--plan-out", metavar="FILE", help=N_("File that receives the plan with this case in it."))]
AssumptionsOut = Annotated[
    Path | None,
    typer.Option(
        "--assumptions-out",
        metavar="FILE",
        help=N_("File that receives the assumptions, to edit and give back; also when they lack a figure."),
    ),
]
OutCase = Annotated[
    Path | None,
    typer.Option(
        "--out", metavar="FILE", help=N_("File that receives the case; - for stdout. Without it the case is only kept in the store.")
    ),
]
KeepCase = Annotated[bool, typer.Option("--store/--no-store", help=N_("Keep the case for the pages."))]

# Of report and stages

CaseFile = Annotated[
    str, typer.Option("--case", metavar="FILE", help=N_("File written by python -m analysis roi, or the id of a kept case."))
]
ReportAs = Annotated[
    ReportFormat,
    typer.Option(
        "--format",
        help=N_("html: a page to print. pptx: slides. ringi: the text of an approval request. csv: every table, as UTF-8 with BOM."),
    ),
]
OutReport = Annotated[
    Path | None,
    typer.Option("--out", metavar="PATH", help=N_("File that receives it; csv: a folder, or a .zip file. html and ringi: - for stdout.")),
]
Author = Annotated[str, typer.Option(metavar="NAME", help=N_("Who wrote it, printed as entered."))]
DecisionOn = Annotated[str, typer.Option(metavar="DATE", help=N_("When the decision is asked for; the rollout's date if not said."))]
RolloutFile = Annotated[
    str | None, typer.Option("--rollout", metavar="FILE", help=N_("File of a rollout. Without it: the plan's kept one, else a proposal."))
]
Monitoring = Annotated[
    list[Path] | None,
    typer.Option(metavar="FILE", help=N_("CSV or .xlsx of days in real use (docs/business_case.md). Repeat for several.")),
]
Actuals = Annotated[list[Path] | None, typer.Option(metavar="FILE", help=N_("CSV or .xlsx of real bills by month. Repeat for several."))]
Alerts = Annotated[Path | None, typer.Option(metavar="FILE", help=N_("File that receives the limits as Prometheus alert rules."))]
GuardrailsOut = Annotated[Path | None, typer.Option("--guardrails", metavar="FILE", help=N_("File that receives the limits as JSON."))]
Runbook = Annotated[Path | None, typer.Option(metavar="FILE", help=N_("File that receives the one-page roll-back."))]
MonitoringTemplate = Annotated[
    Path | None, typer.Option("--monitoring-template", metavar="FILE", help=N_("File that receives an empty CSV of days to fill in."))
]
OutRollout = Annotated[
    Path | None,
    typer.Option(
        "--out", metavar="FILE", help=N_("File that receives the rollout; - for stdout. Without it it is only kept in the store.")
    ),
]
KeepRollout = Annotated[bool, typer.Option("--store/--no-store", help=N_("Keep the rollout for the pages."))]
