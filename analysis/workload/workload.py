"""A workload in memory, and what can be said of it without its texts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from analysis.contracts import SliceInfo, WorkloadInfo, content_hash
from analysis.errors import WorkloadError
from analysis.workload.example import Example
from analysis.workload.shown import shown


@dataclass(frozen=True)
class Workload:
    """The user's prompts and what is known of them."""

    info: WorkloadInfo
    examples: tuple[Example, ...]


def workload_hash(examples: Iterable[Example]) -> str:
    """SHA-256 over all that changes a result (texts, slice, weight, critical), whatever the files and the order."""
    return content_hash(sorted((example.id, example.slice, float(example.weight), example.critical) for example in examples))


def without_duplicates(examples: Sequence[Example]) -> tuple[tuple[Example, ...], int]:
    """Every example once, and how many copies were left out.

    Copies that differ in slice, weight or importance become one whatever their order: the slice that comes first by
    name, the largest weight, critical when one of them is.
    """
    kept: dict[str, Example] = {}
    for example in examples:
        known = kept.get(example.id)
        kept[example.id] = example if known is None else _one_of(known, example)
    return tuple(kept.values()), len(examples) - len(kept)


def _one_of(one: Example, other: Example) -> Example:
    named = sorted((example for example in (one, other) if example.slice), key=lambda example: example.slice) or [one]
    requests = max(
        (e.requests_per_month for e in (one, other) if e.slice == named[0].slice and e.requests_per_month is not None), default=None
    )
    return replace(named[0], weight=max(one.weight, other.weight), critical=one.critical or other.critical, requests_per_month=requests)


def slice_infos(examples: Sequence[Example]) -> tuple[SliceInfo, ...]:
    """The slices by name."""
    grouped: dict[str, list[Example]] = {}
    for example in examples:
        grouped.setdefault(example.slice, []).append(example)
    return tuple(_slice_info(name, grouped[name]) for name in sorted(grouped))


def _slice_info(name: str, examples: Sequence[Example]) -> SliceInfo:
    calibration = sum(1 for example in examples if example.part == "calibration")
    return SliceInfo(
        name=name,
        n_examples=len(examples),
        n_calibration=calibration,
        n_verification=len(examples) - calibration,
        n_critical=sum(1 for example in examples if example.critical),
        requests_per_month=_requests(name, examples),
    )


def _requests(name: str, examples: Sequence[Example]) -> float | None:
    """The slice's requests a month: one figure, on one or on all of its examples."""
    figures = {example.requests_per_month for example in examples if example.requests_per_month is not None}
    if len(figures) > 1:
        raise WorkloadError(
            "The slice '{slice}' has different figures for requests_per_month ({low} and {high}, for example). "
            "Write one figure for the whole slice, on one or on all of its examples.",
            slice=shown(name),
            low=min(figures),
            high=max(figures),
        )
    return next(iter(figures), None)
