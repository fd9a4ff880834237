"""Jobs and stored things, as pages and terminal see them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt

from analysis.contracts.base import Contract
from analysis.contracts.message import Message
from analysis.contracts.verification import Verdict

JobKind = Literal[
    "profile",
    "describe",
    "sample_model",
    "search",
    "verify",
    "export",
    "latency",
    "semantics",
    "trial",
    "steps",
    "ranking",
    "heal",
    "robustness",
]
JobState = Literal["queued", "running", "done", "failed", "cancelled"]
PlanState = Literal["draft", "verified", "in_pilot", "approved", "rolled_out", "withdrawn"]


class Progress(Contract):
    """How far a job is. `tokens_per_second` and `eta_seconds` are measured over the run so far; None: not known yet."""

    stage: Message
    done: NonNegativeInt = 0
    total: NonNegativeInt = 0
    tokens_per_second: NonNegativeFloat | None = None
    eta_seconds: NonNegativeFloat | None = None
    curves: Mapping[str, tuple[tuple[NonNegativeFloat, float], ...]] = Field(
        default_factory=dict,
        description="a trial: arm -> (tokens trained on, loss) so far, nats per response token. The loss is that on the tuning part, taken "
        "now and then; where nothing was kept back for it, the mean training loss since the point before. At most a few hundred numbers",
    )
    training_curve: tuple[tuple[NonNegativeFloat, float], ...] = Field(
        default=(),
        description="the training that runs now, be it an arm or one of its learning rates (`stage` says which): (tokens trained on, mean "
        "training loss since the point before), nats per response token",
    )

    @property
    def fraction(self) -> float:
        """0 to 1."""
        return self.done / self.total if self.total else 0.0


class Job(Contract):
    """One piece of work in a device's queue."""

    id: str
    kind: JobKind
    state: JobState
    device: str
    name: str
    created_at: str
    place: NonNegativeInt = Field(default=0, description="jobs before this one in the queue")
    progress: Progress | None = None
    error: Message | None = None
    result_id: str | None = Field(default=None, description="id of what it made (a run, search, verification or export), once done")
    notes: tuple[Message, ...] = ()
    attempts: NonNegativeInt = 0

    @property
    def active(self) -> bool:
        """Queued or running."""
        return self.state in ("queued", "running")


class RunSummary(Contract):
    """A stored profile in a list."""

    id: str
    name: str
    model_name: str
    n_blocks: NonNegativeInt
    workload_name: str
    n_examples: NonNegativeInt
    n_tokens: NonNegativeInt
    device_name: str
    created_at: str
    is_sample: bool = False
    size_bytes: NonNegativeInt = 0


class PlanSummary(Contract):
    """A stored plan in a list."""

    id: str
    name: str
    state: PlanState
    model_name: str
    profile_id: str | None
    operations: str = Field(description="in short: prune block 3, 14, 26")
    created_at: str
    eof_layer: int | None = Field(default=None, description="of a plan that freezes")
    kept_gain: float | None = Field(default=None, description="of its newest trial: share of full fine-tuning's loss reduction")
    verdict: Verdict | None = Field(default=None, description="of its newest verification; None: not verified, or without limits")
    is_sample: bool = False


class PlanEvent(Contract):
    """A step of a plan's life: into which state, who said so (as entered, not verified), when, and why."""

    state: PlanState
    who: str = ""
    at: str
    note: str = ""
