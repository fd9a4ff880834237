"""What a healing learns from: three parts that have no text in common, long texts cut into windows, steps filled with tokens.

Next-token loss and every judgement take the tokens that a verification judges: those of the response given its prompt, else those of the
prompt. Distillation takes every token after the first, because the uncut model has an opinion on all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from analysis.contracts import Message
from analysis.contracts.healing import HealObjective
from analysis.errors import WorkloadError
from analysis.training.data import TrainingSet, parted
from analysis.verification.batches import Batch
from analysis.workload import EncodedExample, EncodedWorkload, scored

MOST_WINDOWS = 64
"""A text is read up to so many windows."""
FEWEST_CALIBRATION = 4
FEWEST_VERIFICATION = 2
_STEPS_IN_EPOCH = 8
"""Few examples are not put into one step: it takes at least so many steps to see all of them once."""
_TOKENS_IN_PASS = {"cpu": 2048, "cuda": 16384}
"""Padded tokens in one pass: their word scores are held at once."""


@dataclass(frozen=True)
class HealParts:
    """Three parts without a text in common.

    Attributes:
        train: windows of the training examples, none longer than allowed.
        selection: chooses learning rates and stops; a long text is judged by its start.
        report: judges, and is never learnt from or chosen by.
        n_train: texts behind `train`.
        notes: what was cut or left out.
    """

    train: tuple[EncodedExample, ...]
    selection: tuple[EncodedExample, ...]
    report: tuple[EncodedExample, ...]
    n_train: int
    notes: tuple[Message, ...] = ()


def heal_parts(
    calibration: EncodedWorkload, verification: EncodedWorkload, *, selection_share: float, max_tokens: int, seed: int
) -> HealParts:
    """The calibration half divided in two, and the verification half.

    Args:
        calibration: may hold longer texts than `max_tokens`; those train window by window.
        verification: judged by the first `max_tokens` of each text, as in a verification.
        selection_share: of the calibration half's different texts, kept back to select by.
        max_tokens: of a window.
        seed: another one keeps others back.

    Raises:
        WorkloadError: there are too few different texts for three parts.
    """
    report = tuple(start for example in verification.examples if scored(start := _start(example, max_tokens)).any())
    starts = {whole.example_id: _start(whole, max_tokens) for whole in calibration.examples}
    judged = _contents(report) | {example.example_id.encode() for example in report}
    apart = {name: start for name, start in starts.items() if not {_content(start), name.encode()} & judged and scored(start).any()}
    if len(_contents(apart.values())) < FEWEST_CALIBRATION or len(report) < FEWEST_VERIFICATION:
        raise _too_few(len(_contents(apart.values())), len(report))
    learnt, selection = parted(tuple(apart.values()), selection_share, seed)
    kept_back, names = judged | _contents(selection), {example.example_id for example in learnt}
    cut = [window for whole in calibration.examples if whole.example_id in names for window in windows(whole, max_tokens)]
    train = tuple(window for window in cut if _content(window) not in kept_back)
    assert not names & {example.example_id for example in (*selection, *report)}
    assert not _contents(train) & (_contents(selection) | _contents(report))
    return HealParts(train, selection, report, len(names), _notes(len(starts) - len(apart), train, max_tokens))


def windows(example: EncodedExample, max_tokens: int) -> Iterator[EncodedExample]:
    """A text in pieces of at most so many tokens, without those in which nothing counts; each keeps the text's id and weight."""
    for start in range(0, len(example.input_ids), max_tokens):
        place = slice(start, start + max_tokens)
        window = replace(example, input_ids=example.input_ids[place], kinds=example.kinds[place], n_cut=0)
        if scored(window).any():
            yield window


