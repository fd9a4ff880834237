"""What a job function is given, and what it hands back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from analysis.contracts import (
    HealRequest,
    Message,
    ProfileRequest,
    Progress,
    RankingRequest,
    RobustnessRequest,
    SearchRequest,
    SemanticRequest,
    StepsRequest,
    TrialRequest,
    VerifyRequest,
)
from analysis.runs.queue import ClaimedJob
from analysis.runs.slot import ModelSlot
from analysis.runs.store import Store

Request = TypeVar(
    "Request",
    ProfileRequest,
    SearchRequest,
    SemanticRequest,
    StepsRequest,
    TrialRequest,
    VerifyRequest,
    RankingRequest,
    HealRequest,
    RobustnessRequest,
)


@dataclass(frozen=True)
class JobContext:
    """What a job function is given.

    Attributes:
        report: tells how far it is; cheap, may be called often. Raises Cancelled when the job is to stop.
        should_stop: whether to stop now; only reads a flag in memory.
    """

    job: ClaimedJob
    store: Store
    slot: ModelSlot
    report: Callable[[Progress], None]
    should_stop: Callable[[], bool]

    def say(self, stage: Message) -> None:
        """Reports a stage that has no figure."""
        self.report(Progress(stage=stage))


@dataclass(frozen=True)
class Outcome:
    """What a job came to: the id of what it made, and what should be said about it."""

    result_id: str | None = None
    notes: tuple[Message, ...] = ()


JobFunction = Callable[[JobContext], Outcome]


def seen_by_worker(request: Request) -> Request:
    """A worker sees only its own GPU, as the first one, whatever its number on the machine."""
    if isinstance(request, StepsRequest):
        return request.model_copy(update={"device": own_device(request.device)})
    device = own_device(request.settings.device)
    return request.model_copy(update={"settings": request.settings.model_copy(update={"device": device})})


def own_device(device: str) -> str:
    """The name under which a worker knows its device."""
    return "cuda" if device.startswith("cuda") else device
