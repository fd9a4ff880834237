"""What an arm has to do, and what it has done so far."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch

from analysis.contracts.trial import StopReason, TrialPoint
from analysis.profiling.stream import Watch
from analysis.training.checks import Frozen
from analysis.training.data import TrainingSet
from analysis.verification.energy import Meter


@dataclass
class Diary:
    """What an arm has done so far; it is written beside a checkpoint and read again."""

    step_ms: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    points: list[TrialPoint] = field(default_factory=list)
    tokens: int = 0
    seconds: float = 0.0
    flops: float = 0.0
    millijoules: float | None = None
    peak_bytes: int | None = None
    gradient_bytes: int = 0
    optimizer_bytes: int = 0
    micro_batch: int = 1
    halvings: int = 0
    gradient_free: bool = True
    block_gradients: list[list[float]] = field(default_factory=list)
    stop: StopReason = "done"
    diverged: bool = False

    def as_json(self) -> dict[str, Any]:
        """In plain values."""
        return {**asdict(self), "points": [point.model_dump(mode="json") for point in self.points]}

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Diary:
        """As it was written."""
        return cls(**{**stored, "points": [TrialPoint.model_validate(point) for point in stored["points"]]})


@dataclass(frozen=True)
class Task:
    """What an arm has to do, step by step.

    Attributes:
        name: of the arm.
        data: the training examples.
        steps: the examples of each optimiser step.
        moments: numbers of done steps after which the arm is judged.
        evaluate: judges it; None: its points have no losses but that of training.
        flops: of one pass: (examples, padded tokens, judged tokens, whether the prefix was recalled).
        frozen: what must get no gradient.
        norms_of: parameters by block, whose gradients' norms are summed up; empty: they are not.
        max_seconds: training time after which it stops.
        meter: energy; None: the device cannot tell.
        watch: told how far it is, and asked whether to stop.
        enough: asked after every judgement whether to end early; None: never.
    """

    name: str
    data: TrainingSet
    steps: tuple[tuple[int, ...], ...]
    moments: tuple[int, ...]
    evaluate: Callable[[TrialPoint], TrialPoint] | None
    flops: Callable[[int, int, int, bool], float]
    frozen: Frozen
    norms_of: tuple[tuple[torch.nn.Parameter, ...], ...]
    max_seconds: float | None
    meter: Meter | None
    watch: Watch
    enough: Callable[[Sequence[TrialPoint]], bool] | None = None
