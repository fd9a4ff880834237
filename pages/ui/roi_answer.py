"""The first screen of ROI: the answer, what a treasurer sees of it, what stands against it, and where its figures come from."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from analysis.contracts import BusinessCase, CaseEvidence, Spread
from analysis.contracts.business import Standing
from analysis.economics.defaults import unsourced
from analysis.economics.uses import other_machine
from analysis.i18n import N_
from analysis.i18n.numbers import percent
from analysis.reporting import headlines_business
from analysis.reporting.money_words import day, money, months, of_100
from pages.ui.evidence import Origin, Rows, badge, section, table
from pages.ui.glossary import term
from pages.ui.language import language, plain, say, words
from pages.ui.roi_work import Work
from pages.ui.session import client, go, remember

ANCHOR = "assumptions"
BANNERS: Mapping[Standing, str] = {
    "rough": N_("Rough estimate: nothing has been run yet, and the range rests on a projection. Verify the plan before anyone decides."),
    "undecided": N_("Not decided: the test ran, but it cannot tell whether the limits hold. More examples would decide it."),
    "outside": N_(
        "Not recommended: the test missed a limit that was set before it. The money below is no proposal; it is shown to compare."
    ),
}


def banner(case: BusinessCase) -> None:
    """What stands against the case; it cannot be closed or switched off."""
    t = words()
    if case.standing == "outside":
        st.error(t(BANNERS["outside"]), icon=":material/block:")
    elif case.standing != "measured":
        st.warning(t(BANNERS[case.standing]), icon=":material/warning:")


def stale_note(work: Work) -> None:
    """That the answer above is the last good one, and how many fields stand against a new one."""
    t = words()
    if work.stale:
        st.warning(
            t("This is the last answer that could be worked out: {n} of the figures below need a correction first.", n=len(work.problems)),
            icon=":material/history:",
        )


def origin_of_case(case: BusinessCase) -> Origin:
    """Where the saving's share comes from."""
    if case.evidence.origin == "measured" and other_machine(case.assumptions, case.evidence):
        return "elsewhere"
    return case.evidence.origin


def buckets(case: BusinessCase) -> None:
    """The saving by what it is worth: cash, a purchase avoided, freed capacity; each a plain figure a month."""
    t, found, code = words(), case.result.buckets, language()
    st.markdown(say(headlines_business.roi_buckets(case)))
    spent = (t("Cash saving a month"), found.cash, "cash saving"), (t("Purchase avoided a month"), found.avoided, "avoided purchase")
    shown = (*spent, (t("Freed capacity a month"), found.freed, "freed capacity"))
    interval = headlines_business.saving_interval(case)  # written no finer than the headline is sure
    for column, (label, amount, name) in zip(st.columns(3, gap="small"), shown, strict=True):
        with column:
            said = money(amount, case.assumptions.currency, code, interval=interval)
            st.metric(label, said, help=f"{term(name)}\n\n{_from_words(case)}", border=True)


def _remarks(case: BusinessCase) -> str:
    """From when less is paid, and whether freed capacity counts."""
    t, found, said = words(), case.result.buckets, []
    if found.cash:
        begins = day(found.cash_from or "", language())
        said.append(t("Less is paid from {date}.", date=begins) if begins else t("Less is not paid within this period."))
    if found.freed:
        counted = case.assumptions.count_capacity
        said.append(t("Freed capacity counts towards payback.") if counted else t("Freed capacity does not count towards payback."))
    return " ".join(said) if language() == "en" else "".join(said)


def _from_words(case: BusinessCase) -> str:
    """Where a sum comes from, in two lines: the measurement, and the assumptions that price it."""
    t = words()
    n = len(unsourced(case.assumptions, case.evidence))
    lines = [measured_words(case.evidence)]
    lines.append(t("Priced by [the assumptions below](#{anchor}); {n} of them are starting values without a source.", anchor=ANCHOR, n=n))
    return "\n\n".join(lines)


