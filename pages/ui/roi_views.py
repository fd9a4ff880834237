"""The evidence under the answer: charts and tables of a business case."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import streamlit as st

from analysis.contracts import BusinessCase, FiscalLines, MoneyPair
from analysis.contracts.business import AlternativeKind
from analysis.i18n import N_, render
from analysis.i18n.numbers import number, percent
from analysis.reporting.case_pictures import AREA_NAMES, LINE_NAMES, MoneyUnit, money_unit
from analysis.reporting.charts import bands as band_charts
from analysis.reporting.charts import cash_flow as cash_charts
from analysis.reporting.charts import tornado as tornado_charts
from analysis.reporting.charts import waterfall as waterfall_charts
from analysis.reporting.headlines_business import still_machines
from analysis.reporting.money_words import fiscal_year, money, months, percent_of
from pages.ui.charts import draw, look
from pages.ui.evidence import Rows, download_rows, how_do_we_know, section, table
from pages.ui.glossary import term
from pages.ui.language import language, say, words
from pages.ui.roi_answer import money_section

ALTERNATIVES: Mapping[AlternativeKind, str] = {
    "nothing": N_("Do nothing"),
    "quantise": N_("Quantise only"),
    "smaller_model": N_("A smaller model"),
    "more_machines": N_("More machines"),
    "grow": N_("Grow instead of rebuilding"),
    "plan": N_("This plan"),
}
_LINES = {
    "start_cost": N_("Cost to start"),
    "saving": N_("Saving"),
    "avoided": N_("Purchase avoided"),
    "freed": N_("Freed capacity"),
    "running": N_("Watching and renewing"),
    "quality": N_("Extra errors"),
    "tax": N_("Tax"),
    "total": N_("Sum"),
}


def show_waterfall(case: BusinessCase) -> None:
    """From today's cost a month to tomorrow's."""
    t = words()
    money_section(t("What changes in the monthly cost"), anchor="what-changes")
    draw(
        partial(waterfall_charts.waterfall, case, look()),
        of=_mark(case),
        key="roi_waterfall",
        alt=waterfall_charts.waterfall_alt(case, look()),
    )


def show_cash_flow(case: BusinessCase) -> None:
    """Cash over the evaluation period with its band."""
    t = words()
    money_section(t("When the money is back"), help=term("payback period"), anchor="payback")
    draw(
        partial(cash_charts.cash_flow, case, look()),
        of=_mark(case),
        key="roi_cash_flow",
        alt=cash_charts.cash_flow_alt(case, look()),
    )
    found = case.result.simulation
    how_do_we_know(
        formula=t("cumulated cash = savings that count - running costs - cost of errors - cost to start; NPV discounts it month by month"),
        source=t("Monte Carlo: assumptions from triangular ranges, measurements from their 95% intervals, all drawn independently"),
        sample=t("{n} simulated cases, seed {seed}", n=found.draws, seed=found.seed),
        interval=t("band: from the 10th to the 90th percentile of the simulated cases"),
        rows=cash_charts.cash_flow_rows(case, look()),
        file_name="cash_flow.csv",
        key="roi_cash",
    )


def show_tornado(case: BusinessCase) -> None:
    """What moves the result most."""
    t = words()
    money_section(t("What matters most"), help=term("sensitivity"), anchor="matters-most")
    if not case.result.tornado:
        st.caption(t("No assumption has a range yet, so none can move the result."))
        return
    draw(partial(tornado_charts.tornado, case, look()), of=_mark(case), key="roi_tornado", alt=tornado_charts.tornado_alt(case, look()))
    download_rows(tornado_charts.tornado_rows(case, look()), "what_matters_most.csv", key="roi_tornado")


def show_bands(case: BusinessCase) -> None:
    """The brief's bands as targets, with this case's own figures."""
    t = words()
    if not case.result.bands:
        return
    section(t("Targets, not results"), None, anchor="targets")
    draw(partial(band_charts.bands, case, look()), of=_mark(case), key="roi_bands", alt=band_charts.bands_alt(case, look()))
    st.caption(t("The hatched ranges are the targets that were set for such plans. They are nothing that Strata has measured."))


def _mark(case: BusinessCase) -> tuple[str, int]:
    return (case.id, case.result.simulation.draws)


def show_machines(case: BusinessCase) -> None:
    """How many machines the work takes, whole and in fractions."""
    t, found = words(), case.result.machines
    if found is None:
        return
    money_section(t("Machines, before and after"), anchor="machines")
    if found.today.whole == found.plan.whole and found.today.whole:
        st.markdown(say(still_machines(found.today.whole, found.headroom)))
    table(machine_rows(case), alt=t("Machines today and with the plan, by throughput, by memory and whole"))
    if found.stated is not None and found.stated != found.today.whole:
        values = {"stated": found.stated, "need": found.today.whole}
        st.caption(t("You said {stated}; the work in its peak hour takes {need}. The difference is not the plan's saving.", **values))


def machine_rows(case: BusinessCase) -> Rows:
    """Machines by throughput, by memory, whole."""
    t, code, found = words(), language(), case.result.machines
    if found is None:
        return []
    rows = [
        (t("By throughput, in the peak hour"), number(found.today.by_throughput, code), number(found.plan.by_throughput, code)),
        (t("By memory, one copy of the model"), str(found.today.by_memory), str(found.plan.by_memory)),
        (t("Whole machines, spare ones among them"), str(found.today.whole), str(found.plan.whole)),
    ]
    heads = t("Machines"), t("Today"), t("With the plan")
    return [dict(zip(heads, row, strict=True)) for row in rows]


def show_lines(case: BusinessCase) -> None:
    """Every line of cost, and what one request, a million tokens or a fine-tune costs."""
    t = words()
    money_section(t("Cost by line, a month ({unit})", unit=_line_unit(case).name), anchor="cost-lines")
    table(line_rows(case), alt=t("Every line of cost today and with the plan"))
    download_rows(line_rows(case), "cost_lines.csv", key="roi_lines")
    if units := unit_rows(case):
        table(units, alt=t("Cost of one request, of a million tokens and of one fine-tune, today and with the plan"))


def line_rows(case: BusinessCase) -> Rows:
    """Serving and training apart, then the project's people, then the sum."""
    t = words()
    rows = [
        _pair_row(
            t("{line} ({area})", line=t(LINE_NAMES[one.line]), area=t(AREA_NAMES[one.area])),
            MoneyPair(today=one.today, plan=one.plan),
            case,
        )
        for one in case.result.lines
    ]
    total = MoneyPair(today=sum(one.today for one in case.result.lines), plan=sum(one.plan for one in case.result.lines))
    return [*rows, _pair_row(t("Sum"), total, case)]


