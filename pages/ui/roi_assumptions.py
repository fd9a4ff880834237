"""All assumptions in one table, the unconfirmed ones first, and a form that changes any of them."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

import streamlit as st

from analysis.contracts import Assumption
from analysis.economics.catalogue import device
from analysis.economics.defaults import unsourced
from analysis.economics.names import FIGURES, GROUPS
from analysis.i18n import N_
from analysis.i18n.numbers import percent, span
from pages.ui.evidence import Rows, download_rows, table
from pages.ui.language import language, plain, words
from pages.ui.roi_answer import ANCHOR
from pages.ui.roi_edit import edit_form
from pages.ui.roi_fields import currency_of, label_of, source_words, unit_words, written
from pages.ui.roi_questions import BASES, PLACES
from pages.ui.roi_work import Work
from pages.ui.similarity_view import slice_title

_ORIGINS = {
    "measured": N_("measured"),
    "projected": N_("projected"),
    "assumed": N_("assumed"),
    "elsewhere": N_("measured on another machine"),
}


def show_assumptions(work: Work) -> None:
    """The table, how many of its figures are to be confirmed, and the form."""
    t = words()
    st.header(t("Where every figure comes from"), anchor=ANCHOR)
    n = len(unsourced(work.assumptions, work.evidence))
    if n:
        st.markdown(t("**{n} starting values have no source: please confirm them.** They stand first.", n=n))
    table(
        _narrow(assumption_rows(work)),
        alt=t("Every assumption with its value, range, unit, origin, source and who confirmed it"),
        marked=[t("Source")],
    )
    if work.assumptions.slices and work.assumptions.basis == "volume" and work.evidence.serving is not None:
        table(slice_rows(work), alt=t("Every slice with its requests a month"))
    download_rows([_csv_row(row) for row in assumption_rows(work)], "assumptions.csv", key="roi_assumptions")
    box = st.expander(t("Change any assumption"), icon=":material/edit:", key="roi_edit", on_change="rerun")
    if box.open:
        with box:
            edit_form(work)


def assumption_rows(work: Work) -> Rows:
    """What was measured, how the case is set, then every figure that it uses: those without a source first."""
    first = unsourced(work.assumptions, work.evidence)
    used = [name for name, figure in FIGURES.items() if name in work.assumptions.values and figure.used(work.assumptions, work.evidence)]
    ordered = [*first, *sorted((name for name in used if name not in first), key=lambda name: GROUPS.index(FIGURES[name].group))]
    shown = [name for name in ordered if work.assumptions.values[name].value is not None]
    return [*(_figure_row(work, name) for name in shown if name in first), *_measured_rows(work), *_setting_rows(work),
            *(_figure_row(work, name) for name in shown if name not in first)]  # fmt: skip


def _narrow(rows: Rows) -> Rows:
    """The rows for the screen: the unit beside the figure's name, and no column in which nothing stands yet."""
    t = words()
    unit, who = t("Unit"), t("Confirmed by")
    without = {unit} if any(row[who] for row in rows) else {unit, who}
    named = [{**row, t("Figure"): t("{figure} ({unit})", figure=row[t("Figure")], unit=row[unit])} if row[unit] else row for row in rows]
    return [{head: value for head, value in row.items() if head not in without} for row in named]


def _row(figure: str, value: str, low_high: str = "", unit: str = "", origin: str = "", source: str = "", who: str = "") -> dict[str, str]:
    t = words()
    heads = t("Figure"), t("Value"), t("Range"), t("Unit"), t("Where from"), t("Source"), t("Confirmed by")
    return dict(zip(heads, (figure, value, low_high, unit, origin, source, who), strict=True))


def _figure_row(work: Work, name: str) -> dict[str, str]:
    t, given, figure, code = words(), work.assumptions.values[name], FIGURES[name], language()
    value = written(given.value)
    low_high = ""
    if given.low is not None and given.high is not None and given.low < given.high:
        low_high = span(written(given.low), written(given.high), code)
    unit = unit_words(figure, currency_of(given, work))
    return _row(label_of(figure), value, low_high, unit, t(_ORIGINS[given.origin]), _source(given), given.confirmed_by)


