"""From trained arms to the finished trial: shares kept, the front, what every rule would have chosen, promise against measurement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from analysis.contracts import (
    Estimate,
    Machine,
    Message,
    Semantics,
    StepModel,
    TrainingProjection,
    TrainingShape,
    Trial,
    TrialArm,
    TrialSettings,
    content_hash,
)
from analysis.planning.eof import all_choices
from analysis.planning.freeze import project_training
from analysis.planning.sweep_front import at_cost, front, kept, recommended
from analysis.planning.training_flops import step_flops
from analysis.training import promises
from analysis.training.accounts import library_bytes
from analysis.training.arms import ArmRunner, Asked, Trained
from analysis.training.counted_flops import counted_step_flops
from analysis.training.evaluate import Judged
from analysis.training.prepare import Prepared
from analysis.training.release import Released
from analysis.training.shapes import counts_of, largest_shape, trial_shape

FULL = Asked("full", -1)


@dataclass(frozen=True)
class Findings:
    """What a trial came to, before it is put together.

    Attributes:
        trained: the arms in the order in which they were trained.
        released: how releasing went; None: it was not asked for.
        steps: training steps measured beside the arms; None: they could not be.
        notes: what a reader should know.
    """

    trained: Mapping[Asked, Trained]
    released: Released | None = None
    steps: StepModel | None = None
    notes: tuple[Message, ...] = ()


def assemble(
    ready: Prepared, runner: ArmRunner, found: Findings, machine: Machine, versions: Mapping[str, str], semantics: Semantics | None
) -> Trial:
    """The finished contract."""
    info, stack, plan, settings = runner.loaded.info, runner.stack.info, ready.plan, ready.settings
    eof = plan.eof_layer
    assert eof is not None  # checked
    arms = compared(found.trained, runner)
    shape = trial_shape(runner.loaded, runner.parts.train, settings)
    projection = projected(runner, eof, shape, found.steps)
    shaping = settings.model_dump(mode="json")
    trial = Trial(
        id=content_hash(plan.id, ready.training.info.content_hash, shaping, machine.device_name, machine.started_at)[:16],
        plan_id=plan.id,
        plan_name=plan.name,
        model_name=info.name,
        model_source=info.source,
        model_commit=info.commit,
        architecture=info.architecture,
        stack=stack.name,
        n_blocks=stack.n_blocks,
        eof_layer=eof,
        workload=ready.training.info,
        counts=counts_of(runner.parts.train, ready.training.counts),
        verification_counts=counts_of(ready.judged, ready.judging.counts),
        settings=settings,
        shape=shape,
        arms=_with_own(arms, eof),
        released=() if found.released is None else tuple(_arm_name(boundary) for boundary in found.released.boundaries),
        recommended=_recommended(arms, settings, found),
        projection=projection,
        steps=found.steps,
        n_training=len(runner.parts.train),
        n_tuning=len(runner.parts.tuning),
        machine=machine,
        versions=versions,
        notes=(),
    )
    own, choices = trial.own, all_choices(semantics, trial=trial, n_blocks=stack.n_blocks)
    is_sweep = bool(settings.boundaries or settings.release)
    return trial.model_copy(
        update={
            "choices": choices,
            "front": front(arms, choices) if is_sweep else (),
            "projection_errors": ()
            if own is None
            else promises.projection_errors(
                projection, own, steps=found.steps, step_flops=_flops(runner, eof, shape), peak_bytes=_peak(runner, eof)
            ),
            "notes": (*runner.parts.notes, *ready.notes, *runner.notes, *found.notes, *_remarks(ready, found, semantics)),
        }
    )


def _recommended(arms: Sequence[TrialArm], settings: TrialSettings, found: Findings) -> int | None:
    """By the tuning part alone: where releasing stopped, or the last boundary of a sweep that keeps enough."""
    if found.released is not None:
        return found.released.recommended
    return recommended(arms) if settings.boundaries else None


def compared(trained: Mapping[Asked, Trained], runner: ArmRunner) -> tuple[TrialArm, ...]:
    """The arms beside full fine-tuning, at the same number of tokens and at the same cost."""
    full = trained.get(FULL)
    if full is None:
        return tuple(found.arm for found in trained.values())
    return tuple(_beside(found, full, runner) for found in trained.values())


def _beside(found: Trained, full: Trained, runner: ArmRunner) -> TrialArm:
    if found is full:
        return found.arm
    same_tokens = found.arm.points[-1].tokens == full.arm.points[-1].tokens
    return found.arm.model_copy(
        update={
            "kept_at_tokens": _kept(found.arm, full.arm, runner) if same_tokens else None,
            "kept_at_cost": at_cost(found.arm, full.arm),
        }
    )


def _kept(arm: TrialArm, full: TrialArm, runner: ArmRunner) -> Estimate:
    before = runner.original
    return kept(
        arm,
        full,
        before=before.by_example(),
        tokens=_shares(before),
        replicates=runner.chance.replicates,
        seed=runner.chance.seed,
    )


def _shares(judged: Judged) -> dict[str, int]:
    """Prompt -> what it counts in a mean: its response tokens times its weight, in thousandths."""
    return {example.example_id: round(1000 * example.weight * int(n)) for example, n in zip(judged.examples, judged.tokens, strict=True)}


def projected(runner: ArmRunner, eof_layer: int, shape: TrainingShape, steps: StepModel | None) -> TrainingProjection:
    """What the plan's own arm should cost, worked out for the shape that really trained."""
    examples = runner.parts.train
    return project_training(
        runner.loaded.info,
        eof_layer,
        shape,
        epochs=runner.settings.epochs,
        n_sequences=len(examples),
        mean_tokens=sum(len(example.input_ids) for example in examples) / len(examples),
        steps=steps,
        stack=runner.stack.info.name,
    )


