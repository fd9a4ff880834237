"""How much work there is, today and with the plan: GPU seconds of a request, hours of a fine-tune, and how both grow and move over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.contracts.business import Assumptions, CaseEvidence, ServingPoint
from analysis.economics.measured import mean_tokens, serving_point
from analysis.economics.uses import other_kind, serves, trains

Floats = NDArray[np.float64]
Number = float | Floats
Figures = Mapping[str, Number]
HOURS_PER_MONTH = 730.0
"""365 days x 24 hours / 12."""


@dataclass(frozen=True)
class Requests:
    """Answering requests at today's volume. `ratio` is plan / today of GPU seconds, on the priced device.

    Attributes:
        number: requests a month.
        tokens: of one request, read and written, on average.
        seconds: GPU seconds of one request today; None: nothing was measured or projected in time.
        answer_ms: from a request to its whole answer, at the priced batch, today.
        point: where it was measured.
    """

    number: float
    tokens: float
    seconds: Number | None
    ratio: Number
    answer_ms: Number | None = None
    point: ServingPoint | None = None


@dataclass(frozen=True)
class Runs:
    """Fine-tuning at today's rate.

    Attributes:
        number: runs a month.
        hours: GPU hours of one run today; None: neither measured nor given, or the plan trains nothing.
        ratio: plan / today of those hours.
    """

    number: Number
    hours: Number | None
    ratio: Number


def requests(assumptions: Assumptions, evidence: CaseEvidence, figures: Figures) -> Requests:
    """The serving side of the work; a plan that only trains leaves it as it is."""
    number = sum(given.requests_per_month for given in assumptions.slices)
    ratio = _scaled(figures, "measured_request_ratio") if serves(evidence) else 1.0
    point = serving_point(evidence, scalar(figures, "batch_size"))
    if point is None:
        return Requests(number, _tokens(assumptions, evidence), None, ratio)
    prompt, new = mean_tokens(assumptions, evidence, point)
    ms = point.prefill_ms.today * prompt / point.prompt_tokens + (point.decode_ms.today * new if point.decode_ms else 0.0)
    faster = _faster(assumptions, evidence, figures)
    return Requests(number, prompt + new, ms / 1000 / point.batch_size / faster, ratio, ms / faster, point)


def runs(assumptions: Assumptions, evidence: CaseEvidence, figures: Figures) -> Runs:
    """The fine-tuning side of the work; a plan that trains nothing leaves it as it is."""
    number = figures.get("training_runs_per_month", 0.0)
    if not trains(evidence):
        return Runs(number, None, 1.0)
    given, hours = assumptions.values.get("training_gpu_hours_per_run"), figures.get("training_gpu_hours_per_run")
    measured = hours is None or (given is not None and given.origin == "measured")
    if hours is None:
        hours = None if evidence.training is None else evidence.training.hours.today
    if hours is not None and measured:
        hours = hours / _faster(assumptions, evidence, figures)
    return Runs(number, hours, _scaled(figures, "measured_training_ratio"))


def growth(figures: Figures, months: int) -> Floats:
    """[..., months] work of a month / work of the first: requests and fine-tunes alike grow by the same factor every month."""
    yearly = np.log1p(np.asarray(figures.get("growth_percent_per_year", 0.0), dtype=np.float64) / 100)
    if not yearly.any():
        return np.ones((*yearly.shape, months))
    return np.asarray(np.exp(yearly[..., None] * (np.arange(months) / 12)))


def ramp(figures: Figures, months: int) -> Floats:
    """[..., months] share of full use: rises evenly over the rollout, from the first month on 1 where that is at most a month."""
    rollout = np.maximum(np.asarray(figures.get("rollout_months", 1.0), dtype=np.float64), 1.0)
    return np.asarray(np.minimum(np.arange(1, months + 1) / rollout[..., None], 1.0))


def column(value: Number) -> Floats:
    """A figure or its draws, ready to be multiplied with months."""
    return np.asarray(value, dtype=np.float64)[..., None]


def scalar(figures: Figures, name: str) -> float | None:
    """A figure that is the same in every draw; None: nobody gave it."""
    value = figures.get(name)
    return None if value is None else float(np.ravel(np.asarray(value))[0])


def _scaled(figures: Figures, name: str) -> Number:
    """The measured ratio on the priced device: the machine factor scales the share that is saved, of which there is no more than all."""
    return np.maximum(0.0, 1 - figures.get("machine_factor", 1.0) * (1 - figures.get(name, 1.0)))


def _faster(assumptions: Assumptions, evidence: CaseEvidence, figures: Figures) -> Number:
    """How many times as fast the priced device is, where it is of another kind than the measured one."""
    return figures.get("speed_factor", 1.0) if other_kind(assumptions, evidence) else 1.0


def _tokens(assumptions: Assumptions, evidence: CaseEvidence) -> float:
    """Tokens of the mean request, as far as anything tells."""
    prompt, new = evidence.mean_prompt_tokens or 0.0, evidence.mean_new_tokens or 0.0
    volume = sum(given.requests_per_month for given in assumptions.slices)
    if not volume:
        return prompt + new
    each = (
        ((given.prompt_tokens or prompt) + (new if given.new_tokens is None else given.new_tokens)) * given.requests_per_month
        for given in assumptions.slices
    )
    return sum(each) / volume
