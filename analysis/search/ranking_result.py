"""A ranking, finished or not, as it is stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from analysis.contracts import FeatureInfo, LostWith, Message, Objective, Ranking, RankingSettings, RankingStep
from analysis.contracts.profile import Interval
from analysis.models.device import device_name
from analysis.models.origin import versions
from analysis.search.counterfactual import Subject
from analysis.search.ranking_settings import methods_of, ranking_key


@dataclass
class Findings:
    """What a ranking has found so far; grows step by step.

    Attributes:
        base_loss: of the untouched model.
        n_tokens: tokens whose loss counts.
        n_examples: prompts behind them.
        features, replicate_ranks, lost: of the first step.
        lost_together: one for each step that took something.
    """

    objective: Objective
    base_loss: float
    n_tokens: int
    n_examples: int
    features: FeatureInfo | None = None
    steps: tuple[RankingStep, ...] = ()
    replicate_ranks: tuple[tuple[tuple[int, ...], ...], ...] = ()
    lost: tuple[LostWith, ...] = ()
    lost_together: tuple[LostWith, ...] = ()
    notes: tuple[Message, ...] = field(default_factory=tuple)

    @classmethod
    def of(cls, ranking: Ranking) -> Findings:
        """What a stored ranking has found."""
        return cls(**{name: getattr(ranking, name) for name in cls.__dataclass_fields__})


def with_one_interval(step: RankingStep, lost: Sequence[LostWith], together: LostWith | None) -> RankingStep:
    """The step with the intervals that its sets have among what is lost, so that one set has one interval wherever it is shown.

    Args:
        step: as it was taken.
        lost: with each single candidate, in their order; empty after the first step.
        together: with everything out after the step; None: it took nothing.
    """
    whole = _interval(together)
    votes = (
        vote.model_copy(update={"intervals": tuple(_interval(one) for one in lost)})
        if vote.voter == "ablation_loss" and vote.intervals and lost
        else vote
        for vote in step.votes
    )
    return step.model_copy(update={"votes": tuple(votes), "interval": step.interval if whole is None else whole})


def _interval(lost: LostWith | None) -> Interval | None:
    if lost is None or lost.change.low is None or lost.change.high is None:
        return None
    return lost.change.low, lost.change.high


def assemble_ranking(subject: Subject, settings: RankingSettings, findings: Findings, *, complete: bool, name: str) -> Ranking:
    """Everything found so far as a contract."""
    info, encoded = subject.loaded.info, subject.encoded
    return Ranking(
        id=ranking_key(info, settings.stack, encoded.info.content_hash, settings),
        name=name or f"{info.name} · {encoded.info.name}",
        model=info,
        stack=info.stack(settings.stack).name,
        workload=encoded.info,
        counts=encoded.counts,
        settings=settings,
        objective=findings.objective,
        base_loss=findings.base_loss,
        n_tokens=findings.n_tokens,
        n_examples=findings.n_examples,
        methods=methods_of(settings.voters),
        features=findings.features,
        steps=findings.steps,
        replicate_ranks=findings.replicate_ranks,
        lost=findings.lost,
        lost_together=findings.lost_together,
        complete=complete,
        device_name=device_name(subject.loaded.device),
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        versions=versions(),
        notes=_once(findings.notes),
    )


def _once(notes: Sequence[Message]) -> tuple[Message, ...]:
    return tuple({note.in_english(): note for note in notes}.values())
