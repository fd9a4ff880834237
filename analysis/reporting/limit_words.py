"""A limit as someone who decides reads it: what is lost, not how it is measured; the measure's own name stands one click below."""

from __future__ import annotations

from collections.abc import Mapping

from analysis.contracts import Guardrail, Message
from analysis.i18n import N_
from analysis.planning.limits import CRITICAL
from analysis.reporting.figures import percent_figure
from analysis.reporting.verification_words import limit

_METRICS: Mapping[str, str] = {
    "perplexity": N_("Quality loss"),
    "flips": N_("Changed answers"),
    "accuracy": N_("Right answers"),
    "kl": N_("Difference from the original"),
    "similarity": N_("Likeness to the original"),
    "latency_ms": N_("Time to read a request"),
    "first_token_ms": N_("Time to the first word"),
    "decode_tokens_per_second": N_("Writing speed"),
    "peak_memory_bytes": N_("Most memory in use"),
    "weight_bytes": N_("Memory of the model"),
    "kv_cache_bytes": N_("Memory while answering"),
    "prefill_flops": N_("Computation of a request"),
    "energy_mwh": N_("Energy of a request"),
}


def limit_in_words(guardrail: Guardrail) -> Message:
    """A limit as a short sentence: "Quality loss, critical cases: at most +5%"."""
    about = Message(id=_METRICS.get(guardrail.metric, guardrail.metric))
    if guardrail.slice is not None:
        where = Message(id="critical cases") if guardrail.slice == CRITICAL else guardrail.slice
        about = Message(id="{metric}, {slice}", values={"metric": about, "slice": where})
    return Message(id="{about}: {limit}", values={"about": about, "limit": _bound(guardrail)})


def _bound(guardrail: Guardrail) -> Message:
    """The limit itself: times the original's as more or less, points as points."""
    if guardrail.unit == "x" and guardrail.op == "<=":
        if guardrail.value == 1:
            return Message(id="no more than the original")
        change = {"percent": f"{percent_figure(abs(guardrail.value - 1))}%"}
        if guardrail.value > 1:
            return Message(id="at most {percent} more than the original", values=change)
        return Message(id="at least {percent} less than the original", values=change)
    if guardrail.metric == "accuracy" and guardrail.unit == "%" and guardrail.value <= 0:
        return Message(id="at most {n} points fewer", values={"n": abs(guardrail.value)})
    return limit(guardrail)
