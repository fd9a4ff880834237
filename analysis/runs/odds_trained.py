"""What contradicts itself in traces or a trial: series that do not fit the layers, boundaries that the model does not have."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from analysis.contracts import (
    DeviationCurve,
    EofChoice,
    Estimate,
    ExampleTrace,
    GradientNorms,
    Semantics,
    StepModel,
    TokenTrace,
    TraceScores,
    Trial,
    TrialArm,
    TrialSettings,
)

MOST_EXAMPLES = 2000
_ROUNDING = 1e-3
"""How far figures that must agree may be apart: documents are rounded."""


def semantics_odds(found: Semantics) -> Iterator[str]:
    """Places in traces that cannot be true."""
    stack = next((stack for stack in found.model.stacks if stack.name == found.stack), None)
    if stack is None or not stack.blocks:
        yield "stack"
        return
    n_blocks = stack.n_blocks
    if found.default_curve not in found.overall.curves:
        yield "default_curve"
    for name, scores in {"overall": found.overall, **{f"slices.{name}": scores for name, scores in found.slices.items()}}.items():
        yield from (f"{name}.{place}" for place in _wrong_scores(scores, n_blocks))
    for index, judged in enumerate(found.fidelity):
        if not -_ROUNDING <= judged.right <= 1 + _ROUNDING:
            yield f"fidelity.{index}.right"
    if len(found.examples) > MOST_EXAMPLES:
        yield "examples"
    yield from (f"examples.{index}" for index, example in enumerate(found.examples) if not _fits_example(example, n_blocks + 1))
    yield from (f"traces.{index}" for index, trace in enumerate(found.traces) if not _fits_trace(trace, n_blocks + 1))
    if found.gradients is not None:
        yield from (f"gradients.{name}" for name in _wrong_gradients(found.gradients, n_blocks))


def trial_odds(trial: Trial) -> Iterator[str]:
    """Places in a trial that cannot be true."""
    names, last = {arm.name for arm in trial.arms}, trial.n_blocks - 2
    if trial.eof_layer > last:
        yield "eof_layer"
    if trial.recommended is not None and trial.recommended > last:
        yield "recommended"
    if len(names) != len(trial.arms):
        yield "arms"
    for index, arm in enumerate(trial.arms):
        yield from (f"arms.{index}.{place}" for place in _wrong_arm(arm, trial.n_blocks))
    yield from (f"front.{index}.arm" for index, point in enumerate(trial.front) if point.arm not in names)
    yield from (f"released.{index}" for index, name in enumerate(trial.released) if name not in names)
    for index, choice in enumerate(trial.choices):
        yield from (f"choices.{index}.{place}" for place in choice_odds(choice, trial.n_blocks))
    yield from (f"settings.{place}" for place in _wrong_settings(trial.settings, last))
    if trial.steps is not None:
        yield from (f"steps.{place}" for place in _wrong_steps(trial.steps, trial.n_blocks))


def choice_odds(choice: EofChoice, n_blocks: int) -> Iterator[str]:
    """Places in a rule's answer that name layers the model does not have, or that do not fit it."""
    last = n_blocks - 2
    yield from (name for name in ("eof_layer", "unlimited", "low", "high") if (getattr(choice, name) or 0) > last)
    if choice.low is not None and choice.high is not None and choice.low > choice.high:
        yield "low"
    if len(choice.scores) not in (0, n_blocks):
        yield "scores"
    if not _in_range(choice.votes, last):
        yield "votes"
    if not _in_range(choice.by_slice.values(), last):
        yield "by_slice"


def _wrong_scores(scores: TraceScores, n_blocks: int) -> Iterator[str]:
    for name, curve in scores.curves.items():
        yield from (f"curves.{name}.{place}" for place in _wrong_curve(curve, n_blocks))
    if len(scores.alignment) != n_blocks:
        yield "alignment"
    if scores.lens is not None:
        series = ("loss", "top1", "reciprocal_rank", "entropy")
        yield from (f"lens.{name}" for name in series if len(getattr(scores.lens, name)) != n_blocks + 1)


def _wrong_curve(curve: DeviationCurve, n_blocks: int) -> Iterator[str]:
    sizes = {"mean": n_blocks + 1, "intervals": n_blocks + 1, "gain": n_blocks, "gain_intervals": n_blocks}
    wrong = [name for name, size in sizes.items() if len(getattr(curve, name)) != size]
    yield from wrong
    if not wrong and not all(map(_is_taken_off, curve.mean, curve.mean[1:], curve.gain)):
        yield "gain"


def _is_taken_off(before: float | None, after: float | None, gain: float | None) -> bool:
    """Whether a gain is what its own curve falls by."""
    if before is None or after is None or gain is None:
        return True
    return abs(before - after - gain) <= _ROUNDING * max(1.0, abs(before))


def _fits_example(example: ExampleTrace, positions: int) -> bool:
    return len(example.deviation) == positions and (example.lens_loss is None or len(example.lens_loss) == positions)


def _fits_trace(trace: TokenTrace, positions: int) -> bool:
    tables: Iterable[Sequence[Sequence[object]]] = (trace.deviation, trace.lens_loss or trace.deviation, trace.top_words or trace.deviation)
    n_tokens = len(trace.tokens) or len(trace.deviation)  # texts are empty when excerpts were switched off
    return all(len(table) == n_tokens and all(len(row) == positions for row in table) for table in tables)


def _wrong_gradients(gradients: GradientNorms, n_blocks: int) -> Iterator[str]:
    for name in ("l1", "l2", "per_parameter", "relative"):
        norms = getattr(gradients, name)
        if len(norms) != n_blocks or any(norm is not None and norm < 0 for norm in norms):
            yield name


def _wrong_arm(arm: TrialArm, n_blocks: int) -> Iterator[str]:
    if arm.eof_layer > n_blocks - 2 or (arm.kind in ("full", "lora") and arm.eof_layer != -1):
        yield "eof_layer"
    if not arm.points or any(later.step < before.step for before, later in zip(arm.points, arm.points[1:], strict=False)):
        yield "points"
    if any(len(norms) != n_blocks for norms in arm.block_gradients):
        yield "block_gradients"
    estimates: Mapping[str, Estimate | None] = {
        **{name: getattr(arm, name) for name in ("loss_before", "loss_after", "reduction", "tuning_reduction", "kept_at_tokens")},
        **{f"slices.{name}": reduction for name, reduction in arm.slices.items()},
    }
    for name, estimate in estimates.items():
        if estimate is not None and estimate.low is not None and estimate.high is not None and estimate.low > estimate.high:
            yield name
    before, after, reduction = arm.loss_before.value, arm.loss_after.value, arm.reduction.value
    if not _is_taken_off(before, after, reduction):
        yield "reduction"


def _wrong_settings(settings: TrialSettings, last: int) -> Iterator[str]:
    if not _in_range(settings.boundaries, last):
        yield "boundaries"


def _wrong_steps(steps: StepModel, n_blocks: int) -> Iterator[str]:
    if steps.n_blocks != n_blocks:
        yield "n_blocks"
    if not _in_range((point.eof_layer for point in steps.points), n_blocks - 2):
        yield "points"


def _in_range(boundaries: Iterable[int], last: int) -> bool:
    return all(-1 <= boundary <= last for boundary in boundaries)
