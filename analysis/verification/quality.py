"""What a plan does to a model's words: loss, KL and agreement with the original, prompt by prompt, in one loaded model.

Both run on the same batches. Only states whose prediction is judged go through the output head, and only a few at a
time, so no [tokens, vocabulary] ever exists. Log-probabilities are taken in float32, sums in float64.

    loss      - log p(token) over the tokens that `workload.scored` names: nats
    kl        sum over words of p_original * (log p_original - log p_plan): nats per token
    agreement both would say the same word next

A model that is not causal reads the very token it is asked for, so it gets no loss; it, and one without a word head,
get the cosine between both models' final states instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from analysis.contracts import Estimate, ExampleOutcome, FlipCount, Message, QualityScores, TaskScore, Value
from analysis.errors import ModelError
from analysis.models.head import Head
from analysis.models.stack import LoadedModel, Stack
from analysis.verification.batches import Batch, Runner, batch_of, examples_of
from analysis.verification.statistics import Bootstrap, Floats, sign_flip_test
from analysis.workload import EncodedExample, scored

Applied = Callable[[], AbstractContextManager[object]]
"""Inside what it returns, the plan is carried out on the live model."""
_CHUNK = {"cuda": 2**25, "cpu": 2**22}
_LARGEST_EXPONENT = 700.0
"""exp of more is no float any more; a model as bad as that stays as bad as that."""

LOSS_ORIGINAL, LOSS_PLAN, KL, AGREED, COSINE = range(5)


def judges_words(loaded: LoadedModel, stack: Stack) -> bool:
    """Whether the stack's final states can be turned into words."""
    return Head(loaded, stack).exists


@dataclass
class Tally:
    """Sums over the judged tokens of each example: one row per example.

    Attributes:
        weights: [n].
        tokens: [n] judged tokens.
        sums: [n, 5] loss of the original, loss of the plan, KL, agreed tokens, cosines.
        words: whether KL and agreement were measured.
        loss: whether loss was.
    """

    weights: Floats
    tokens: npt.NDArray[np.int64]
    sums: Floats
    words: bool
    loss: bool


def measure_quality(runner: Runner, examples: Sequence[EncodedExample], applied: Applied) -> Tally:
    """Runs every example through the original and the plan.

    Raises:
        ModelError: numbers overflowed.
        Cancelled, ResourceError: see `Runner.all_of`.
    """
    judge = _Judge(runner, examples, applied)
    tally = Tally(
        weights=np.array([example.weight for example in examples], dtype=np.float64),
        tokens=np.array([int(judged.sum()) for judged in judge.judged], dtype=np.int64),
        sums=np.zeros((len(examples), 5)),
        words=judge.words,
        loss=judge.words and judge.causal,
    )
    stage = Message(id="Running the verification half through both models")
    with runner.interruptible():
        for batch, sums in runner.all_of([len(ids) for ids in judge.sequences], judge.run, stage):
            np.add.at(tally.sums, batch.owners, sums)
    return tally


@dataclass
class _Judge:
    runner: Runner
    examples: Sequence[EncodedExample]
    applied: Applied

    def __post_init__(self) -> None:
        loaded, stack = self.runner.loaded, self.runner.stack
        self.causal = stack.info.causal
        self.words = judges_words(loaded, stack)
        self.head = Head(loaded, stack)
        self.sequences = examples_of(self.examples)
        self.judged = [scored(example, causal=self.causal) for example in self.examples]

    def run(self, members: tuple[int, ...]) -> tuple[Batch, Floats]:
        """A batch and [n, 5] figures of its judged tokens."""
        batch = batch_of(members, self.sequences, self.judged, causal=self.causal)
        if len(batch.rows) == 0:
            return batch, np.zeros((0, 5))
        original = self.runner.states(batch)
        with self.applied():
            plan = self.runner.states(batch)
        figures = torch.zeros(len(batch.rows), 5, device=original.device)
        if self.words:
            figures = self._through_head(original, plan, torch.from_numpy(batch.targets).to(original.device))
        if not (self.words and self.causal):
            figures[:, COSINE] = torch.nn.functional.cosine_similarity(original.float(), plan.float(), dim=-1)
        found: Floats = figures.cpu().double().numpy()
        self._check(batch, found)
        return batch, found

    @torch.no_grad()
    def _through_head(self, original: Tensor, plan: Tensor, targets: Tensor) -> Tensor:
        step = chunk_rows(original.device, self.runner.loaded.info.vocab_size)
        parts = []
        for start in range(0, len(targets), step):
            self.runner.check()
            place = slice(start, start + step)
            parts.append(compare_words(self.head.logits(original[place]), self.head.logits(plan[place]), targets[place]))
        return torch.cat(parts)

    def _check(self, batch: Batch, figures: Floats) -> None:
        bad = ~np.isfinite(figures).all(axis=1)
        if not bad.any():
            return
        first = self.examples[int(batch.owners[np.flatnonzero(bad)[0]])]
        original = not np.isfinite(figures[bad][:, LOSS_ORIGINAL]).all()
        values: dict[str, Value] = {
            "dtype": str(self.runner.loaded.dtype).removeprefix("torch."),
            "example": first.example_id[:12],
            "n": int(bad.sum()),
        }
        if original:
            raise ModelError(
                "The original model's numbers overflowed in {dtype} (prompt {example}, tokens: {n}), so nothing can be compared with it. "
                "Choose bfloat16 or float32.",
                **values,
            )
        raise ModelError(
            "With the plan the model's numbers overflowed in {dtype} (prompt {example}, tokens: {n}). Choose bfloat16 or float32, or "
            "another plan.",
            **values,
        )


