"""A plan in figures and reasons: what it should save, which units go, and why."""

from __future__ import annotations

import streamlit as st

from analysis.contracts import Plan, Projection, Quantity, UnitReason
from analysis.i18n.numbers import amount, number, percent, size, span
from analysis.planning import CRITERIA, ComparedRow, compare_plans
from analysis.planning.compare import QUANTITIES
from pages.ui.evidence import Rows
from pages.ui.language import language, plain, say, words
from pages.ui.plan_form import UNITS
from pages.ui.similarity_view import slice_title


def projection_table(projection: Projection) -> Rows:
    """Before, after and change of every projected figure, with units."""
    t, code = words(), language()
    rows = []
    for field, title, kind in QUANTITIES:
        quantity: Quantity = getattr(projection, field)
        if not quantity.before:
            continue
        rows.append(
            {
                t("Projected figure"): t(title),
                t("Before"): _written(quantity.before, kind),
                t("After"): _written(quantity.after, kind),
                t("Change"): _change(quantity, code),
            }
        )
    return rows


def _written(value: float, kind: str) -> str:
    code = language()
    if kind == "bytes":
        return size(value, code)
    return amount(value, code) if value >= 1000 else number(value, code)


def _change(quantity: Quantity, code: str) -> str:
    t, share = words(), quantity.saved_share
    if not share:
        return t("unchanged")
    size_of_it = percent(abs(share), code, 1)
    return t("{percent} less", percent=size_of_it) if share > 0 else t("{percent} more", percent=size_of_it)


def comparison_table(first: Plan, second: Plan) -> Rows:
    """What two plans take out and should leave, side by side.

    Raises:
        PlanError: the plans are for different models.
    """
    t = words()
    heads = [f"{place}. {plan.name or plan.id}" for place, plan in enumerate((first, second), start=1)]
    return [
        {
            t("Projected figure"): t(row.label),
            heads[0]: _cell(row, row.a, row.only_a),
            heads[1]: _cell(row, row.b, row.only_b),
            t("Alike in both, or before"): _cell(row, row.shared, None),
        }
        for row in compare_plans(first, second)
    ]


def _cell(row: ComparedRow, value: object, saved: object) -> str:
    t, code = words(), language()
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or t("none")
    if not isinstance(value, int | float):
        return t("differs")
    written = _written(value, row.kind)
    return f"{written} ({t('{percent} less', percent=percent(saved, code, 1))})" if isinstance(saved, float) and saved > 0 else written


def reasons_table(plan: Plan) -> list[dict[str, object]]:
    """Which units go and on what evidence, one a row."""
    t = words()
    return [
        {
            t("Layer"): reason.block,
            t("Unit"): t(UNITS[reason.unit]),
            t("Rank (1 = least change)"): reason.rank,
            t("Change"): _figure(reason.score),
            t("95% interval"): span(_figure(reason.interval[0]), _figure(reason.interval[1]), language()) if reason.interval else "",
            t("On first and sink tokens"): _figure(reason.sink_score),
            t("Most affected slice"): _worst(reason),
        }
        for reason in plan.provenance.reasons
    ]


def _worst(reason: UnitReason) -> str:
    return f"{slice_title(reason.worst_slice)} ({_figure(reason.worst_slice_score)})" if reason.worst_slice else ""


def _figure(value: float | None) -> str:
    return "" if value is None else number(value, language(), 3)


def warnings_of(plan: Plan) -> None:
    """What speaks against single removals, and what a reader should know about the choice."""
    for reason in plan.provenance.reasons:
        if reason.warning:
            st.warning(say(reason.warning), icon=":material/warning:")
    for note in plan.provenance.notes:
        st.caption(say(note))


def method_of(plan: Plan) -> tuple[str, str]:
    """What the plan's strategy means, and where it comes from."""
    found = CRITERIA.get(plan.provenance.criterion)
    return (words()(found.meaning), found.source) if found else (plain(plan.provenance.criterion), "")
