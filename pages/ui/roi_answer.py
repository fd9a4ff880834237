"""The first screen of ROI: the answer, what a treasurer sees of it, what stands against it, and where its figures come from."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import streamlit as st

from analysis.contracts import BusinessCase, CaseEvidence, PlanSummary
from analysis.contracts.business import Standing
from analysis.economics.defaults import unsourced
from analysis.economics.uses import other_machine
from analysis.i18n import N_
from analysis.reporting import headlines_business
from analysis.reporting.money_words import day, money
from pages.ui.evidence import Origin, badge, section
from pages.ui.frame import next_of_plan
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


_MONEY = N_("Worked out from what was measured and from the assumptions below; the real bill decides.")


def banner(found: Standing, plan: PlanSummary) -> None:
    """What stands against a case or its stages, with the way to a test; it cannot be closed or switched off."""
    t = words()
    if found == "outside":
        st.error(t(BANNERS["outside"]), icon=":material/block:")
    elif found != "measured":
        st.warning(t(BANNERS[found]), icon=":material/warning:")
        label, page = next_of_plan(plan)
        if page not in ("roi", "briefing", "stages") and st.button(label, key="test_it", icon=":material/science:"):
            remember("plan", plan.id)
            go(page)


def stale_note(work: Work) -> None:
    """That the answer above is the last good one, and how many fields stand against a new one."""
    t = words()
    if work.stale:
        st.warning(
            t("This is the last answer that could be worked out: {n} of the figures below need a correction first.", n=len(work.problems)),
            icon=":material/history:",
        )


def money_section(title: str, *, help: str | None = None, anchor: str | None = None) -> None:
    """A heading over money: worked out, whatever was measured, since prices and volumes are assumed."""
    section(title, "projected", help=help, meaning=words()(_MONEY), anchor=anchor)


def origin_of_share(case: BusinessCase) -> Origin:
    """Where the share that the plan saves comes from."""
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
    return f"{measured_words(case.evidence)}\n\n{_priced_by(case)}"


def _priced_by(case: BusinessCase) -> str:
    """The link to the assumptions, and how many of them nobody has confirmed."""
    n = len(unsourced(case.assumptions, case.evidence))
    return words()("Priced by [the assumptions below](#{anchor}); {n} of them are starting values without a source.", anchor=ANCHOR, n=n)


def measured_words(evidence: CaseEvidence) -> str:
    """What the share saved rests on, safe to place in markdown."""
    t = words()
    if evidence.origin == "projected" or not evidence.device_name:
        return t("The share saved is projected; nothing has been run yet.")
    day_said = day(evidence.measured_at, language()) or t("an unknown day")
    return t("The share saved was measured on {device} on {date}.", device=plain(evidence.device_name), date=day_said)


def where_from(case: BusinessCase, beside: Callable[[BusinessCase], None]) -> None:
    """One click to what a figure rests on: the test of the plan, and the assumptions; `beside` stands on the same line."""
    t, evidence = words(), case.evidence
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        badge("projected", t(_MONEY))
        if origin_of_share(case) == "elsewhere":
            badge("elsewhere")
        with st.popover(t("Where these figures come from"), icon=":material/account_tree:", type="tertiary"):
            badge(origin_of_share(case), measured_words(evidence))
            st.markdown(measured_words(evidence))
            if evidence.workload_name:
                facts = {"n": evidence.n_judged, "all": evidence.n_prompts, "workload": plain(evidence.workload_name)}
                st.markdown(t("Judged on {n} of {all} examples of {workload}.", **facts))
            if evidence.verification_id and st.button(t("Open its verification"), key="roi_open_verification"):
                _open(evidence, "verification", evidence.verification_id, "verify")
            if evidence.trial_id and st.button(t("Open its trial"), key="roi_open_trial"):
                _open(evidence, "trial", evidence.trial_id, "trials")
            badge("assumed")
            st.markdown(_priced_by(case))
            for note in case.result.notes:
                st.caption(say(note))
        beside(case)
        if remarks := _remarks(case):
            st.caption(remarks, width="content")


def _open(evidence: CaseEvidence, what: str, found: str, page: str) -> None:
    """Shows the test that a figure rests on; it may have been deleted since."""
    remember("plan", evidence.plan_id)
    known = {one.id for one in client().verifications(evidence.plan_id)} | {one.id for one in client().trials(evidence.plan_id)}
    if found in known:
        st.session_state[f"chosen_{what}"] = found
    go(page)
