"""What the drawings and slides of a business case show, worked out once: steps of cost, layers, intervals, units of money."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from analysis.contracts import (
    Area,
    BusinessCase,
    CaseEvidence,
    CaseResult,
    CostLine,
    CostLineName,
    Estimate,
    Freeze,
    Guardrail,
    Message,
    Prune,
    Skip,
)
from analysis.i18n import N_, Language, render, translator
from analysis.i18n.numbers import number
from analysis.planning.limits import CRITICAL
from analysis.reporting.headlines_business import saving_interval, slice_words
from analysis.reporting.money_words import months, rounded_money
from analysis.reporting.svg import Treated

LINE_NAMES: Mapping[CostLineName, str] = {
    "gpu_hours": N_("GPU hours"),
    "electricity": N_("Electricity"),
    "cloud": N_("Cloud"),
    "maintenance": N_("Maintenance, space"),
    "people": N_("People"),
    "quality": N_("Extra errors"),
}
AREA_NAMES: Mapping[Area, str] = {"serving": N_("serving"), "training": N_("training"), "project": N_("project")}
TRAINED = N_("trained")
_SAME = 1e-9
HALVES: tuple[Literal["attention", "mlp"], ...] = ("attention", "mlp")


@dataclass(frozen=True)
class Step:
    """One column of the way from today's cost to the plan's: it reaches from `start` to `end`."""

    label: str
    start: float
    end: float
    kind: Literal["total", "less", "more"]

    @property
    def amount(self) -> float:
        """The sum of a total; of a step what it adds, negative where it saves."""
        return self.end if self.kind == "total" else self.end - self.start


def waterfall_steps(result: CaseResult, language: Language) -> tuple[Step, ...]:
    """Today's cost a month, every line that changes (the largest saving first, what is added last), and the cost with the plan."""
    t, at = translator(language), result.cost.today
    found = [Step(t("today"), 0.0, at, "total")]
    changed = [line for line in result.lines if abs(line.plan - line.today) > _SAME * max(abs(at), 1.0)]
    areas = {line.area for line in changed} - {"project"}
    for line in sorted(changed, key=lambda one: one.plan - one.today):
        change = line.plan - line.today
        found.append(Step(_line_label(line, len(areas) > 1, language), at, at + change, "less" if change < 0 else "more"))
        at += change
    return (*found, Step(t("with the plan"), 0.0, at, "total"))


def step_words(case: BusinessCase, steps: Sequence[Step], unit: MoneyUnit, language: Language) -> list[str]:
    """The steps' figures, no finer than the range of the saving allows: the same digits as in the text."""
    first, interval = case.result.cost.today, saving_interval(case)
    after = rounded_money(first) - rounded_money(case.result.net_per_month, interval)
    net_shown = abs(steps[-1].end - (first - case.result.net_per_month)) <= _SAME * max(abs(first), 1.0)
    words = [unit.figure(rounded_money(first), language)]
    words += [unit.figure(rounded_money(step.amount, interval), language, signed=True) for step in steps[1:-1]]
    return [*words, unit.figure(after if net_shown else rounded_money(steps[-1].end), language)]


def end_words(case: BusinessCase, unit: MoneyUnit, language: Language) -> str:
    """What the plan has brought in at the end, no finer than its band."""
    drawn = curves(case)
    band = (drawn[1][-1], drawn[2][-1]) if len(drawn) == 3 else None
    return unit.figure(rounded_money(drawn[0][-1], band), language, signed=True)


def _line_label(line: CostLine, with_area: bool, language: Language) -> str:
    t = translator(language)
    name = t(LINE_NAMES[line.line])
    if with_area and line.area != "project":
        return t("{line} ({area})", line=name, area=t(AREA_NAMES[line.area]))
    return name


