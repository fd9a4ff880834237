"""Prompts token by token, for people to read."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

from analysis.contracts import TokenTrace
from analysis.profiling.bootstrap import Floats
from analysis.profiling.scores import series
from analysis.semantics.scores import TraceBook
from analysis.semantics.tokens import Bools, Ints, TokenPlan
from analysis.workload import EncodedExample, Encoder

_HALF = "\ufffd"


def token_traces(
    book: TraceBook,
    plan: TokenPlan,
    examples: Sequence[EncodedExample],
    *,
    encoder: Encoder | None,
    words: Ints | None,
    excerpts: bool = True,
) -> tuple[TokenTrace, ...]:
    """The kept traces.

    Args:
        encoder: puts tokens into words; None: their texts stay empty.
        words: the sorted tokens that the bases are made of; None: all.
        excerpts: whether any text is kept.
    """
    shown = encoder if excerpts else None
    traces = (_trace(book, plan, examples[index], index, shown, words) for index in plan.traces)
    return tuple(trace if excerpts else trace.model_copy(update={"excerpt": ""}) for trace in traces)


def _trace(
    book: TraceBook, plan: TokenPlan, example: EncodedExample, index: int, encoder: Encoder | None, words: Ints | None
) -> TokenTrace:
    traced = plan.examples[index]
    kept = traced.rows >= 0
    rows, curve = traced.rows[kept], book.curves.index(book.default)
    known = book.sums["trace_lens_known"][rows] > 0
    return TokenTrace(
        example_id=example.example_id,
        slice=example.slice,
        critical=example.critical,
        excerpt=example.excerpt,
        tokens=_texts(encoder, example, traced.positions[kept]),
        deviation=_rows(book.sums["trace_deviations"][rows, curve], book.sums["trace_known"][rows] > 0),
        lens_loss=_rows(book.sums["trace_losses"][rows], known) if known.any() else None,
        top_words=_top_words(encoder, book.sums["trace_words"][rows], known, words) if encoder and known.any() else (),
    )


def _rows(values: Floats, known: Bools) -> tuple[tuple[float | None, ...], ...]:
    shown = np.where(known[:, None], values, np.nan).astype(np.float64)
    return tuple(tuple(None if value is None else float(f"{value:.4g}") for value in series(row)) for row in shown)


def _texts(encoder: Encoder | None, example: EncodedExample, positions: Ints) -> tuple[str, ...]:
    """Each token as it reads behind those before it; a character of several tokens stands with the last of them."""
    if encoder is None:
        return ("",) * len(positions)
    first, last = int(positions[0]), int(positions[-1])
    ids, wanted = example.input_ids[first : last + 1].tolist(), set((positions - first).tolist())
    found, before = [], ""
    for length in range(1, len(ids) + 1):
        whole = encoder.tokenizer.decode(ids[:length], skip_special_tokens=False)
        text = "" if whole.endswith(_HALF) and length < len(ids) else whole[len(before) :]
        before = whole if text else before
        if length - 1 in wanted:
            found.append(text)
    return tuple(found)


def _top_words(encoder: Encoder, said: Ints, known: Bools, words: Ints | None) -> tuple[tuple[str, ...], ...]:
    @cache
    def text(word: int) -> str:
        return encoder.tokenizer.decode([word], skip_special_tokens=False)

    ids = said if words is None else words[said]
    return tuple(tuple(text(int(word)) if shown else "" for word in row) for row, shown in zip(ids, known, strict=True))