def _source(given: Assumption) -> str:
    """Source, address and date as markdown; only addresses of the web become links."""
    said = source_words(given)
    if given.source_url.startswith(("https://", "http://")):
        said = f"[{said}]({quote(given.source_url, safe=':/?&=%#~+,;@-._')})"
    return words()("{value} ({range})", value=said, range=plain(given.as_of)) if given.as_of else said


def _measured_rows(work: Work) -> list[dict[str, str]]:
    """What the test found, which nobody assumes."""
    t, evidence, code = words(), work.evidence, language()
    rows = []
    where = plain(t("{device}, {date}", device=evidence.device_name, date=evidence.measured_at[:10])) if evidence.device_name else ""
    pairs = [(t("Time of a fine-tune, saved"), evidence.training.hours)] if evidence.training else []
    pairs += [(t("Time of a request (reading), saved"), evidence.serving.points[0].prefill_ms)] if evidence.serving else []
    for label, pair in pairs:
        low_high = ""
        if pair.ratio_low is not None and pair.ratio_high is not None:
            low_high = span(_percent(1 - pair.ratio_high), _percent(1 - pair.ratio_low), code)
        rows.append(_row(label, _percent(pair.saved_share), low_high, "", t(_ORIGINS[evidence.origin]), where))
    if not pairs and evidence.projected_saving:
        low, high = evidence.projected_saving
        rows.append(_row(t("Share saved"), "", span(percent(low, code), percent(high, code), code), "", t("projected")))
    return rows


def _percent(share: float) -> str:
    """A share saved; a minus where the plan adds."""
    return ("−" if share < 0 else "") + percent(abs(share), language(), 1)


def _setting_rows(work: Work) -> list[dict[str, str]]:
    """How the case is set: way in, place, device, start, rates."""
    t, given = words(), work.assumptions
    chosen = t("as chosen")
    rows = [
        _row(t("Where today's cost comes from"), t(BASES[given.basis]), origin=t("assumed"), source=chosen),
        _row(t("Where it runs"), t(PLACES[given.place]), origin=t("assumed"), source=chosen),
    ]
    if given.gpu:
        known = device(given.gpu)
        rows.append(_row(t("Device"), known.name if known else given.gpu, origin=t("assumed"), source=chosen))
    rows.append(_row(t("First day"), given.starts_on or t("next month"), origin=t("assumed"), source=chosen))
    if given.place == "reserved":
        rows.append(_row(t("End of the contract or lease"), given.contract_ends_on, origin=t("assumed"), source=chosen))
    for rate in given.rates:
        unit = t("{currency} for one {other}", currency=t(given.currency), other=t(rate.currency))
        source = t("{value} ({range})", value=plain(rate.source), range=plain(rate.as_of))
        rows.append(_row(t("Exchange rate"), written(rate.per_unit), "", unit, t("assumed"), source))
    return rows


def slice_rows(work: Work) -> Rows:
    """Each slice's share of the work; lengths and prices only where somebody gave one of their own."""
    t, slices = words(), work.assumptions.slices
    own = (
        (t("Length of a request"), [one.prompt_tokens for one in slices], t("as measured")),
        (t("Length of an answer"), [one.new_tokens for one in slices], t("as measured")),
        (t("Price of a wrong answer"), [one.error_price for one in slices], t("as for all")),
    )
    told = [(head, values, without) for head, values, without in own if any(value is not None for value in values)]
    return [
        {
            t("Slice"): slice_title(one.name),
            t("Requests a month"): written(one.requests_per_month),
            t("Critical"): t("yes") if one.critical else t("no"),
            **{head: without if values[place] is None else written(values[place]) for head, values, without in told},
        }
        for place, one in enumerate(slices)
    ]


def _csv_row(row: Mapping[str, object]) -> dict[str, object]:
    """The row for a spreadsheet: without the marks of markdown."""
    return {head: str(value).replace("\\", "") for head, value in row.items()}
