"""What the slides say that the page does not: titles that are the message, and under every picture where it comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from analysis.contracts import BusinessCase
from analysis.i18n import Language, translator
from analysis.reporting.assumption_rows import figure_name
from analysis.reporting.briefing_clean import clean
from analysis.reporting.briefing_parts import Briefing
from analysis.reporting.headlines_business import horizon
from analysis.reporting.money_words import day, percent_of, whole_months

SAID_ON: Mapping[int, tuple[int, ...]] = {1: (1,), 2: (2,), 3: (6,), 4: (3, 4), 5: (7,), 6: (5, 8)}
"""Slide -> the numbers of the sentences to say there."""


@dataclass(frozen=True)
class Titles:
    """One message a slide."""

    saving: str
    basis: str
    change: str
    quality: str
    money: str
    stages: str
    sources: str


def titles(briefing: Briefing, case: BusinessCase) -> Titles:
    """The titles, each in the form that the evidence allows: a slide can say no."""
    t = translator(briefing.language)
    return Titles(
        saving=_saving(briefing, case),
        basis=_basis(briefing, case),
        change=t("What changes, and what does not"),
        quality=_quality(briefing, case),
        money=_money(briefing, case),
        stages=_stages(briefing, case),
        sources=t("Where the figures come from, and the terms"),
    )


def _saving(briefing: Briefing, case: BusinessCase) -> str:
    t, said = translator(briefing.language), briefing.words
    if briefing.standing == "outside":
        return t("Tested, and not recommended")
    if case.result.payback_months is None:
        return t("Not worth it at today's volume")
    if briefing.standing == "undecided":
        return t("Not decided: more cases are needed")
    if briefing.standing == "rough" and {"saving_pct", "cost_name"} <= said.keys():
        return t(
            "Perhaps {saving_pct} less for the {cost_name}: an estimate before any test",
            saving_pct=said["saving_pct"],
            cost_name=said["cost_name"],
        )
    return briefing.title


def _basis(briefing: Briefing, case: BusinessCase) -> str:
    t, n = translator(briefing.language), case.evidence.n_prompts
    if briefing.standing == "rough" and not n:
        return t("Projected only; nothing has been run yet")
    if briefing.standing == "rough":
        return t("Projected from {n_prompts} cases; nothing has been run yet", n_prompts=n)
    if case.evidence.is_sample:
        return t("Measured on {n_prompts} cases of the sample", n_prompts=n)
    return t("Measured on {n_prompts} of our own cases", n_prompts=n)


def _quality(briefing: Briefing, case: BusinessCase) -> str:
    t = translator(briefing.language)
    if briefing.standing == "outside":
        return t("Outside the limit: not recommended")
    if briefing.standing == "rough":
        return t("Quality is projected, not measured")
    if briefing.standing == "undecided":
        return t("Not enough data yet to judge the quality")
    kept = case.evidence.training.kept_gain if case.evidence.training else None
    if kept is not None and kept.value is not None and not case.evidence.guardrails:
        width = None if kept.low is None or kept.high is None else kept.high - kept.low
        return t("The trial kept {g} of the improvement", g=percent_of(kept.value, width=width))
    if not case.evidence.guardrails:
        return t("Quality as measured; no limit was set first")
    return t("Quality stayed within the limits we set first")


def _money(briefing: Briefing, case: BusinessCase) -> str:
    t, payback = translator(briefing.language), case.result.payback_months
    if briefing.standing == "outside":
        return t("Money alone does not decide: a limit was missed")
    if payback is None:
        return t("At today's volume it does not pay back")
    places = {"payback_months": whole_months(payback)}
    if not case.result.tornado:
        return t("Back in {payback_months} months", **places)
    driver = briefing.words.get("top_driver") or figure_name(case.result.tornado[0].name, briefing.language)
    if briefing.standing in ("rough", "undecided"):
        return t("Estimated: back in {payback_months} months; {top_driver} matters most", top_driver=driver, **places)
    return t("Back in {payback_months} months; {top_driver} matters most", top_driver=driver, **places)


def _stages(briefing: Briefing, case: BusinessCase) -> str:
    t = translator(briefing.language)
    if says_no(briefing, case):
        return t("No rollout now; the ways there are")
    if briefing.standing in ("rough", "undecided"):
        return t("First verify, then decide on stage 1")
    return t("Stage 1 now, and when we would stop")


def says_no(briefing: Briefing, case: BusinessCase) -> bool:
    """Whether nothing is to be rolled out: a limit was missed, or the plan never pays back."""
    return briefing.standing == "outside" or case.result.payback_months is None


def times_source(case: BusinessCase, language: Language) -> str:
    """Where the times behind the money come from."""
    t, evidence = translator(language), case.evidence
    if evidence.origin == "projected" or not evidence.device_name:
        return t("Projected: the share saved, from the model's structure; nothing has been run.")
    places = {"device": clean(evidence.device_name, 50), "date": day(evidence.measured_at, language) or t("date not known")}
    if evidence.origin == "elsewhere":
        return t("Measured on another machine: the share saved, on {device}, {date}.", **places)
    return t("Measured: the share saved, on {device}, {date}.", **places)


def money_source(case: BusinessCase, language: Language) -> str:
    """What a sum of money rests on: figures that people gave, times that a machine gave."""
    assumed = translator(language)("Assumed: bill or prices, volume and days (slide 7).")
    return f"{assumed} {times_source(case, language)}" if language == "en" else assumed + times_source(case, language)


def cash_source(case: BusinessCase, language: Language) -> str:
    """What the band rests on, and how far it reaches."""
    t, simulation = translator(language), case.result.simulation
    return t(
        "Band: the middle 80 of 100 simulated cases. Projected: {draws} cases (seed {seed}) over {months} months, "
        "every assumption within its range.",
        draws=simulation.draws,
        seed=str(simulation.seed),
        months=round(horizon(case)),
    )


def basis_source(briefing: Briefing, case: BusinessCase) -> str:
    """Where the examples come from and which of them judged; the workload's own name only where the page has it."""
    language, evidence = briefing.language, case.evidence
    t, assumed = translator(language), translator(language)("Requests a month: assumed.")
    named = t("Workload: {name}.", name=clean(evidence.workload_name, 60))
    parts = [named] if evidence.workload_name and named in briefing.sources else []
    if evidence.standing != "rough" and evidence.device_name:
        measured = t(
            "Measured on {device}, {date}, seed {seed}.",
            device=clean(evidence.device_name, 50),
            date=day(evidence.measured_at, language) or t("date not known"),
            seed=str(evidence.seed),
        )
        parts.insert(0, measured)
    return {"en": " ", "ja": ""}[language].join([*parts, assumed])


