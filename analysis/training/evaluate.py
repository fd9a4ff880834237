"""The loss of responses, prompt by prompt, and what changed in it: how every arm of a trial is judged.

A prompt's loss is that of its response tokens alone, each predicted from the state before it; prompts without a response
are not judged here at all. Only judged states go through the output head, a few at a time, so no [tokens, vocabulary] ever
exists. Log-probabilities are taken in float32, sums in float64. A prompt is the unit of chance, and each token counts with
its prompt's weight, as in a verification.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from analysis.contracts import Estimate, Message
from analysis.models.head import Head
from analysis.models.stack import LoadedModel, Stack
from analysis.profiling.stream import Watch
from analysis.training.data import Learned, learned_tokens
from analysis.verification.batches import Batch, Runner, batch_of, examples_of
from analysis.verification.quality import chunk_rows
from analysis.verification.statistics import Bootstrap, Floats
from analysis.workload import EncodedExample

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]
_JUDGING = Message(id="Judging the model's answers")


def with_response(examples: Sequence[EncodedExample]) -> tuple[EncodedExample, ...]:
    """Those that have a response token to predict."""
    return tuple(example for example in examples if learned_tokens(example).any())


@dataclass(frozen=True)
class Judged:
    """What a model made of some prompts' responses.

    Attributes:
        examples: the prompts.
        sums: [n] summed loss of each prompt's response, nats; not finite where numbers overflowed.
        tokens: [n] response tokens behind it.
    """

    examples: tuple[EncodedExample, ...]
    sums: Floats
    tokens: Ints

    @property
    def loss(self) -> float:
        """Nats per response token, prompts weighted; not a number without any."""
        weights = weights_of(self.examples)
        n = float((weights * self.tokens).sum())
        return float((weights * self.sums).sum()) / n if n else float("nan")

    def by_example(self) -> dict[str, float]:
        """Prompt -> nats per response token."""
        return {
            example.example_id: float(total) / int(n)
            for example, total, n in zip(self.examples, self.sums, self.tokens, strict=True)
            if n and np.isfinite(total)
        }


def judge(
    loaded: LoadedModel,
    stack: Stack,
    examples: Sequence[EncodedExample],
    batch_tokens: int,
    watch: Watch | None = None,
    *,
    stage: Message = _JUDGING,
    learned: Learned = learned_tokens,
) -> Judged:
    """Runs the model as it is now on prompts with their responses. Nothing is learnt and nothing is kept.

    Args:
        loaded: the model, an adapter on it included.
        stack: the stack that trains.
        examples: prompts with responses; others count no token.
        batch_tokens: padded tokens in a batch; halved when memory runs short.
        watch: told how far it is, and asked whether to stop.
        stage: what is being done.
        learned: which tokens are judged; as a rule those of the response.

    Raises:
        Cancelled: `watch` said so.
        ResourceError: one prompt does not fit the memory even alone.
    """
    runner = Runner(loaded, stack, batch_tokens, watch or Watch())
    pass_ = _Pass(runner, Head(loaded, stack), tuple(examples), learned)
    sums = np.zeros(len(examples))
    with runner.interruptible():
        for batch, losses in runner.all_of([len(ids) for ids in pass_.sequences], pass_.run, stage):
            np.add.at(sums, batch.owners, losses)
    return Judged(tuple(examples), sums, np.array([int(judged.sum()) for judged in pass_.judged], dtype=np.int64))


@dataclass
class _Pass:
    runner: Runner
    head: Head
    examples: tuple[EncodedExample, ...]
    learned: Learned

    def __post_init__(self) -> None:
        self.sequences = examples_of(self.examples)
        self.judged = [self.learned(example) for example in self.examples]

    @torch.no_grad()
    def run(self, members: tuple[int, ...]) -> tuple[Batch, Floats]:
        """A batch and [n] losses of its judged tokens."""
        batch = batch_of(members, self.sequences, self.judged, causal=True)
        if len(batch.rows) == 0:
            return batch, np.zeros(0)
        states = self.runner.states(batch)
        targets = torch.from_numpy(batch.targets).to(states.device)
        step, parts = chunk_rows(states.device, self.runner.loaded.info.vocab_size), []
        for start in range(0, len(targets), step):
            self.runner.check()
            place = slice(start, start + step)
            parts.append(torch.nn.functional.cross_entropy(self.head.logits(states[place]).float(), targets[place], reduction="none"))
        losses: Floats = torch.cat(parts).cpu().double().numpy()
        return batch, losses


# -- what changed ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Chance:
    """How intervals are drawn."""

    replicates: int = 2000
    seed: int = 0

    def of(self, columns: Sequence[Floats], judged: Judged) -> Bootstrap:
        """Resamples of weighted columns [n], with the weighted tokens as the last."""
        weights = weights_of(judged.examples)
        values = np.column_stack([*columns, judged.tokens.astype(np.float64)]) * weights[:, None]
        return Bootstrap(values, replicates=self.replicates, seed=self.seed)


def loss(judged: Judged, chance: Chance) -> Estimate:
    """Nats per response token."""
    return chance.of([judged.sums], judged).estimate(lambda sums: np.asarray(sums[..., 0] / sums[..., 1]))


def reduction(before: Judged, after: Judged, chance: Chance) -> Estimate:
    """Nats per response token gained, paired over prompts; above 0: better."""
    return chance.of([before.sums - after.sums], before).estimate(lambda sums: np.asarray(sums[..., 0] / sums[..., 1]))


def slice_reductions(before: Judged, after: Judged, chance: Chance) -> dict[str, Estimate]:
    """Slice -> its reduction."""
    names = np.array([example.slice for example in before.examples])
    return {str(name): reduction(some(before, names == name), some(after, names == name), chance) for name in sorted(set(names))}


def some(judged: Judged, chosen: Bools) -> Judged:
    """The chosen ones of the prompts."""
    examples = tuple(example for example, take in zip(judged.examples, chosen, strict=True) if take)
    return Judged(examples, judged.sums[chosen], judged.tokens[chosen])


def weights_of(examples: Sequence[EncodedExample]) -> Floats:
    """[n] how much each prompt counts."""
    return np.array([example.weight for example in examples], dtype=np.float64)
