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
    """A figure with its interval as its limit would be written; a dash where there is none."""
    if found.value is None:
        return "-"
    value = figure(found.value, guardrail)
    if found.low is None or found.high is None or found.low == found.high:
        return value
    return f"{value} ({span(figure(found.low, guardrail), figure(found.high, guardrail), language)})"


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
    return "0%" if abs(percent) < 0.05 else f"{percent:+.1f}%"


def speed(verification: Verification) -> float | None:
    """How many times as fast the plan is as the original at the first measured point: writing where it writes, else reading."""
    if not verification.cost:
        return None
    point = verification.cost[0]
    if point.decode_tokens_per_second is not None:
        return point.decode_tokens_per_second.ratio.value
    taken = point.prefill_ms.ratio.value
    return None if not taken else 1.0 / taken


def _written(guardrail: Guardrail) -> str:
    """The limit's value in its unit, no finer than it was given."""
    value = f"{guardrail.value:g}"
    if guardrail.unit == "x":
        return f"{value}x"
    if guardrail.unit == "abs":
        return value
    known = METRICS.get(guardrail.metric)
    return f"{value}%" if known and known.percent == "share" else f"{guardrail.value:+g}%"
