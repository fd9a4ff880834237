"""A trial from a request to the finished contract: the plan, full fine-tuning and LoRA really trained, each judged alike.

Every arm starts from the original weights and sees the same examples in the same order for the same number of steps, with a
learning rate of its own. Rates, and where releasing stops, are chosen on the tuning part of the calibration half; no arm
trains on that part, not even with its final rate, so that it stays a fair judge of every choice. The verification half judges
what came out and nothing else.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from analysis.contracts import (
    ArmKind,
    Message,
    Progress,
    Semantics,
    StepModel,
    Trial,
    TrialRequest,
    TrialSettings,
    content_hash,
)
from analysis.errors import PlanError, ResourceError
from analysis.models.load import load_model
from analysis.models.origin import machine_of, versions
from analysis.models.stack import LoadedModel
from analysis.profiling.stream import Watch
from analysis.training.arms import ArmRunner, Asked, Trained
from analysis.training.course import Course
from analysis.training.data import Parts, split_examples
from analysis.training.evaluate import Chance, Judged
from analysis.training.kept import Kept
from analysis.training.measure_steps import measure_steps, same_steps
from analysis.training.prepare import Prepared, check_head, prepare
from analysis.training.release import Released, boundaries_inward, default_step, run_release
from analysis.training.result import Findings, assemble
from analysis.training.shapes import trial_shape
from analysis.verification.asked import check_vocabulary, say

Loader = Callable[..., LoadedModel]
STEPS = "steps"
STEPS_WEIGHT = 50.0
"""About how many steps of full fine-tuning the timing of steps takes."""


def run_trial(
    request: TrialRequest,
    *,
    load: Loader = load_model,
    on_progress: Callable[[Progress], None] = lambda _progress: None,
    should_stop: Callable[[], bool] = lambda: False,
    semantics: Semantics | None = None,
    known_steps: StepModel | None = None,
    folder: Path | None = None,
) -> Trial:
    """Tries a freeze plan, or several boundaries beside it, by training.

    Args:
        request: the plan, where its model is now, the workload and the settings. Without workload files those the plan was made
            from are read.
        load: how to get the model into memory.
        on_progress: told how far the whole trial is.
        should_stop: asked whether to go on.
        semantics: the model's traces over this workload, from which the rules choose; None: only rules that need none are asked.
        known_steps: training steps measured on this device before; used where they are of this trial's own shape.
        folder: where checkpoints and finished arms are kept until the trial is stored; None: nothing is kept, and a stopped trial
            starts over.

    Raises:
        InputError: a setting, the plan, the model or the workload cannot be used, or every learning rate diverged.
        ResourceError: memory or disk ran out.
        Cancelled: `should_stop` said so.
    """
    watch = Watch(on_progress, should_stop)
    ready = prepare(request, watch)
    parts = split_examples(ready.training, ready.settings.tuning_share, ready.settings.seed)
    say(watch, Message(id="Loading the model"))
    loaded = load(request.model, device=ready.settings.device, dtype=ready.settings.dtype)
    return TrialJob(loaded, ready, parts, watch, semantics, known_steps, folder).run()


@dataclass
class TrialJob:
    """A loaded model, a checked request and the two parts of its calibration half, ready to run."""

    loaded: LoadedModel
    ready: Prepared
    parts: Parts
    watch: Watch = field(default_factory=Watch)
    semantics: Semantics | None = None
    known_steps: StepModel | None = None
    folder: Path | None = None

    def __post_init__(self) -> None:
        self.settings: TrialSettings = self.ready.settings
        self.stack = self.loaded.stack(self.settings.stack)
        check_head(self.loaded, self.stack)
        check_vocabulary(self.loaded, self.ready.training)
        check_vocabulary(self.loaded, self.ready.judging)
        self.n_blocks = self.stack.info.n_blocks
        self.chance = Chance(self.settings.replicates, self.settings.seed)
        eof = self.ready.plan.eof_layer
        assert eof is not None  # checked
        self.eof_layer = eof
        if self.settings.release and not self.parts.tuning:
            raise PlanError(
                "Releasing layers is decided on examples kept back from training, and there are too few to keep any back. "
                "Give more examples with responses."
            )
        self.notes: list[Message] = []
        if self.semantics is not None and not self._own(self.semantics):
            self.semantics = None
            self.notes.append(Message(id="The semantic traces that were given are of another model or stack, so they were left aside."))
        elif self.semantics is not None and self.semantics.workload.content_hash != self.ready.training.info.content_hash:
            names = {"traced": self.semantics.workload.name, "tried": self.ready.training.info.name}
            self.notes.append(
                Message(id='The rules chose by traces of the workload "{traced}"; it is tried here on "{tried}".', values=names)
            )

    def _own(self, semantics: Semantics) -> bool:
        return (semantics.model.commit, semantics.stack) == (self.loaded.info.commit, self.stack.info.name)

    def run(self) -> Trial:
        """Everything, in the order in which it is wanted."""
        started, clock = datetime.now(UTC), time.monotonic()
        wanted = arms_wanted(self.eof_layer, self.settings)
        inward = self._inward()
        course = Course(self.watch, STEPS_WEIGHT)
        self.runner = ArmRunner(self.loaded, self.stack, self.ready, self.parts, course, Kept(self.folder, self._key()))
        self.runner.expect(list(dict.fromkeys([*wanted, *(_plain(Asked("freeze", eof)) for eof in inward)])))
        self.runner.judge_original()
        steps, remarks = self._steps(course)  # first, so that no arm pays for a device that is still cold
        trained = {asked: found for asked in wanted if (found := self.runner.train(asked)) is not None}
        released = self._release(inward, trained) if inward else None
        if not trained:
            raise PlanError("No arm of the trial could be trained to its end. Give more minutes, or smaller learning rates.")
        findings = Findings(trained, released, steps, (*self.notes, *remarks))
        machine = machine_of(self.loaded, started, time.monotonic() - clock)
        return assemble(self.ready, self.runner, findings, machine, training_versions(), self.semantics)

    def _key(self) -> str:
        """What an arm's figures depend on beside the arm itself."""
        shaping = self.settings.model_dump(mode="json", exclude={"boundaries", "compare", "release", "release_step", "max_trainable"})
        return content_hash(self.loaded.info.commit, self.ready.training.info.content_hash, shaping, training_versions())

    def _steps(self, course: Course) -> tuple[StepModel | None, tuple[Message, ...]]:
        """Training steps of the trial's own mean shape, measured in turns: at the boundaries that are tried, and at those fitted to."""
        shape = trial_shape(self.loaded, self.parts.train, self.settings)
        avoid = (self.eof_layer,) if self.eof_layer >= 0 else ()
        beside = tuple(eof for eof in self.settings.boundaries if eof >= 0)
        known, kept = self.known_steps, self.runner.kept.read(STEPS)
        for steps in (known, None if kept is None else StepModel.model_validate(kept)):
            if steps is not None and same_steps(steps, self.loaded, self.stack, shape, avoid=avoid, beside=beside):
                return steps, ()
        try:
            with course.part(Message(id="Timing training steps"), STEPS_WEIGHT) as watch:
                name = self.stack.info.name
                found = measure_steps(self.loaded, shape, stack=name, watch=watch, avoid=avoid, beside=beside, padded=True)
            self.runner.kept.write(STEPS, found.model_dump(mode="json"))
            return found, ()
        except ResourceError as exc:
            return None, (Message(id="Training steps could not be timed beside the arms: {reason}", values={"reason": exc.message}),)

    def _inward(self) -> tuple[int, ...]:
        if not self.settings.release:
            return ()
        return boundaries_inward(self.n_blocks, self.settings.release_step or default_step(self.n_blocks), self.settings.max_trainable)

    def _release(self, inward: tuple[int, ...], trained: dict[Asked, Trained]) -> Released:
        """Frees layers until the tuning part says that it no longer pays; arms that were trained anyway are not trained again."""
        original = self.runner.tuning_original
        assert original is not None  # checked

        def train(eof: int) -> Judged | None:
            asked = _plain(Asked("freeze", eof))
            if asked not in trained:
                found = self.runner.train(asked)
                if found is None:
                    return None
                trained[asked] = found
            return trained[asked].tuning

        return run_release(inward, original, train, self.chance, n_blocks=self.n_blocks)


def arms_wanted(eof_layer: int, settings: TrialSettings) -> list[Asked]:
    """The arms in the order in which they are trained: the plan's own, what it is compared with, the other boundaries.

    Freezing nothing is full fine-tuning, so a boundary of -1 is that arm.
    """
    kinds: tuple[ArmKind, ...] = ("freeze", *settings.compare)
    found = [Asked(kind, eof_layer if kind in ("freeze", "lora_freeze") else -1) for kind in kinds]
    found += [Asked("freeze", eof) for eof in settings.boundaries]
    if settings.boundaries or settings.release:
        found.append(Asked("full", -1))
    return list(dict.fromkeys(_plain(asked) for asked in found))


def _plain(asked: Asked) -> Asked:
    """The same without a boundary that freezes nothing."""
    plain: dict[ArmKind, ArmKind] = {"freeze": "full", "lora_freeze": "lora"}
    return Asked(plain[asked.kind], -1) if asked.eof_layer < 0 and asked.kind in plain else asked


def training_versions() -> dict[str, str]:
    """Of what ran; PEFT is needed for adapters only."""
    found = versions()
    if importlib.util.find_spec("peft") is not None:
        found["peft"] = importlib.metadata.version("peft")
    return found