@dataclass(frozen=True)
class MoneyUnit:
    """The unit of a chart's or a table's money, said once in its head; figures are divided by `scale`."""

    scale: float
    name: str

    def figure(self, amount: float, language: Language, *, signed: bool = False) -> str:
        """The figure in this unit, three digits of it: 1,044 / 93 / 1.25, with a sign where it is a change."""
        value = amount / self.scale
        digits = 0 if abs(value) >= 100 or abs(value - round(value)) < 0.005 else 1 if abs(value) >= 10 else 2
        rounded = round(value, digits) + 0.0
        sign = "−" if rounded < 0 else "+" if signed and rounded > 0 else ""
        return sign + number(abs(rounded), language, digits)


_UNITS: Mapping[str, tuple[str, str, str]] = {
    "JPY": (N_("JPY"), N_("thousand JPY"), N_("million JPY")),
    "USD": (N_("USD"), N_("thousand USD"), N_("million USD")),
    "EUR": (N_("EUR"), N_("thousand EUR"), N_("million EUR")),
}


def money_unit(currency: str, amounts: Sequence[float], language: Language) -> MoneyUnit:
    """The unit in which the largest of the amounts has one to five digits."""
    largest = max((abs(amount) for amount in amounts), default=0.0)
    place = 0 if largest < 10_000 else 1 if largest < 1e8 else 2
    return MoneyUnit((1.0, 1e3, 1e6)[place], translator(language)(_UNITS[currency][place]))


def treatments(evidence: CaseEvidence) -> Mapping[tuple[str, int], Treated]:
    """(half, layer) -> what the plan does to it; halves that are kept are not listed."""
    found: dict[tuple[str, int], Treated] = {}
    for operation in evidence.operations:
        if isinstance(operation, Prune | Skip):
            halves = HALVES if operation.unit == "block" else (operation.unit,)
            found |= {(half, block): operation.op for block in operation.blocks for half in halves if block < evidence.n_blocks}
    for operation in evidence.operations:
        if isinstance(operation, Freeze):
            frozen = ((half, block) for block in range(operation.eof_layer + 1) for half in HALVES)
            found |= {place: "freeze" for place in frozen if place not in found}
    return found


Run = tuple[str, int, int]
"""Half, first and last layer of a run."""


def runs(evidence: CaseEvidence, kind: Treated, *, joined: bool = False) -> list[Run]:
    """Where an operation stands with the plan; `joined`: neighbouring layers as one, else every layer by itself."""
    treated, found = treatments(evidence), list[Run]()
    for half in HALVES:
        for block in range(evidence.n_blocks):
            if treated.get((half, block), "kept") != kind:
                continue
            if joined and found and found[-1][0] == half and found[-1][2] == block - 1:
                found[-1] = (half, found[-1][1], block)
            else:
                found.append((half, block, block))
    return found


def everything(evidence: CaseEvidence) -> list[Run]:
    """Every half of every layer by itself."""
    return [(half, block, block) for half in HALVES for block in range(evidence.n_blocks)]


def treatment_name(treatment: Treated, evidence: CaseEvidence, language: Language) -> str:
    """The operation in a word; where a plan freezes, what it does not freeze is trained."""
    t = translator(language)
    return t(TRAINED) if treatment == "kept" and evidence.eof_layer is not None else t(treatment)


@dataclass(frozen=True)
class QualityRow:
    """Quality on one part of the work, in percent: the change, its interval, and the limit that was set for it."""

    label: str
    value: float
    low: float | None
    high: float | None
    limit: float | None


@dataclass(frozen=True)
class QualityPicture:
    """Intervals against their limit; `at_most`: the limit is an upper one."""

    title: str
    rows: tuple[QualityRow, ...]
    limit: float | None
    at_most: bool = True


KEPT_LIMIT = 90.0
"""Percent of full fine-tuning's gain that a trial has to keep; below it a case stands outside its limits."""


