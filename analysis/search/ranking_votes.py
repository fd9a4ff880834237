"""What every voter says of a step's candidates, from what one walk gave and, for some, from gradients of their own."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from analysis.contracts import MEMBERS, FeatureInfo, Member, Message, RankingSettings, Vote, Voter
from analysis.planning.consensus_rules import mid_ranks
from analysis.profiling.bootstrap import intervals
from analysis.search.attribution import attribution_scores
from analysis.search.counterfactual import Counterfactual, Subject
from analysis.search.gradient_votes import GradientScores, taylor_scores
from analysis.search.positions import judging_prompts
from analysis.search.pseudo_classes import NONE, Classes, pseudo_classes
from analysis.similarity.feature_bank import FeatureBank
from analysis.similarity.members import MemberScores, member_scores

Floats = npt.NDArray[np.float64]
GRADIENT_TOKENS = 512
"""Tokens run together where gradients are taken, if nobody says how many."""


@dataclass(frozen=True, eq=False)
class Said:
    """One voter's values and what they rest on.

    Attributes:
        values: [M] low = replaceable; NaN: undefined.
        replicates: [R, M] the same over resampled prompts; no rows without resamples.
        passes: forward and backward passes of all the step's tokens that it ran for itself.
    """

    values: Floats
    replicates: Floats
    n_samples: int = 0
    seconds: float = 0.0
    notes: tuple[Message, ...] = ()
    abstained: Message | None = None
    passes: float = 0.0


@dataclass(frozen=True, eq=False)
class Round:
    """One round of questions: what was seen, and how prompts are resampled.

    Attributes:
        subject: model and examples.
        seen: of this step.
        settings: resolved.
        draws: [R, E] how often each prompt is drawn in each resample; no rows: no resamples.
        pause: called between pieces of work; may raise to stop.
    """

    subject: Subject
    seen: Counterfactual
    settings: RankingSettings
    draws: Floats
    pause: Callable[[], None]

    def ask(self) -> tuple[dict[Voter, Said], FeatureInfo | None]:
        """Every voter of the settings, in their order, and what the members looked at."""
        members, info = self._members()
        said = {voter: members[voter] if voter in members else self._other(voter) for voter in self.settings.voters}
        return {voter: _or_abstaining(one) for voter, one in said.items()}, info

    # -- what the walk gave ----------------------------------------------------------------------------------------

    def _members(self) -> tuple[dict[Voter, Said], FeatureInfo | None]:
        asked = [member for member in MEMBERS if member in self.settings.voters]
        features = self.seen.features
        if not asked or features is None:
            return {}, None
        if not len(features.positions):
            why = Message(id="No token of these prompts but the first and massive ones could be looked at. Give longer prompts.")
            return dict.fromkeys(asked, self._silent(why)), None
        device = torch.device("cpu") if features.base.device.type == "mps" else features.base.device  # it has no float64
        classes = NONE
        if any(member.startswith("gaussian") for member in asked):
            classes = pseudo_classes(features.base.to(device), features.positions, self.seen.losses.examples, self.settings)
        bank = FeatureBank(
            features.base.to(device),
            features.ablated.to(device),
            torch.from_numpy(features.positions.examples).to(device),
            torch.from_numpy(judging_prompts(self.seen.losses.examples, self.settings.test_share)),
            None if classes.labels is None else classes.labels.to(device),
        )
        found = self._scored(bank, asked)
        said: dict[Voter, Said] = {
            member: self._silent(one) if isinstance(one, Message) else self._of_member(member, one, classes, len(features.positions))
            for member, one in found.items()
        }
        scores = [one for one in found.values() if isinstance(one, MemberScores)]
        return said, _feature_info(max(scores, key=lambda one: one.dimension), classes, bank) if scores else None

    def _scored(self, bank: FeatureBank, asked: Sequence[Member]) -> dict[Member, MemberScores | Message]:
        """All members together; where that fails each by itself, so that one that cannot be worked out does not silence the others."""
        weights = torch.from_numpy(self.draws) if len(self.draws) else None
        try:
            scores = member_scores(bank, asked, dimension=self.settings.dimension, weights=weights, pause=self.pause)
        except (MemoryError, RuntimeError) as exc:  # torch.OutOfMemoryError and LinAlgError among them
            if len(asked) == 1:
                return {asked[0]: _failed(exc)}
        else:
            return dict.fromkeys(asked, scores)
        return {member: one for each in asked for member, one in self._scored(bank, [each]).items()}

    def _of_member(self, member: Voter, scores: MemberScores, classes: Classes, n_positions: int) -> Said:
        assert member in MEMBERS
        notes = scores.notes.get(member, ())
        return Said(
            scores.values[member].cpu().double().numpy(),
            scores.replicates[member].cpu().double().numpy().reshape(-1, len(self.seen.candidates)),
            n_positions,
            scores.seconds.get(member, 0.0),
            (*notes, *classes.notes) if member.startswith("gaussian") else tuple(notes),
            scores.abstained.get(member),
        )

    def _other(self, voter: Voter) -> Said:
        started = time.perf_counter()
        said = self._walked(voter) if voter in ("ablation_loss", "block_influence", "angular_distance") else self._from_gradients(voter)
        self.pause()
        return replace(said, seconds=time.perf_counter() - started)

    def _walked(self, voter: Voter) -> Said:
        if voter == "ablation_loss":
            return Said(self._loss_changes(None), self._loss_changes(self.draws), self.seen.losses.n_tokens)
        influence = self.seen.influence
        told = influence.block_influence if voter == "block_influence" else influence.angular_distance
        return Said(told(), told(self.draws), influence.n_tokens)

    def _loss_changes(self, draws: Floats | None) -> Floats:
        """Nats per token that each candidate adds: [M] or [R, M]; NaN where its numbers overflowed."""
        sums, counts = self.seen.losses.sums(), self.seen.losses.counts()
        changes = (sums[1:] - sums[0]).T
        weights = np.ones(len(counts)) if draws is None else draws
        with np.errstate(invalid="ignore"):
            found: Floats = weights @ changes / np.expand_dims(weights @ counts, -1)
        return found

    # -- gradients -------------------------------------------------------------------------------------------------

    def _from_gradients(self, voter: Voter) -> Said:
        loaded, seen, settings = self.subject.loaded, self.seen, self.settings
        about = (loaded, self.subject.walk.stack, seen.losses.examples, seen.candidates, seen.base)
        batch = settings.batch_tokens or GRADIENT_TOKENS
        if voter == "taylor":
            scores = taylor_scores(*about, batch_tokens=batch, pause=self.pause)
        else:
            scores = attribution_scores(voter, *about, batch_tokens=batch, steps=settings.attribution_steps, pause=self.pause)
        return Said(
            scores.values,
            scores.resampled(self.draws),
            scores.n_tokens,
            notes=scores.notes,
            abstained=scores.abstained,
            passes=self._whole_passes(scores),
        )

    def _whole_passes(self, scores: GradientScores) -> float:
        """In passes of all tokens, of which a gradient voter may have run some only."""
        return scores.passes * scores.n_tokens / max(1, self.seen.losses.n_tokens)

    def _silent(self, why: Message) -> Said:
        n = len(self.seen.candidates)
        return Said(np.full(n, np.nan), np.full((len(self.draws), n), np.nan), abstained=why)


def vote_of(voter: Voter, said: Said) -> Vote:
    """A voter's values, their ranks and intervals, as they are kept."""
    values = np.where(np.isfinite(said.values), said.values, np.nan)
    return Vote(
        voter=voter,
        values=tuple(None if np.isnan(value) else float(value) for value in values),
        ranks=tuple(None if np.isnan(rank) else float(rank) for rank in mid_ranks(values)),
        intervals=tuple(intervals(said.replicates)) if len(said.replicates) and said.abstained is None else (),
        abstained=said.abstained,
        n_samples=said.n_samples,
        seconds=round(said.seconds, 4),
        notes=said.notes,
    )


