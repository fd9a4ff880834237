"""Settings of a ranking with every "auto" resolved, what can be refused before a model is loaded, and a ranking's key."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from analysis.contracts import MEMBERS, RankingSettings, SearchSettings, StackInfo, UnitRef, Voter, WorkloadInfo, content_hash
from analysis.contracts.model import ModelInfo
from analysis.errors import PlanError, WorkloadError
from analysis.models import estimate
from analysis.planning.consensus_rules import checked_rule, weights_of
from analysis.planning.rank import units_in
from analysis.search.result import most_tokens
from analysis.search.scan import check_protected
from analysis.search.steering import steering_for
from analysis.similarity.registry import VOTER_METHODS
from analysis.workload.shown import shown, shown_names

GPU_POSITIONS, CPU_POSITIONS = 8_192, 2_048
"""Token positions that the eight members look at where nobody says how many."""
_SPEED = ("device", "batch_tokens", "memory_bytes")
"""What changes how fast a ranking is, never what it says."""


def resolve_ranking_settings(settings: RankingSettings, info: ModelInfo, device: torch.device, dtype: torch.dtype) -> RankingSettings:
    """The settings with every "auto" and None replaced by what will be done; batch and memory follow the device and stay open."""
    on_gpu = device.type == "cuda"
    return settings.model_copy(
        update={
            "stack": info.stack(settings.stack).name,
            "device": str(device),
            "dtype": str(dtype).removeprefix("torch."),
            "max_tokens": estimate.longest_prompt(info, settings.max_tokens),
            "max_total_tokens": most_tokens(settings, device),
            "feature_tokens": settings.feature_tokens or (GPU_POSITIONS if on_gpu else CPU_POSITIONS),
            "voters": tuple(dict.fromkeys(settings.voters)),
            "held_out": tuple(sorted(set(settings.held_out))),
            "protect": tuple(sorted(set(settings.protect))),
        }
    )


def ranking_key(info: ModelInfo, stack: str | None, workload_hash: str, settings: RankingSettings) -> str:
    """What a ranking's numbers depend on (settings must be resolved)."""
    shaping = settings.model_dump(mode="json", exclude=set(_SPEED))
    methods = methods_of(settings.voters)
    return content_hash("ranking", info.commit, info.stack(stack).name, workload_hash, shaping, methods)[:16]


def methods_of(voters: Sequence[Voter]) -> dict[Voter, str]:
    """Voter -> version of its method."""
    return {voter: VOTER_METHODS[voter].version for voter in voters}


def check_ranking(settings: RankingSettings, info: ModelInfo) -> None:
    """Refuses what can be refused without a model in memory.

    Raises:
        PlanError: nobody is asked, there is nothing to compare, or the amount, the rule or a layer cannot be used.
    """
    stack = info.stack(settings.stack)
    if not settings.voters:
        raise PlanError("No measure was asked to vote. Name at least one, or leave the default.")
    checked_rule(settings.rule)
    weights_of(settings.weights, settings.voters)
    check_protected(stack.n_blocks, settings.protect)
    units: list[UnitRef] = [(settings.unit, block) for block in units_in(stack, settings.unit)]
    check_candidates(units, stack, settings)
    if settings.amount:
        steering_for(info, stack.name, [ref for ref in units if ref[1] not in settings.protect], settings.amount)


def check_candidates(units: Sequence[UnitRef], stack: StackInfo, settings: RankingSettings) -> None:
    """Refuses to rank fewer than two units, or to take out only what is protected.

    Raises:
        PlanError: the sentence says which.
    """
    if len(units) < 2:
        raise PlanError(
            "A ranking needs at least two layers that can be left out; of this model's {n_blocks} it is {n}. Choose a model with more "
            "layers, or rank attentions or MLPs.",
            n=len(units),
            n_blocks=stack.n_blocks,
        )
    if settings.amount and all(block in settings.protect for _, block in units):
        raise PlanError("All layers that could be taken out are protected. Protect fewer, or leave the amount empty to rank only.")


def slices_to_run(workload: WorkloadInfo, settings: RankingSettings) -> tuple[str, ...]:
    """The slices that a ranking may see; empty: all there are.

    Raises:
        WorkloadError: a slice to hold out does not exist, or nothing else is left.
    """
    if not settings.held_out:
        return settings.slices
    known = [info.name for info in workload.slices]
    unknown = [name for name in settings.held_out if name not in known]
    if unknown:
        raise WorkloadError(
            "The workload has no slice '{slice}'. Its slices are: {known}.", slice=shown(unknown[0]), known=shown_names(known, limit=40)
        )
    left = tuple(name for name in settings.slices or known if name not in settings.held_out)
    if not left:
        raise WorkloadError(
            "All slices are to be held out ({slices}), so nothing is left to rank by. Hold out fewer.",
            slices=shown_names(settings.held_out, limit=40),
        )
    return left


def running_settings(settings: RankingSettings) -> SearchSettings:
    """How tokens are run, as a search's measurer wants to know it."""
    return SearchSettings(
        stack=settings.stack,
        device=settings.device,
        dtype=settings.dtype,
        max_tokens=settings.max_tokens,
        max_total_tokens=settings.max_total_tokens,
        batch_tokens=settings.batch_tokens,
        memory_bytes=settings.memory_bytes,
        chat_template=settings.chat_template,
        units=(settings.unit,),
        seed=settings.seed,
    )


def members_of(voters: Sequence[Voter]) -> tuple[Voter, ...]:
    """Those among the voters that compare final features."""
    return tuple(voter for voter in voters if voter in MEMBERS)
