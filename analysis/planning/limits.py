"""Limits set before a test, as people write them: ``metric[@slice] op value unit``.

    perplexity<=+5%          the plan's perplexity is at most 5 % above the original's
    perplexity@mail<=1.08x   on the slice "mail" it is at most 1.08 times the original's
    flips@critical<=10%      at most 10 % of the answers to critical prompts change
    latency_ms<=0.9x         a prompt is read in at most 0.9 of the original's time

``x`` compares with the original, ``%`` is a change against it (or, for shares, the share itself), ``abs`` is the plan's
own figure. Only where ``x`` has no meaning may the unit be left out.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from analysis.contracts import Guardrail, GuardrailUnit
from analysis.errors import PlanError
from analysis.i18n import N_

CRITICAL = "critical"
"""As a slice's name in a limit: the prompts marked as critical, whatever their slice."""
LONGEST = 200
LARGEST_BARE_PERCENT = 50
"""Without a sign, 5% can only mean +5%; 90% could mean 0.9x, so above this a sign is asked for."""

PercentMeans = Literal["change", "points", "share"]


@dataclass(frozen=True)
class Metric:
    """One thing that can be limited.

    Attributes:
        title: its name for a table's head.
        meaning: one sentence for a tooltip.
        source: the part of a verification it is read from.
        units: what may stand behind the value.
        better: the one direction in which a limit makes sense.
        percent: what % means: a change against the original, points of difference, or the plan's own share.
        example: how such a limit is written.
    """

    title: str
    meaning: str
    source: Literal["quality", "cost"]
    units: tuple[GuardrailUnit, ...]
    better: Literal["<=", ">="]
    example: str
    percent: PercentMeans = "change"
    whole: bool = False


_RELATIVE: tuple[GuardrailUnit, ...] = ("x", "%", "abs")
METRICS: Mapping[str, Metric] = {
    "perplexity": Metric(
        N_("Perplexity"),
        N_("How unsure the model is about the right text; lower is better, and +10% is like choosing among 10% more words."),
        "quality",
        _RELATIVE,
        "<=",
        "perplexity<=+5%",
    ),
    "flips": Metric(
        N_("Changed answers"),
        N_("Prompts that the plan answers differently: another choice where there are choices, else another text."),
        "quality",
        ("%", "abs"),
        "<=",
        "flips@critical<=10%",
        percent="share",
        whole=True,
    ),
    "accuracy": Metric(
        N_("Right answers"),
        N_("Share of right answers: choices by likelihood where there are choices, else answers that match the expected text."),
        "quality",
        ("%", "abs"),
        ">=",
        "accuracy>=-2%",
        percent="points",
    ),
    "kl": Metric(
        N_("KL divergence"),
        N_("How far the plan's word probabilities are from the original's, in nats per token; 0 is the same."),
        "quality",
        ("abs",),
        "<=",
        "kl<=0.05",
    ),
    "top1_agreement": Metric(
        N_("Same next word"),
        N_("Share of tokens for which both models would write the same word next."),
        "quality",
        ("%", "abs"),
        ">=",
        "top1_agreement>=95%",
        percent="share",
    ),
    "similarity": Metric(
        N_("Similarity of the results"),
        N_("Mean cosine between the final states of both models, for models that write no words; 1 is the same."),
        "quality",
        ("%", "abs"),
        ">=",
        "similarity>=0.99",
        percent="share",
    ),
    "latency_ms": Metric(
        N_("Time to read a prompt"), N_("Prefill: milliseconds to run a whole prompt once."), "cost", _RELATIVE, "<=", "latency_ms<=0.9x"
    ),
    "first_token_ms": Metric(
        N_("Time to the first word"),
        N_("Milliseconds from the prompt to the first token of the answer."),
        "cost",
        _RELATIVE,
        "<=",
        "first_token_ms<=0.9x",
    ),
    "decode_tokens_per_second": Metric(
        N_("Writing speed"),
        N_("Tokens written per second, all sequences of a batch together."),
        "cost",
        _RELATIVE,
        ">=",
        "decode_tokens_per_second>=1.1x",
    ),
    "peak_memory_bytes": Metric(
        N_("Peak memory"), N_("Most device memory in use at once, in bytes."), "cost", _RELATIVE, "<=", "peak_memory_bytes<=0.9x"
    ),
    "weight_bytes": Metric(
        N_("Memory of the weights"), N_("Bytes of the weights that must be in memory."), "cost", _RELATIVE, "<=", "weight_bytes<=0.9x"
    ),
    "kv_cache_bytes": Metric(
        N_("Memory of the KV cache"), N_("Bytes of the KV cache after a prompt."), "cost", _RELATIVE, "<=", "kv_cache_bytes<=0.9x"
    ),
    "prefill_flops": Metric(
        N_("FLOPs of a prompt"),
        N_("Arithmetic steps to run a prompt once, counted while running."),
        "cost",
        _RELATIVE,
        "<=",
        "prefill_flops<=0.9x",
    ),
    "energy_mwh": Metric(
        N_("Energy of a prompt"), N_("Energy to run a prompt once, in milliwatt-hours."), "cost", _RELATIVE, "<=", "energy_mwh<=0.9x"
    ),
}
"""Everything that can be limited."""

