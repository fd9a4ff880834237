"""How far a whole trial is: one bar over tuning, training and judging of all arms, with their curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from analysis.contracts import Message, Progress, TrialPoint
from analysis.profiling.whole import Whole
from analysis.training.curve import Point, thinned


@dataclass
class Course(Whole):
    """What is done and what is still to do, in units of one step of full fine-tuning.

    `total` may be corrected while it runs, as when arms are left out or the pace of cached steps becomes known.
    """

    curves: dict[str, tuple[Point, ...]] = field(default_factory=dict)
    """Arm -> (tokens, loss) as far as it was judged."""

    def plot(self, arm: str, points: Sequence[TrialPoint]) -> None:
        """Tells an arm's curve from now on: its loss on the tuning part, or in training where there is none."""
        found = [(point.tokens, point.train_loss if point.tuning_loss is None else point.tuning_loss) for point in points]
        self.curves[arm] = thinned(tuple((float(tokens), loss) for tokens, loss in found if loss is not None))

    def besides(self, progress: Progress) -> dict[str, Any]:
        """The curve of the training that runs."""
        return {"training_curve": progress.training_curve}

    def tell(self, stage: Message, fraction: float, weight: float, **more: Any) -> None:
        """The bar, and the curves so far."""
        super().tell(stage, fraction, weight, curves=dict(self.curves), **more)
