"""When are two requests the same? Told without a model in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Literal, TypedDict, TypeVar

from analysis.contracts import (
    HealRequest,
    ProfileRequest,
    RankingRequest,
    RobustnessRequest,
    SearchRequest,
    SemanticRequest,
    Trial,
    TrialRequest,
    VerifyRequest,
    WorkloadChoice,
    content_hash,
)
from analysis.models.source import source_label
from analysis.runs.answered import STEERING

Method = Literal["profile", "search", "verify", "semantics", "trial", "ranking", "heal", "robustness"]
Judged = TypeVar("Judged", VerifyRequest, TrialRequest, HealRequest, RobustnessRequest)
_TRACE_RULES = ("smallest_deviation", "gain", "scaled_gain", "exponent", "lens")
_MEASURING = ("similarity", "profiling", "workload")
_ROOMS: Mapping[Method, tuple[str, ...]] = {
    "profile": _MEASURING,
    "search": (*_MEASURING, "surgery", "search"),
    "verify": ("workload", "surgery", "verification", "planning"),
    "semantics": (*_MEASURING, "semantics"),
    "trial": ("workload", "surgery", "verification", "planning", "training"),
    "ranking": (*_MEASURING, "surgery", "search", "planning"),
    "heal": ("workload", "surgery", "verification", "planning", "training"),
    "robustness": ("workload", "surgery", "verification", "planning"),
}


class Known(TypedDict):
    """What is known of a request without a model in memory."""

    commit: str
    workload_hash: str
    device: str


def request_key(request: ProfileRequest, *, commit: str, workload_hash: str, device: str) -> str:
    """The same for requests that must give the same numbers.

    The batch size and the number of the GPU change speed, never results, and stay out; the kind of device stays in,
    because it decides what `auto` means for everything else.
    """
    settings = request.settings.model_dump(mode="json", exclude={"batch_tokens", "device"})
    return content_hash("request", *_about(request, commit, workload_hash, device), settings, methods_fingerprint("profile"))


def semantics_key(request: SemanticRequest, *, commit: str, workload_hash: str, device: str) -> str:
    """The same for traces that must have the same numbers."""
    profiled = request_key(request, commit=commit, workload_hash=workload_hash, device=device)
    return content_hash("semantics", profiled, request.semantics.model_dump(mode="json"), methods_fingerprint("semantics"))


def shaping_key(request: SearchRequest, *, commit: str, workload_hash: str, device: str) -> str:
    """The same for searches whose losses must be the same, whatever steers them and however they are batched."""
    settings = request.settings.model_dump(mode="json", exclude={"batch_tokens", "memory_bytes", "device", *STEERING})
    return content_hash("search", *_about(request, commit, workload_hash, device), settings, methods_fingerprint("search"))


def verify_key(request: VerifyRequest, *, commit: str, workload_hash: str, device: str, host: str) -> str:
    """The same for verifications that would say the same. Times, memory and energy bind it to one machine."""
    request = judged_on(request)
    settings = request.settings.model_dump(mode="json", exclude={"batch_tokens", "device"})
    plan, machine = request.plan, host if request.settings.cost else ""
    tested = (plan.id, plan.projection, request.guardrails, machine)
    return content_hash("verify", *_about(request, commit, workload_hash, device), tested, settings, methods_fingerprint("verify"))


def trial_key(request: TrialRequest, *, commit: str, workload_hash: str, device: str, host: str, traced: bool = False) -> str:
    """The same for trials that would say the same. Times, memory and energy bind every one to its machine.

    Args:
        traced: traces were at hand, so that the trial also says what the rules that read them would have chosen.
    """
    request = judged_on(request)
    settings = request.settings.model_dump(mode="json", exclude={"device"})
    tried = (request.plan.id, request.plan.projection, host, traced)
    return content_hash("trial", *_about(request, commit, workload_hash, device), tried, settings, methods_fingerprint("trial"))


def ranking_key(request: RankingRequest, *, commit: str, workload_hash: str, device: str) -> str:
    """The same for rankings that must say the same, told before any `auto` is resolved."""
    settings = request.settings.model_dump(mode="json", exclude={"batch_tokens", "memory_bytes", "device"})
    return content_hash("ranking", *_about(request, commit, workload_hash, device), settings, methods_fingerprint("ranking"))


def heal_key(request: HealRequest, *, commit: str, workload_hash: str, device: str, host: str) -> str:
    """The same for healings that would say the same and write the same folder. Times and memory bind every one to its machine."""
    request = judged_on(request)
    settings = request.settings.model_dump(mode="json", exclude={"device"})
    healed = (request.plan.id, request.save_folder, host)
    return content_hash("heal", *_about(request, commit, workload_hash, device), healed, settings, methods_fingerprint("heal"))


def robustness_key(request: RobustnessRequest, *, commit: str, workload_hash: str, device: str, host: str) -> str:
    """The same for robustness tests that would say the same. Energy binds them to one machine."""
    request = judged_on(request)
    settings = request.settings.model_dump(mode="json", exclude={"batch_tokens", "device"})
    choice = request.plan.provenance.consensus  # the slices it was not chosen by are held out unless others are named
    tested = (request.plan.id, choice.held_out if choice is not None else (), host if request.settings.energy else "")
    return content_hash("robustness", *_about(request, commit, workload_hash, device), tested, settings, methods_fingerprint("robustness"))


def was_traced(trial: Trial) -> bool:
    """Whether rules that read traces had an answer in a trial."""
    return any(choice.strategy in _TRACE_RULES and choice.eof_layer is not None for choice in trial.choices)


def stack_of(request: TrialRequest) -> str:
    """The stack that a trial trains."""
    return request.settings.stack or request.plan.model.stack


def judged_on(request: Judged) -> Judged:
    """The request with the files it will read: without any of its own those the plan was made from, masked as they were then."""
    known = request.plan.workload
    if request.workload_paths or known is None:
        return request
    update: dict[str, object] = {"mask_personal_data": request.mask_personal_data or known.masked}
    if known.paths and not known.is_sample:
        update |= {"workload_paths": known.paths, "mapping": known.mapping, "slicing": known.slicing}
    return request.model_copy(update=update)


@cache
def methods_fingerprint(method: Method = "profile") -> str:
    """Changes whenever the code that makes the numbers changes."""
    rooms = (Path(__file__).parents[1] / room for room in _ROOMS[method])
    digest = hashlib.sha256()
    for path in sorted(path for room in rooms for path in room.glob("*.py")):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _about(request: WorkloadChoice, commit: str, workload_hash: str, device: str) -> tuple[object, ...]:
    read_as = (request.slicing, dict(request.mapping), request.mask_personal_data)
    return source_label(request.model), commit, workload_hash, read_as, device.partition(":")[0]
