"""Scenarios of a plan: cautious, standard and bold from one set of assumptions; saved, compared, shared."""

from __future__ import annotations

from typing import TypeGuard

import streamlit as st

from analysis.contracts import Assumptions, BusinessCase, CaseSummary
from analysis.contracts.business import CURRENCIES, Currency, ExchangeRate
from analysis.economics.check import check_assumptions
from analysis.economics.names import FIGURES
from analysis.economics.scenarios import Preset, Row, compare, preset
from analysis.errors import InputError, StrataError
from analysis.i18n import N_
from analysis.reporting.case_pictures import MoneyUnit, money_unit
from analysis.reporting.money_words import money, months, of_100, percent_of
from pages.ui.evidence import Rows, download_rows, section, table
from pages.ui.language import language, plain, say, title_of, words
from pages.ui.messages import saying_errors
from pages.ui.roi_fields import label_of, written
from pages.ui.roi_work import Work, begin_anew, case_of, open_scenario
from pages.ui.session import chosen, client, forget, keep_working, remember, working

PRESETS: dict[Preset, str] = {"cautious": N_("cautious"), "standard": N_("standard"), "bold": N_("bold")}
_RESULTS = {
    "start_cost": N_("Cost to start"),
    "net_per_month": N_("Net saving a month"),
    "payback_months": N_("Payback period"),
    "npv": N_("Net present value (NPV)"),
    "irr": N_("Internal rate of return (IRR)"),
    "total": N_("Total over the period"),
    "saving_share": N_("Saving, as a share of the cost"),
    "payback_share": N_("Simulated cases that pay back in time"),
}
NAME_LIMIT = 80
_OWN = ""

_SUMS = ("start_cost", "net_per_month", "npv", "total")


def scenario_field(work: Work) -> None:
    """Which scenario is shown: as edited in this visit, a preset made of it, or a stored one."""
    t = words()
    stored = {one.id: one for one in client().cases(work.plan.id)}
    key, now = f"{work.key}_scenario", _current(work, stored)

    def changed() -> None:
        found = str(st.session_state.get(key) or _OWN)
        if found in stored:
            open_scenario(work.plan.id, found)
        elif _is_preset(found):
            _use_preset(work, found)
        else:
            _leave_preset(work)

    def named(found: str) -> str:
        return _name(work, found, stored) if found else t("as entered below")

    st.session_state[key] = now
    st.selectbox(
        t("Scenario"),
        [*([_OWN] if now == _OWN or _base(work) else []), *PRESETS, *stored],
        format_func=named,
        key=key,
        on_change=changed,
        help=t(
            "Cautious takes every figure nearer to its unfavourable end, bold nearer to its favourable one; standard takes them as assumed."
        ),
        width=280,
    )


def _current(work: Work, stored: dict[str, CaseSummary]) -> str:
    """The scenario that is shown."""
    kept = _base(work)
    if kept is not None and kept[2] == work.assumptions:
        return kept[0]
    if working(work.plan.id) is not None:
        return _OWN
    asked = chosen("case")
    return asked if asked in stored else next(iter(stored), _OWN)


def _base(work: Work) -> tuple[Preset, Assumptions, Assumptions] | None:
    """(preset, what it was made from, what it made); None: no preset is in use."""
    found: tuple[Preset, Assumptions, Assumptions] | None = st.session_state.get(f"{work.key}_preset")
    return found


def _use_preset(work: Work, name: Preset) -> None:
    """The preset, made from what stood before any preset."""
    kept, now = _base(work), work.now
    base = kept[1] if kept is not None and kept[2] == now else now
    with saying_errors():
        made = preset(base, work.evidence, name)
        st.session_state[f"{work.key}_preset"] = (name, base, made)
        forget("case")
        work.change(made)


def _leave_preset(work: Work) -> None:
    kept = _base(work)
    if kept is not None:
        st.session_state.pop(f"{work.key}_preset")
        work.change(kept[1])


def currency_field(work: Work) -> None:
    """The currency of the case; sums given in another one keep theirs, and a known rate is turned round."""
    t = words()
    key = f"{work.key}_currency"
    st.session_state[key] = work.assumptions.currency

    def changed() -> None:
        found = st.session_state.get(key)
        if found and found != work.now.currency:
            work.change(in_currency(work.now, found))

    st.radio(t("Currency"), CURRENCIES, format_func=t, key=key, on_change=changed, horizontal=True)


