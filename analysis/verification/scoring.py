"""From sums and answers to the scores of a verification: over everything, by slice, for the critical prompts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from analysis.contracts import Estimate, ExampleOutcome, FlipCount, QualityScores, TaskScore
from analysis.verification.answers import Answers
from analysis.verification.quality import Tally, outcome, scores
from analysis.verification.statistics import mcnemar, paired_change, share, upper_bound
from analysis.workload import EncodedExample

TaskKind = Literal["choices", "exact", "normalised"]
TASK_KINDS: tuple[TaskKind, ...] = ("choices", "exact", "normalised")


@dataclass(frozen=True)
class Scored:
    """The quality part of a verification."""

    quality: QualityScores
    slices: Mapping[str, QualityScores]
    critical: QualityScores | None
    examples: tuple[ExampleOutcome, ...]


def score_all(tally: Tally, examples: Sequence[EncodedExample], answers: Answers, *, replicates: int, seed: int) -> Scored:
    """All scores. An answer counts once, whatever the weight of its prompt, because counted intervals need counts."""

    def over(members: Iterable[int]) -> QualityScores:
        chosen = list(members)
        ids = [examples[member].example_id for member in chosen]
        return scores(
            tally, chosen, replicates=replicates, seed=seed, flips=flip_count(answers, ids), tasks=tuple(task_scores(answers, ids))
        )

    by_slice: dict[str, list[int]] = {}
    for member, example in enumerate(examples):
        by_slice.setdefault(example.slice, []).append(member)
    critical = [member for member, example in enumerate(examples) if example.critical]
    return Scored(
        quality=over(range(len(examples))),
        slices={name: over(members) for name, members in sorted(by_slice.items())},
        critical=over(critical) if critical else None,
        examples=tuple(_outcome(tally, member, example, answers) for member, example in enumerate(examples)),
    )


def flip_count(answers: Answers, ids: Iterable[str]) -> FlipCount | None:
    """How many of these answers changed; None: none of these prompts was answered."""
    flipped = [answer.flipped for name in ids if (answer := answers.by_id.get(name)) is not None and answer.flipped is not None]
    if not flipped:
        return None
    n, changed = len(flipped), sum(flipped)
    return FlipCount(n=n, changed=changed, rate=share(changed, n), upper=upper_bound(changed, n))


def task_scores(answers: Answers, ids: Sequence[str]) -> Iterable[TaskScore]:
    """Shares of right answers by every way of judging that applies."""
    for kind in TASK_KINDS:
        pairs = [right for name in ids if (answer := answers.by_id.get(name)) is not None and (right := answer.right(kind)) is not None]
        if not pairs:
            continue
        lost = sum(1 for original, plan in pairs if original and not plan)
        won = sum(1 for original, plan in pairs if plan and not original)
        yield TaskScore(
            kind=kind,
            n=len(pairs),
            original=_share([original for original, _ in pairs]),
            plan=_share([plan for _, plan in pairs]),
            change=paired_change(lost, won, len(pairs)),
            p_value=mcnemar(lost, won),
        )


def _share(right: Sequence[bool]) -> Estimate:
    return share(sum(right), len(right))


def _outcome(tally: Tally, member: int, example: EncodedExample, answers: Answers) -> ExampleOutcome:
    found = outcome(tally, member, example)
    answer = answers.by_id.get(example.example_id)
    if answer is None:
        return found
    right = answer.right("choices") or answer.right("normalised")
    return found.model_copy(
        update={
            "flipped": answer.flipped,
            "right_original": None if right is None else right[0],
            "right_plan": None if right is None else right[1],
        }
    )
