"""What the evidence says as figures: the plan's share of today's GPU time, and the errors it adds, with their 95 % intervals."""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from analysis.contracts.business import Assumptions, CaseEvidence, Pair, ServingPoint
from analysis.economics.uses import serves, trains

Shape = Literal["fixed", "triangular", "normal", "uniform"]


@dataclass(frozen=True)
class Range:
    """A figure and how it is drawn: triangular between its ends, normal with its ends as the 95 % interval, uniform, or fixed.

    `floor` and `ceiling` are where the figure cannot go beyond.
    """

    value: float
    low: float
    high: float
    shape: Shape
    floor: float = -np.inf
    ceiling: float = np.inf

    def draw(self, n: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """`n` values; a fixed figure takes none of the generator's numbers."""
        if self.shape == "fixed" or self.low == self.high:
            return np.full(n, self.value)
        if self.shape == "uniform":
            return rng.uniform(self.low, self.high, n)
        if self.shape == "triangular":
            return rng.triangular(self.low, self.value, self.high, n)
        return self._split_normal(n, rng)

    def _split_normal(self, n: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """Half of the draws to either side of the value; the ends are the 2.5 % and 97.5 % points. Drawn again where it cannot be."""
        below, above = (self.value - self.low) / 1.959964, (self.high - self.value) / 1.959964
        drawn = _bent(rng.standard_normal(n), self.value, below, above)
        for _ in range(50):
            outside = (drawn < self.floor) | (drawn > self.ceiling)
            if not outside.any():
                return drawn
            drawn[outside] = _bent(rng.standard_normal(int(outside.sum())), self.value, below, above)
        return np.clip(drawn, self.floor, self.ceiling)


def _bent(z: NDArray[np.float64], value: float, below: float, above: float) -> NDArray[np.float64]:
    return value + z * np.where(z < 0, below, above)


def serving_point(evidence: CaseEvidence, batch_size: float | None) -> ServingPoint | None:
    """The measured point nearest to the priced batch, and among those the one nearest to the workload's requests."""
    if evidence.serving is None:
        return None
    wanted = batch_size or default_batch(evidence)
    tokens = evidence.mean_prompt_tokens or 1.0
    return min(
        evidence.serving.points, key=lambda point: (abs(log(point.batch_size / wanted)), abs(log(point.prompt_tokens / max(tokens, 1.0))))
    )


def default_batch(evidence: CaseEvidence) -> int:
    """The largest batch measured: a busy server puts requests together."""
    assert evidence.serving is not None
    return max(point.batch_size for point in evidence.serving.points)


def request_ratio(assumptions: Assumptions, evidence: CaseEvidence) -> Range | None:
    """GPU seconds of the mean request, plan / today. Reading and writing are taken to err together, which is the wider interval."""
    if not serves(evidence):
        return None
    batch = assumptions.values.get("batch_size")
    point = serving_point(evidence, batch.value if batch else None)
    if point is None or (evidence.origin == "projected" and evidence.eof_layer is None):
        return _promised(evidence.projected_saving)
    value, low, high = _of_point(point, *mean_tokens(assumptions, evidence, point))
    return _halved(value) if evidence.origin == "projected" else _ratio(value, low, high)


def _of_point(point: ServingPoint, prompt: float, new: float) -> tuple[float, float, float]:
    """Plan / today of a request of so many tokens, and the ends of its interval."""
    parts = [(point.prefill_ms, prompt / point.prompt_tokens)]
    parts += [(point.decode_ms, new)] if point.decode_ms else []
    today = sum(pair.today * weight for pair, weight in parts)
    if not today:
        return 1.0, 1.0, 1.0
    shares = [(pair, pair.today * weight / today) for pair, weight in parts]
    value, low, high = (sum(share * at(pair) for pair, share in shares) for at in (_value, _low, _high))
    return value, low, high


def mean_tokens(assumptions: Assumptions, evidence: CaseEvidence, point: ServingPoint) -> tuple[float, float]:
    """Prompt and new tokens of the mean request over the slices, each with its volume; the workload's mean where a slice does not tell."""
    prompt = evidence.mean_prompt_tokens or float(point.prompt_tokens)
    new = float(point.new_tokens) if evidence.mean_new_tokens is None else evidence.mean_new_tokens
    volume = sum(given.requests_per_month for given in assumptions.slices)
    if not volume:
        return prompt, new
    read = sum((given.prompt_tokens or prompt) * given.requests_per_month for given in assumptions.slices)
    written = sum((new if given.new_tokens is None else given.new_tokens) * given.requests_per_month for given in assumptions.slices)
    return read / volume, written / volume


def training_ratio(evidence: CaseEvidence) -> Range | None:
    """GPU hours of a fine-tuning run, plan / today."""
    if not trains(evidence):
        return None
    if evidence.training is None or evidence.origin == "projected":
        return _promised(evidence.projected_saving)
    hours = evidence.training.hours
    return _ratio(_value(hours), _low(hours), _high(hours))


def error_percent(evidence: CaseEvidence) -> Range | None:
    """Change of right answers in percentage points, before the sign is turned: below 0 errors are added. None: no answers exist."""
    change = evidence.quality.accuracy_change
    if change is None or change.value is None:
        return None
    low = change.value if change.low is None else change.low
    high = change.value if change.high is None else change.high
    return Range(100 * change.value, 100 * low, 100 * high, "normal", floor=-100.0, ceiling=100.0)


def _promised(saved: tuple[float, float] | None) -> Range | None:
    """A projection alone: any share from half of what it promises to all of it."""
    if saved is None:
        return None
    low, high = saved
    return Range(1 - (low + high) / 2, 1 - high, 1 - low, "uniform", floor=0.0)


def _halved(ratio: float) -> Range:
    """The same for a ratio that stands among the projected times."""
    low, high = sorted((ratio, (1 + ratio) / 2))
    return Range((low + high) / 2, low, high, "uniform", floor=0.0)


def _ratio(value: float, low: float, high: float) -> Range:
    return Range(value, min(low, value), max(high, value), "normal", floor=0.0)


def _value(pair: Pair) -> float:
    return pair.ratio


def _low(pair: Pair) -> float:
    return pair.ratio if pair.ratio_low is None else pair.ratio_low


def _high(pair: Pair) -> float:
    return pair.ratio if pair.ratio_high is None else pair.ratio_high
