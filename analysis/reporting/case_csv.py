"""Every table of a business case as CSV text that Excel opens rightly: units in the heads, figures as plain numbers.

Sums are in the case's currency, excluding tax. Unknown is an empty cell. Cash and profit and loss are two tables, never one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from analysis.contracts import BusinessCase, FiscalLines, Message, MoneyPair, Spread
from analysis.economics.stage_language import case_in_language
from analysis.i18n import Language, render, translator
from analysis.reporting.assumption_rows import assumption_rows, figure_name, figure_unit
from analysis.reporting.briefing_clean import clean
from analysis.reporting.briefing_table import ORIGINS, saved_share, way
from analysis.reporting.case_csv_stages import stage_rows
from analysis.reporting.case_pictures import AREA_NAMES, LINE_NAMES
from analysis.reporting.csv import to_csv
from analysis.reporting.headlines_business import slice_words

Rows = Sequence[Mapping[str, object]]
_LONGEST = 400


def tables(case: BusinessCase, language: Language) -> Mapping[str, str]:
    """Table name -> CSV text with a byte order mark; a table that this case has nothing for is left out.

    Args:
        case: whose tables.
        language: of heads and words; figures are the same in both.
    """
    case = case_in_language(case, language)
    made: Mapping[str, Rows] = {
        "results": _results(case, language),
        "before_after": _before_after(case, language),
        "assumptions": _assumptions(case, language),
        "exchange_rates": _rates(case, language),
        "slices": _slices(case, language),
        "lines": _lines(case, language),
        "machines": _machines(case, language),
        "years_cash": [_year(year.year, year.n_months, year.cash, case, language) for year in case.result.years],
        "years_profit": [_year(year.year, year.n_months, year.profit, case, language) for year in case.result.years],
        "cumulative": _cumulative(case, language),
        "sensitivity": _sensitivity(case, language),
        "alternatives": _alternatives(case, language),
        "targets": _targets(case, language),
        "stages": stage_rows(case, language),
    }
    return {name: to_csv(rows).decode("utf-8") for name, rows in made.items() if rows}


def _results(case: BusinessCase, language: Language) -> Rows:
    """One figure a row, with the cautious, the middle and the optimistic case where it was simulated."""
    t, found, unit = translator(language), case.result, translator(language)(case.assumptions.currency)
    monthly, months, share = t("{currency} a month", currency=unit), t("months"), "%"
    simulated = found.simulation
    rows: list[tuple[str, str, float | None, Spread | None, str]] = [
        (t("Start-up cost"), unit, found.start.total, None, ""),
        (t("of this paid to others"), unit, found.start.external, None, ""),
        (t("of this own people's days"), t("days"), found.start.days, None, ""),
        (t("Cash saved"), monthly, found.buckets.cash, None, found.buckets.cash_from or ""),
        (t("Purchases avoided"), monthly, found.buckets.avoided, None, ""),
        (t("Capacity freed"), monthly, found.buckets.freed, None, ""),
        (t("Watching and renewing"), monthly, found.running_per_month, None, ""),
        (t("Extra errors"), monthly, found.quality_per_month, None, ""),
        (t("Net effect, after upkeep"), monthly, found.net_per_month, simulated.net_per_month, ""),
        (t("Share of the cost saved, before upkeep"), share, 100 * found.saving_share, _percent(simulated.saving_share), ""),
        (t("Payback"), months, found.payback_months, simulated.payback_months, _said(found.payback_reason, language)),
        (t("Simulated cases that pay back within the period"), share, 100 * simulated.payback_share, None, ""),
        (t("Net effect over the period"), unit, found.total, None, ""),
        (t("Net present value"), unit, found.npv, simulated.npv, ""),
        (t("Internal rate of return"), t("% a year"), _hundred(found.irr), None, _said(found.irr_reason, language)),
        (t("Break-even"), _amount_of_work(case, language), found.break_even.value, None, ""),
        (t("More wrong answers that eat the saving"), t("a month"), found.break_even_errors, None, ""),
        (t("Price of a wrong answer at which one more in 1,000 requests eats the saving"), unit, found.break_even_error_price, None, ""),
        (t("Cost of waiting"), monthly, found.cost_of_waiting, None, ""),
        (t("Cost of doing nothing over the period"), unit, found.cost_of_nothing, None, ""),
    ]
    return [
        {
            t("figure"): label,
            t("unit"): of,
            t("value"): _round(value),
            t("cautious (P10)"): _round(spread.p10) if spread else None,
            t("median (P50)"): _round(spread.p50) if spread else None,
            t("optimistic (P90)"): _round(spread.p90) if spread else None,
            t("note"): note,
        }
        for label, of, value, spread, note in rows
    ]


def _amount_of_work(case: BusinessCase, language: Language) -> str:
    t = translator(language)
    bill = t("{currency} a month", currency=t(case.assumptions.currency))
    return {"requests": t("requests a month"), "bill": bill, "runs": t("fine-tunes a month")}[case.result.break_even.kind]


def _before_after(case: BusinessCase, language: Language) -> Rows:
    t, found, unit = translator(language), case.result, translator(language)(case.assumptions.currency)
    pairs: list[tuple[str, str, MoneyPair | None]] = [
        (t("Cost, without upkeep"), t("{currency} a month", currency=unit), found.cost),
        (t("Cost of a request"), unit, found.per_request),
        (t("Cost of a million tokens"), unit, found.per_million_tokens),
        (t("Cost of a fine-tune"), unit, found.per_training_run),
        (t("GPU hours"), t("hours a month"), found.gpu_hours),
        (t("Time to the whole answer"), "ms", found.answer_ms),
        (t("Energy"), t("kWh a month"), found.energy_kwh),
        (t("CO2"), t("kg a month"), found.co2_kg),
    ]
    return [
        {
            t("figure"): label,
            t("unit"): of,
            t("today"): _round(pair.today),
            t("with the plan"): _round(pair.plan),
            t("change"): _round(pair.change),
        }
        for label, of, pair in pairs
        if pair is not None
    ]


def _assumptions(case: BusinessCase, language: Language) -> Rows:
    """Starting values without a source first, then what moves the result most."""
    t = translator(language)
    return [
        {
            t("Assumption"): row.label,
            t("unit"): row.unit,
            t("value"): _round(row.value),
            t("low"): _round(row.low),
            t("high"): _round(row.high),
            t("mark"): row.origin,
            t("Source"): clean(row.source, _LONGEST),
            t("address"): clean(row.url, _LONGEST),
            t("as of"): clean(row.as_of, 40),
            t("confirmed by, as entered"): clean(row.confirmed_by, _LONGEST),
            t("to be confirmed"): t("yes") if row.unsourced else t("no"),
            t("name"): row.name,
        }
        for row in assumption_rows(case, language)
    ]


def _rates(case: BusinessCase, language: Language) -> Rows:
    t, unit = translator(language), translator(language)(case.assumptions.currency)
    return [
        {
            t("currency"): t(rate.currency),
            t("worth in {currency}", currency=unit): rate.per_unit,
            t("as of"): clean(rate.as_of, 40),
            t("Source"): clean(rate.source, _LONGEST),
        }
        for rate in case.assumptions.rates
    ]


def _slices(case: BusinessCase, language: Language) -> Rows:
    t, unit = translator(language), translator(language)(case.assumptions.currency)
    return [
        {
            t("slice"): clean(render(slice_words(one.name), language), 200),
            t("requests a month"): _round(one.requests_per_month),
            t("tokens read a request"): _round(one.prompt_tokens),
            t("tokens written a request"): _round(one.new_tokens),
            t("critical"): t("yes") if one.critical else t("no"),
            t("price of a wrong answer ({currency})", currency=unit): _round(one.error_price),
        }
        for one in case.assumptions.slices
    ]


def _lines(case: BusinessCase, language: Language) -> Rows:
    t = translator(language)
    unit = t("{currency} a month", currency=t(case.assumptions.currency))
    return [
        {
            t("cost line"): t(LINE_NAMES[line.line]),
            t("part"): t(AREA_NAMES[line.area]),
            t("{figure} ({unit})", figure=t("today"), unit=unit): _round(line.today),
            t("{figure} ({unit})", figure=t("with the plan"), unit=unit): _round(line.plan),
            t("{figure} ({unit})", figure=t("change"), unit=unit): _round(line.plan - line.today),
        }
        for line in case.result.lines
    ]


def _machines(case: BusinessCase, language: Language) -> Rows:
    t, found = translator(language), case.result.machines
    if found is None:
        return []
    rows: list[tuple[str, float | None, float | None]] = [
        (t("machines by throughput in the peak hour, spare ones not counted"), found.today.by_throughput, found.plan.by_throughput),
        (t("machines that one copy of the model needs for its memory"), found.today.by_memory, found.plan.by_memory),
        (t("whole machines, spare ones among them"), found.today.whole, found.plan.whole),
        (t("machines there are, as entered"), found.stated, None),
        (t("headroom (%)"), None, 100 * found.headroom),
    ]
    return [{t("figure"): label, t("today"): _round(today), t("with the plan"): _round(plan)} for label, today, plan in rows]


def _year(year: int, n_months: int, found: FiscalLines, case: BusinessCase, language: Language) -> Mapping[str, object]:
    t, unit = translator(language), translator(language)(case.assumptions.currency)
    parts = {
        t("start-up cost"): found.start_cost,
        t("saving"): found.saving,
        t("purchases avoided"): found.avoided,
        t("capacity freed"): found.freed,
        t("watching and renewing"): found.running,
        t("extra errors"): found.quality,
        t("tax"): found.tax,
        t("total"): found.total,
    }
    signed = {t("{figure} ({unit})", figure=label, unit=unit): _round(value) for label, value in parts.items()}
    return {t("fiscal year, by its first month"): year, t("months in it"): n_months} | signed


def _cumulative(case: BusinessCase, language: Language) -> Rows:
    t, unit, found = translator(language), translator(language)(case.assumptions.currency), case.result
    curves = {
        t("as assumed"): found.cumulative,
        t("cautious (P10)"): found.simulation.cumulative_p10,
        t("median (P50)"): found.simulation.cumulative_p50,
        t("optimistic (P90)"): found.simulation.cumulative_p90,
    }
    heads = {t("{figure} ({unit})", figure=label, unit=unit): curve for label, curve in curves.items() if curve}
    return [
        {t("month"): month, **{head: _round(curve[month]) if month < len(curve) else None for head, curve in heads.items()}}
        for month in range(len(found.cumulative))
    ]


def _sensitivity(case: BusinessCase, language: Language) -> Rows:
    t, unit = translator(language), translator(language)(case.assumptions.currency)
    value = t("{figure} ({unit})", figure=t("net present value"), unit=unit)
    return [
        {
            t("Assumption"): figure_name(one.name, language),
            t("unit"): figure_unit(one.name, case.assumptions.currency, language),
            t("low"): _round(one.low),
            t("high"): _round(one.high),
            t("{figure}, at low", figure=value): _round(one.npv_low),
            t("{figure}, at high", figure=value): _round(one.npv_high),
            t("{figure}, at low", figure=t("months to payback")): _round(one.payback_low),
            t("{figure}, at high", figure=t("months to payback")): _round(one.payback_high),
            t("name"): one.name,
        }
        for one in case.result.tornado
    ]


def _alternatives(case: BusinessCase, language: Language) -> Rows:
    t, unit = translator(language), translator(language)(case.assumptions.currency)
    monthly = t("{currency} a month", currency=unit)
    return [
        {
            t("Way"): way(one.kind, t),
            t("{figure} ({unit})", figure=t("start-up cost"), unit=unit): _round(one.start_cost),
            t("{figure} ({unit})", figure=t("cost"), unit=monthly): _round(one.cost_per_month),
            t("share of the cost saved (%)"): _round(_hundred(saved_share(one, case))),
            t("months to payback"): _round(one.payback_months),
            t("quality"): _said(one.quality, language),
            t("mark"): t("not yet tested") if one.origin is None else t(ORIGINS[one.origin]),
            t("note"): clean(render(one.note, language), _LONGEST),
        }
        for one in case.result.alternatives
    ]


def _targets(case: BusinessCase, language: Language) -> Rows:
    t = translator(language)
    names = {"cost": t("change of cost, before upkeep"), "quality": t("change of quality"), "payback": t("months to payback")}
    return [
        {
            t("figure"): names[one.kind],
            t("unit"): t("months") if one.unit == "months" else "%",
            t("target from"): _shown(one.low, one.unit),
            t("target to"): _shown(one.high, one.unit),
            t("this case"): _shown(one.own, one.unit),
            t("reached"): t("not known") if one.reached is None else t("yes") if one.reached else t("no"),
        }
        for one in case.result.bands
    ]


def _shown(value: float | None, unit: str) -> float | int | None:
    return _round(_hundred(value) if unit == "share" else value)


def _said(message: Message | None, language: Language) -> str:
    return clean(render(message, language), _LONGEST) if message is not None else ""


def _percent(spread: Spread) -> Spread:
    return Spread(p10=_hundred(spread.p10), p50=_hundred(spread.p50), p90=_hundred(spread.p90))


def _hundred(share: float | None) -> float | None:
    return None if share is None else 100 * share


def _round(value: float | None) -> float | int | None:
    """Six digits, sums of money to the hundredth, whole figures whole: no false tails of binary fractions."""
    if value is None:
        return None
    rounded = float(f"{value:.6g}") if abs(value) < 1000 else round(value, 2)
    return int(rounded) if rounded.is_integer() else rounded
