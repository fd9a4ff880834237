"""A healing from a request to the finished contract: a cut model trained for a few hundred steps, beside the uncut one trained the same.

Every arm starts from the original weights and sees the same examples in the same order. Learning rates and the moment to stop are chosen
on a part of the calibration half that no arm trains on; the verification half judges the best look's weights and nothing else.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from analysis.contracts import Machine, Message, Plan, Progress, content_hash
from analysis.contracts.healing import HealArmName, Healing, HealSettings
from analysis.contracts.plan import HealRequest
from analysis.contracts.search import UnitSet
from analysis.errors import PlanError
from analysis.models.load import load_model
from analysis.models.origin import machine_of
from analysis.models.stack import LoadedModel
from analysis.profiling.stream import Watch
from analysis.surgery.skip import ways_of
from analysis.training.checks import check_trainable
from analysis.training.course import Course
from analysis.training.evaluate import Chance, Judged, loss
from analysis.training.heal_arm import Ground
from analysis.training.heal_arms import Arm, Healed, HealRunner, check_rates
from analysis.training.heal_data import HealParts, heal_parts
from analysis.training.heal_loss import Blend
from analysis.training.heal_prepare import check_model, cut_of, prepare_heal
from analysis.training.heal_result import Compared, check_finite
from analysis.training.heal_save import Saved, save_healed
from analysis.training.kept import Kept
from analysis.training.shapes import counts_of
from analysis.training.teacher import Teacher, taught
from analysis.training.trial import training_versions
from analysis.verification.asked import check_vocabulary, say
from analysis.verification.batches import default_batch_tokens
from analysis.workload import EncodedWorkload

Loader = Callable[..., LoadedModel]


def run_heal(
    request: HealRequest,
    *,
    load: Loader = load_model,
    on_progress: Callable[[Progress], None] = lambda _progress: None,
    should_stop: Callable[[], bool] = lambda: False,
    folder: Path | None = None,
) -> Healing:
    """Heals a cut and tells how much of what it cost was won back.

    Args:
        request: the plan, where its model is now, the workload and the settings. Without workload files those the plan was made from
            are read.
        load: how to get the model into memory.
        on_progress: told how far it all is, with the arms' curves.
        should_stop: asked whether to go on.
        folder: where checkpoints and finished trainings are kept until the healing is stored; None: a stopped healing starts over.

    Raises:
        InputError: a setting, the plan, the model, the folder or the workload cannot be used, or every learning rate diverged.
        ResourceError: memory or disk ran out.
        Cancelled: `should_stop` said so.
    """
    watch = Watch(on_progress, should_stop)
    ready = prepare_heal(request, watch)
    say(watch, Message(id="Loading the model"))
    loaded = load(request.model, device=ready.settings.device, dtype=ready.settings.dtype)
    return heal_model(
        loaded,
        ready.calibration,
        ready.verification,
        request.plan,
        ready.settings,
        watch=watch,
        folder=folder,
        save_folder=request.save_folder,
    )


def heal_model(
    loaded: LoadedModel,
    calibration: EncodedWorkload,
    verification: EncodedWorkload,
    plan: Plan,
    settings: HealSettings,
    *,
    watch: Watch | None = None,
    folder: Path | None = None,
    save_folder: str | None = None,
) -> Healing:
    """The same for a model in memory, which is afterwards bit for bit what it was.

    Args:
        loaded: the uncut model.
        calibration: trains and selects; texts longer than `settings.max_tokens` train window by window.
        verification: judges, and nothing else.
        plan: what is taken out.
        settings: `device` and `dtype` are the model's own.
        watch: told how far it is, and asked whether to stop.
        folder: see `run_heal`.
        save_folder: where the healed model goes; None: nowhere.

    Raises:
        InputError, ResourceError, Cancelled: see `run_heal`.
    """
    check_rates(settings.learning_rates)
    check_model(plan, loaded.info)
    check_vocabulary(loaded, calibration)
    check_vocabulary(loaded, verification)
    stack, removed = cut_of(plan)
    found = settings.model_copy(
        update={
            "stack": stack,
            "device": str(loaded.device),
            "dtype": str(loaded.dtype).removeprefix("torch."),
            "compare": tuple(one for one in dict.fromkeys(settings.compare) if one != settings.objective),
        }
    )
    return _Job(loaded, calibration, verification, plan, removed, found, watch or Watch(), folder, save_folder).run()


@dataclass
class _Job:
    """A healing on its way."""

    loaded: LoadedModel
    calibration: EncodedWorkload
    verification: EncodedWorkload
    plan: Plan
    removed: UnitSet
    settings: HealSettings
    watch: Watch
    folder: Path | None
    save_folder: str | None
    notes: list[Message] = field(default_factory=list)

    def __post_init__(self) -> None:
        settings = self.settings
        self.stack = self.loaded.stack(settings.stack)
        check_trainable(self.loaded, self.stack, -1)
        ways_of(self.stack, self.removed)  # refused now, in words, and proved on weights that are not trained
        self.parts: HealParts = heal_parts(
            self.calibration,
            self.verification,
            selection_share=settings.selection_share,
            max_tokens=settings.max_tokens,
            seed=settings.seed,
        )
        self.chance = Chance(settings.replicates, settings.seed)
        self.batch_tokens = max(1, default_batch_tokens(self.loaded, self.stack) // 4)  # the optimiser's memory is taken meanwhile

    def run(self) -> Healing:
        """Everything, in the order in which it is wanted."""
        started, clock = datetime.now(UTC), time.monotonic()
        arms = arms_of(self.settings, self.removed)
        course = Course(self.watch, 1.0)
        with self._teacher(arms, course) as teacher:
            ground = Ground(self.loaded, self.stack, self.settings, self.parts, teacher, self.batch_tokens)
            runner = HealRunner(ground, course, Kept(self.folder, self._key()), arms)
            course.total = float(runner.runs * self.settings.steps * len(arms))
            base = self._untrained(runner, (), Message(id="Judging the uncut model"))
            cut = self._untrained(runner, self.removed, Message(id="Judging the cut model"))
            found = {arm.name: done for arm in arms if (done := runner.train(arm, cut if arm.removed else base)) is not None}
            self.notes += [*([] if teacher is None else [teacher.note]), *runner.notes]
            if "healed" not in found:
                raise PlanError("There was no time to train the cut model. Give more minutes (--max-minutes).")
            saved = self._saved(ground, found["healed"], course)
            self.notes += [saved.note] if saved is not None and saved.note is not None else []
        return self._assembled(base, cut, found, saved, machine_of(self.loaded, started, time.monotonic() - clock))

    @contextmanager
    def _teacher(self, arms: tuple[Arm, ...], course: Course) -> Iterator[Teacher | None]:
        """What the uncut model says to the training examples, where an arm learns from it."""
        if all(arm.objective == "next_token" for arm in arms):
            yield None
            return
        with TemporaryDirectory() as place:
            stage = Message(id="Asking the uncut model for its own answers")
            with (
                course.part(stage, 0.0) as watch,
                taught(self.loaded, self.stack, self.parts.train, self.batch_tokens, Path(place), watch) as teacher,
            ):
                yield teacher

    def _untrained(self, runner: HealRunner, removed: UnitSet, stage: Message) -> Judged:
        with runner.course.part(stage, 0.0) as watch:
            judged = runner.untrained(removed, watch)
        check_finite(judged, self.settings.dtype, cut=bool(removed))
        return judged

    def _saved(self, ground: Ground, healed: Healed, course: Course) -> Saved | None:
        if self.save_folder is None:
            return None
        with course.part(Message(id="Writing the healed model"), 0.0) as watch:
            return save_healed(ground, self.plan, healed.run, self.save_folder, watch)

    def _key(self) -> str:
        """What a training's figures depend on beside its arm and rate."""
        shaping = self.settings.model_dump(mode="json", exclude={"control", "compare", "replicates", "learning_rates"})
        texts = (self.calibration.info.content_hash, self.verification.info.content_hash)
        return content_hash(self.loaded.info.commit, self.plan.id, texts, shaping, training_versions())

    def _assembled(self, base: Judged, cut: Judged, found: dict[HealArmName, Healed], saved: Saved | None, machine: Machine) -> Healing:
        healed, control = found["healed"], found.get("control")
        compared = Compared(base, cut, healed.judged, None if control is None else control.judged)
        info, settings = self.loaded.info, self.settings
        shaping = settings.model_dump(mode="json")
        return Healing(
            id=content_hash(self.plan.id, self.calibration.info.content_hash, shaping, machine.device_name, machine.started_at)[:16],
            plan_id=self.plan.id,
            plan_name=self.plan.name,
            model_name=info.name,
            model_source=info.source,
            model_commit=info.commit,
            architecture=info.architecture,
            stack=self.stack.info.name,
            removed=self.removed,
            workload=self.calibration.info,
            counts=counts_of(self.parts.train, self.calibration.counts).model_copy(update={"n_examples": self.parts.n_train}),
            verification_counts=counts_of(self.parts.report, self.verification.counts),
            settings=settings,
            n_train=self.parts.n_train,
            n_selection=len(self.parts.selection),
            n_report=len(self.parts.report),
            base_loss=loss(base, self.chance),
            cut_loss=loss(cut, self.chance),
            healed=healed.arm,
            control=None if control is None else control.arm,
            others=tuple(done.arm for name, done in found.items() if name not in ("healed", "control")),
            recovered=compared.recovered(self.chance),
            recovered_against_control=compared.recovered_against_control(self.chance),
            slices=compared.slices(self.chance),
            example_losses=compared.example_losses(),
            folder=None if saved is None else str(saved.folder),
            reload_difference=None if saved is None else saved.difference,
            machine=machine,
            versions=training_versions(),
            notes=(*self.parts.notes, *self._remarks(), *self.notes, *compared.notes(self.chance)),
        )

    def _remarks(self) -> list[Message]:
        known = self.plan.workload
        if known is None or known.content_hash == self.calibration.info.content_hash:
            return []
        return [
            Message(
                id='The plan was chosen on the workload "{chosen}" as it was then; it is healed here on "{healed}", which is not the same.',
                values={"chosen": known.name, "healed": self.calibration.info.name},
            )
        ]


def arms_of(settings: HealSettings, removed: UnitSet) -> tuple[Arm, ...]:
    """The arms in the order in which they are trained."""
    found = [Arm("healed", settings.objective, removed)]
    if settings.control:
        found.append(_control(settings))
    return (*found, *(Arm(objective, objective, removed) for objective in settings.compare))


def _control(settings: HealSettings) -> Arm:
    """The uncut model in the same way; from itself it can learn nothing, so where that is all there is, it learns from the text."""
    if Blend.of(settings.objective, settings).distillation < 1:
        return Arm("control", settings.objective, ())
    note = Message(
        id="The uncut model has nothing to learn from itself, so the control was trained with the next-token loss on the same text."
    )
    return Arm("control", "next_token", (), (note,))
