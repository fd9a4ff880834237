"""Energy and carbon of running original and plan, with where each figure comes from."""

from __future__ import annotations

import streamlit as st

from analysis.contracts import EnergyUse, Estimate, GridIntensity, Robustness
from analysis.i18n.numbers import number
from analysis.reporting.robustness_words import country_name
from pages.ui.evidence import Origin, Rows, badge, download_rows, section, table
from pages.ui.language import language, plain, say, words
from pages.ui.ran_here import origin_here
from pages.ui.verdicts import change_words, estimate_words

COUNTERS = {"nvml": "NVML", "powercap": "powercap"}


def show_energy(found: Robustness) -> None:
    """Before and after for 1,000 prompts; the grid's factor is named with its source and year."""
    t, used = words(), found.energy
    section(t("Energy and carbon of reading 1,000 prompts"), energy_origin(found) if used else None)
    if used is None:
        st.caption(say(found.energy_reason) if found.energy_reason else t("Energy was not asked for in this test."))
        return
    table(energy_rows(used), alt=t("Energy and carbon of original and plan"))
    st.caption(_counted(used, found.machine.device_name))
    if used.grid is not None:
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            badge(
                "assumed" if used.grid.assumed else "projected", t("Energy times this factor; an hour, a region or a contract may differ.")
            )
            st.caption(_grid(used.grid), width="content")
    else:
        st.caption(t("Carbon was not worked out: choose a country or type your utility's factor."))
    if used.ratio.low is not None and used.ratio.high is not None and used.ratio.low <= 1 <= used.ratio.high:
        st.info(t("The interval includes no change: this test does not show that the plan uses less energy."), icon=":material/help:")
    download_rows(energy_rows(used), "energy.csv", key="energy")


def energy_origin(found: Robustness) -> Origin:
    """Projected where the power was assumed; else measured, here or on another machine."""
    assert found.energy is not None
    return "projected" if found.energy.origin == "projected" else origin_here(found)


def energy_rows(used: EnergyUse) -> Rows:
    """Energy, and carbon where a grid was named."""
    t = words()
    rows = [_row(t("Energy (Wh)"), used.original_wh, used.plan_wh, change_words(used.ratio))]
    if used.original_co2_g is not None and used.plan_co2_g is not None:
        rows.append(_row(t("Carbon (g CO2)"), used.original_co2_g, used.plan_co2_g, change_words(used.ratio)))
    return rows


def _row(what: str, original: Estimate, plan: Estimate, change: str) -> dict[str, object]:
    t = words()
    return {
        t("For 1,000 prompts"): what,
        t("Original"): estimate_words(original),
        t("With the plan"): estimate_words(plan),
        t("Change (95% interval)"): change,
    }


def _counted(used: EnergyUse, device: str) -> str:
    t, code = words(), language()
    told = {"device": plain(device), "rounds": used.n_rounds, "tokens": number(used.mean_tokens, code, 0)}
    if used.origin == "projected":
        return t(
            "Measured time on {device} times an assumed power of {watts} W, {rounds} rounds in turns, {tokens} tokens a prompt. "
            "Reading only; writing answers is not in it.",
            watts=number(used.watts or 0, code, 0),
            **told,
        )
    return t(
        "Counted by {device} itself ({counter}), idle power included, {rounds} rounds in turns, {tokens} tokens a prompt. Reading only; "
        "writing answers is not in it, and figures of two machines are never comparable.",
        counter=COUNTERS.get(used.counter, used.counter),
        **told,
    )


def _grid(grid: GridIntensity) -> str:
    t, code = words(), language()
    factor = number(grid.kg_per_kwh, code, 3)
    if grid.assumed:
        return t("Carbon at {factor} kg CO2 per kWh, a figure typed in by a person.", factor=factor)
    where = country_name(grid.country, code) if grid.country else plain(grid.country_name)
    return t(
        "Carbon at {factor} kg CO2 per kWh: {country}, average of {year}. Source: {source}.",
        factor=factor,
        country=where,
        year=str(grid.year or t("not known")),
        source=plain(t(grid.source)),
    )