def in_currency(assumptions: Assumptions, currency: Currency) -> Assumptions:
    """The same case told in another currency: sums keep the currency they were given in."""
    before = assumptions.currency
    to_new = next((rate for rate in assumptions.rates if rate.currency == currency), None)
    rates: list[ExchangeRate] = []
    if to_new is not None:
        turned = 1 / to_new.per_unit
        rates.append(to_new.model_copy(update={"currency": before, "per_unit": turned}))
        others = (rate for rate in assumptions.rates if rate.currency != currency)
        rates += [rate.model_copy(update={"per_unit": rate.per_unit * turned}) for rate in others]
    values = {
        name: given.model_copy(update={"currency": given.currency or before}) if given.currency else given
        for name, given in assumptions.values.items()
    }
    return assumptions.model_copy(update={"currency": currency, "rates": tuple(rates), "values": values})


def scenario_shelf(work: Work) -> None:
    """Saving, comparing and sharing."""
    t = words()
    section(t("Scenarios"), None, anchor="scenarios")
    left, right = st.columns([4, 7], gap="large")
    with left:
        _save_box(work)
        _stored_box(work)
        _open_box(work)
    with right:
        _compare_box(work)


def _save_box(work: Work) -> None:
    t = words()
    if work.case is None or work.stale:
        st.caption(t("A scenario can be saved as soon as it has an answer."))
        return
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        name = st.text_input(
            t("Name of the scenario"),
            key=f"{work.key}_name",
            max_chars=NAME_LIMIT,
            placeholder=t("for example: after the tender"),
            width=280,
        )
        if st.button(t("Save this scenario"), key="roi_save", icon=":material/bookmark_add:"):
            with saying_errors():
                save(work, (name or "").strip() or t("scenario of {date}", date=work.case.created_at[:10] or t("today")))
                st.rerun()


def save(work: Work, name: str) -> str:
    """Stores the case that is shown under a name and makes it the one this visit is about."""
    assert work.case is not None
    found = client().save_case(work.case.model_copy(update={"name": name}), name)
    open_scenario(work.plan.id, found)
    return found


def kept_case(work: Work) -> None:
    """Before the visit goes to the briefing: what was entered is stored, so that the briefing is about the very same figures."""
    if work.case is None or work.stale:
        return
    if working(work.plan.id) is not None or not client().cases(work.plan.id):
        keep_working(work.plan.id, work.assumptions)
    elif (asked := chosen("case")) is not None:
        remember("case", asked)


def _stored_box(work: Work) -> None:
    """The stored scenario in use: rename or delete it."""
    t, stored = words(), {one.id: one for one in client().cases(work.plan.id)}
    now = _current(work, stored)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        if now in stored:
            with st.popover(t("Rename or delete {name}", name=plain(_name(work, now, stored))), icon=":material/edit:"):
                name = st.text_input(t("New name"), value=stored[now].name, key=f"roi_rename_{now}", max_chars=NAME_LIMIT)
                if st.button(t("Rename"), key=f"roi_rename_button_{now}", disabled=not (name or "").strip()):
                    with saying_errors():
                        client().rename_case(now, (name or "").strip())
                        st.rerun()
                if st.button(t("Delete for good"), key=f"roi_delete_{now}", icon=":material/delete:"):
                    with saying_errors():
                        client().delete_case(now)
                        begin_anew(work.plan.id)
                        st.rerun()
        if working(work.plan.id) is not None:
            st.button(
                t("Let go of what was changed"),
                key="roi_anew",
                icon=":material/undo:",
                type="tertiary",
                on_click=begin_anew,
                args=(work.plan.id,),
            )


def _open_box(work: Work) -> None:
    """A case or assumptions from a colleague or the terminal."""
    t = words()
    with st.expander(t("Open a scenario made elsewhere"), icon=":material/upload_file:"):
        file = st.file_uploader(t("case.json or assumptions.json"), type=["json", "gz"], key="roi_file", max_upload_size=64)
        if file and st.button(t("Open this file"), key="roi_open_file"):
            with saying_errors():
                _opened(work, file.getvalue(), file.name)


