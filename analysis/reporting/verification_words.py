"""Verdicts, limits, metrics and projected quantities in words: one place for the pages, the terminal and the certificate."""

from __future__ import annotations

from collections.abc import Mapping

from analysis.contracts import Estimate, Guardrail, GuardrailResult, Message, ProjectionError, Verdict, Verification
from analysis.i18n import N_
from analysis.i18n.numbers import amount, number, size, span
from analysis.planning.guardrails import CRITICAL, METRICS, figure

VERDICTS: Mapping[Verdict | None, str] = {
    "within": N_("within limits"),
    "outside": N_("outside limits"),
    "undecided": N_("not enough data"),
    None: N_("no limit was set"),
}
"""A verdict in two words (English sentence part; its own translation key)."""

NOT_RUN = N_("not run yet")

QUANTITIES: Mapping[str, str] = {
    "parameters": N_("Parameters"),
    "prefill_flops": N_("FLOPs of a prompt"),
    "kv_cache_bytes": N_("Memory of the KV cache"),
    "weight_bytes": N_("Memory of the weights"),
    "peak_memory_bytes": N_("Peak memory"),
    "prefill_ms": N_("Time to read a prompt"),
    "prefill_ratio": N_("Time to read a prompt, plan against original"),
    "decode_ms": N_("Time to write a token"),
    "decode_ratio": N_("Time to write a token, plan against original"),
    "perplexity_ratio": N_("Perplexity, plan against original"),
}
"""Projected quantity -> its name in words."""


def verdict(found: Verdict | None) -> Message:
    """The verdict in words."""
    return Message(id=VERDICTS[found])


def metric(name: str) -> Message:
    """What is limited, by its name in words."""
    known = METRICS.get(name)
    return Message(id=known.title) if known else Message(id="{name}", values={"name": name})


def item(guardrail: Guardrail) -> Message:
    """What a limit looks at: the metric, and the slice where it is not about all prompts."""
    values = {"metric": metric(guardrail.metric), "slice": guardrail.slice or ""}
    if guardrail.slice is None:
        return metric(guardrail.metric)
    if guardrail.slice == CRITICAL:
        return Message(id="{metric}, critical cases", values=values)
    return Message(id="{metric}, slice {slice}", values=values)


def limit(guardrail: Guardrail) -> Message:
    """The limit itself: "at most +5.0%", "at least 0.95x"."""
    value = _written(guardrail)
    if guardrail.op == "<=":
        return Message(id="at most {value}", values={"value": value})
    return Message(id="at least {value}", values={"value": value})


def measured(result: GuardrailResult, language: str) -> str:
    """What was measured against a limit, with its interval, in the limit's own unit."""
    return estimate(result.measured, result.guardrail, language)


def estimate(found: Estimate, guardrail: Guardrail, language: str) -> str:
    """A figure with its interval as its limit would be written, no finer than the interval; a dash where there is none."""
    value, low, high = in_limits_unit(found, guardrail)
    return value if low is None or high is None or low == high else f"{value} ({span(low, high, language)})"


def in_limits_unit(found: Estimate, guardrail: Guardrail) -> tuple[str, str | None, str | None]:
    """A figure and the ends of its interval as its limit would be written, with the digits that the interval allows."""
    if found.value is None:
        return "-", None, None
    if found.low is None or found.high is None:
        return figure(found.value, guardrail).replace("-", "−"), None, None
    ends, digits = (found.low, found.high), _digits(found.high - found.low, guardrail.unit)
    while digits < 4 and any(_rounds_onto(end, guardrail.value, digits) for end in ends):
        digits += 1  # an end beside the limit must not look as if it lay on it
    value, low, high = (_at_digits(one, guardrail, digits) for one in (found.value, *ends))
    return value, low, high


def _digits(width: float, unit: str) -> int:
    """Decimals that an interval of this width allows: of 5 or more none, of 0.5 or more one, and so on."""
    scaled = 100 * width if unit == "x" else width
    digits = 0 if scaled >= 5 else 1 if scaled >= 0.5 else 2
    return digits + 2 if unit == "x" else digits


def _rounds_onto(end: float, limit_value: float, digits: int) -> bool:
    return abs(end - limit_value) > 1e-9 and round(end, digits) == round(limit_value, digits)


def _at_digits(value: float, guardrail: Guardrail, digits: int) -> str:
    if guardrail.unit == "abs":
        return figure(value, guardrail).replace("-", "−")
    rounded = round(value, digits) + 0.0  # never "-0"
    if guardrail.unit == "x":
        return f"{rounded:.{digits}f}x"
    known = METRICS.get(guardrail.metric)
    signed = rounded != 0 and not (known and known.percent == "share")
    return f"{rounded:{'+' if signed else ''}.{digits}f}%".replace("-", "−")