_OPERATOR = r"[<＜][=＝]|[>＞][=＝]|[≤≦≥≧]"
_FORM = re.compile(rf"(?P<metric>[^@＠<>＜＞≤≦≥≧=＝]*)(?:[@＠](?P<slice>.*))?(?P<op>{_OPERATOR})(?P<value>[^<>＜＞≤≦≥≧=＝]*)", re.DOTALL)
_VALUE = re.compile(r"(?P<sign>[+-]?)(?P<number>[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]{1,3})?)(?P<unit>.*)")
_UNITS: Mapping[str, GuardrailUnit] = {"x": "x", "×": "x", "倍": "x", "%": "%", "abs": "abs", "": "abs"}


def parse_guardrail(text: str) -> Guardrail:
    """Reads one limit; full-width digits and signs are read as half-width ones, a slice's name stays as it is.

    Raises:
        PlanError: it is written in another way, names something that cannot be limited, or could be meant in two ways.

    >>> parse_guardrail("perplexity@mail<=1.08x").slice
    'mail'
    >>> parse_guardrail("ｆｌｉｐｓ＠critical≦１０％").value
    10.0
    """
    _check_text(text)
    found = _FORM.fullmatch(text.strip())
    if found is None:
        raise PlanError(
            'The limit "{text}" cannot be read. Write metric, <= or >=, and a value, such as perplexity<=+5% or flips@critical<=10%. '
            "Metrics: {known}.",
            text=text,
            known=tuple(METRICS),
        )
    name = unicodedata.normalize("NFKC", found["metric"]).strip().lower()
    metric = METRICS.get(name)
    if metric is None:
        raise PlanError(
            'The limit "{text}" names "{metric}", which is not measured. Metrics: {known}.', text=text, metric=name, known=tuple(METRICS)
        )
    slice_name = _slice(text, name, metric, found["slice"])
    op = _direction(text, name, metric, found["op"])
    value, unit = _value(text, name, metric, found["value"])
    return Guardrail(text=text.strip(), metric=name, slice=slice_name, op=op, value=value, unit=unit)


def _check_text(text: str) -> None:
    if len(text) > LONGEST:
        raise PlanError(
            'A limit of {n} characters was given ("{start}..."). A limit has at most {longest}: write it as perplexity<=+5%.',
            n=len(text),
            start=_printable(text[:40]),
            longest=LONGEST,
        )
    if any(unicodedata.category(character).startswith("C") for character in text):
        raise PlanError(
            'The limit "{text}" holds control characters or line breaks. Type it again on one line, such as perplexity<=+5%.',
            text=_printable(text),
        )


def _printable(text: str) -> str:
    return "".join(" " if unicodedata.category(character).startswith("C") else character for character in text)