def chunk_rows(device: torch.device, vocab_size: int) -> int:
    """How many states go through the head at once."""
    return max(1, _CHUNK.get(device.type, _CHUNK["cpu"]) // max(1, vocab_size))


def compare_words(original: Tensor, plan: Tensor, targets: Tensor) -> Tensor:
    """Both models' scores over words compared, token by token.

    Args:
        original: [n, V] logits.
        plan: [n, V] logits.
        targets: [n] the right words.

    Returns:
        [n, 5]: see `Tally.sums`; no cosine. Losses and KL in nats, >= 0.
    """
    log_p, log_q = original.float().log_softmax(-1), plan.float().log_softmax(-1)
    p = log_p.exp()
    kl = torch.where(p > 0, p * (log_p - log_q), 0.0).sum(-1).clamp(min=0.0)
    right = targets[:, None]
    agreed = (log_p.argmax(-1) == log_q.argmax(-1)).float()
    loss_original, loss_plan = -log_p.gather(1, right)[:, 0], -log_q.gather(1, right)[:, 0]
    return torch.stack([loss_original, loss_plan, kl, agreed, torch.zeros_like(kl)], dim=1)


# -- from sums to scores -----------------------------------------------------------------------------------------------


def scores(
    tally: Tally,
    members: Iterable[int],
    *,
    replicates: int,
    seed: int,
    flips: FlipCount | None = None,
    tasks: tuple[TaskScore, ...] = (),
) -> QualityScores:
    """The scores of some examples, each token counting with its example's weight; intervals over prompts."""
    chosen = np.array([member for member in members if tally.tokens[member]], dtype=np.int64)
    weights = tally.weights[chosen][:, None]
    weighted = np.hstack([tally.sums[chosen] * weights, tally.tokens[chosen][:, None] * weights])
    resampled = Bootstrap(weighted, replicates=replicates, seed=seed)
    unknown = Estimate(value=None)

    def mean(column: int) -> Estimate:
        return resampled.estimate(lambda sums: np.asarray(sums[..., column] / sums[..., -1]))

    def exp_of(columns: Callable[[Floats], Floats]) -> Estimate:
        return resampled.estimate(lambda sums: np.exp(np.minimum(columns(sums) / sums[..., -1], _LARGEST_EXPONENT)))

    def change(sums: Floats) -> Floats:
        return np.asarray(sums[..., LOSS_PLAN] - sums[..., LOSS_ORIGINAL])

    differences = weighted[:, LOSS_PLAN] - weighted[:, LOSS_ORIGINAL]
    return QualityScores(
        n_examples=len(chosen),
        n_tokens=int(tally.tokens[chosen].sum()),
        perplexity_original=exp_of(lambda sums: np.asarray(sums[..., LOSS_ORIGINAL])) if tally.loss else unknown,
        perplexity_plan=exp_of(lambda sums: np.asarray(sums[..., LOSS_PLAN])) if tally.loss else unknown,
        perplexity_ratio=exp_of(change) if tally.loss else unknown,
        loss_change=resampled.estimate(lambda sums: np.asarray(change(sums) / sums[..., -1])) if tally.loss else unknown,
        p_value=sign_flip_test(differences, replicates=replicates, seed=seed) if tally.loss else None,
        kl=mean(KL) if tally.words else unknown,
        top1_agreement=mean(AGREED) if tally.words else unknown,
        similarity=None if tally.loss else mean(COSINE),
        flips=flips,
        tasks=tasks,
    )


def outcome(tally: Tally, member: int, example: EncodedExample) -> ExampleOutcome:
    """One example's own figures."""
    n = int(tally.tokens[member])

    def mean(column: int, measured: bool) -> float | None:
        return float(tally.sums[member, column]) / n if measured and n else None

    return ExampleOutcome(
        example_id=example.example_id,
        slice=example.slice,
        critical=example.critical,
        n_tokens=n,
        loss_original=mean(LOSS_ORIGINAL, tally.loss),
        loss_plan=mean(LOSS_PLAN, tally.loss),
        kl=mean(KL, tally.words),
        top1_agreement=mean(AGREED, tally.words),
        similarity=mean(COSINE, not tally.loss),
    )
