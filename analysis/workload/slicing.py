"""Slices for workloads that name none: by script, or by length."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from analysis.contracts import Message
from analysis.errors import WorkloadError
from analysis.workload.example import Example
from analysis.workload.shown import shown

Slicing = Literal["given", "language", "length", "none"]
SLICINGS: tuple[Slicing, ...] = ("given", "language", "length", "none")
ALL_SLICE = "all prompts"
OTHER_SLICE = "other prompts"

_KANA = re.compile(r"[\u3041-\u30ff\u31f0-\u31ff\uff66-\uff9f]")
_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f]")
_HANGUL = re.compile(r"[\u1100-\u11ff\u3130-\u318f\uac00-\ud7af]")
_CYRILLIC = re.compile(r"[\u0400-\u052f]")
_LATIN = re.compile(r"[A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u1e00-\u1eff]")
_WORD_CHARACTER = re.compile(r"[^\W\d_]")


def script_slice(text: str) -> str:
    """The kind of writing: a tenth of East Asian characters decides, otherwise the script with most letters.

    >>> script_slice("この部品の検査結果を要約してください。"), script_slice("Summarise the log."), script_slice("检查零件")
    ('Japanese text', 'Latin script', 'Chinese text')
    """
    letters = len(_WORD_CHARACTER.findall(text))
    if not letters:
        return "other script"
    kana, han, hangul = (len(pattern.findall(text)) for pattern in (_KANA, _HAN, _HANGUL))
    if 10 * (kana + han + hangul) >= letters:
        if hangul > kana + han:
            return "Korean text"
        return "Japanese text" if 20 * kana >= kana + han else "Chinese text"
    counts = {"Latin script": len(_LATIN.findall(text)), "Cyrillic script": len(_CYRILLIC.findall(text))}
    counts["other script"] = letters - sum(counts.values()) - kana - han - hangul
    return max(counts, key=lambda name: counts[name])


def sliced(examples: Sequence[Example], slicing: Slicing) -> tuple[tuple[Example, ...], tuple[Message, ...]]:
    """The examples with the slice that `slicing` gives them, and what to say about it."""
    if slicing not in SLICINGS:
        raise WorkloadError("'{slicing}' is no way of slicing. Use one of: {allowed}.", slicing=shown(slicing), allowed=", ".join(SLICINGS))
    if slicing == "given":
        return _given(examples)
    notes: tuple[Message, ...] = ()
    if any(example.requests_per_month is not None for example in examples):
        notes = (Message(id="Requests a month belong to the slices of the file and are not used with other slices."),)
    if slicing == "none":
        return tuple(replace(example, slice=ALL_SLICE, requests_per_month=None) for example in examples), notes
    named, note = _by_script(examples) if slicing == "language" else _by_length(examples)
    return tuple(replace(example, slice=name, requests_per_month=None) for example, name in zip(examples, named, strict=True)), (
        note,
        *notes,
    )


def _given(examples: Sequence[Example]) -> tuple[tuple[Example, ...], tuple[Message, ...]]:
    without = sum(1 for example in examples if not example.slice)
    if not without:
        return tuple(examples), ()
    if without == len(examples):
        note = Message(
            id="The workload names no slices, so there is one, '{slice}'. Slices by script or by length can be made.",
            values={"slice": ALL_SLICE},
        )
        return tuple(replace(example, slice=ALL_SLICE) for example in examples), (note,)
    note = Message(id="Examples that name no slice: {n}. They stand in '{slice}'.", values={"n": without, "slice": OTHER_SLICE})
    return tuple(example if example.slice else replace(example, slice=OTHER_SLICE) for example in examples), (note,)


def _by_script(examples: Sequence[Example]) -> tuple[list[str], Message]:
    names = [script_slice(" ".join(turn.content for turn in example.turns if turn.role == "user")) for example in examples]
    return names, Message(
        id="Slices follow the script of the prompts: languages that share a script, such as English and German, stand in one slice."
    )


def _by_length(examples: Sequence[Example]) -> tuple[list[str], Message]:
    """Thirds by characters; equal lengths always share a slice."""
    lengths = [example.n_characters for example in examples]
    ordered = sorted(lengths)
    low, high = ordered[(len(ordered) - 1) // 3], ordered[2 * (len(ordered) - 1) // 3]
    names = ["short prompts" if length <= low else "medium prompts" if length <= high else "long prompts" for length in lengths]
    return names, Message(
        id="Slices are thirds by length with the response: short up to {low} characters, long above {high}.",
        values={"low": low, "high": high},
    )
