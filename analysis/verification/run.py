"""Verifies a plan: from a request to the finished contract."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from analysis.contracts import (
    CostPoint,
    Guardrail,
    Message,
    Plan,
    Progress,
    Projection,
    TaskResult,
    Verification,
    VerificationSettings,
    VerifyRequest,
)
from analysis.models.load import load_model
from analysis.models.origin import machine_of
from analysis.models.stack import LoadedModel
from analysis.planning.guardrails import Parts, judge, worst
from analysis.planning.readings import FEWEST_PROMPTS
from analysis.profiling.stream import Watch
from analysis.surgery.apply import apply_plan, removed_units
from analysis.verification import lm_eval
from analysis.verification.answers import Answers, answer_all, generations
from analysis.verification.asked import check_fits, check_vocabulary, prepare, say
from analysis.verification.document import carried_out, made_of
from analysis.verification.promises import projection_errors, was_edited
from analysis.verification.quality import Tally, measure_quality
from analysis.verification.scoring import Scored, score_all
from analysis.workload import EncodedWorkload, Encoder, Example
from analysis.workload.shown import shown_names

Loader = Callable[..., LoadedModel]


def run_verification(
    request: VerifyRequest,
    *,
    load: Loader = load_model,
    on_progress: Callable[[Progress], None] = lambda _progress: None,
    should_stop: Callable[[], bool] = lambda: False,
    projection: Projection | None = None,
    store_texts: bool = True,
) -> Verification:
    """Runs a plan beside the untouched model on the verification half of a workload.

    Args:
        request: the plan, where its model is now, the workload, what to measure and the limits set beforehand. Without
            workload files those the plan was made from are read.
        load: how to get the model into memory.
        on_progress: told how far it is.
        should_stop: asked whether to go on.
        projection: what was promised, to be compared; None: the plan's own.
        store_texts: keep what both models answered.

    Raises:
        InputError: a limit, the plan, the model or the workload cannot be used.
        ResourceError: memory ran out.
        Cancelled: `should_stop` said so.
    """
    watch = Watch(on_progress, should_stop)
    ready = prepare(request, watch)
    say(watch, Message(id="Loading the model"))
    loaded = load(request.model, device=ready.settings.device, dtype=ready.settings.dtype)
    job = VerifyJob(
        loaded,
        request.plan,
        ready.encoded,
        ready.examples,
        ready.encoder,
        ready.settings,
        guardrails=ready.guardrails,
        watch=watch,
        projection=projection or request.plan.projection,
        store_texts=store_texts,
    )
    return job.run()


@dataclass
class VerifyJob:
    """A loaded model, a plan and an encoded verification half, ready to run. `examples` may hold more than that half."""

    loaded: LoadedModel
    plan: Plan
    encoded: EncodedWorkload
    examples: tuple[Example, ...]
    encoder: Encoder
    settings: VerificationSettings
    guardrails: tuple[Guardrail, ...] = ()
    watch: Watch = field(default_factory=Watch)
    projection: Projection | None = None
    store_texts: bool = True
    notes: list[Message] = field(default_factory=list)

    def __post_init__(self) -> None:
        check_fits(self.plan, self.loaded.info)
        self.stack = self.loaded.stack(self.settings.stack)
        self.settings, self.runner = carried_out(self.settings, self.loaded, self.stack, self.watch)
        known = {example.example_id for example in self.encoded.examples}
        self.judged = {example.id: example for example in self.examples if example.id in known}
        check_vocabulary(self.loaded, self.encoded)

    def applied(self) -> AbstractContextManager[object]:
        """Inside what it returns, the plan is carried out on the live model."""
        return apply_plan(self.loaded, self.plan)

    def run(self) -> Verification:
        """Everything, in the order in which it is wanted."""
        started, clock = datetime.now(UTC), time.monotonic()
        tally = measure_quality(self.runner, self.encoded.examples, self.applied)
        answers = answer_all(self.runner, list(self.judged.values()), self.encoder, self.settings, self.applied)
        scored = score_all(tally, self.encoded.examples, answers, replicates=self.settings.replicates, seed=self.settings.seed)
        cost = self._cost()
        tasks = self._tasks()
        return self._contract(tally, answers, scored, cost, tasks, started, time.monotonic() - clock)

    def _cost(self) -> tuple[CostPoint, ...]:
        if not self.settings.cost:
            self.notes.append(Message(id="Time, memory and energy were not measured: cost was switched off."))
            return ()
        from analysis.verification.cost import measure_cost

        removed = removed_units(self.plan, self.stack.info.name)
        return measure_cost(self.loaded, removed, self.settings, watch=self.watch, on_note=self.notes.append)

    def _tasks(self) -> tuple[TaskResult, ...]:
        return lm_eval.run_tasks(self.runner, self.settings.tasks, self.applied)

    def _contract(
        self,
        tally: Tally,
        answers: Answers,
        scored: Scored,
        cost: tuple[CostPoint, ...],
        tasks: tuple[TaskResult, ...],
        started: datetime,
        seconds: float,
    ) -> Verification:
        edited = was_edited(self.plan)
        results = judge(self.guardrails, Parts(scored.quality, scored.slices, scored.critical, cost, scored.examples))
        machine = machine_of(self.loaded, started, seconds)
        return Verification(
            **made_of(self.loaded, self.plan, self.encoded, self.settings, machine),
            objective="loss" if tally.loss else "state_change",
            quality=scored.quality,
            slices=scored.slices,
            critical=scored.critical,
            examples=scored.examples,
            generations=generations(answers, self.judged) if self.store_texts else (),
            cost=cost,
            tasks=tasks,
            guardrails=results,
            verdict=worst(results),
            projection_errors=projection_errors(
                self.projection if edited is None else None,
                self.plan,
                self.loaded.info,
                stack=self.stack.info.name,
                width=self.loaded.dtype.itemsize,
                cost=cost,
                perplexity_ratio=scored.quality.perplexity_ratio,
                device_name=machine.device_name,
            ),
            notes=(*((edited,) if edited else ()), *self.notes, *answers.notes, *self._remarks(tally, scored)),
        )

    def _remarks(self, tally: Tally, scored: Scored) -> Iterator[Message]:
        """What a reader should know about this test, and what it did not test."""
        known = self.plan.workload
        if known is not None and known.content_hash != self.encoded.info.content_hash:
            yield Message(
                id='The plan was chosen on the workload "{chosen}" as it was then; it is judged here on "{judged}", which is not the same.',
                values={"chosen": known.name, "judged": self.encoded.info.name},
            )
        if self.runner.halvings:
            yield Message(
                id="Memory ran short: batches were made smaller ({tokens} tokens) and the run went on. The results are the same.",
                values={"tokens": self.runner.batch_tokens},
            )
        if not tally.loss:
            yield Message(id="This model does not predict the next word, so it has no perplexity; the states it ends with are compared.")
        silent = int((tally.tokens == 0).sum())
        if silent:
            yield Message(
                id="Prompts that are too short to judge the next word by (one token, or an answer that was cut off): {n}.",
                values={"n": silent},
            )
        answered = scored.quality.flips
        if tally.loss and (answered is None or answered.n < len(self.encoded.examples)):
            yield Message(
                id="Answers were compared on {n} of {total} prompts; on the others only the probabilities of words were.",
                values={"n": 0 if answered is None else answered.n, "total": len(self.encoded.examples)},
            )
        if tally.loss and not scored.quality.tasks:
            yield Message(
                id="Whether answers are right was not tested: the workload has neither choices nor short responses that were answered."
            )
        if scored.critical is None:
            yield Message(id="Nothing is said about critical prompts: none of the verification half is marked as critical.")
        few = [name for name, scores in scored.slices.items() if scores.n_examples < FEWEST_PROMPTS]
        if few:
            yield Message(
                id="Slices with fewer than {fewest} verification prompts, too few to judge on their own: {slices}.",
                values={"fewest": FEWEST_PROMPTS, "slices": shown_names(few, limit=10)},
            )
