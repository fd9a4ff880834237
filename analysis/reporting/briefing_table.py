"""The two tables of the briefing: today and after, and the alternatives; an unknown cell says so in words."""

from __future__ import annotations

from collections.abc import Mapping

from analysis.contracts import Alternative, AlternativeKind, BusinessCase, FigureOrigin, MoneyPair
from analysis.i18n import N_, Language, Translator, render, translator
from analysis.i18n.numbers import duration, number
from analysis.reporting import briefing_quality, headlines_business
from analysis.reporting.briefing_clean import clean
from analysis.reporting.briefing_facts import Facts, freezes
from analysis.reporting.briefing_parts import AlternativeRow, TableRow
from analysis.reporting.money_words import money_cells, months, percent_of, rounded_money

ORIGINS: Mapping[FigureOrigin, str] = {
    "measured": N_("measured"),
    "projected": N_("projected"),
    "assumed": N_("assumed"),
    "elsewhere": N_("measured on another machine"),
}
"""Where a figure comes from, always as a word."""

_WAYS: Mapping[AlternativeKind, str] = {
    "nothing": N_("do nothing"),
    "quantise": N_("quantise only"),
    "smaller_model": N_("a smaller model"),
    "more_machines": N_("more machines"),
    "grow": N_("grow instead of rebuild"),
    "plan": N_("this plan"),
}


def way(kind: AlternativeKind, t: Translator) -> str:
    """An alternative by its name, to stand inside a sentence."""
    return t(_WAYS[kind])


def table_head(t: Translator) -> tuple[str, ...]:
    """Column titles of "today and after"."""
    return (t("Item"), t("today").capitalize(), t("with the plan").capitalize(), t("Change"), t("Mark"))


def table(case: BusinessCase, language: Language) -> tuple[TableRow, ...]:
    """Four rows: cost a month, time, quality, energy."""
    t = translator(language)
    return (_cost(case, language), _time(case, language), _quality(case, language), _energy(case, language, t))


def _cost(case: BusinessCase, language: Language) -> TableRow:
    """Running costs are in the figure after, so that it falls by what is saved; the first point says so."""
    t, result, currency = translator(language), case.result, case.assumptions.currency
    after = cost_after(case)
    unit, (today, with_plan) = money_cells((rounded_money(result.cost.today), after), currency, language)
    return TableRow(
        t("Monthly cost ({unit})", unit=unit),
        today,
        with_plan,
        _cost_change(case, t),
        t(ORIGINS["projected"]),
    )


def cost_after(case: BusinessCase) -> float:
    """Today's cost less the saving, each rounded as it is told, so that the row adds up."""
    saving = rounded_money(case.result.net_per_month, headlines_business.saving_interval(case))
    return rounded_money(case.result.cost.today) - saving


def _cost_change(case: BusinessCase, t: Translator) -> str:
    """No finer than its range."""
    ends, today = headlines_business.saving_share(case), case.result.cost.today
    return t("not yet tested") if ends is None else _change(-case.result.net_per_month / today, t, width=ends[1] - ends[0])


def _time(case: BusinessCase, language: Language) -> TableRow:
    """Of an answer, or of one fine-tune."""
    t, evidence = translator(language), case.evidence
    if freezes(case) and evidence.training is not None:
        hours = evidence.training.hours
        today, after = (duration_text(3600 * value, language) for value in (hours.today, hours.plan))
        return TableRow(t("Trial training"), today, after, _change(hours.ratio - 1, t), _origin(evidence.origin, t))
    found = case.result.answer_ms
    if found is None:
        return _unknown(t("Trial training") if freezes(case) else t("Answer time"), t)
    return TableRow(t("Answer time ({unit})", unit="ms"), *_ends(found, language), _relative(found, t), _origin(evidence.origin, t))


def duration_text(seconds: float, language: Language) -> str:
    """A length of time; below a minute and a half with the digits that tell two apart."""
    if seconds >= 90:
        return duration(seconds, language)
    return {"en": f"{number(seconds, 'en')} s", "ja": f"{number(seconds, 'ja')}秒"}[language]


def _quality(case: BusinessCase, language: Language) -> TableRow:
    """What is lost of quality, or what a trial kept of the gain."""
    t, kept, found = translator(language), briefing_quality.gain_kept(case.evidence), case.evidence.quality
    if kept is not None and kept.value is not None:
        points = 100 * (kept.value - 1)
        sign = t("{n} points less", n=f"{-points:.0f}") if points < -0.5 else t("{n} points more", n=f"{points:.0f}")
        return TableRow(
            t("Gain of the training"),
            "100%",
            f"{100 * kept.value:.0f}%",
            t("no change") if abs(points) < 0.5 else sign,
            _origin("measured", t),
        )
    change = found.quality_change
    if change is None or change.value is None:
        return _unknown(t("Gain of the training") if freezes(case) else t("Quality loss"), t)
    width = None if change.low is None or change.high is None else change.high - change.low
    share = percent_of(change.value, width=width)
    return TableRow(
        t("Quality loss"),
        "0%",
        share,
        t("no change") if share == "0%" else t("worse") if change.value > 0 else t("better"),
        _origin("projected" if found.projected else "measured", t),
    )