def _opened(work: Work, data: bytes, name: str) -> None:
    """Takes over what a file says; a case of another plan opens with its plan."""
    from analysis.runs.documents import parse_document

    t = words()
    document = parse_document(data, name)
    if isinstance(document, Assumptions):
        keep_working(work.plan.id, document)
        st.rerun()
    kind, found = client().import_document(data, name)
    if kind != "business_case":
        st.warning(t("This file is no business case. It was kept; open it from the Overview page."), icon=":material/info:")
        return
    plan_id = client().case(found).evidence.plan_id
    if plan_id != work.plan.id and plan_id in {plan.id for plan in client().plans()}:
        remember("plan", plan_id)
    elif plan_id != work.plan.id:
        st.warning(t("Kept. The plan that it values is not stored here: open its plan.json too."), icon=":material/info:")
        return
    open_scenario(plan_id, found)
    st.rerun()


def _compare_box(work: Work) -> None:
    """Presets and stored scenarios side by side."""
    if work.case is None or work.stale:
        return
    t, stored = words(), {one.id: one for one in client().cases(work.plan.id)}
    options = [*PRESETS, *stored]
    box = st.expander(
        t("Side by side: cautious, standard, bold, and what is stored"), icon=":material/compare:", key="roi_beside", on_change="rerun"
    )
    if not box.open:  # three more cases are worked out only for those who look
        return
    with box:
        picked = st.multiselect(
            t("Side by side"),
            options,
            default=list(PRESETS),
            format_func=lambda one: _name(work, one, stored),
            key=f"{work.key}_compare",
            persist_state="session",
        )
        if rows := comparison_rows(work, [one for one in picked if one in options], stored):
            table(rows, alt=t("Scenarios side by side: their results, then the figures in which they differ"))
            download_rows(rows, "scenarios.csv", key="roi_scenarios")
        st.caption(t("Cautious, standard and bold are made from the figures as entered; none of them is a forecast."))


def comparison_rows(work: Work, picked: list[str], stored: dict[str, CaseSummary]) -> Rows:
    """One column a scenario: its results, then the figures in which they differ. One that cannot be worked out is left out, in words."""
    t, kept = words(), _base(work)
    base = kept[1] if kept is not None and kept[2] == work.assumptions else work.assumptions
    cases: dict[str, BusinessCase] = {} if work.case is None else {t("shown now"): work.case}
    for one in picked:
        name = _name(work, one, stored)
        try:
            cases[name if name not in cases else f"{name} ({one[:6]})"] = _case(work, base, one)
        except StrataError as error:
            st.caption(t("{scenario}: {reason}", scenario=plain(name), reason=say(error)))
    return [_compared(row, cases) for row in compare(list(cases.values()))] if cases else []


def _name(work: Work, one: str, stored: dict[str, CaseSummary]) -> str:
    t = words()
    return t(PRESETS[one]) if _is_preset(one) else title_of(stored[one].name, work.plan.is_sample) or t("without a name")


def _is_preset(one: str) -> TypeGuard[Preset]:
    return one in PRESETS


def _compared(row: Row, cases: dict[str, BusinessCase]) -> dict[str, object]:
    """One line of the comparison; sums in one unit that stands in its head, unless the scenarios' currencies differ."""
    t = words()
    label = t(_RESULTS[row.name]) if row.is_result else label_of(FIGURES[row.name])
    currencies = {case.assumptions.currency for case in cases.values()}
    unit = None
    if row.name in _SUMS and len(currencies) == 1:
        unit = money_unit(currencies.pop(), [value for value in row.values if value is not None], language())
        label = t("{figure} ({unit})", figure=label, unit=unit.name)
    values = {name: _value(row, value, case, unit) for (name, case), value in zip(cases.items(), row.values, strict=True)}
    return {t("Figure"): label, **values}


def _value(row: Row, value: float | None, case: BusinessCase, unit: MoneyUnit | None) -> str:
    """A result or figure of one scenario in words."""
    t, code = words(), language()
    if value is None:
        return t("never") if row.name == "payback_months" else t("not defined") if row.is_result else ""
    if row.name in _SUMS:
        return money(value, case.assumptions.currency, code, table=True) if unit is None else unit.figure(value, code)
    if row.name == "payback_months":
        return months(value, code)
    if row.name == "payback_share":
        return t("{k} of 100", k=of_100(value))
    return percent_of(value) if row.is_result else written(value)


def _case(work: Work, base: Assumptions, one: str) -> BusinessCase:
    """A stored scenario as it was stored, or a preset worked out now."""
    if not _is_preset(one):
        return client().case(one)
    for problem in check_assumptions(base, work.evidence):
        raise InputError.from_message(problem.message)
    made = preset(base, work.evidence, one)
    return case_of(work.evidence, made, work.rollout)