def remark(result: GuardrailResult) -> Message | None:
    """What a reader should know of a limit besides its figures: what decided it, or why nothing can be said; None: nothing."""
    if result.verdict == "undecided":
        return _why_open(result)
    if result.verdict == "outside" and result.worst_slice is not None:
        return Message(id="{slice} decided it.", values={"slice": result.worst_slice})
    return None


def _why_open(result: GuardrailResult) -> Message:
    """Why the data cannot decide, and what would: in words, without the grammar of limits."""
    told, found = result.reason.values, result.measured
    if found.value is None:
        named = {"metric": metric(str(told["metric"]))} if "metric" in told else {}
        return result.reason.model_copy(update={"values": {**told, **named}})
    if found.low is None or found.high is None:
        return Message(id="It is a single reading without an interval: measure again with more repeats.")
    if "fewest" in told:
        return Message(id="{n} prompts decide nothing; at least {fewest} are needed.", values={"n": result.n, "fewest": told["fewest"]})
    if none_changed(result):
        return _none_changed(result)
    known = METRICS.get(result.guardrail.metric)
    if known and known.source == "cost":
        return Message(id="The limit lies inside the interval: measure again with more repeats.")
    return Message(id="The limit lies inside the interval: more prompts would decide it.")


def none_changed(result: GuardrailResult) -> bool:
    """Whether a limit on changed answers is open although no answer changed."""
    return result.verdict == "undecided" and result.guardrail.metric == "flips" and result.measured.value == 0 and result.n > 0


def _none_changed(result: GuardrailResult) -> Message:
    times = 100.0 if result.guardrail.unit == "%" else float(result.n)
    upper = 100 * (result.measured.high or 0.0) / times
    values: dict[str, object] = {"n": result.n, "u": f"{upper:.0f}" if upper >= 9.95 else f"{upper:.1f}"}
    if result.guardrail.value <= 0:
        return Message(
            id="None of {n} answers changed, but no number of cases proves that none ever will: "
            "a true rate of up to {u}% cannot be ruled out. Set a limit above {u}%.",
            values=values,
        )
    if "more" not in result.reason.values:
        return Message(id="None of {n} answers changed, but a true rate of up to {u}% cannot be ruled out.", values=values)
    return Message(
        id="None of {n} answers changed, but a true rate of up to {u}% cannot be ruled out; this limit takes {more} unchanged cases.",
        values={**values, "more": result.reason.values["more"]},
    )


def quantity(name: str) -> Message:
    """A projected quantity by its name in words; kinds with a shape (``prefill_ms@1x256``) keep it."""
    kind, _, shape = name.partition("@")
    title = QUANTITIES.get(kind)
    plain = Message(id=title) if title else Message(id="{name}", values={"name": kind})
    return Message(id="{quantity} ({shape})", values={"quantity": plain, "shape": shape}) if shape else plain


def quantity_value(name: str, value: float, language: str) -> str:
    """A projected or measured quantity in its unit."""
    kind = name.partition("@")[0]
    if kind.endswith("_bytes"):
        return size(value, language)
    if kind.endswith("_ms"):
        return f"{number(value, language)} ms"
    if kind.endswith("_ratio"):
        return f"{number(value, language, 3)}x"
    return amount(value, language)


def projection_error(found: ProjectionError) -> str:
    """How far the projection was from the measurement, with its sign: "+1.2%"; exact figures say 0%."""
    percent = 100 * found.error_share
    return "0%" if abs(percent) < 0.05 else f"{percent:+.1f}%".replace("-", "−")


def speed(verification: Verification) -> Estimate | None:
    """How many times as fast the plan is as the original at the first measured point: writing where it writes, else reading."""
    if not verification.cost:
        return None
    point = verification.cost[0]
    if point.decode_tokens_per_second is not None:
        return point.decode_tokens_per_second.ratio
    taken = point.prefill_ms.ratio
    value, low, high = (1.0 / end if end else None for end in (taken.value, taken.high, taken.low))
    return None if value is None else Estimate(value=value, low=low, high=high)


def _written(guardrail: Guardrail) -> str:
    """The limit's value in its unit, no finer than it was given."""
    value = f"{guardrail.value:g}"
    if guardrail.unit == "x":
        return f"{value}x"
    if guardrail.unit == "abs":
        return value
    known = METRICS.get(guardrail.metric)
    return f"{value}%" if known and known.percent == "share" else f"{guardrail.value:+g}%"