def quality_source(case: BusinessCase, language: Language) -> str:
    """Which examples judged the quality, and with what certainty."""
    t, evidence = translator(language), case.evidence
    if evidence.quality.projected or evidence.standing == "rough":
        return t("Projected from the profile of the layers; nothing has been run.")
    return t(
        "Measured: {n} examples that had no part in choosing the plan, {date}; lines: 95% intervals.",
        n=evidence.n_judged,
        date=day(evidence.measured_at, language) or t("date not known"),
    )


def change_source(briefing: Briefing, case: BusinessCase) -> str:
    """Which plan of which model is drawn."""
    t, evidence = translator(briefing.language), case.evidence
    return t(
        "Plan {plan}, model {model} ({commit}). Halves are drawn equally wide. Marks: see the table's last column.",
        plan=evidence.plan_id,
        model=clean(evidence.model_name, 60),
        commit=evidence.model_commit[:8],
    )


def stages_source(case: BusinessCase, language: Language) -> str:
    """Who set the stages, and whether the way back was tried."""
    t, rollout = translator(language), case.rollout
    if rollout is None or case.standing == "outside" or case.result.payback_months is None:
        return t("Assumed: amounts and days, as entered.")
    if rollout.rehearsal is None:
        return t("Assumed: stages, dates and people, as entered. The way back has not been rehearsed yet.")
    return t(
        "Assumed: stages, dates and people, as entered. Measured: roll-back in {minutes} minutes, {date}.",
        minutes=rollout.rehearsal.minutes,
        date=day(rollout.rehearsal.on, language) or t("date not known"),
    )
