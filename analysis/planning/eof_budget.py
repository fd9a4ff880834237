"""What training may take, as people write it, and how many layers may train within it: filled from the output side inward.

6layers, 6     at most that many layers train
50%            at most that share of the layers, rounded down
40%flops       FLOPs of a training step, of what training every layer takes
3GiB           peak memory of a training step
20min, 1.5h    all epochs together, at the steps measured on this device, without the cache's help
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from analysis.contracts import ModelInfo, StepModel, TrainingShape
from analysis.errors import PlanError
from analysis.planning.steps import predict_step
from analysis.planning.training_flops import step_flops
from analysis.planning.training_memory import training_bytes

BudgetKind = Literal["layers", "layer_share", "flop_share", "bytes", "minutes"]

_BYTES = {"b": 1, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
_LAYERS = ("", "layer", "layers", "block", "blocks", "層")
_MINUTES: dict[str, Decimal | int] = {
    "s": Decimal(1) / 60,
    "sec": Decimal(1) / 60,
    "min": 1,
    "mins": 1,
    "minute": 1,
    "minutes": 1,
    "分": 1,
    "h": 60,
    "hour": 60,
}
_MINUTES |= {"hours": 60, "時間": 60}
_FORM = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<percent>%?)\s*(?P<word>[^\W\d_]*)")


@dataclass(frozen=True)
class TrainBudget:
    """A limit: a number of layers, a share (0 to 1), bytes, or minutes, by `kind`."""

    kind: BudgetKind
    value: Decimal
    text: str


Budget = TrainBudget


def parse_train_budget(text: str) -> TrainBudget:
    """Reads what training may take; full-width digits and signs are read as half-width ones.

    Raises:
        PlanError: it is written in another way, is zero, or is more than 100%.

    >>> parse_train_budget("40%flops").value, parse_train_budget("1.5h").value
    (Decimal('0.4'), Decimal('90.0'))
    >>> parse_train_budget("６層").kind
    'layers'
    """
    plain = unicodedata.normalize("NFKC", text).strip().replace(",", "")
    found = _FORM.fullmatch(plain)
    understood = _understood(found, Decimal(found["number"])) if found else None
    if understood is None:
        raise PlanError(
            'The training budget was given as "{text}". Write a number of layers (6layers), a share of the layers (50%) or of a training '
            "step's FLOPs (40%flops), memory (3GiB) or time (20min, 2h).",
            text=text,
        )
    kind, value = understood
    if value <= 0:
        raise PlanError('The training budget was given as "{text}", so nothing could train. Give more than zero.', text=text)
    if kind.endswith("_share") and value > 1:
        raise PlanError('The training budget was given as "{text}". A share is at most 100%: give less, such as 40%.', text=text)
    return TrainBudget(kind, value, plain)


def within(
    budget: TrainBudget,
    info: ModelInfo,
    stack: str | None,
    shape: TrainingShape,
    steps: StepModel | None = None,
    *,
    epochs: float = 1.0,
    n_sequences: int = 0,
) -> int:
    """The smallest last frozen layer that keeps training within the budget: layers are freed from the output side inward.

    Args:
        budget: the limit.
        info: the model.
        stack: the stack that trains; None: the model's first.
        shape: the training step.
        steps: steps of this shape measured on a device; needed for minutes, and the better word on memory.
        epochs, n_sequences: the whole run, for minutes.

    Returns:
        -1 (all layers may train) to L - 2.

    Raises:
        PlanError: training the last layer alone takes more, or minutes are asked for and no steps were measured.
    """
    n_blocks = info.stack(stack).n_blocks
    if budget.kind in ("layers", "layer_share"):
        most = int(budget.value * n_blocks) if budget.kind == "layer_share" else int(budget.value)
        if most < 1:
            raise PlanError(
                '"{budget}" of {n_blocks} layers is less than one, so nothing could train. Give at least {least}%.',
                budget=budget.text,
                n_blocks=n_blocks,
                least=-(-100 // n_blocks),
            )
        return max(-1, n_blocks - 1 - most)
    ask = _Question(info, stack, shape, steps, epochs, n_sequences)
    limit = ask.limit(budget)
    if ask.used(budget.kind, n_blocks - 2) > limit:
        raise _nothing_fits(budget, ask, n_blocks)
    eof = n_blocks - 2
    while eof > -1 and ask.used(budget.kind, eof - 1) <= limit:
        eof -= 1
    return eof


@dataclass(frozen=True)
class _Question:
    """What a run with a given boundary takes of a budget."""

    info: ModelInfo
    stack: str | None
    shape: TrainingShape
    steps: StepModel | None
    epochs: float
    n_sequences: int

    def limit(self, budget: TrainBudget) -> float:
        """The most that may be used, in what `used` counts."""
        if budget.kind == "flop_share":
            return float(budget.value) * self.used("flop_share", -1)
        return float(budget.value)

    def used(self, kind: BudgetKind, eof: int) -> float:
        """FLOPs of a step, its peak bytes, or minutes of the whole run."""
        if kind == "flop_share":
            return step_flops(self.info, eof, self.shape, stack=self.stack)
        if kind == "bytes":
            return training_bytes(self.info, eof, self.shape, stack=self.stack, steps=self.steps).peak
        if self.steps is None:
            raise PlanError(
                "A budget of time needs training steps measured on this device, with this batch and length, and there are none. Measure "
                "them first, or give the budget in layers, FLOPs or memory."
            )
        n_steps = -(-self.n_sequences // self.shape.batch_size) * self.epochs
        return predict_step(self.steps, eof) * n_steps / 60_000.0


def _nothing_fits(budget: TrainBudget, ask: _Question, n_blocks: int) -> PlanError:
    least = ask.used(budget.kind, n_blocks - 2)
    if budget.kind == "flop_share":
        return PlanError(
            'The budget "{budget}" is less than training the last layer alone takes: {least}% of what training everything does, because '
            "frozen layers still compute their output. So nothing could train; give more.",
            budget=budget.text,
            least=_up(100.0 * least / ask.used("flop_share", -1)),
        )
    if budget.kind == "bytes":
        return PlanError(
            'The budget "{budget}" is less than training the last layer alone takes, {least} MiB, so nothing could train. Give more, a '
            "smaller batch or shorter sequences.",
            budget=budget.text,
            least=_up(least / (1 << 20)),
        )
    return PlanError(
        'The budget "{budget}" is less than training the last layer alone takes, {least} minutes, so nothing could train. Give more, or '
        "fewer epochs or examples.",
        budget=budget.text,
        least=_up(least),
    )


def _understood(found: re.Match[str], number: Decimal) -> tuple[BudgetKind, Decimal] | None:
    word = found["word"].lower()
    if found["percent"]:
        kind: BudgetKind | None = "layer_share" if word in _LAYERS else "flop_share" if word in ("flop", "flops") else None
        return None if kind is None else (kind, number / 100)
    if word in _BYTES:
        return "bytes", number * _BYTES[word]
    if word in _MINUTES:
        return "minutes", number * _MINUTES[word]
    return ("layers", number) if word in _LAYERS and number == int(number) else None


def _up(value: float) -> float:
    """Rounded up to what is useful: one decimal below 100."""
    return float(-(-value * 10 // 1) / 10) if value < 100 else float(-(-value // 1))