def _line_unit(case: BusinessCase) -> MoneyUnit:
    return money_unit(case.assumptions.currency, [end for one in case.result.lines for end in (one.today, one.plan)], language())


def _pair_row(label: str, pair: MoneyPair, case: BusinessCase) -> dict[str, object]:
    t, code, unit = words(), language(), _line_unit(case)
    change = unit.figure(pair.change, code, signed=True) + _share(pair)
    return {
        t("Line"): label,
        t("Today"): unit.figure(pair.today, code),
        t("With the plan"): unit.figure(pair.plan, code),
        t("Change"): change,
    }


def _share(pair: MoneyPair) -> str:
    """A change in percent of today's, more or less in words."""
    if not pair.today or not pair.change:
        return ""
    size = abs(pair.change / pair.today)
    return words()(" ({share} less)" if pair.change < 0 else " ({share} more)", share=percent(size, language(), 0 if size >= 0.1 else 1))


def unit_rows(case: BusinessCase) -> Rows:
    """What one unit of work costs, and what it takes."""
    t, code, found = words(), language(), case.result
    rows = [
        {t("Of one unit"): label, t("Today"): _small(case, pair.today), t("With the plan"): _small(case, pair.plan)}
        for label, pair in (
            (t("1,000 requests"), _thousand(found.per_request)),
            (t("1,000,000 tokens"), found.per_million_tokens),
            (t("One fine-tune"), found.per_training_run),
        )
        if pair is not None
    ]
    for label, pair, unit in (
        (t("GPU hours a month"), found.gpu_hours, "h"),
        (t("Answer time"), found.answer_ms, "ms"),
        (t("Energy a month"), found.energy_kwh, "kWh"),
        (t("CO2 a month"), found.co2_kg, "kg"),
    ):
        if pair is not None:
            values = [f"{number(value, code)} {unit}" for value in (pair.today, pair.plan)]
            rows.append({t("Of one unit"): label, t("Today"): values[0], t("With the plan"): values[1]})
    return rows


