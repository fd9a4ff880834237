"""`roi`: what a plan is worth in money, from what was measured of it and what a person assumes."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import typer

from analysis.cli import options_business as options
from analysis.cli.case_documents import read_case, read_verification
from analysis.cli.documents import client_of, read_plan, read_trial, write_document, write_text
from analysis.cli.roi_assumptions import Typed, assumptions_of
from analysis.cli.roi_words import summarise_case, tell_problems
from analysis.cli.terminal import Terminal, check_output, examples, paragraphs, terminal_of
from analysis.contracts import Assumptions, BusinessCase, CaseEvidence, Plan, Trial, Verification, WorkloadInfo
from analysis.errors import InputError
from analysis.i18n import N_

SHORT_HELP = N_("Say what a plan is worth in money: saving, payback, how sure that is.")
HELP = paragraphs(
    N_("Say what a plan is worth in money, from what was measured of it and from assumptions that you can replace one by one."),
    N_("Examples:"),
    examples(
        "python -m analysis roi --plan freeze.json --trial trial.json --bill 1200000 --out case.json",
        "python -m analysis roi --plan plan.json --verification verification.json --requests 2000000 --place cloud --gpu h200 \\",
        "    --set gpu_price_per_hour=650@contract --out case.json",
        "python -m analysis roi --plan plan.json --bill 8000 --currency EUR --rate JPY=0.0061@2026-11-20:ECB --out case.json",
        "python -m analysis roi --plan plan.json --with-case case.json --plan-out plan-with-case.json",
    ),
    N_(
        "A plan that was only projected comes to a rough range; one outside its limits gets its figures under a banner. "
        "Amounts may be written as 1,200,000, 120万 or １，２００，０００."
    ),
)


def roi(
    ctx: typer.Context,
    plan: options.CasePlan = None,
    verification: options.CaseVerification = None,
    trial: options.CaseTrial = None,
    assumptions: options.AssumptionsFile = None,
    set_: options.Settings = None,
    bill: options.Bill = None,
    requests: options.Requests = None,
    basis: options.StartFrom = None,
    place: options.Where = None,
    gpu: options.Gpu = None,
    currency: options.CaseCurrency = None,
    rate: options.Rates = None,
    starts: options.Starts = None,
    contract_ends: options.ContractEnds = None,
    after_tax: options.AfterTax = False,
    count_capacity: options.CountCapacity = False,
    accept_other_device: options.OtherDevice = False,
    scenario: options.Presets = None,
    name: options.CaseName = None,
    draws: options.Draws = 10_000,
    seed: options.CaseSeed = 0,
    with_case: options.WithCase = None,
    plan_out: options.PlanOut = None,
    assumptions_out: options.AssumptionsOut = None,
    out: options.OutCase = None,
    store: options.KeepCase = True,
) -> None:
    """Makes the case, writes it, and says what it comes to."""
    terminal = terminal_of(ctx)
    for path in (out, plan_out, assumptions_out):
        if path is not None and str(path) != "-":
            check_output(path)
    chosen, tested, tried = _given(plan, verification, trial, with_case, terminal)
    if with_case is not None:
        case = _fitting(read_case(with_case), chosen)
    else:
        typed = Typed(
            assumptions, tuple(set_ or ()), bill, requests, basis, place, gpu, currency, tuple(rate or ()), starts, contract_ends,
            after_tax, count_capacity, accept_other_device, scenario,
        )  # fmt: skip
        evidence, workload = _evidence(chosen, tested, tried)
        said = _usable(typed, evidence, workload, assumptions_out, terminal)
        case = _made(evidence, said, name or "", draws, seed)
    if store:
        client_of().save_case(case, name)
    _write(case, chosen, out, plan_out)
    summarise_case(case, terminal, [path for path in (out, plan_out, assumptions_out) if path is not None], case_file=out)


def _given(
    plan: str | None, verification: str | None, trial: str | None, case: str | None, terminal: Terminal
) -> tuple[Plan, Verification | None, Trial | None]:
    """The plan that is asked about: named, or the one that was verified, tried or priced."""
    tested = read_verification(verification) if verification is not None else None
    tried = read_trial(trial) if trial is not None else None
    about = tested.plan_id if tested else tried.plan_id if tried else read_case(case).evidence.plan_id if case else None
    if plan is None and about is None:
        raise InputError("Nothing says which plan this is about. Name it with --plan, or give its --verification or its --trial.")
    if plan is not None:
        return read_plan(plan, terminal), tested, tried
    if all(one.id != about for one in client_of().plans()):
        raise InputError("Plan {plan}, which this was made from, is not kept here. Name its file with --plan.", plan=str(about)[:80])
    return client_of().plan(str(about)), tested, tried


def _evidence(plan: Plan, tested: Verification | None, tried: Trial | None) -> tuple[CaseEvidence, WorkloadInfo | None]:
    """What is known of the plan: a file's plan may have been run here since."""
    from analysis.economics.evidence import evidence_of

    client = client_of()
    kept = client.plan(plan.id) if any(one.id == plan.id for one in client.plans()) else None
    if kept is not None and plan.verification is None and plan.trial is None:
        plan = plan.model_copy(update={"verification": kept.verification, "trial": kept.trial})
    known = plan.model_copy(update={"verification": tested or plan.verification, "trial": tried or plan.trial})
    return evidence_of(known), client.workload_of(known)


def _usable(
    typed: Typed, evidence: CaseEvidence, workload: WorkloadInfo | None, out: Path | None, terminal: Terminal, today: date | None = None
) -> Assumptions:
    """The assumptions, once nothing stands against them; every field that does is said.

    Raises:
        InputError: some field cannot be used.
    """
    from analysis.economics.catalogue import DEVICES, device
    from analysis.economics.check import check_assumptions

    said = assumptions_of(typed, evidence, workload, today=today)
    if typed.gpu and device(said.gpu) is None:
        terminal.tell(
            "{gpu} is not in the catalogue, so its memory and power are not known. In it: {known}.", gpu=said.gpu, known=tuple(DEVICES)
        )
    if out is not None:
        write_document(said, out)
    problems = check_assumptions(said, evidence)
    if problems:
        tell_problems(problems, terminal)
        raise InputError(
            "The case cannot be worked out yet: {n} assumptions are missing or cannot be right (above). "
            "Give them with --set NAME=VALUE, or in the file of --assumptions.",
            n=len(problems),
        )
    return said


def _made(evidence: CaseEvidence, said: Assumptions, name: str, draws: int, seed: int) -> BusinessCase:
    from analysis.economics.case import make_case

    rollout = client_of().rollout(evidence.plan_id)
    return make_case(evidence, said, name=name, rollout=rollout, draws=draws, seed=seed)


def _fitting(case: BusinessCase, plan: Plan) -> BusinessCase:
    if case.evidence.plan_id != plan.id:
        raise InputError(
            "This business case is of plan {given}, not of plan {plan}. Choose the one that was made from this plan.",
            given=case.evidence.plan_id[:80],
            plan=plan.id,
        )
    return case


def _write(case: BusinessCase, plan: Plan, out: Path | None, plan_out: Path | None) -> None:
    from analysis.planning import plan_to_json

    if out is not None:
        write_document(case, out)
    if plan_out is not None:
        write_text(plan_to_json(plan.model_copy(update={"business_case": case})), plan_out)