def _flops(runner: ArmRunner, eof_layer: int, shape: TrainingShape) -> tuple[float, float] | None:
    """Of a step at the plan's boundary: worked out as a counter sees it, and counted."""
    counted = counted_step_flops(runner.loaded, runner.stack, eof_layer, shape)
    if counted is None:
        return None
    return step_flops(runner.loaded.info, eof_layer, shape, stack=runner.stack.info.name, counted=True), float(counted)


def _peak(runner: ArmRunner, eof_layer: int) -> float:
    """Peak memory worked out for the largest pass of this training: that is what the measured peak comes from.

    The matrix library's workspaces, which no shape tells, are weighed here and added.
    """
    shape = largest_shape(runner.loaded, runner.parts.train, runner.settings)
    return projected(runner, eof_layer, shape, None).peak_memory_bytes.plan + library_bytes(runner.loaded.device)


def _with_own(arms: Sequence[TrialArm], eof_layer: int) -> tuple[TrialArm, ...]:
    """A plan that freezes nothing is full fine-tuning: that arm stands for the plan's own as well."""
    full = next((arm for arm in arms if arm.kind == "full"), None)
    if eof_layer >= 0 or full is None:
        return tuple(arms)
    return (full.model_copy(update={"name": "freeze -1", "kind": "freeze"}), *arms)


def _arm_name(boundary: int) -> str:
    return FULL.name if boundary < 0 else Asked("freeze", boundary).name


def _remarks(ready: Prepared, found: Findings, semantics: Semantics | None) -> Sequence[Message]:
    notes = list(found.released.notes) if found.released is not None else []
    if semantics is None:
        notes.append(
            Message(
                id="The rules that read semantic traces were not asked what they would choose: there are no traces of this workload. "
                "Measure them (profile --semantics) and run the trial again."
            )
        )
    known = ready.plan.workload
    if known is not None and known.content_hash != ready.training.info.content_hash:
        notes.append(
            Message(
                id='The plan was chosen on the workload "{chosen}" as it was then; it is tried here on "{tried}", which is not the same.',
                values={"chosen": known.name, "tried": ready.training.info.name},
            )
        )
    if FULL not in found.trained:
        notes.append(Message(id="Full fine-tuning was not trained, so it is not known what share of its gain was kept."))
    return notes


__all__ = ["FULL", "Findings", "assemble", "compared", "projected"]
