"""What every test of a plan begins and ends with: how it is carried out, and what it says it was made of."""

from __future__ import annotations

from typing import Any, TypeVar

from analysis.contracts import Machine, Plan, RobustnessSettings, VerificationSettings, content_hash
from analysis.models.origin import versions
from analysis.models.stack import LoadedModel, Stack
from analysis.profiling.stream import Watch
from analysis.verification.batches import Runner, default_batch_tokens
from analysis.workload import EncodedWorkload

Settings = TypeVar("Settings", VerificationSettings, RobustnessSettings)


def carried_out(settings: Settings, loaded: LoadedModel, stack: Stack, watch: Watch) -> tuple[Settings, Runner]:
    """The settings as they take effect on a loaded model, and what runs both models in batches of that size."""
    tokens = settings.batch_tokens or default_batch_tokens(loaded, stack)
    told = {
        "stack": stack.info.name,
        "batch_tokens": tokens,
        "device": str(loaded.device),
        "dtype": str(loaded.dtype).removeprefix("torch."),
    }
    return settings.model_copy(update=told), Runner(loaded, stack, tokens, watch)


def made_of(loaded: LoadedModel, plan: Plan, encoded: EncodedWorkload, settings: Settings, machine: Machine) -> dict[str, Any]:
    """The fields of a document that name its plan, model, workload, settings and machine, and the id that follows from them."""
    info, asked = loaded.info, settings.model_dump(mode="json")
    return {
        "id": content_hash(plan.id, encoded.info.content_hash, asked, machine.device_name, machine.started_at)[:16],
        "plan_id": plan.id,
        "plan_name": plan.name,
        "model_name": info.name,
        "model_source": info.source,
        "model_commit": info.commit,
        "architecture": info.architecture,
        "stack": settings.stack,
        "workload": encoded.info,
        "counts": encoded.counts,
        "settings": settings,
        "machine": machine,
        "versions": versions(),
    }