def _slice(text: str, name: str, metric: Metric, given: str | None) -> str | None:
    if given is None:
        return None
    if not given.strip():
        raise PlanError(
            'The limit "{text}" has no slice after the @. Write the name of a slice, or critical for the critical prompts: {example}.',
            text=text,
            example=f"{name}@{CRITICAL}{metric.example[metric.example.index(metric.better) :]}",
        )
    if metric.source == "cost":
        raise PlanError(
            'The limit "{text}" asks for a slice, but {metric} is measured for the whole model, not by slice. Write {example}.',
            text=text,
            metric=name,
            example=metric.example,
        )
    return given.strip()


def _direction(text: str, name: str, metric: Metric, given: str) -> Literal["<=", ">="]:
    op: Literal["<=", ">="] = "<=" if given[0] in "<＜≤≦" else ">="
    if op == metric.better:
        return op
    if metric.better == "<=":
        raise PlanError(
            'The limit "{text}" sets a least value, but {metric} is better when smaller. Write {example}.',
            text=text,
            metric=name,
            example=metric.example,
        )
    raise PlanError(
        'The limit "{text}" sets a greatest value, but {metric} is better when larger. Write {example}.',
        text=text,
        metric=name,
        example=metric.example,
    )


def _value(text: str, name: str, metric: Metric, given: str) -> tuple[float, GuardrailUnit]:
    plain = unicodedata.normalize("NFKC", given).replace("\u2212", "-").replace(" ", "").lower()
    if "," in plain:
        raise PlanError(
            'The limit "{text}" has a comma in its number. Write decimals behind a point, and thousands without a mark: {example}.',
            text=text,
            example=metric.example,
        )
    found = _VALUE.fullmatch(plain)
    if found is None:
        raise PlanError(
            'The limit "{text}" has no number after {op}. Write a value, such as {example}.',
            text=text,
            op=metric.better,
            example=metric.example,
        )
    if not found["unit"] and "x" in metric.units:
        raise PlanError(
            'The limit "{text}" has no unit. Write x for times the original, % for a change, or abs for the plan\'s own figure: {example}.',
            text=text,
            example=metric.example,
        )
    unit = _UNITS.get(found["unit"])
    if unit is None or unit not in metric.units:
        raise PlanError(
            'The limit "{text}" has the unit "{unit}". {metric} takes: {units}. Write it as {example}.',
            text=text,
            unit=found["unit"],
            metric=name,
            units=metric.units,
            example=metric.example,
        )
    value = float(found["sign"] + found["number"])
    _check_range(text, name, metric, value, unit, signed=bool(found["sign"]))
    return value, unit


def _check_range(text: str, name: str, metric: Metric, value: float, unit: GuardrailUnit, *, signed: bool) -> None:
    low, high = _range(name, metric, unit)
    if not math.isfinite(value) or not low <= value <= high or (unit == "x" and value == 0):
        raise PlanError(
            'The limit "{text}" has the value {value}. In this unit {metric} takes {low} to {high}. Write it as {example}.',
            text=text,
            value=f"{value:g}",
            metric=name,
            low=f"{low:g}",
            high=f"{high:g}",
            example=metric.example,
        )
    if metric.whole and unit == "abs" and value != int(value):
        raise PlanError(
            'The limit "{text}" counts answers, so its value is a whole number. Write it as {example}.', text=text, example=f"{name}<=3abs"
        )
    unclear = LARGEST_BARE_PERCENT if metric.percent == "change" else 0
    if unit == "%" and metric.percent != "share" and not signed and value > unclear:
        raise PlanError(
            'The limit "{text}" can be read in two ways. Write a change with its sign ({change}), or the plan\'s own figure ({own}).',
            text=text,
            change=metric.example.replace("0.9x", "-10%").replace("1.1x", "+10%"),
            own=f"{name}{metric.better}{value / 100:g}{'x' if 'x' in metric.units else 'abs'}",
        )


def _range(name: str, metric: Metric, unit: GuardrailUnit) -> tuple[float, float]:
    """What a value may be: shares 0 to 1, changes from -100 % on, everything else from 0 on."""
    largest = 1e18
    if unit == "x":
        return 0.0, 1e6
    if unit == "%":
        return (0.0, 100.0) if metric.percent == "share" else (-100.0, 100.0 if metric.percent == "points" else 1e6)
    return 0.0, 1.0 if name in ("accuracy", "top1_agreement", "similarity") else largest