def _thousand(pair: MoneyPair | None) -> MoneyPair | None:
    return None if pair is None else MoneyPair(today=1000 * pair.today, plan=1000 * pair.plan)


def _small(case: BusinessCase, amount: float) -> str:
    """A small sum, with as many digits as it takes to be seen."""
    if abs(amount) >= 100:
        return _sum(case, amount)
    unit = money_unit(case.assumptions.currency, [amount], language()).name
    return f"{number(amount, language())}{unit if language() == 'ja' else f' {unit}'}"


def show_years(case: BusinessCase) -> None:
    """Cash and profit and loss by fiscal year: two tables that are never mixed."""
    t, unit = words(), _year_unit(case).name
    money_section(t("By fiscal year"), help=term("depreciation"), anchor="fiscal-years")
    st.subheader(t("Cash flow ({unit})", unit=unit), anchor=False)
    table(year_rows(case, profit=False), alt=t("Each fiscal year's lines of cash"))
    st.subheader(t("Profit and loss ({unit})", unit=unit), anchor=False)
    table(year_rows(case, profit=True), alt=t("Each fiscal year's lines of profit and loss"))
    st.caption(
        t("Before tax, excluding consumption tax.") if not case.assumptions.after_tax else t("After tax, excluding consumption tax.")
    )


def year_rows(case: BusinessCase, *, profit: bool) -> Rows:
    """One row a line, one column a fiscal year; lines that are 0 in every year are left out."""
    t, code, unit, years = words(), language(), _year_unit(case), case.result.years
    heads = [_year_head(one.year, one.n_months) for one in years]
    books: list[FiscalLines] = [one.profit if profit else one.cash for one in years]
    return [
        {t("Line"): t(label), **{head: unit.figure(getattr(lines, name), code) for head, lines in zip(heads, books, strict=True)}}
        for name, label in _LINES.items()
        if name == "total" or any(getattr(lines, name) for lines in books)
    ]


def _year_unit(case: BusinessCase) -> MoneyUnit:
    """One unit for both tables, so that they can be compared."""
    books = [lines for one in case.result.years for lines in (one.cash, one.profit)]
    return money_unit(case.assumptions.currency, [getattr(lines, name) for lines in books for name in _LINES], language())


def _year_head(year: int, n_months: int) -> str:
    said = fiscal_year(year, language())
    return said if n_months == 12 else words()("{year} ({n} months)", year=said, n=n_months)


def show_alternatives(case: BusinessCase) -> None:
    """Every other way in the same columns; one that nobody measured says so."""
    t = words()
    if not case.result.alternatives:
        return
    section(t("Other ways"), None, anchor="other-ways")
    table(alternative_rows(case), alt=t("This plan beside other ways: cost to start, cost a month, saving, payback and quality"))


def alternative_rows(case: BusinessCase) -> Rows:
    """One row a way."""
    t = words()
    origins = {
        "measured": t("measured"),
        "projected": t("projected"),
        "assumed": t("assumed"),
        "elsewhere": t("measured on another machine"),
    }
    return [
        {
            t("Way"): t(ALTERNATIVES[one.kind]),
            t("Cost to start"): _sum(case, one.start_cost),
            t("Cost a month"): _sum(case, one.cost_per_month),
            t("Saving"): "" if one.saving_share is None else percent_of(one.saving_share),
            t("Payback"): "" if one.payback_months is None else months(one.payback_months, language()),
            t("Quality"): "" if one.quality is None else render(one.quality, language()),
            t("Where from"): origins[one.origin] if one.origin else t("not measured"),
            t("Remark"): render(one.note, language()),
        }
        for one in case.result.alternatives
    ]


def _sum(case: BusinessCase, amount: float | None) -> str:
    return "" if amount is None else money(amount, case.assumptions.currency, language(), table=True)
