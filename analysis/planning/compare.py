"""Two plans side by side: what each takes out, what they share, what each saves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from analysis.contracts import Change, Freeze, Plan, Quantity, Unit
from analysis.errors import PlanError
from analysis.i18n import N_

RowKind = Literal["blocks", "count", "bytes", "flops"]
Cell = tuple[int, ...] | float | None

QUANTITIES: tuple[tuple[str, str, RowKind], ...] = (
    ("n_blocks", N_("Layers that run"), "count"),
    ("n_parameters", N_("Parameters"), "count"),
    ("weight_bytes", N_("Weights in memory"), "bytes"),
    ("prefill_flops_per_token", N_("FLOPs per token, reading the prompt"), "flops"),
    ("decode_flops_per_token", N_("FLOPs per token, writing the answer"), "flops"),
    ("kv_bytes_per_token", N_("KV cache per token"), "bytes"),
    ("kv_bytes_at_context", N_("KV cache of one sequence"), "bytes"),
)
"""Field of Projection, its label (to be translated) and how its figures are written."""

TRAINING: tuple[tuple[str, str, RowKind], ...] = (
    ("n_trainable", N_("Weights that train"), "count"),
    ("step_flops", N_("FLOPs of a training step"), "flops"),
    ("activation_bytes", N_("Activations kept for training"), "bytes"),
    ("optimizer_bytes", N_("Optimizer state"), "bytes"),
    ("peak_memory_bytes", N_("Peak memory of training"), "bytes"),
)
"""Field of TrainingProjection, its label and how its figures are written; for plans that freeze."""

_REMOVED: dict[Unit, str] = {"block": N_("layers taken out"), "attention": N_("attention taken out of"), "mlp": N_("MLP taken out of")}


@dataclass(frozen=True)
class ComparedRow:
    """One line of the comparison.

    Attributes:
        label: an English sentence part to be translated.
        kind: blocks (tuples of indices), or figures after the plan in that unit.
        a: what plan A does or leaves.
        b: the same of plan B.
        shared: blocks that both take out; for figures: the value before either plan (training: with everything trained), None where they
            differ.
        only_a: blocks only A takes out, or the share that A saves (0 to 1).
        only_b: the same of B.
    """

    label: str
    kind: RowKind
    a: Cell
    b: Cell
    shared: Cell
    only_a: Cell
    only_b: Cell


def compare_plans(a: Plan, b: Plan) -> tuple[ComparedRow, ...]:
    """Rows for a table: removed units first, then every projected figure that is not zero in both, then what training takes.

    Raises:
        PlanError: the plans are for different models.
    """
    if (a.model.commit, a.model.stack) != (b.model.commit, b.model.stack):
        raise PlanError(
            "These plans are for different models ({a} and {b}). Choose two plans for the same version of one model.",
            a=a.model.name,
            b=b.model.name,
        )
    return (*_unit_rows(a, b), *_figure_rows(a, b), *_training_rows(a, b))


def _unit_rows(a: Plan, b: Plan) -> Iterator[ComparedRow]:
    for unit, label in _REMOVED.items():
        of_a, of_b = set(a.removed[unit]), set(b.removed[unit])
        if of_a | of_b:
            yield _set_row(label, of_a, of_b)
    frozen = [{block for one in plan.operations if isinstance(one, Freeze) for block in range(one.eof_layer + 1)} for plan in (a, b)]
    if frozen[0] | frozen[1]:
        yield _set_row(N_("layers frozen"), *frozen)


def _set_row(label: str, of_a: set[int], of_b: set[int]) -> ComparedRow:
    parts = (of_a, of_b, of_a & of_b, of_a - of_b, of_b - of_a)
    cells = [tuple(sorted(part)) for part in parts]
    return ComparedRow(label, "blocks", *cells)


def _figure_rows(a: Plan, b: Plan) -> Iterator[ComparedRow]:
    if a.projection is None or b.projection is None:
        return
    for field, label, kind in QUANTITIES:
        of_a: Quantity = getattr(a.projection, field)
        of_b: Quantity = getattr(b.projection, field)
        if of_a.before or of_b.before:
            before = of_a.before if of_a.before == of_b.before else None
            yield ComparedRow(label, kind, of_a.after, of_b.after, before, of_a.saved_share, of_b.saved_share)


def _training_rows(a: Plan, b: Plan) -> Iterator[ComparedRow]:
    """What a training step takes, where both plans freeze layers and mean the same step."""
    of_a, of_b = (plan.projection.training if plan.projection else None for plan in (a, b))
    if of_a is None or of_b is None or of_a.shape != of_b.shape:
        return
    for field, label, kind in TRAINING:
        one: Change = getattr(of_a, field)
        other: Change = getattr(of_b, field)
        full = one.full if one.full == other.full else None
        yield ComparedRow(label, kind, one.plan, other.plan, full, one.saved_share, other.saved_share)