class HealSet(TrainingSet):
    """Windows ready to be put into batches, with two shares of a step's loss for each of their tokens.

    Args:
        examples: the windows.
        objective: what is learnt; without distillation, tokens that next-token loss does not count are left out of the head's work.
        device: `cpu` or `cuda`, by which passes are kept small.
    """

    def __init__(self, examples: Sequence[EncodedExample], objective: HealObjective, device: str) -> None:
        super().__init__(tuple(examples), scored if objective == "next_token" else _every_token)
        object.__setattr__(self, "_room", _TOKENS_IN_PASS.get(device, _TOKENS_IN_PASS["cpu"]))

    def micro_batches(self, members: Sequence[int], size: int) -> list[tuple[Batch, NDArray[np.float64]]]:
        """A step's windows in passes of at most `size`, and [n, 2] each token's share of the next-token loss and of the distillation.

        Over a step each column sums up to 1; a token counts with its example's weight.
        """
        batches = [self.batch(chosen) for chosen in self._passes(members, size)]
        weights = [self._shares(batch) for batch in batches]
        total = np.sum([shares.sum(axis=0) for shares in weights], axis=0)
        return [(batch, shares / total) for batch, shares in zip(batches, weights, strict=True)]

    def steps(self, batch_size: int, max_tokens: int, n_steps: int, seed: int) -> tuple[tuple[int, ...], ...]:
        """The windows of every optimiser step; each epoch sees all of them once, in an order of its own.

        A step takes `batch_size` windows, and more of them while they are short: as many tokens as full windows would have, as long as
        an epoch keeps some steps.
        """
        draw, lengths = np.random.default_rng(seed), self.lengths
        room = min(batch_size * max_tokens, sum(lengths) // _STEPS_IN_EPOCH)
        found: list[tuple[int, ...]] = []
        while len(found) < n_steps:
            found += filled(draw.permutation(len(lengths)).tolist(), lengths, batch_size, room)
        return tuple(found[:n_steps])

    def _passes(self, members: Sequence[int], size: int) -> list[list[int]]:
        lengths = self.lengths
        passes: list[list[int]] = []
        for member in sorted(members, key=lambda one: (lengths[one], one)):
            last = passes[-1] if passes else None
            if last is None or len(last) >= size or (len(last) + 1) * lengths[member] > vars(self)["_room"]:
                passes.append([member])
            else:
                last.append(member)
        return passes

    def _shares(self, batch: Batch) -> NDArray[np.float64]:
        """[n, 2] before they are divided by the step's sum."""
        weights = np.array([self.examples[owner].weight for owner in batch.owners], dtype=np.float64)
        counts = np.concatenate([scored(self.examples[member])[self.learned(self.examples[member])] for member in batch.members])
        return np.column_stack([weights * counts, weights])


def filled(order: Sequence[int], lengths: Sequence[int], fewest: int, room: int) -> list[tuple[int, ...]]:
    """Windows in this order, grouped: at least so many in a group, and more while their tokens fit the room; the rest joins the last.

    >>> filled([0, 1, 2, 3, 4], [9, 9, 9, 1, 1], 2, 12)
    [(0, 1), (2, 3, 4)]
    """
    groups: list[list[int]] = []
    tokens = 0
    for member in order:
        if not groups or (len(groups[-1]) >= fewest and tokens + lengths[member] > room):
            groups.append([])
            tokens = 0
        groups[-1].append(member)
        tokens += lengths[member]
    if len(groups) > 1 and len(groups[-1]) < fewest:
        rest = groups.pop()
        groups[-1] += rest
    return [tuple(group) for group in groups]


def _every_token(example: EncodedExample) -> NDArray[np.bool_]:
    return np.arange(len(example.input_ids)) > 0


def _start(example: EncodedExample, max_tokens: int) -> EncodedExample:
    left_out = max(0, len(example.input_ids) - max_tokens)
    if not left_out:
        return example
    return replace(example, input_ids=example.input_ids[:max_tokens], kinds=example.kinds[:max_tokens], n_cut=example.n_cut + left_out)


def _content(example: EncodedExample) -> bytes:
    return example.input_ids.astype("<i8").tobytes()


def _contents(examples: Iterable[EncodedExample]) -> set[bytes]:
    return {_content(example) for example in examples}


def _notes(n_left_out: int, train: Sequence[EncodedExample], max_tokens: int) -> tuple[Message, ...]:
    notes = []
    n_windows = len(train) - len({window.example_id for window in train})
    if n_left_out:
        notes.append(
            Message(
                id="Training examples left out because nothing in them could be learnt, or because a verification prompt reads the same: "
                "{n}.",
                values={"n": n_left_out},
            )
        )
    if n_windows:
        notes.append(
            Message(
                id="Training examples longer than {max_tokens} tokens were trained on in windows of that length; windows beyond the "
                "first: {n}.",
                values={"max_tokens": max_tokens, "n": n_windows},
            )
        )
    return tuple(notes)


def _too_few(n_calibration: int, n_verification: int) -> WorkloadError:
    return WorkloadError(
        "There are too few different prompts for three parts (training, selection, report): {n_calibration} to learn from and "
        "{n_verification} to report on; at least {fewest_calibration} and {fewest_verification} are needed. Add prompts, or read each line "
        "of plain text as a prompt (--lines); the text of a prompt decides its half.",
        n_calibration=n_calibration,
        n_verification=n_verification,
        fewest_calibration=FEWEST_CALIBRATION,
        fewest_verification=FEWEST_VERIFICATION,
    )