def _energy(case: BusinessCase, language: Language, t: Translator) -> TableRow:
    found, training = case.result.energy_kwh, case.evidence.training
    if found is not None and found.today > 0:
        return TableRow(
            t("Energy ({unit} a month)", unit="kWh"), *_ends(found, language), _relative(found, t), _origin(case.evidence.origin, t)
        )
    if freezes(case) and training is not None and training.energy_wh is not None:
        pair = MoneyPair(today=training.energy_wh.today, plan=training.energy_wh.plan)
        return TableRow(t("Energy ({unit})", unit="Wh"), *_ends(pair, language), _relative(pair, t), _origin(case.evidence.origin, t))
    return _unknown(t("Energy"), t)


def _ends(pair: MoneyPair, language: Language) -> tuple[str, str]:
    return number(pair.today, language), number(pair.plan, language)


def _relative(pair: MoneyPair, t: Translator) -> str:
    return _change(pair.change / pair.today if pair.today else None, t)


def _change(share: float | None, t: Translator, *, width: float | None = None) -> str:
    """A change by its size and its word, never by a sign or a colour alone."""
    if share is None:
        return t("not yet tested")
    size = percent_of(abs(share), width=width)
    if size == "0%":
        return t("no change")
    return t("{share} less", share=size) if share < 0 else t("{share} more", share=size)


def _unknown(label: str, t: Translator) -> TableRow:
    untested = t("not yet tested")
    return TableRow(label, untested, untested, untested, t("none"))


def _origin(origin: FigureOrigin, t: Translator) -> str:
    return t(ORIGINS[origin])


def alternatives_head(case: BusinessCase, language: Language) -> tuple[str, ...]:
    """Column titles of the alternatives, sums of money with their unit."""
    t = translator(language)
    unit = _unit(case, language)
    start, cost = (t("{figure} ({unit})", figure=title, unit=unit) for title in (t("Start"), t("Cost a month")))
    return (t("Way"), start, cost, t("Saving"), t("Payback"), t("Quality"), t("Mark"))


def _unit(case: BusinessCase, language: Language) -> str:
    """The unit that all sums of the alternatives share."""
    sums = [amount for one in case.result.alternatives for amount in (one.start_cost, one.cost_per_month) if amount]
    return money_cells(tuple(sums) or (0.0,), case.assumptions.currency, language)[0]


def alternatives(case: BusinessCase, known: Facts, language: Language) -> tuple[AlternativeRow, ...]:
    """Every way to go in the same columns; one that nobody measured says so."""
    return tuple(_alternative(one, case, known, language) for one in case.result.alternatives)


def _alternative(one: Alternative, case: BusinessCase, known: Facts, language: Language) -> AlternativeRow:
    t = translator(language)
    untested = t("not yet tested")
    quality = untested
    if one.kind == "plan" and "quality_change" in known:
        quality = known["quality_change"]  # in the words and digits of the page
    elif one.quality is not None:
        quality = clean(render(one.quality, language), 60)
    elif one.kind == "nothing":
        quality = t("as today")
    share = saved_share(one, case)
    saving = untested if share is None else percent_of(share)
    return AlternativeRow(
        label=way(one.kind, t),
        start=_sum(_rounded(one.start_cost), case, language),
        cost=_sum(
            cost_after(case) if one.kind == "plan" and one.cost_per_month is not None else _rounded(one.cost_per_month), case, language
        ),
        saving=known.get("saving_pct", saving) if one.kind == "plan" else saving,
        payback=_payback(one, language),
        quality=quality,
        origin=untested if one.origin is None else t(ORIGINS[one.origin]),
        note=clean(render(one.note, language), 110),
        own=one.kind == "plan",
    )


def saved_share(one: Alternative, case: BusinessCase) -> float | None:
    """By how much the cost a month falls, running costs included: the same way for every row."""
    today = case.result.cost.today
    if one.cost_per_month is None or today <= 0:
        return one.saving_share
    return 1.0 - one.cost_per_month / today


def _rounded(amount: float | None) -> float | None:
    """Three digits are enough to compare."""
    return None if amount is None else rounded_money(amount)


def _sum(amount: float | None, case: BusinessCase, language: Language) -> str:
    """A sum in the column's unit."""
    if amount is None:
        return translator(language)("not yet tested")
    sums = (one for row in case.result.alternatives for one in (row.start_cost, row.cost_per_month) if one)
    return money_cells((amount, *sums), case.assumptions.currency, language)[1][0]


def _payback(one: Alternative, language: Language) -> str:
    t = translator(language)
    if one.payback_months is not None:
        return months(one.payback_months, language)
    return t("none") if one.kind == "nothing" or one.origin is not None else t("not yet tested")