def quality_picture(evidence: CaseEvidence, language: Language, most: int = 9) -> QualityPicture | None:
    """Loss of quality by slice, the worst first under all prompts; None: nothing is known.

    Against the original; of a trial against full fine-tuning on the same data.
    """
    t, quality = translator(language), evidence.quality
    limit = _limit(evidence, None)
    rows = [_row(t("all prompts"), quality.quality_change, limit)] if quality.quality_change else []
    worst_first = sorted(quality.by_slice.items(), key=lambda pair: -(pair[1].value if pair[1].value is not None else float("-inf")))
    rows += [_row(render(slice_words(name), language), found, _limit(evidence, name)) for name, found in worst_first]
    known = tuple(row for row in rows if row is not None)
    title = t("Quality loss against full fine-tuning, in percent") if from_trial(evidence) else t("Quality loss, in percent")
    return QualityPicture(title, known[:most], limit) if known else None


def gain_picture(evidence: CaseEvidence, language: Language) -> QualityPicture | None:
    """The share of full fine-tuning's gain that a trial kept, against the least that counts as within limits; None: not compared."""
    t, kept = translator(language), evidence.training.kept_gain if evidence.training else None
    row = _row(t("Gain kept"), kept, KEPT_LIMIT) if kept else None
    return QualityPicture(t("kept of full fine-tuning's gain (%)"), (row,), KEPT_LIMIT, at_most=False) if row else None


def from_trial(evidence: CaseEvidence) -> bool:
    """Whether the quality was judged by a trial, beside full fine-tuning, and not by running the plan beside the original."""
    return evidence.trial_id is not None and evidence.verification_id is None


def _row(label: str, found: Estimate, limit: float | None) -> QualityRow | None:
    if found.value is None:
        return None
    low, high = (None if end is None else 100 * end for end in (found.low, found.high))
    return QualityRow(label, 100 * found.value, low, high, limit)


def _limit(evidence: CaseEvidence, name: str | None) -> float | None:
    """The upper limit of the quality lost on a slice (None: on all prompts) in percent."""
    named = [one.guardrail for one in evidence.guardrails if one.guardrail.metric == "perplexity" and one.guardrail.op == "<="]
    return next((limit for one in named if one.slice == name and name != CRITICAL and (limit := _as_percent(one)) is not None), None)


def _as_percent(guardrail: Guardrail) -> float | None:
    return {"%": guardrail.value, "x": 100 * (guardrail.value - 1)}.get(guardrail.unit)


def critical_words(evidence: CaseEvidence) -> Message | None:
    """What happened to the critical cases, with the rate that so many cases cannot rule out; None: none was tried."""
    found = evidence.quality.critical
    if found is None or not found.n:
        return None
    values = {"f": found.changed, "n_critical": found.n, "u": "" if found.upper is None else f"{100 * found.upper:.0f}"}
    if found.upper is None:
        return Message(id="{f} of {n_critical} critical answers changed.", values=values)
    if not found.changed:
        return Message(
            id="None of {n_critical} critical answers changed. With so many cases a true rate of up to {u}% cannot be ruled out.",
            values=values,
        )
    return Message(id="{f} of {n_critical} critical answers changed; the true rate may be as high as {u}%.", values=values)


def curves(case: BusinessCase) -> list[Sequence[float]]:
    """What the plan has brought in by each month; and the band's lower and upper edge where it was simulated over the same months."""
    result, simulation = case.result, case.result.simulation
    n = len(result.cumulative)
    band = [edge for edge in (simulation.cumulative_p10, simulation.cumulative_p90) if len(edge) == n]
    return [result.cumulative, *band] if len(band) == 2 else [result.cumulative]


def payback_words(case: BusinessCase, language: Language) -> str:
    """When it pays back, for a mark in a drawing."""
    t, payback = translator(language), case.result.payback_months
    return t("does not pay back") if payback is None else t("back within {m}", m=months(payback, language))


def signed_percent(value: float, language: Language) -> str:
    """A change in percent with its sign, one decimal below 10.

    >>> signed_percent(4.31, "en"), signed_percent(-12.4, "en"), signed_percent(0.02, "en")
    ('+4.3%', '−12%', '0%')
    """
    digits = 0 if abs(value) >= 10 or abs(value - round(value)) < 0.05 else 1
    rounded = round(value, digits)
    sign = "+" if rounded > 0 else "−" if rounded < 0 else ""
    return f"{sign}{number(abs(rounded), language, digits)}%"
