"""Tests a plan against disturbed input: from a request to the finished contract."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime

from analysis.contracts import Message, Plan, Progress, VerificationSettings, VerifyRequest
from analysis.contracts.plan import RobustnessRequest
from analysis.contracts.robustness import Disturbed, EnergyUse, NoiseKind, Robustness, RobustnessSettings, UnknownWork
from analysis.errors import InputError, ModelError, PlanError, WorkloadError
from analysis.models.load import load_model
from analysis.models.origin import machine_of
from analysis.models.stack import LoadedModel
from analysis.planning.carbon import grid_of
from analysis.planning.readings import FEWEST_PROMPTS
from analysis.profiling.stream import Watch
from analysis.profiling.whole import Whole
from analysis.surgery.apply import apply_plan, removed_units
from analysis.verification.asked import check_fits, check_vocabulary, prepare, say
from analysis.verification.attacks import ATTACKING, attack_all
from analysis.verification.disturbed import Judged, Noisy, Writing, disturb, judged_examples, share_touched
from analysis.verification.document import carried_out, made_of
from analysis.verification.energy import energy_meter
from analysis.verification.energy_use import MEASURING_ENERGY, measure_energy
from analysis.verification.quality import judges_words
from analysis.verification.robustness_work import Work
from analysis.verification.sensitivity import CLEAN_ORIGINAL, CLEAN_PLAN, Rises, disturbed_of, rises, run_both
from analysis.verification.unknown_work import unknown_work
from analysis.workload import EncodedWorkload, Encoder, Example
from analysis.workload.shown import shown, shown_names

Loader = Callable[..., LoadedModel]
_DISTURBING = Message(id="Running both models on disturbed prompts")
_SHOWN_SLIPS = 5


def run_robustness(
    request: RobustnessRequest,
    *,
    load: Loader = load_model,
    on_progress: Callable[[Progress], None] = lambda _progress: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Robustness:
    """Runs a plan beside the untouched model on the verification half of a workload, disturbed in many ways.

    Args:
        request: the plan, where its model is now, the workload and what to try. Without workload files those the plan was made
            from are read.
        load: how to get the model into memory.
        on_progress: told how far it is.
        should_stop: asked whether to go on.

    Raises:
        InputError: the plan, the model, the workload, a level, a slice or the country cannot be used.
        ResourceError: memory ran out.
        Cancelled: `should_stop` said so.
    """
    watch = Watch(on_progress, should_stop)
    _check(request.settings)
    ready = prepare(_as_verification(request), watch)
    settings = request.settings.model_copy(
        update={name: getattr(ready.settings, name) for name in ("stack", "device", "dtype", "max_tokens")}
    )
    _check_held_out(settings, ready.encoded)
    say(watch, Message(id="Loading the model"))
    loaded = load(request.model, device=settings.device, dtype=settings.dtype)
    return measure_robustness(loaded, ready.encoded, ready.examples, ready.encoder, request.plan, settings, watch=watch)


def measure_robustness(
    loaded: LoadedModel,
    encoded: EncodedWorkload,
    examples: Sequence[Example],
    encoder: Encoder,
    plan: Plan,
    settings: RobustnessSettings,
    *,
    watch: Watch | None = None,
) -> Robustness:
    """Tests a plan in one loaded model.

    Args:
        loaded: the model, untouched; afterwards it is what it was.
        encoded: the verification half.
        examples: the texts of at least that half.
        encoder: the model's tokenizer and template, which encoded it.
        plan: what is tested.
        settings: what to try.
        watch: told how far it is, and asked whether to stop.

    Raises:
        InputError: the plan does not fit, the model does not write word after word, or nothing can be judged.
        ResourceError, Cancelled: see `run_robustness`.
    """
    return _Job(loaded, encoded, tuple(examples), encoder, plan, settings, watch or Watch()).run()


def _as_verification(request: RobustnessRequest) -> VerifyRequest:
    """The same request in the words of a verification, which knows how to read and check it."""
    asked = request.settings
    shared = {name: getattr(asked, name) for name in ("stack", "device", "dtype", "max_tokens", "batch_tokens", "chat_template", "slices")}
    choice = request.model_dump(include={"workload_paths", "mapping", "slicing", "mask_personal_data"})
    return VerifyRequest(model=request.model, plan=request.plan, settings=VerificationSettings(**shared, cost=False, generate=0), **choice)


def _check(settings: RobustnessSettings) -> None:
    """What can be refused before anything is read."""
    grid_of(settings.country, settings.grid_kg_per_kwh)
    too_large = [level for level in settings.levels if level > 1]
    if too_large:
        raise InputError(
            "A level of noise is a share of letters or words: {level} is more than all of them. Give shares above 0 and up to 1, such as "
            "0.05.",
            level=too_large[0],
        )
    if not any((settings.noises and settings.levels, settings.attacks and settings.epsilons, settings.held_out, settings.energy)):
        raise InputError("Nothing is left to test: choose at least one noise or attack, a held-out slice, or energy.")


def _check_held_out(settings: RobustnessSettings, encoded: EncodedWorkload) -> None:
    known = [info.name for info in encoded.info.slices if not settings.slices or info.name in settings.slices]
    unknown = [name for name in settings.held_out if name not in known]
    if unknown:
        raise WorkloadError(
            "The workload has no slice '{slice}'. Its slices are: {known}.", slice=shown(unknown[0]), known=shown_names(known, limit=40)
        )


@dataclass
class _Job:
    loaded: LoadedModel
    encoded: EncodedWorkload
    examples: tuple[Example, ...]
    encoder: Encoder
    plan: Plan
    settings: RobustnessSettings
    watch: Watch
    notes: list[Message] = field(default_factory=list)

    def __post_init__(self) -> None:
        check_fits(self.plan, self.loaded.info)
        self.stack = self.loaded.stack(self.settings.stack or self.plan.model.stack)
        self._refuse()
        check_vocabulary(self.loaded, self.encoded)
        self.settings, self.runner = carried_out(self.settings, self.loaded, self.stack, self.watch)
        self.grid = grid_of(self.settings.country, self.settings.grid_kg_per_kwh)
        context = self.loaded.info.max_context_tokens
        self.writing = Writing(self.encoder, self.settings.max_tokens, self.settings.chat_template, context)

    def _refuse(self) -> None:
        if not removed_units(self.plan, self.stack.info.name):
            raise PlanError(
                "The plan takes no layer out, so both models are the same. Test the robustness of a plan that skips or prunes layers."
            )
        if not (self.stack.info.causal and judges_words(self.loaded, self.stack)):
            raise ModelError(
                "{model} does not predict the next word, so it has no loss that disturbed input could raise. Choose a model that writes.",
                model=self.loaded.info.name,
            )

    def applied(self) -> AbstractContextManager[object]:
        """Inside what it returns, the plan is carried out on the live model."""
        return apply_plan(self.loaded, self.plan)

    def run(self) -> Robustness:
        """Everything, in the order in which it is wanted."""
        started, clock = datetime.now(UTC), time.monotonic()
        judged = judged_examples(self.encoded.examples, {example.id: example for example in self.examples}, self.writing)
        if not judged:
            raise WorkloadError(
                "No verification prompt has both words to judge and words before them that could be disturbed. Give longer prompts, or "
                "prompts with responses."
            )
        work = Work.of(judged, self.encoded.examples, self.settings, counted=energy_meter(self.loaded.device) is not None)
        whole = Whole(self.watch, work.total)
        with whole.part(_DISTURBING, work.noises) as self.runner.watch:
            clean, results = self._noises(judged)
        with self._asked_for(whole, ATTACKING, work.attacks) as self.runner.watch:
            attacked = attack_all(self.runner, judged, self.settings, self.applied)
        held_out = self._held_out()
        unknown = unknown_work(clean, held_out, replicates=self.settings.replicates, seed=self.settings.seed)
        with self._asked_for(whole, MEASURING_ENERGY, work.energy) as self.runner.watch:
            energy, reason = self._energy()
        self.notes += [*self._remarks(judged), *attacked.notes, *self._unknown_remarks(held_out, unknown)]
        everything = (*results, *attacked.results)
        return self._contract(clean, everything, unknown, energy, reason, started, time.monotonic() - clock)

    def _asked_for(self, whole: Whole, stage: Message, weight: float) -> AbstractContextManager[Watch]:
        """A part of the whole; what has nothing to run is not told of."""
        return whole.part(stage, weight) if weight else nullcontext(self.watch)

    def _noises(self, judged: list[Judged]) -> tuple[Rises, tuple[Disturbed, ...]]:
        """The undisturbed sums, and every noise at every level; all sequences run in one go."""
        asked = [(kind, level) for kind in self.settings.noises for level in sorted(set(self.settings.levels))]
        noisy = [[disturb(example, kind, level, self.writing, seed=self.settings.seed) for example in judged] for kind, level in asked]
        sequences = [example.encoded.input_ids for example in judged] + [example.ids for row in noisy for example in row]
        counts = [example.counts for example in judged] + [example.counts for row in noisy for example in row]
        told = run_both(
            self.runner,
            sequences,
            counts,
            self.applied,
            _DISTURBING,
            [example.encoded.example_id for example in judged] * (1 + len(asked)),
        )
        n = len(judged)
        clean, rest = told[:n], [told[(1 + place) * n : (2 + place) * n] for place in range(len(asked))]
        results = tuple(
            self._noise(kind, level, rises(judged, clean, pairs), row) for (kind, level), pairs, row in zip(asked, rest, noisy, strict=True)
        )
        return rises(judged, clean, clean), results

    def _noise(self, kind: NoiseKind, level: float, found: Rises, noisy: list[Noisy]) -> Disturbed:
        shown = [example.shown for example in noisy if example.shown is not None]
        return disturbed_of(
            kind,
            level,
            found,
            replicates=self.settings.replicates,
            seed=self.settings.seed,
            touched=share_touched(noisy),
            examples=tuple(dict.fromkeys(shown))[:_SHOWN_SLIPS],
            note=_noise_note(noisy),
        )

    def _held_out(self) -> tuple[str, ...]:
        chosen = self.plan.provenance.consensus
        return self.settings.held_out or (() if chosen is None else chosen.held_out)

    def _energy(self) -> tuple[EnergyUse | None, Message | None]:
        if not self.settings.energy:
            return None, None
        prompts = [example.input_ids for example in self.encoded.examples]
        found = measure_energy(self.runner, prompts, self.settings, self.applied, grid=self.grid)
        return (found, None) if isinstance(found, EnergyUse) else (None, found.reason)

    def _contract(
        self,
        clean: Rises,
        results: tuple[Disturbed, ...],
        unknown: tuple[UnknownWork, ...],
        energy: EnergyUse | None,
        reason: Message | None,
        started: datetime,
        seconds: float,
    ) -> Robustness:
        machine = machine_of(self.loaded, started, seconds)
        how = {"replicates": self.settings.replicates, "seed": self.settings.seed}
        return Robustness(
            **made_of(self.loaded, self.plan, self.encoded, self.settings, machine),
            n_examples=len(clean.examples),
            clean_original=clean.estimate(lambda sums: sums[..., CLEAN_ORIGINAL], None, **how),
            clean_plan=clean.estimate(lambda sums: sums[..., CLEAN_PLAN], None, **how),
            results=results,
            unknown_work=unknown,
            energy=energy,
            energy_reason=reason,
            notes=tuple(self.notes),
        )

    def _remarks(self, judged: list[Judged]) -> Iterator[Message]:
        """What a reader should know about this test, and what it did not test."""
        left_out = len(self.encoded.examples) - len(judged)
        if left_out:
            yield Message(
                id="Prompts left out because nothing of them can be judged, or nothing stands before what is judged: {n}.",
                values={"n": left_out},
            )
        if len(judged) < FEWEST_PROMPTS:
            yield Message(
                id="Only {n} prompts were judged; with fewer than {fewest} nothing is said about which model is more sensitive.",
                values={"n": len(judged), "fewest": FEWEST_PROMPTS},
            )
        halves = sum(
            1 for example in judged if any(length < len(example.source.turns[place].content) for place, length in example.touchable.items())
        )
        if halves:
            yield Message(
                id="Prompts without a response, of which the earlier half was disturbed and the later half judged: {n} of {total}.",
                values={"n": halves, "total": len(judged)},
            )
        if self.settings.noises:
            yield Message(id="Noise may hit numbers and codes, as a typing error does; then another answer may be the right one.")
        if self.settings.attacks:
            yield Message(
                id="Attacks change the numbers that words are read as, not the text: they show how near the edge a model is, not what a "
                "user can do to it."
            )
        n_compared = len(self.settings.noises) * len(set(self.settings.levels)) + len(self.settings.attacks) * len(
            set(self.settings.epsilons)
        )
        if n_compared > 1:
            yield Message(id="{n} comparisons at 95% each: about one in twenty looks different by chance alone.", values={"n": n_compared})
        if self.runner.halvings:
            yield Message(
                id="Memory ran short: batches were made smaller ({tokens} tokens) and the run went on. The results are the same.",
                values={"tokens": self.runner.batch_tokens},
            )

    def _unknown_remarks(self, held_out: tuple[str, ...], unknown: tuple[UnknownWork, ...]) -> Iterator[Message]:
        if not held_out:
            yield Message(id="Unknown work was not tested: no slice was held out when the plan was chosen.")
            return
        missing = [name for name in held_out if name not in {work.slice for work in unknown}]
        if missing:
            yield Message(
                id="Held-out slices without verification prompts, or without other slices to compare them with: {slices}.",
                values={"slices": shown_names(missing, limit=10)},
            )
        consensus = self.plan.provenance.consensus
        if self.settings.held_out and (consensus is None or set(self.settings.held_out) - set(consensus.held_out)):
            yield Message(
                id="The plan's origin does not say that these slices were held out when it was chosen: {slices}.",
                values={"slices": shown_names(self.settings.held_out, limit=10)},
            )


def _noise_note(noisy: list[Noisy]) -> Message | None:
    shortened = sum(1 for example in noisy if example.shortened)
    if shortened:
        return Message(
            id="Prompts that took more tokens with the slips in them than the model reads at once; their beginning was left out: {n}.",
            values={"n": shortened},
        )
    untouched = sum(1 for example in noisy if not example.slips.n_possible)
    if untouched:
        return Message(id="Prompts in which there was nothing to change, judged all the same: {n}.", values={"n": untouched})
    return None
