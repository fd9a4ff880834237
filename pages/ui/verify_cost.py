"""What a verification measured of time, memory and work, and how far the projections were off."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from statistics import median

import streamlit as st

from analysis.contracts import CostPoint, Estimate, Measured, ProjectionError, Verification, VerificationSummary
from analysis.i18n import render
from analysis.i18n.numbers import amount, number, percent, size, span
from analysis.reporting.charts.verification import projection_figure
from analysis.reporting.verification_words import QUANTITIES, projection_error, quantity, quantity_value
from pages.ui.charts import draw, look
from pages.ui.evidence import Rows, download_rows, section, table
from pages.ui.glossary import term
from pages.ui.language import language, plain, words
from pages.ui.verdicts import change_words, origin_of

Row = dict[str, object]


def show_cost(found: Verification) -> None:
    """Original and plan, measured in turns in one run, a table for each batch."""
    t = words()
    section(t("Time, memory and work"), origin_of(found), help=term("latency"))
    if not found.cost:
        st.caption(t("Time and memory were not measured in this run."))
        return
    machine = found.machine
    st.caption(t("Measured on {device} in {dtype}, original and plan in turns.", device=plain(machine.device_name), dtype=machine.dtype))
    if origin_of(found) == "elsewhere":
        st.warning(t("These times are another machine's. Verify again here before you rely on them."), icon=":material/computer:")
    titles = [t("batch of {batch}, {n} tokens", batch=point.batch_size, n=point.prompt_tokens) for point in found.cost]
    shown = 0
    if len(titles) > 1:
        places = range(len(titles))
        shown = st.radio(t("Load"), places, format_func=lambda place: titles[place], horizontal=True, key=f"load_{found.id}") or 0
    else:
        st.caption(titles[0])
    point = found.cost[shown]
    rows = cost_rows(point)
    table(rows, alt=t("Time, memory and work of original and plan"))
    if point.tokens_per_second_gain_at_double_batch is not None:
        st.caption(_load_words(point.tokens_per_second_gain_at_double_batch))
    download_rows(rows, "cost.csv", key="cost")


def cost_rows(point: CostPoint) -> Rows:
    """Every cost of both models; what the device cannot tell is left out."""
    return list(_cost_rows(point))


def _cost_rows(point: CostPoint) -> Iterator[Row]:
    t, code = words(), language()
    yield from _timed(t("Time to read the prompt"), point.prefill_ms)
    yield from _timed(t("Time to the first word"), point.first_token_ms)
    if point.decode_tokens_per_second:
        yield from _timed(t("Writing speed"), point.decode_tokens_per_second, per_second=True)
    for title, pair in (
        (t("Peak memory"), point.peak_memory_bytes),
        (t("Memory of the weights"), point.weight_bytes),
        (t("Memory of the KV cache"), point.kv_cache_bytes),
    ):
        if pair:
            yield _pair(title, pair, size(pair[0], code), size(pair[1], code))
    if flops := point.prefill_flops:
        yield _pair(t("FLOPs of a prompt, counted"), flops, amount(flops[0], code), amount(flops[1], code))
    calls = point.layer_calls
    yield _pair(t("Halves of layers that ran"), calls, number(calls[0], code, 0), number(calls[1], code, 0))
    if energy := point.energy_mwh:
        yield _pair(t("Energy of a prompt"), energy, *(t("{n} mWh", n=number(value, code)) for value in energy))


def _timed(title: str, measured: Measured, *, per_second: bool = False) -> Iterator[Row]:
    t, code = words(), language()

    def write(value: float) -> str:
        return t("{n} tokens/s", n=number(value, code)) if per_second else t("{n} ms", n=number(value, code))

    before, after = measured.original, measured.plan
    yield _row(t("{cost}, median", cost=title), write(before.p50), write(after.p50), change_words(measured.ratio))
    tail = t("{cost}, reached in 95% of runs", cost=title) if per_second else t("{cost}, 95th percentile", cost=title)
    yield _row(tail, write(before.p95), write(after.p95), "")


def _pair(title: str, pair: tuple[float, float], original: str, plan: str) -> Row:
    return _row(title, original, plan, change_words(Estimate(value=pair[1] / pair[0])) if pair[0] else "")


def _row(cost: str, original: str, plan: str, change: str) -> Row:
    t = words()
    return {t("Cost"): cost, t("Original"): original, t("With the plan"): plan, t("Change (95% interval)"): change}


def _load_words(gain: float) -> str:
    t = words()
    times = number(gain, language(), 2)
    if gain < 1.3:
        return t("Twice the batch writes {times} times as much: the device is busy, and a lighter model frees it.", times=times)
    return t(
        "Twice the batch writes {times} times as much: the device waits for work, and a lighter model shows less here than under load.",
        times=times,
    )


def show_projection(found: Verification) -> None:
    """Each projected figure beside the measured one."""
    t = words()
    section(t("Projection against measurement"), origin_of(found), help=term("projected"))
    if not found.projection_errors:
        st.caption(t("The plan carried no projection, so there is nothing to compare."))
        return
    draw(
        partial(projection_figure, found.projection_errors, look()),
        of=(found.id,),
        key="projection_errors",
        alt=t("Chart: how far each projection was off; the table below has the figures."),
    )
    rows = [_error_row(error) for error in found.projection_errors]
    table(rows, alt=t("Projected and measured figures side by side"))
    download_rows(rows, "projection_against_measurement.csv", key="projection_errors")


def _error_row(error: ProjectionError) -> Row:
    t = words()

    def write(value: float) -> str:
        return quantity_value(error.quantity, value, language())

    inside = "" if error.inside is None else t("inside") if error.inside else t("outside")
    interval = span(write(error.low), write(error.high), language()) if error.low is not None and error.high is not None else ""
    return {
        t("Figure"): render(quantity(error.quantity), language()),
        t("Projected"): write(error.projected),
        t("Range"): interval,
        t("Measured"): write(error.measured),
        t("Error"): projection_error(error),
        t("Measurement in the range"): inside,
    }


def show_calibration(past: Sequence[tuple[VerificationSummary, Sequence[ProjectionError]]], device_name: str) -> None:
    """How good the projections have been so far, on the device of the verification shown."""
    t = words()
    here = [errors for summary, errors in past if summary.device_name == device_name]
    st.subheader(t("How good have our projections been?"), anchor=False)
    if not here:
        st.caption(t("No verification on {device} is stored yet.", device=plain(device_name)))
        return
    st.caption(t("{n} verifications on {device}.", n=len(here), device=plain(device_name)))
    rows = calibration_rows(here)
    table(rows, alt=t("Size of past projection errors, by figure"))


def calibration_rows(past: Sequence[Sequence[ProjectionError]]) -> Rows:
    """For every figure: how often it was compared, how far it was off, how often the measurement fell into the range."""
    t, code = words(), language()
    rows = []
    for name in QUANTITIES:
        errors = [error for one in past for error in one if error.quantity.partition("@")[0] == name]
        if not errors:
            continue
        ranged = [error.inside for error in errors if error.inside is not None]
        off = [abs(error.error_share) for error in errors]
        rows.append(
            {
                t("Figure"): t(QUANTITIES[name]),
                t("Comparisons"): len(errors),
                t("Median error"): percent(median(off), code, 1),
                t("Largest error"): percent(max(off), code, 1),
                t("In the range"): t("{changed} of {n}", changed=sum(ranged), n=len(ranged)) if ranged else "",
            }
        )
    return rows
