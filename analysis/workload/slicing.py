"""Slices for workloads that name none: by script, or by length."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Literal

from analysis.contracts import Message
from analysis.errors import WorkloadError
from analysis.workload.example import Example
from analysis.workload.shown import shown, shown_names

Slicing = Literal["given", "language", "length", "none"]
SLICINGS: tuple[Slicing, ...] = ("given", "language", "length", "none")
ALL_SLICE = "all prompts"
OTHER_SLICE = "other prompts"
MAX_SLICES = 100
"""Every slice has matrices, intervals and minibatches of its own; an id in the slice column would fill memory and file."""

_RANGES = (
    ("kana", "\u3041", "\u30ff"),
    ("kana", "\u31f0", "\u31ff"),
    ("kana", "\uff66", "\uff9f"),
    ("han", "\u3400", "\u9fff"),
    ("han", "\uf900", "\ufaff"),
    ("han", "\U00020000", "\U0003134f"),
    ("hangul", "\u1100", "\u11ff"),
    ("hangul", "\u3130", "\u318f"),
    ("hangul", "\uac00", "\ud7af"),
    ("Cyrillic script", "\u0400", "\u052f"),
    ("Latin script", "A", "\u024f"),
    ("Latin script", "\u1e00", "\u1eff"),
)


@lru_cache(maxsize=1 << 16)
def _script(character: str) -> str:
    """The script of a letter; nothing for digits, marks and spaces."""
    if not character.isalpha():
        return ""
    return next((name for name, first, last in _RANGES if first <= character <= last), "other script")


def script_slice(text: str) -> str:
    """The kind of writing: a tenth of East Asian characters decides, otherwise the script with most letters.

    >>> script_slice("この部品の検査結果を要約してください。"), script_slice("Summarise the log."), script_slice("检查零件")
    ('Japanese text', 'Latin script', 'Chinese text')
    """
    letters: Counter[str] = Counter()
    for character, n in Counter(text).items():
        letters[_script(character)] += n
    del letters[""]
    kana, han, hangul = letters.pop("kana", 0), letters.pop("han", 0), letters.pop("hangul", 0)
    east_asian = kana + han + hangul
    if east_asian and 10 * east_asian >= east_asian + letters.total():
        if hangul > kana + han:
            return "Korean text"
        return "Japanese text" if 20 * kana >= kana + han else "Chinese text"
    return max(sorted(letters), key=lambda name: letters[name], default="other script")


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
    named = {example.slice for example in examples}
    if len(named) > MAX_SLICES:
        raise WorkloadError(
            "The workload names {n} slices, such as {examples}; at most {limit} are measured. Let 'slice' name kinds of work, not "
            "single requests, or have slices made (--slicing language, length or none).",
            n=len(named),
            examples=shown_names(sorted(named - {""}), limit=3),
            limit=MAX_SLICES,
        )
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