def replicate_ranks(said: Sequence[Said]) -> tuple[tuple[tuple[int, ...], ...], ...]:
    """[R][V][M] each voter's ranks over resampled prompts, ties by order; 0: undefined."""
    if not said:
        return ()
    table = np.stack([one.replicates for one in said], axis=1)
    table = np.where(np.isfinite(table), table, np.nan)
    order = np.argsort(table, axis=-1, kind="stable")
    ranks = np.zeros(table.shape, dtype=np.int64)
    np.put_along_axis(ranks, order, np.broadcast_to(np.arange(1, table.shape[-1] + 1), table.shape), axis=-1)
    ranks[np.isnan(table)] = 0
    return tuple(tuple(tuple(map(int, row)) for row in rows) for rows in ranks)


def _or_abstaining(said: Said) -> Said:
    """A voter without a single number does not vote, whatever it says."""
    if said.abstained is not None or np.isfinite(said.values).any():
        return said
    return replace(said, abstained=Message(id="It gives no usable number for any layer."))


def _feature_info(scores: MemberScores, classes: Classes, bank: FeatureBank) -> FeatureInfo:
    return FeatureInfo(
        n_positions=len(bank.prompts),
        n_fit=scores.n_fit,
        n_test=scores.n_test,
        width=bank.base.shape[1],
        dimension=scores.dimension,
        variance_kept=min(1.0, max(0.0, scores.variance_kept)),
        classes_by=classes.by,
        n_classes=classes.n,
    )


def _failed(exc: BaseException) -> Message:
    return Message(
        id="Not measured: the arithmetic failed ({reason}). Look at fewer token positions, or at fewer dimensions.",
        values={"reason": str(exc).partition("\n")[0][:120]},
    )
