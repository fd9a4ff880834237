"""The eight members of the consensus, asked together about every candidate, with resamples over prompts.

Layer Pruning with Consensus (arXiv 2411.14345): distances between final features without and with a unit left out.
Where the released code cannot work on language models, or misleads, this differs and says so in notes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial

import torch
from jaxtyping import Float
from torch import Tensor

from analysis.contracts import Message
from analysis.contracts.ranking import Member
from analysis.similarity import member_words
from analysis.similarity.clouds import Pairs, classes_of
from analysis.similarity.feature_bank import FeatureBank, is_finite, varies
from analysis.similarity.moments import Layout, Moments, covariance, layout_of, prompt_moments
from analysis.similarity.pca import POSITIONS_PER_DIMENSION, Space, fit_space
from analysis.similarity.permutation import permutation_angle
from analysis.similarity.resampled import Draws, PromptGram, PromptValues, cka_resamples, wasserstein_resamples
from analysis.similarity.shape import CLIP, cka_distance, shape_distance
from analysis.similarity.wasserstein import wasserstein_distance

FITTED: tuple[Member, ...] = ("procrustes", "cca", "permutation")
"""Members whose map is fitted on some prompts and judged on others."""
GAUSSIAN: Mapping[Member, float] = {"gaussian_0": 0.0, "gaussian_1": 1.0, "gaussian_2": 2.0}
"""Members that compare clouds of positions, and their alpha."""


@dataclass(frozen=True)
class MemberScores:
    """What the members say. Small = replaceable; NaN = undefined, never 0.

    Attributes:
        values: member -> one distance for each candidate; float64, on the CPU.
        replicates: member -> the same over resampled prompts; no rows without resamples.
        abstained: member -> why it does not vote; its values are then all NaN.
        notes: member -> what a reader of its values should know.
        seconds: member -> its own arithmetic.
        dimension: of the PCA space; 0: there is none, or no member needed it.
        variance_kept: share of the features' variance in that space.
        n_fit: positions that maps are fitted on.
        n_test: positions that fitted members are judged on.
    """

    values: Mapping[Member, Float[Tensor, " candidates"]]
    replicates: Mapping[Member, Float[Tensor, "resamples candidates"]]
    abstained: Mapping[Member, Message]
    notes: Mapping[Member, tuple[Message, ...]]
    seconds: Mapping[Member, float]
    dimension: int
    variance_kept: float
    n_fit: int
    n_test: int


def member_scores(
    bank: FeatureBank,
    members: Sequence[Member],
    *,
    dimension: int = 64,
    weights: Float[Tensor, "resamples prompts"] | None = None,
    pause: Callable[[], None] = lambda: None,
) -> MemberScores:
    """How far the final features move, by each member, when each candidate is left out.

    CKA and Wasserstein look at the features as they are. The others look at a PCA space fitted on the untouched model's
    features (fit prompts only) and applied to every candidate: Procrustes, CCA and permutation fit their maps on the fit
    prompts and are judged on the test prompts; the Gaussian members compare clouds of all positions.

    Over resamples the space stays. Maps, permutations and the rotation of class means are fitted anew each time; members that
    compare covariances keep rotation and transport of the whole set (see `clouds.Costs`) and draw means and covariances anew.

    Args:
        bank: features without and with each unit left out.
        members: which to ask.
        dimension: of the PCA space at most; lowered until there are ten positions for each axis.
        weights: how often each prompt is drawn in each resample; None: no resamples.
        pause: called between pieces of work; may raise to stop.
    """
    if bank.base.device.type == "mps":
        bank = bank.on_cpu()  # MPS has no float64
    asked = _Asked(bank, tuple(members), dimension, weights, pause)
    asked.run()
    return asked.scores()


class _Asked:
    """One round of questions, while it runs."""

    def __init__(
        self, bank: FeatureBank, members: tuple[Member, ...], dimension: int, weights: Tensor | None, pause: Callable[[], None]
    ) -> None:
        self.bank, self.members, self.dimension, self.pause = bank, members, dimension, pause
        plain = torch.ones(1, bank.n_prompts, dtype=torch.float64, device=bank.base.device)
        self.draws = plain if weights is None else torch.cat([plain, weights.to(plain)])  # first row: all prompts as they are
        self.finite = [is_finite(one) for one in bank.ablated]
        self.varied = [finite and varies(one) for finite, one in zip(self.finite, bank.ablated, strict=True)]
        shape = (len(self.draws), bank.n_candidates)
        self.found: dict[Member, Tensor] = {member: torch.full(shape, torch.nan, dtype=torch.float64) for member in members}
        self.abstained: dict[Member, Message] = {}
        self.notes: dict[Member, list[Message]] = {member: [] for member in members}
        self.seconds: dict[Member, float] = dict.fromkeys(members, 0.0)
        self.space: Space | None = None

    def run(self) -> None:
        """Asks every member."""
        if not is_finite(self.bank.base):
            self._abstain(self.members, member_words.NO_NUMBERS)
        elif not varies(self.bank.base):
            self._abstain(self.members, member_words.ALL_ALIKE)
        else:
            self._note_undefined()
            self._whole()
            self._in_space()

    def scores(self) -> MemberScores:
        """What was found."""
        n_test = int(self.bank.judged.sum())
        return MemberScores(
            values={member: found[0] for member, found in self.found.items()},
            replicates={member: found[1:] for member, found in self.found.items()},
            abstained=self.abstained,
            notes={member: tuple(notes) for member, notes in self.notes.items()},
            seconds=self.seconds,
            dimension=self.space.dimension if self.space else 0,
            variance_kept=self.space.variance_kept if self.space else 0.0,
            n_fit=len(self.bank.prompts) - n_test,
            n_test=n_test,
        )

    @cached_property
    def layout(self) -> Layout:
        """Where the positions of each prompt lie."""
        return layout_of(self.bank.prompts, self.bank.n_prompts)

    def _whole(self) -> None:
        """CKA and Wasserstein, in the features' own coordinates."""
        for member, measured, usable in (("cka", self._cka, self.varied), ("wasserstein", self._wasserstein, self.finite)):
            if member not in self.members:
                continue
            with self._timed(member):
                distances = measured()
            for place, features in enumerate(self.bank.ablated):
                if usable[place]:
                    self.pause()
                    with self._timed(member):
                        self.found[member][:, place] = distances(features).cpu()

    def _cka(self) -> Callable[[Tensor], Tensor]:
        if len(self.draws) == 1:
            return partial(cka_distance, self.bank.base)
        draws = Draws(self.draws, self.bank.prompts)
        base = PromptGram(self.bank.base, draws)
        return lambda features: cka_resamples(base, PromptGram(features, draws))

    def _wasserstein(self) -> Callable[[Tensor], Tensor]:
        if len(self.draws) == 1:
            return partial(wasserstein_distance, self.bank.base)
        layout, width = self.layout, self.bank.base.shape[1]
        base = PromptValues(self.bank.base, layout)
        return lambda features: wasserstein_resamples(base, PromptValues(features, layout), self.draws, layout.sizes * width)

    def _in_space(self) -> None:
        """The members that work in the PCA space."""
        fitted, gaussian = (tuple(member for member in self.members if member in group) for group in (FITTED, GAUSSIAN))
        if not fitted and not gaussian:
            return
        space = fit_space(self.bank.base[~self.bank.judged], self.dimension)
        if isinstance(space, Message):
            self._abstain(fitted + gaussian, space)
            return
        self.space = space
        base = space.coordinates(self.bank.base)
        others = {place: space.coordinates(one) for place, one in enumerate(self.bank.ablated) if self.varied[place]}
        if space.dimension < self.dimension:
            self._note(fitted + gaussian, member_words.lowered(space.dimension, self.dimension))
        if fitted:
            self._fitted(fitted, base, others)
        if gaussian:
            self._gaussian(gaussian, base, others)

    def _fitted(self, members: tuple[Member, ...], base: Tensor, others: Mapping[int, Tensor]) -> None:
        n_test, judged = int(self.bank.judged.sum()), self.bank.test.to(base.device)
        if 0 < n_test < POSITIONS_PER_DIMENSION:
            self._abstain(members, member_words.too_few_judged(n_test, POSITIONS_PER_DIMENSION))
            return
        assert self.space is not None
        self._note(members, member_words.split(len(base) - n_test, n_test, self.space) if n_test else member_words.NOTHING_HELD_BACK)
        for place, features in others.items():
            self.pause()
            with self._timed(*members):
                parts = prompt_moments(base, features, self.layout)
                fit = parts.weighted(self.draws * ~judged)
                seen = parts.weighted(self.draws * judged) if n_test else fit
            for member in members:
                with self._timed(member):
                    self.found[member][:, place] = _judged(member, fit, seen).cpu()
        thin = sum(_is_thin(features) for features in others.values()) if "cca" in members else 0
        if thin:
            self._note(("cca",), member_words.thin(thin))

    def _gaussian(self, members: tuple[Member, ...], base: Tensor, others: Mapping[int, Tensor]) -> None:
        classes = classes_of(base, self.bank.classes)
        if isinstance(classes, Message):
            self._abstain(members, classes)
            return
        self._note(members, member_words.clouds(len(classes.places)))
        if classes.n_shrunk:
            self._note(members, member_words.shrunk(classes.n_shrunk, len(classes.places), 2 * base.shape[1]))
        if len(self.draws) > 1:
            self._note([member for member in members if GAUSSIAN[member] < 2], member_words.KEPT_OVER_RESAMPLES)
        if not others:
            return  # every candidate is undefined
        with self._timed(*members):
            pairs = Pairs(base, torch.stack(list(others.values())), classes)
        each = self.draws[1:, self.bank.prompts].mT
        for member in members:
            with self._timed(member):
                self.found[member][:, list(others)] = pairs.distances(GAUSSIAN[member], each, self.pause).cpu()

    def _note_undefined(self) -> None:
        if n := self.finite.count(False):
            self._note(self.members, member_words.not_numbers(n))
        if n := self.finite.count(True) - self.varied.count(True):
            self._note(tuple(member for member in self.members if member != "wasserstein"), member_words.constant(n))

    def _abstain(self, members: Sequence[Member], reason: Message) -> None:
        self.abstained |= dict.fromkeys(members, reason)

    def _note(self, members: Sequence[Member], note: Message) -> None:
        for member in members:
            self.notes[member].append(note)

    @contextmanager
    def _timed(self, *members: Member) -> Iterator[None]:
        """Counts the time for the members, shared evenly."""
        started = time.perf_counter()
        yield
        for member in members:
            if member in self.seconds:
                self.seconds[member] += (time.perf_counter() - started) / len(members)


def _judged(member: Member, fit: Moments, seen: Moments) -> Tensor:
    if member == "permutation":
        return permutation_angle(fit, seen)
    return shape_distance(fit, seen, alpha=0.0 if member == "cca" else 1.0)


def _is_thin(features: Tensor) -> bool:
    """Whether they vary along fewer directions than the space has, so that whitening clips."""
    variances = torch.linalg.eigvalsh(covariance(features))
    return bool(variances[0] <= CLIP * variances[-1])