def measured_words(evidence: CaseEvidence) -> str:
    """What the share saved rests on, safe to place in markdown."""
    t = words()
    if evidence.origin == "projected" or not evidence.device_name:
        return t("The share saved is projected; nothing has been run yet.")
    day_said = day(evidence.measured_at, language()) or t("an unknown day")
    return t("The share saved was measured on {device} on {date}.", device=plain(evidence.device_name), date=day_said)


def where_from(case: BusinessCase) -> None:
    """One click to what a figure rests on: the test of the plan, and the assumptions."""
    t, evidence = words(), case.evidence
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        badge(origin_of_case(case))
        badge("assumed")
        with st.popover(t("Where these figures come from"), icon=":material/account_tree:", type="tertiary"):
            st.markdown(measured_words(evidence))
            if evidence.workload_name:
                facts = {"n": evidence.n_judged, "all": evidence.n_prompts, "workload": plain(evidence.workload_name)}
                st.markdown(t("Judged on {n} of {all} examples of {workload}.", **facts))
            if evidence.verification_id and st.button(t("Open its verification"), key="roi_open_verification"):
                _open(evidence, "verification", evidence.verification_id, "verify")
            if evidence.trial_id and st.button(t("Open its trial"), key="roi_open_trial"):
                _open(evidence, "trial", evidence.trial_id, "trials")
            st.markdown(t("[All assumptions with their sources](#{anchor})", anchor=ANCHOR))
            for note in case.result.notes:
                st.caption(say(note))
        if remarks := _remarks(case):
            st.caption(remarks, width="content")


def _open(evidence: CaseEvidence, what: str, found: str, page: str) -> None:
    """Shows the test that a figure rests on; it may have been deleted since."""
    remember("plan", evidence.plan_id)
    known = {one.id for one in client().verifications(evidence.plan_id)} | {one.id for one in client().trials(evidence.plan_id)}
    if found in known:
        st.session_state[f"chosen_{what}"] = found
    go(page)


def outputs(case: BusinessCase) -> None:
    """What it comes to: every figure of the answer with its cautious and its optimistic end."""
    t = words()
    section(t("What it comes to"), origin_of_case(case), help=term("net present value (NPV)"))
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
    t, found, spread = words(), case.result, case.result.simulation
    late = spread.payback_months
    alone = (
        (t("Total over {n} months", n=round(headlines_business.horizon(case))), _sum(case, found.total)),
        (t("Internal rate of return (IRR)"), _irr(case)),
        (t("Pays from"), _break_even(case)),
        (t("Extra errors that eat the saving"), _errors(case)),
        (t("Price at which one more error in 1,000 requests eats it"), _sum(case, found.break_even_error_price)),
        (t("Each month of waiting costs"), _sum(case, found.cost_of_waiting)),
        (t("Cost of doing nothing, whole period"), _sum(case, found.cost_of_nothing)),
    )
    rows: list[tuple[str, ...]] = [
        (t("Cost to start"), _sum(case, found.start.total), "", "", ""),
        (t("Net saving a month"), _sum(case, found.net_per_month), *_spread(case, spread.net_per_month)),
        (t("Net saving a year"), _sum(case, 12 * found.net_per_month), *_spread(case, spread.net_per_month, 12)),
        (t("Payback period"), _payback(case), *(_late(end) for end in (late.p90, late.p50, late.p10))),
        (t("Net present value (NPV)"), _sum(case, found.npv), *_spread(case, spread.npv)),
        *((*row, "", "", "") for row in alone if row[1]),
    ]
    heads = t("Figure"), t("As assumed"), t("Cautious"), t("Middle"), t("Optimistic")
    return [dict(zip(heads, row, strict=True)) for row in rows]


def _spread(case: BusinessCase, found: Spread, times: float = 1.0) -> tuple[str, str, str]:
    """Cautious, middle and optimistic: for a saving P10 is the cautious one."""
    low, middle, high = (None if end is None else times * end for end in (found.p10, found.p50, found.p90))
    return _sum(case, low), _sum(case, middle), _sum(case, high)


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
