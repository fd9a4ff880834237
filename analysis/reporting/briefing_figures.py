"""Every figure of the briefing with where it comes from: measured, projected, or put in by a person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from analysis.contracts import BusinessCase, FigureOrigin
from analysis.economics.names import FIGURES
from analysis.i18n import Language, translator
from analysis.i18n.numbers import number
from analysis.reporting.briefing_assumed import label, range_text, source_text
from analysis.reporting.briefing_clean import clean
from analysis.reporting.briefing_facts import Facts
from analysis.reporting.briefing_parts import Counts, SourcedFigure, TableRow
from analysis.reporting.money_words import of_100

_FIRST = ("horizon_months", "discount_rate_percent")


def figures(case: BusinessCase, known: Facts, rows: tuple[TableRow, ...], language: Language) -> tuple[SourcedFigure, ...]:
    """Measured figures first, then what was worked out, then what a person assumed (without a source first)."""
    return (*_measured(case, known, rows, language), *_worked_out(case, known, language), *_assumed(case, language))


def counts(found: tuple[SourcedFigure, ...]) -> Counts:
    """How many figures are of each kind."""
    by_origin = Counter(figure.origin for figure in found)
    return Counts(by_origin["measured"], by_origin["projected"], by_origin["assumed"], by_origin["elsewhere"])


def _measured(case: BusinessCase, known: Facts, rows: tuple[TableRow, ...], language: Language) -> Iterator[SourcedFigure]:
    t, evidence = translator(language), case.evidence
    test = _test_line(case, language)
    if "n_prompts" in known:
        yield SourcedFigure(t("Prompts of the workload"), known["n_prompts"], t("counted in the workload"), "measured")
    untested = t("not yet tested")
    for row in (rows[1], rows[3]):
        if row.after != untested:
            yield SourcedFigure(row.label, t("{today}, with the plan {after}", today=row.today, after=row.after), test, evidence.origin)
    if "quality_change" in known:
        origin: FigureOrigin = "projected" if evidence.quality.projected else "measured"
        said = known["quality_change"]
        if "quality_ci" in known:
            said = t("{value} ({range})", value=said, range=known["quality_ci"])
        yield SourcedFigure(t("Quality"), said, test, origin)
    if "flips" in known:
        said = t("{flips} of {n} changed, at most {upper}", flips=known["flips"], n=known["n_critical"], upper=known["flip_upper"])
        yield SourcedFigure(t("Critical cases"), said, test, "measured")
    if "rollback_minutes" in known and case.rollout is not None and case.rollout.rehearsal is not None:
        rehearsal = case.rollout.rehearsal
        line = t(
            "rehearsal of {date} by {who} (as entered, not verified)", date=known.get("rehearsal_date", ""), who=clean(rehearsal.who, 40)
        )
        yield SourcedFigure(t("Minutes to roll back"), known["rollback_minutes"], line, "measured")


def _test_line(case: BusinessCase, language: Language) -> str:
    t, evidence = translator(language), case.evidence
    if evidence.verification_id is not None and (evidence.trial_id is None or evidence.training is None):
        return t("verification {id}, {n} prompts, {machine}", id=evidence.verification_id[:12], n=evidence.n_judged, machine=_machine(case))
    if evidence.trial_id is not None:
        return t("trial {id}, {n} prompts judged, {machine}", id=evidence.trial_id[:12], n=evidence.n_judged, machine=_machine(case))
    return t("projection of plan {id} from a first measurement", id=evidence.plan_id[:12])


def _machine(case: BusinessCase) -> str:
    return clean(case.evidence.device_name, 40)


def _worked_out(case: BusinessCase, known: Facts, language: Language) -> Iterator[SourcedFigure]:
    t, result = translator(language), case.result
    rough = case.standing == "rough"
    drawn = t(
        "from the projected ratio and the assumptions; range: P10 to P90 of {n} draws, seed {seed}"
        if rough
        else "from the measured ratio and the assumptions; range: P10 to P90 of {n} draws, seed {seed}",
        n=result.simulation.draws,
        seed=str(result.simulation.seed),
    )
    computed = t("from the projected ratio and the assumptions" if rough else "from the measured ratio and the assumptions")
    yield SourcedFigure(t("Cost a month today"), known["today_cost"], t("from the assumptions"), "assumed")
    said = t("{value} ({low} to {high})", value=known["saving_bare"], low=known["saving_low"], high=known["saving_high"])
    yield SourcedFigure(t("Saving a month after upkeep"), said, drawn, "projected")
    for title, place in (
        (t("Cash saving a month"), "cash"),
        (t("Purchases avoided a month"), "avoided"),
        (t("Freed capacity a month"), "freed"),
    ):
        yield SourcedFigure(title, known[place], computed, "projected")
    if "payback_months" in known:
        yield SourcedFigure(t("Payback"), t("{n} months", n=known["payback_months"]), computed, "projected")
    yield SourcedFigure(t("Net present value"), known["npv"], drawn, "projected")
    share = t("{k} of 100 cases", k=number(of_100(result.simulation.payback_share), language))
    yield SourcedFigure(t("Pays back within the evaluation period"), share, drawn, "projected")
    yield SourcedFigure(t("Start-up cost"), known["start_amount"], t("person-days x their price, and what is paid to others"), "assumed")


def _assumed(case: BusinessCase, language: Language) -> Iterator[SourcedFigure]:
    """What a person put in, as far as it has a value; what nobody has confirmed stands first."""
    values, currency = case.assumptions.values, case.assumptions.currency
    named = [(name, given) for name, given in values.items() if given.value is not None and _enters(case, name)]
    for name, given in sorted(named, key=lambda pair: (pair[1].sourced or bool(pair[1].confirmed_by), pair[0] not in _FIRST)):
        yield SourcedFigure(label(name, language), range_text(name, given, currency, language), source_text(given, language), given.origin)


def _enters(case: BusinessCase, name: str) -> bool:
    """Whether the figure is used in this case's arithmetic; unknown names are shown."""
    known = FIGURES.get(name)
    return known is None or known.used(case.assumptions, case.evidence)
