"""What a plan comes to: every figure of the answer, in one unit of money, with its cautious and its optimistic end."""

from __future__ import annotations

import streamlit as st

from analysis.contracts import BusinessCase, Spread
from analysis.i18n.numbers import percent
from analysis.reporting import headlines_business
from analysis.reporting.case_pictures import MoneyUnit, money_unit
from analysis.reporting.money_words import money, months, of_100
from pages.ui.evidence import Rows, table
from pages.ui.glossary import term
from pages.ui.language import language, say, words
from pages.ui.roi_answer import money_section


def outputs(case: BusinessCase) -> None:
    """What it comes to, and what the ends of each figure mean."""
    t = words()
    money_section(t("What it comes to"), help=term("net present value (NPV)"), anchor="comes-to")
    table(output_rows(case), alt=t("What the plan costs and brings, with the cautious and the optimistic end of each figure"))
    for reason in (case.result.payback_reason, case.result.irr_reason):
        if reason is not None:
            st.caption(say(reason))
    values = {"k": of_100(case.result.simulation.payback_share), "draws": case.result.simulation.draws}
    st.caption(
        t("Cautious and optimistic: one in ten of {draws} simulated cases is worse, or better. {k} of 100 pay back in time.", **values)
    )


def output_rows(case: BusinessCase) -> Rows:
    """The outputs in reading order: as assumed, then P10, P50 and P90 as cautious, middle and optimistic where they were simulated."""
    t, found, late = words(), case.result, case.result.simulation.payback_months
    alone = (
        (t("Internal rate of return (IRR)"), _irr(case)),
        (t("Pays from"), _break_even(case)),
        (t("Extra errors that eat the saving"), _errors(case)),
        (t("Price at which one more error in 1,000 requests eats it"), _sum(case, found.break_even_error_price)),
    )
    periods = [
        _sum_row(case, t("Total over {n} months", n=round(headlines_business.horizon(case))), found.total),
        _sum_row(case, t("Each month of waiting costs"), found.cost_of_waiting),
        _sum_row(case, t("Cost of doing nothing, whole period"), found.cost_of_nothing),
    ]
    rows: list[tuple[str, ...]] = [
        _sum_row(case, t("Cost to start"), found.start.total),
        _sum_row(case, t("Net saving a month"), found.net_per_month, found.simulation.net_per_month),
        _sum_row(case, t("Net saving a year"), 12 * found.net_per_month, found.simulation.net_per_month, 12),
        (t("Payback period"), _payback(case), *(_late(end) for end in (late.p90, late.p50, late.p10))),
        _sum_row(case, t("Net present value (NPV)"), found.npv, found.simulation.npv),
        *(row for row in periods if row[1]),
        *((*row, "", "", "") for row in alone if row[1]),
    ]
    heads = t("Figure"), t("As assumed"), t("Cautious"), t("Middle"), t("Optimistic")
    return [dict(zip(heads, row, strict=True)) for row in rows]


def _sum_row(case: BusinessCase, label: str, amount: float | None, ends: Spread | None = None, times: float = 1.0) -> tuple[str, ...]:
    """A sum with its ends, the unit beside its name: for a saving P10 is the cautious end."""
    unit, wide = _unit(case), (None, None, None) if ends is None else (ends.p10, ends.p50, ends.p90)
    figures = (amount, *(None if end is None else times * end for end in wide))
    said = ("" if one is None else unit.figure(one, language()) for one in figures)
    return words()("{figure} ({unit})", figure=label, unit=unit.name), *said


def _unit(case: BusinessCase) -> MoneyUnit:
    """One unit for the whole table, as fine as a year's saving asks for."""
    found = case.result
    return money_unit(case.assumptions.currency, (12 * found.net_per_month, found.start.total, found.npv), language())


def _sum(case: BusinessCase, amount: float | None) -> str:
    return "" if amount is None else money(amount, case.assumptions.currency, language(), table=True)


def _payback(case: BusinessCase) -> str:
    found = case.result
    if found.payback_months is not None:
        return months(found.payback_months, language())
    return words()("never") if found.net_per_month <= 0 else words()("not within 10 years")


def _late(length: float | None) -> str:
    return words()("not in this share of cases") if length is None else months(length, language())


def _irr(case: BusinessCase) -> str:
    found = case.result
    if found.irr is not None:
        return words()("{share} a year", share=percent(found.irr, language()))
    return words()("not defined")


def _break_even(case: BusinessCase) -> str:
    t, even = words(), case.result.break_even
    if even.value is None:
        return t("at no amount that was looked at")
    if even.kind == "bill":
        return t("a bill of {amount} a month", amount=_sum(case, even.value))
    n = round(even.value, 0 if even.value >= 10 else 1)
    return t("{n} requests a month", n=n) if even.kind == "requests" else t("{n} fine-tunes a month", n=n)


def _errors(case: BusinessCase) -> str:
    t, found = words(), case.result
    if found.break_even_errors is not None:
        return t("{n} more a month", n=round(found.break_even_errors, 0 if found.break_even_errors >= 10 else 1))
    priced = case.assumptions.values.get("error_price")
    return t("no price given") if priced is None or priced.value is None else t("not defined")
