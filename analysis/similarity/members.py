"""The eight members of the consensus, asked together about every candidate, with resamples over prompts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from analysis.contracts import Message
from analysis.contracts.ranking import Member
from analysis.similarity.feature_bank import FeatureBank
from analysis.similarity.moments import Moments, layout_of, prompt_moments
from analysis.similarity.pca import Space, fit_space
from analysis.similarity.permutation import permutation_angle
from analysis.similarity.shape import cka_distance, shape_distance
from analysis.similarity.wasserstein import wasserstein_distance

FITTED: tuple[Member, ...] = ("procrustes", "cca", "permutation")
"""Members whose map is fitted on some prompts and judged on others."""


@dataclass(frozen=True)
class MemberScores:
    """What the members say. Small = replaceable; NaN = undefined, never 0.

    Attributes:
        values: member -> one distance for each candidate; float64, on the CPU.
        replicates: member -> the same over resampled prompts; no rows without resamples.
        abstained: member -> why it does not vote; its values are then all NaN.
        notes: member -> what a reader of its values should know.
        seconds: member -> its own arithmetic.
        dimension: of the PCA space; 0: there is none.
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

    CKA and Wasserstein look at the features as they are; the others at a PCA space fitted on the untouched model's
    features (fit prompts only) and applied to every candidate.

    Args:
        bank: features without and with each unit left out.
        members: which to ask.
        dimension: of the PCA space at most; lowered until there are ten positions for each axis.
        weights: how often each prompt is drawn in each resample; None: no resamples.
        pause: called between pieces of work; may raise to stop.
    """
    asked = _Asked(bank, tuple(members), dimension, weights, pause)
    asked.run()
    return asked.scores()


@dataclass
class _Asked:
    """One round of questions, while it runs."""

    bank: FeatureBank
    members: tuple[Member, ...]
    dimension: int
    weights: Tensor | None
    pause: Callable[[], None]
    found: dict[Member, Tensor] = field(default_factory=dict)  # [1 + R, M], the first row over all prompts as they are
    abstained: dict[Member, Message] = field(default_factory=dict)
    notes: dict[Member, list[Message]] = field(default_factory=dict)
    seconds: dict[Member, float] = field(default_factory=dict)
    space: Space | Message | None = None

    def __post_init__(self) -> None:
        device = self.bank.base.device
        drawn = torch.ones(1, self.bank.n_prompts, dtype=torch.float64, device=device)
        self.draws = drawn if self.weights is None else torch.cat([drawn, self.weights.to(drawn)])
        self.usable = torch.stack([torch.isfinite(one).all() for one in self.bank.ablated]).cpu()
        for member in self.members:
            self.found[member] = torch.full((len(self.draws), self.bank.n_candidates), torch.nan, dtype=torch.float64)
            self.seconds[member] = 0.0
            self.notes[member] = []

    def run(self) -> None:
        """Asks every member."""
        if not bool(torch.isfinite(self.bank.base).all()):
            reason = Message(
                id="The untouched model's features hold values that are not numbers, so nothing can be compared with them."
                " Try another precision (dtype), or check the model."
            )
            self.abstained = dict.fromkeys(self.members, reason)
            return
        for member in self.members:
            if member in ("cka", "wasserstein"):
                self._plain(member)
        fitted = tuple(member for member in self.members if member in FITTED)
        if fitted:
            self._fitted(fitted)

    def scores(self) -> MemberScores:
        """What was found."""
        judged = int(self.bank.judged.sum())
        space = self.space if isinstance(self.space, Space) else None
        return MemberScores(
            values={member: found[0] for member, found in self.found.items()},
            replicates={member: found[1:] for member, found in self.found.items()},
            abstained=self.abstained,
            notes={member: tuple(notes) for member, notes in self.notes.items()},
            seconds=self.seconds,
            dimension=space.dimension if space else 0,
            variance_kept=space.variance_kept if space else 0.0,
            n_fit=len(self.bank.prompts) - judged,
            n_test=judged,
        )

    def _plain(self, member: Member) -> None:
        distance = {"cka": cka_distance, "wasserstein": wasserstein_distance}[member]
        for place in self._candidates():
            with self._timed(member):
                self.found[member][0, place] = distance(self.bank.base, self.bank.ablated[place])

    def _fitted(self, members: tuple[Member, ...]) -> None:
        space = self._space()
        if isinstance(space, Message):
            self.abstained |= dict.fromkeys(members, space)
            return
        base = space.coordinates(self.bank.base)
        layout = layout_of(self.bank.prompts, self.bank.n_prompts)
        judged = self.bank.test.to(base.device)
        for place in self._candidates():
            with self._timed(*members):
                parts = prompt_moments(base, space.coordinates(self.bank.ablated[place]), layout)
                fit = parts.weighted(self.draws * ~judged)
                seen = parts.weighted(self.draws * judged) if judged.any() else fit
            for member in members:
                with self._timed(member):
                    self.found[member][:, place] = _judged(member, fit, seen).cpu()

    def _space(self) -> Space | Message:
        if self.space is None:
            self.space = fit_space(self.bank.base[~self.bank.judged], self.dimension)
        return self.space

    def _candidates(self) -> Iterator[int]:
        """Candidates whose features are numbers, with a pause before each."""
        for place in range(self.bank.n_candidates):
            if self.usable[place]:
                self.pause()
                yield place

    @contextmanager
    def _timed(self, *members: Member) -> Iterator[None]:
        started = time.perf_counter()
        yield
        for member in members:
            self.seconds[member] += (time.perf_counter() - started) / len(members)


def _judged(member: Member, fit: Moments, seen: Moments) -> Tensor:
    if member == "permutation":
        return permutation_angle(fit, seen)
    return shape_distance(fit, seen, alpha=0.0 if member == "cca" else 1.0)
