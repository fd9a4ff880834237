"""A ranking from a request to the stored contract: votes, consensus, one unit less, and all over again; resumable at any step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch

from analysis.contracts import LostWith, Message, Progress, Ranking, RankingRequest, RankingSettings, TokenKind, UnitRef, UnitSet
from analysis.contracts.search import ordered
from analysis.errors import PlanError
from analysis.models.card import ModelCard
from analysis.models.device import resolve_device, resolve_dtype
from analysis.models.load import describe_model, load_model
from analysis.models.stack import LoadedModel
from analysis.profiling.bootstrap import poisson_weights
from analysis.profiling.stream import Watch
from analysis.search.counterfactual import Subject, look_at_sets
from analysis.search.losses import UNTOUCHED
from analysis.search.lost import lost_with
from analysis.search.ranking_course import Course
from analysis.search.ranking_result import Findings, assemble_ranking, with_one_interval
from analysis.search.ranking_settings import (
    check_candidates,
    check_ranking,
    ranking_key,
    resolve_ranking_settings,
    running_settings,
    slices_to_run,
)
from analysis.search.ranking_step import Asked, Taken, take_step
from analysis.search.run import Loader, check_readable, within_tokens
from analysis.search.scan import candidates, check_model
from analysis.search.steering import Steering, steering_for, with_unit
from analysis.search.token_losses import TokenLosses
from analysis.search.token_texts import encoder_of, token_kinds
from analysis.search.walk import Walk
from analysis.workload import EncodedWorkload, Encoder, Workload, encode_workload, requested_workload

__all__ = ["rank_model", "ranking_key", "run_ranking"]


def kept_nowhere(_ranking: Ranking) -> None:
    """Stands in where nobody keeps what was found so far."""


def run_ranking(
    request: RankingRequest,
    *,
    load: Loader = load_model,
    on_progress: Callable[[Progress], None] = lambda _progress: None,
    should_stop: Callable[[], bool] = lambda: False,
    known: Callable[[str], Ranking | None] = lambda _key: None,
    keep: Callable[[Ranking], None] = kept_nowhere,
) -> Ranking:
    """A ranking for a request. Steps that `known` holds under the same key are not measured again.

    Args:
        request: which model, which workload, who votes, and how much is taken out.
        load: loads the model.
        on_progress, should_stop: see `Watch`.
        known: an earlier ranking by its key, complete or not.
        keep: given what is found so far after each step.

    Raises:
        InputError: the model, the workload, the amount or a setting cannot be used.
        ResourceError: memory ran out.
        Cancelled: `should_stop` said so; finished steps were given to `keep`.
    """
    on_progress(Progress(stage=Message(id="Reading the workload")))
    workload = requested_workload(request)
    device = resolve_device(request.settings.device)
    on_progress(Progress(stage=Message(id="Looking at the model")))
    card = describe_model(request.model, on_progress=lambda stage: on_progress(Progress(stage=stage)))
    check_readable(card.info, request.settings.stack)
    dtype = resolve_dtype(request.settings.dtype, device, getattr(torch, card.info.dtype))
    settings = resolve_ranking_settings(request.settings, card.info, device, dtype)
    check_ranking(settings, card.info)
    slices = slices_to_run(workload.info, settings)
    earlier = known(ranking_key(card.info, settings.stack, workload.info.content_hash, settings))
    if earlier is not None and earlier.complete:
        return earlier
    encoded = _encoded(workload, card, settings, slices)
    on_progress(Progress(stage=Message(id="Loading the model")))
    loaded = load(request.model, device=str(device), dtype=settings.dtype)
    return rank_model(loaded, encoded, settings, watch=Watch(on_progress, should_stop), earlier=earlier, keep=keep, name=request.name or "")


def _encoded(workload: Workload, card: ModelCard, settings: RankingSettings, slices: tuple[str, ...]) -> EncodedWorkload:
    """The calibration half for this model without what is held out, within the tokens that may be run."""
    assert card.tokenizer_folder is not None
    assert settings.max_total_tokens is not None  # resolved
    encoder = Encoder.from_folder(card.tokenizer_folder)
    whole = encode_workload(workload, encoder, max_tokens=settings.max_tokens, chat_template=settings.chat_template, slices=slices)
    return within_tokens(whole, settings.max_total_tokens)


def rank_model(
    loaded: LoadedModel,
    encoded: EncodedWorkload,
    settings: RankingSettings,
    *,
    watch: Watch | None = None,
    earlier: Ranking | None = None,
    keep: Callable[[Ranking], None] = kept_nowhere,
    name: str = "",
) -> Ranking:
    """A ranking of a loaded model on an encoded workload; see `run_ranking`.

    Args:
        encoded: without the slices that are held out.
        earlier: a ranking of the same key whose steps are gone on from.
    """
    settings = resolve_ranking_settings(settings, loaded.info, loaded.device, loaded.dtype)
    running = running_settings(settings)
    check_model(loaded, running)
    check_ranking(settings, loaded.info)
    stack = loaded.stack(settings.stack)
    units = candidates(stack, (settings.unit,))
    check_candidates(units, stack.info, settings)
    free = [ref for ref in units if ref[1] not in settings.protect]
    steering = steering_for(loaded.info, stack.info.name, free, settings.amount) if settings.amount else None
    subject = Subject(loaded, encoded, running, Walk(loaded, stack), watch or Watch())
    job = Job(subject, settings, units, steering, keep, name)
    if earlier is not None:
        job.take_over(earlier)
    return job.run()


@dataclass
class Job:
    """A ranking while it runs: what may go, and what was found so far."""

    subject: Subject
    settings: RankingSettings
    units: tuple[UnitRef, ...]
    steering: Steering | None
    keep: Callable[[Ranking], None] = kept_nowhere
    name: str = ""
    findings: Findings | None = None
    untouched: TokenLosses | None = None
    kinds: tuple[TokenKind, ...] = ()
    course: Course = field(init=False)

    def __post_init__(self) -> None:
        measurer = self.subject.measurer()
        if self.settings.most_perplexity is not None and measurer.objective != "loss":
            raise PlanError(
                "This model has no head that names words, so it has no perplexity to stop at. Leave out the limit on perplexity."
            )
        self.examples, self.objective, self.n_tokens = measurer.examples, measurer.objective, measurer.n_tokens
        self.course = Course(self.subject.watch, self._expected(), measurer.run_tokens)

    def take_over(self, earlier: Ranking) -> None:
        """Goes on from an earlier ranking of the same candidates on the same tokens."""
        if earlier.n_tokens == self.n_tokens and earlier.steps[0].candidates == self.units:
            self.findings = Findings.of(earlier)

    def run(self) -> Ranking:
        """Step by step until nothing may go any more."""
        while not self._finished():
            self._add(take_step(self._asked()))
            self.keep(self._ranking())
        return self._ranking()

    def _removed(self) -> UnitSet:
        if self.findings is None or not self.findings.steps:
            return UNTOUCHED
        last = self.findings.steps[-1]
        return ordered((*last.removed, *last.chosen))

    def _finished(self) -> bool:
        if self.findings is None or not self.findings.steps:
            return False
        if self.steering is None or not self.findings.steps[-1].chosen:
            return True
        return not self.steering.children(self._removed())

    def _asked(self) -> Asked:
        base, number = self._removed(), len(self.findings.steps) if self.findings else 0
        if base != UNTOUCHED and self.untouched is None:
            stage = Message(id="Running the untouched model")
            self.untouched = look_at_sets(self.subject, [UNTOUCHED], stage).losses
        hashes = [example.example_id for example in self.examples]
        refs = tuple(ref for ref in self.units if with_unit(base, ref) != base)
        self.course.begin(number)
        return Asked(
            subject=replace(self.subject, watch=self.course.watch),
            base=base,
            candidates=refs,
            settings=self.settings,
            steering=self.steering,
            untouched=self.untouched,
            draws=poisson_weights(hashes, 0 if number else self.settings.replicates),
            stage=self.course.stage(len(refs)),
            between=self.course.arithmetic,
        )

    def _add(self, taken: Taken) -> None:
        self.course.end()
        lost: tuple[LostWith, ...] = ()
        if self.findings is None:
            lost = self._lost(taken.losses)
            self.untouched = taken.losses
            self.findings = Findings(
                objective=self.objective,
                base_loss=float(taken.losses.means()[0]),
                n_tokens=self.n_tokens,
                n_examples=len(self.examples),
                features=taken.features,
                replicate_ranks=taken.replicate_ranks,
                lost=lost,
            )
        together = self._lost(taken.together)[0] if taken.together is not None else None
        self.findings.steps = (*self.findings.steps, with_one_interval(taken.step, lost, together))
        self.findings.notes = (*self.findings.notes, *taken.notes)
        if together is not None:
            self.findings.lost_together = (*self.findings.lost_together, together)

    def _lost(self, losses: TokenLosses) -> tuple[LostWith, ...]:
        """What each set but the first loses against it."""
        if not self.kinds:
            self.kinds = token_kinds(losses, encoder_of(self.subject.loaded))
        excerpts = {example.example_id: example.excerpt for example in self.examples} if self.settings.excerpts else {}
        return lost_with(losses, 0, self.kinds, excerpts=excerpts, replicates=self.settings.replicates, seed=self.settings.seed)

    def _ranking(self) -> Ranking:
        assert self.findings is not None
        return assemble_ranking(self.subject, self.settings, self.findings, complete=self._finished(), name=self.name)

    def _expected(self) -> tuple[int, ...]:
        """How many candidates each step will have, when all of the amount is taken."""
        n_taken = 0 if self.steering is None else len(self.steering.path(self.steering.candidates))
        return tuple(len(self.units) - gone for gone in range(0, max(n_taken, 1), self.settings.per_step))
