"""Which tokens are traced, which of them also go through the head, and whose trace is kept token by token."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.contracts import SemanticSettings
from analysis.errors import WorkloadError
from analysis.workload import RESPONSE, EncodedExample, EncodedWorkload

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
KEPT_EXAMPLES = 2000
TRACE_TOKENS = 200
"""Tokens of a prompt whose trace is kept one by one; a page shows no more."""
_LENS_PROMPTS = 16
"""No prompt takes more than this part of the lens' tokens, so that at least as many prompts are seen."""


@dataclass(frozen=True)
class Traced:
    """The tokens of one example that are traced: places in the example, words counted among the bases', and who goes where.

    lens: [n] goes through the head too; rows: [n] place among the kept traces, -1: not kept; row: the example's own among
    the kept examples, -1: none.
    """

    positions: Ints
    words: Ints
    lens: Bools
    rows: Ints
    row: int


@dataclass(frozen=True)
class TokenPlan:
    """What is measured of every example, in the workload's order, and what is not."""

    examples: tuple[Traced, ...]
    traces: tuple[int, ...]
    n_without_response: int
    n_response_cut: int
    n_outside_vocabulary: int

    @property
    def n_trace_tokens(self) -> int:
        """Tokens kept one by one."""
        return max((int(one.rows.max(initial=-1)) for one in self.examples), default=-1) + 1

    @property
    def n_kept(self) -> int:
        """Examples with a mean of their own."""
        return max((one.row for one in self.examples), default=-1) + 1

    @property
    def uses_lens(self) -> bool:
        """Whether any token goes through the head."""
        return any(one.lens.any() for one in self.examples)


def plan_tokens(
    encoded: EncodedWorkload, semantic: SemanticSettings, words: Ints | None, *, answered: Collection[str] | None = None
) -> TokenPlan:
    """Decides over every response token.

    Args:
        words: the sorted tokens that the bases are made of; None: all.
        answered: ids of the examples that came with a response; None: known only from what is left of them.

    Raises:
        WorkloadError: no response token is left to trace, and why.
    """
    examples = encoded.examples
    responses = [response_places(example) for example in examples]
    inside = [_inside(example, places, words) for example, places in zip(examples, responses, strict=True)]
    places = [found[kept] for found, kept in zip(responses, inside, strict=True)]
    outside = sum(int((~kept).sum()) for kept in inside)
    cut = sum(1 for example, found in zip(examples, responses, strict=True) if not len(found) and _was_answered(example, answered))
    silent = sum(1 for found in responses if not len(found)) - cut
    _require(places, n=len(examples), cut=cut, outside=outside)
    lens = _lens(examples, places, semantic.lens_tokens or 0)
    traces = _traces(examples, places, semantic.traces)
    rows = _trace_rows(places, traces)
    kept = iter(range(KEPT_EXAMPLES))
    traced = tuple(
        Traced(found, _words(example, found, words), lens[i], rows[i], next(kept, -1) if len(found) else -1)
        for i, (example, found) in enumerate(zip(examples, places, strict=True))
    )
    return TokenPlan(traced, traces, silent, cut, outside)


def response_places(example: EncodedExample) -> Ints:
    """Places of response tokens that something stands before: the state before a token predicts it."""
    found = np.flatnonzero(example.kinds == RESPONSE)
    return found[found > 0].astype(np.int64)


def _inside(example: EncodedExample, places: Ints, words: Ints | None) -> Bools:
    return np.ones(len(places), dtype=bool) if words is None else np.isin(example.input_ids[places], words)


def _words(example: EncodedExample, places: Ints, words: Ints | None) -> Ints:
    ids = example.input_ids[places]
    return ids if words is None else np.searchsorted(words, ids).astype(np.int64)


def _was_answered(example: EncodedExample, answered: Collection[str] | None) -> bool:
    return example.n_cut > 0 and (answered is None or example.example_id in answered)


def _require(places: Sequence[Ints], *, n: int, cut: int, outside: int) -> None:
    if any(len(found) for found in places):
        return
    if outside:
        raise WorkloadError(
            "None of the response tokens is in the chosen vocabulary (response tokens: {n}). Add the words of your responses to it, or "
            "choose the vocabulary 'responses' or 'all'.",
            n=outside,
        )
    if cut:
        raise WorkloadError(
            "All responses were cut away because their prompts are too long (prompts concerned: {n}). Allow more tokens per prompt "
            "(--max-tokens), or give shorter prompts.",
            n=cut,
        )
    raise WorkloadError(
        "None of the prompts has a response (prompts: {n}), so there is no right word to trace. Give the answers in a field 'response'; "
        "without them layers can still be frozen by budget (plan --op freeze --strategy train_last).",
        n=n,
    )


def slices_by_turns(examples: Sequence[EncodedExample], key: Callable[[int], tuple[object, ...]]) -> Iterator[int]:
    """Indices of the examples, slices taking turns; inside a slice by the key."""
    queues: dict[str, list[int]] = {}
    for index in sorted(range(len(examples)), key=key):
        queues.setdefault(examples[index].slice, []).append(index)
    waiting = [queues[name][::-1] for name in sorted(queues)]
    while waiting:
        for queue in waiting:
            yield queue.pop()
        waiting = [queue for queue in waiting if queue]


def _lens(examples: Sequence[EncodedExample], places: Sequence[Ints], budget: int) -> list[Bools]:
    """Tokens that go through the head: prompts in content-hash order, slices by turns, spread over the length of a response."""
    chosen = [np.zeros(len(found), dtype=bool) for found in places]
    answered = sum(1 for found in places if len(found))
    most = max(-(-budget // answered), budget // _LENS_PROMPTS)
    for index in slices_by_turns(examples, lambda i: (examples[i].example_id,)):
        take = min(len(places[index]), most, budget)
        if take:
            chosen[index][np.linspace(0, len(places[index]) - 1, take).round().astype(np.int64)] = True
            budget -= take
    return chosen


def _traces(examples: Sequence[EncodedExample], places: Sequence[Ints], n: int) -> tuple[int, ...]:
    order = slices_by_turns(examples, lambda i: (not examples[i].critical, examples[i].example_id))
    chosen = [index for index in order if len(places[index])]
    critical = [index for index in chosen if examples[index].critical]
    return tuple((critical + [index for index in chosen if not examples[index].critical])[:n])


def _trace_rows(places: Sequence[Ints], traces: Sequence[int]) -> list[Ints]:
    rows = [np.full(len(found), -1, dtype=np.int64) for found in places]
    start = 0
    for index in traces:
        kept = min(len(places[index]), TRACE_TOKENS)
        rows[index][:kept] = np.arange(start, start + kept)
        start += kept
    return rows
