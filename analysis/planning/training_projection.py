"""What training with frozen layers should cost beside training them all: from shapes, and from steps where some were measured."""

from __future__ import annotations

import math

from analysis.contracts import Change, ModelInfo, StepModel, TrainingProjection, TrainingShape
from analysis.errors import PlanError
from analysis.planning.memory import WIDTHS
from analysis.planning.steps import predict_step
from analysis.planning.training_flops import check_boundary, step_flops
from analysis.planning.training_memory import TrainingBytes, training_bytes


def project_training(
    info: ModelInfo,
    eof_layer: int,
    shape: TrainingShape,
    *,
    epochs: float,
    n_sequences: int,
    mean_tokens: float,
    steps: StepModel | None = None,
    price_per_hour: float | None = None,
    currency: str = "",
    stack: str | None = None,
) -> TrainingProjection:
    """What training should cost with blocks 0..eof_layer frozen, beside training every layer by the same method.

    "Every layer" is all blocks and the final norm; embeddings and head stay as they are on both sides. Times, energy and money are
    told only where steps of this very shape were measured on a device; peak memory is then the device's too, else worked out.
    Hours count whole steps; `cached` has the prefix computed in the first epoch and read from the second on.

    Args:
        info: the model.
        eof_layer: the last frozen block; -1: none.
        shape: the training step.
        epochs: how often every example is seen.
        n_sequences: examples of an epoch.
        mean_tokens: their mean length, padding not counted.
        steps: measured steps; of another model or shape they are left aside.
        price_per_hour, currency: of the device, given by a person.
        stack: the stack that trains; None: the model's first.

    Raises:
        PlanError: nothing would train, or weights of so few bits could not.
    """
    blocks = info.stack(stack)
    check_boundary(eof_layer, blocks.n_blocks)
    _check_base(shape)
    known = steps if steps is not None and fits(steps, info, shape, blocks.name) else None
    of_full, of_plan = (training_bytes(info, eof, shape, stack=stack, steps=known) for eof in (-1, eof_layer))
    frozen = eof_layer >= 0
    given: dict[str, object] = {
        "step_flops": Change(
            full=step_flops(info, -1, shape, stack=stack),
            plan=step_flops(info, eof_layer, shape, stack=stack),
            cached=step_flops(info, eof_layer, shape, cached=True, stack=stack) if frozen else None,
        ),
        "cache_bytes": math.ceil(n_sequences * mean_tokens) * info.hidden_size * WIDTHS[shape.dtype] if frozen else 0,
        **_byte_changes(of_full, of_plan),
    }
    if known is not None:
        given |= _times(known, eof_layer, shape, epochs, n_sequences, mean_tokens, price_per_hour)
    return TrainingProjection.model_validate(
        {"shape": shape, "epochs": epochs, "n_sequences": n_sequences, "price_per_hour": price_per_hour, "currency": currency, **given}
    )


def fits(steps: StepModel, info: ModelInfo, shape: TrainingShape, stack: str) -> bool:
    """Whether measured steps are of this model and this very step: times of another shape say nothing here."""
    same = (steps.model_commit, steps.stack, steps.n_blocks) == (info.commit, stack, info.stack(stack).n_blocks)
    return same and steps.shape == shape


def _check_base(shape: TrainingShape) -> None:
    """Raises PlanError for weights of 4 or 8 bits that were to be trained themselves."""
    if shape.method == "full" and shape.weight_bits < 16:
        raise PlanError(
            "Weights of {bits} bits cannot be trained themselves; only adapters on them can. Train adapters (LoRA), or choose 16 or 32 "
            "bits.",
            bits=shape.weight_bits,
        )


def _byte_changes(full: TrainingBytes, plan: TrainingBytes) -> dict[str, object]:
    names = {
        "n_trainable": "n_trainable",
        "weight_bytes": "weights",
        "gradient_bytes": "gradients",
        "optimizer_bytes": "optimizer",
        "activation_bytes": "activations",
        "peak_memory_bytes": "peak",
    }
    return {field: Change(full=getattr(full, part), plan=getattr(plan, part)) for field, part in names.items()}


def _times(
    steps: StepModel, eof_layer: int, shape: TrainingShape, epochs: float, n_sequences: int, mean_tokens: float, price: float | None
) -> dict[str, object]:
    full, plan = predict_step(steps, -1), predict_step(steps, eof_layer)
    cached = predict_step(steps, eof_layer, cached=True) if eof_layer >= 0 else None
    per_epoch = math.ceil(n_sequences / shape.batch_size)
    first, later = min(epochs, 1.0), max(epochs - 1.0, 0.0)
    hour = per_epoch / 3_600_000.0
    hours = Change(
        full=full * epochs * hour,
        plan=plan * epochs * hour,
        cached=None if cached is None else (plan * first + cached * later) * hour,
    )
    tokens = shape.batch_size * min(mean_tokens, float(shape.sequence_tokens)) * 1000.0
    return {
        "step_ms": Change(full=full, plan=plan, cached=cached),
        "tokens_per_second": Change(
            full=_rate(tokens, full), plan=_rate(tokens, plan), cached=None if cached is None else _rate(tokens, cached)
        ),
        "hours": hours,
        "energy_wh": None if steps.power_watts is None else _scaled(hours, steps.power_watts),
        "cost": None if price is None else _scaled(hours, price),
        "device_name": steps.device_name,
    }


def _rate(tokens: float, ms: float) -> float:
    return tokens / ms if ms > 0 else 0.0


def _scaled(change: Change, factor: float) -> Change:
    return Change(full=change.full * factor, plan=change.plan * factor, cached=None if change.cached is None else change.cached * factor)
