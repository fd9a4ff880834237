"""A workload as a model gets it: which examples, how many tokens of which kind, what was cut or left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from analysis.contracts import Message, ProfileSettings, TokenCounts, WorkloadInfo, WorkloadPreview
from analysis.errors import WorkloadError
from analysis.workload.encoder import PROMPT, RESPONSE, TEMPLATE, EncodedExample, Encoder
from analysis.workload.example import Example
from analysis.workload.shown import shown, shown_names
from analysis.workload.workload import Workload

_EXAMPLE_CHARACTERS = 240


@dataclass(frozen=True)
class EncodedWorkload:
    """The examples that will be run, in the order of their ids.

    Attributes:
        info: the whole workload, with notes on what was cut or left out.
        counts: tokens by kind over `examples`.
        slice_tokens: slice -> tokens of prompt and response.
    """

    info: WorkloadInfo
    examples: tuple[EncodedExample, ...]
    counts: TokenCounts
    slice_tokens: Mapping[str, int]


def encode_workload(
    workload: Workload,
    encoder: Encoder,
    *,
    max_tokens: int,
    chat_template: bool,
    slices: Sequence[str] = (),
    part: Literal["calibration", "verification", "all"] = "calibration",
) -> EncodedWorkload:
    """Tokenises one half of a workload; by default the half that plans are chosen from.

    Examples without a single token of prompt or response (after cutting) are left out and counted.

    Raises:
        WorkloadError: a slice that does not exist, a half without examples, or no token that counts.
    """
    chosen = _chosen(workload, slices, part)
    encoded = [encoder.encode(example, max_tokens=max_tokens, chat_template=chat_template) for example in chosen]
    kept = tuple(example for example in encoded if example.n_counted)
    if not kept:
        raise WorkloadError(
            "No token of any prompt would count within {max_tokens} tokens (prompts: {n}). "
            "Allow longer prompts (--max-tokens) or give others.",
            n=len(encoded),
            max_tokens=max_tokens,
        )
    counts = _counts(kept, n_empty=len(encoded) - len(kept), chat_template=chat_template and encoder.has_chat_template)
    slice_tokens: dict[str, int] = {}
    for example in kept:
        slice_tokens[example.slice] = slice_tokens.get(example.slice, 0) + example.n_counted
    notes = (*workload.info.notes, *_notes(kept, counts, max_tokens))
    return EncodedWorkload(workload.info.model_copy(update={"notes": notes}), kept, counts, dict(sorted(slice_tokens.items())))


def preview_workload(workload: Workload, encoder: Encoder, settings: ProfileSettings) -> WorkloadPreview:
    """What a run with these settings would do to this workload, without running anything."""
    encoded = encode_workload(
        workload, encoder, max_tokens=settings.max_tokens, chat_template=settings.chat_template, slices=settings.slices
    )
    shown_first = {example.example_id for example in _one_per_slice(encoded.examples)}
    return WorkloadPreview(
        workload=encoded.info,
        counts=encoded.counts,
        slice_tokens=encoded.slice_tokens,
        lengths=tuple(len(example.input_ids) for example in encoded.examples),
        examples=tuple(_example_row(example) for example in workload.examples if example.id in shown_first),
    )


def _chosen(workload: Workload, slices: Sequence[str], part: str) -> list[Example]:
    known = [info.name for info in workload.info.slices]
    unknown = [name for name in slices if name not in known]
    if unknown:
        raise WorkloadError(
            "The workload has no slice '{slice}'. Its slices are: {known}.", slice=shown(unknown[0]), known=shown_names(known, limit=40)
        )
    in_slices = [example for example in workload.examples if not slices or example.slice in slices]
    chosen = [example for example in in_slices if part in ("all", example.part)]
    if not chosen and part == "verification":
        raise WorkloadError(
            "No example falls into the verification half (examples: {n}); the text of an example decides its half. Add more prompts.",
            n=len(in_slices),
        )
    if not chosen:
        raise WorkloadError(
            "No example falls into the calibration half (examples: {n}); the text of an example decides its half. Add more prompts.",
            n=len(in_slices),
        )
    return sorted(chosen, key=lambda example: example.id)


def _counts(examples: Sequence[EncodedExample], *, n_empty: int, chat_template: bool) -> TokenCounts:
    by_kind = np.bincount(np.concatenate([example.kinds for example in examples]), minlength=3)
    return TokenCounts(
        n_examples=len(examples),
        n_tokens=int(by_kind.sum()),
        n_prompt=int(by_kind[PROMPT]),
        n_response=int(by_kind[RESPONSE]),
        n_template=int(by_kind[TEMPLATE]),
        n_truncated_examples=sum(1 for example in examples if example.n_cut),
        n_truncated_tokens=sum(example.n_cut for example in examples),
        n_empty=n_empty,
        chat_template=chat_template,
    )


def _notes(examples: Sequence[EncodedExample], counts: TokenCounts, max_tokens: int) -> list[Message]:
    notes = []
    if counts.n_truncated_examples:
        notes.append(
            Message(
                id="Prompts longer than {max_tokens} tokens, cut at the end: {n}; tokens left out: {tokens}.",
                values={"n": counts.n_truncated_examples, "max_tokens": max_tokens, "tokens": counts.n_truncated_tokens},
            )
        )
    if counts.n_empty:
        notes.append(Message(id="Prompts left out because none of their tokens would count: {n}.", values={"n": counts.n_empty}))
    joined = sum(1 for example in examples if example.system_joined)
    if joined:
        notes.append(
            Message(
                id="The model's chat template takes no system text; it stands at the start of the first user turn. Prompts concerned: {n}.",
                values={"n": joined},
            )
        )
    return notes


def _one_per_slice(examples: Sequence[EncodedExample], limit: int = 3) -> list[EncodedExample]:
    """The first example of each of the first slices, then more of them."""
    first = list({example.slice: example for example in reversed(examples)}.values())
    rest = [example for example in examples if example not in first]
    return (sorted(first, key=lambda example: example.slice) + rest)[:limit]


def _example_row(example: Example) -> dict[str, str]:
    return {
        "slice": example.slice,
        "prompt": shown(example.prompt, _EXAMPLE_CHARACTERS),
        "response": shown(example.response or "", _EXAMPLE_CHARACTERS),
    }
