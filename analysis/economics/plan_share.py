"""How much lighter a plan makes the work, as one share: the dial that a rollout's stages are set by."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.contracts.business import Assumptions, CaseEvidence, SliceVolume
from analysis.contracts.rollout import Stage
from analysis.economics.uses import serves


def planned_share(evidence: CaseEvidence) -> float:
    """Share of the computing time that the whole plan takes out, 0 to 1: of serving, or of training where it only freezes.

    Measured where it was; of the range of a projection the upper end, so that a first step is never called smaller than it may be.
    """
    if evidence.projected_saving is not None:
        return _share(evidence.projected_saving[1])
    if serves(evidence) and evidence.serving is not None:
        points = [point for point in evidence.serving.points if not point.waits_for_work] or list(evidence.serving.points)
        return _share(max(points, key=lambda point: point.batch_size * point.prompt_tokens).prefill_ms.saved_share)
    return _share(evidence.training.hours.saved_share) if evidence.training is not None else 0.0


def _share(value: float) -> float:
    return min(1.0, max(0.0, value))


def volumes(evidence: CaseEvidence, assumptions: Assumptions) -> tuple[SliceVolume, ...]:
    """The slices with their volume; where nobody gave volumes, each counts the same."""
    given = assumptions.slices or tuple(SliceVolume(name=name, requests_per_month=0.0) for name in evidence.slices)
    if any(entry.requests_per_month for entry in given):
        return given
    return tuple(entry.model_copy(update={"requests_per_month": 1.0}) for entry in given)


def reach(stage: Stage, slices: Sequence[SliceVolume]) -> float:
    """Share of all requests that a stage hands to the plan: the volume of its slices x its share of their requests."""
    total = sum(entry.requests_per_month for entry in slices)
    if not stage.slices:
        return stage.traffic
    served = [entry for entry in slices if entry.name in stage.slices]
    return stage.traffic * sum(entry.requests_per_month for entry in served) / total if total else stage.traffic


def share_of_full_use(stage: Stage, evidence: CaseEvidence, slices: Sequence[SliceVolume]) -> float:
    """How much of the plan's full saving a stage brings: its reach, and less where a lighter plan is in use."""
    whole = planned_share(evidence)
    lighter = min(1.0, stage.compression / whole) if whole > 0 else 1.0
    return reach(stage, slices) * lighter
