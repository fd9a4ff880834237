"""A small saved model whose layers matter, a plan that cuts one out, and prompts that can be learnt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from analysis.contracts import ModelInfo, Plan
from analysis.contracts.healing import HealSettings
from analysis.contracts.plan import HealRequest
from tests.training import tiny_trial as tt
from tests.verification import tiny_verification as tv

QUICK = HealSettings(
    device="cpu",
    steps=12,
    batch_size=8,
    learning_rates=(1e-2,),
    lora_rank=4,
    lora_alpha=8,
    evaluate_every=4,
    replicates=200,
    max_tokens=64,
)


def plan_for(info: ModelInfo, blocks: Sequence[int] = (1,), **more: Any) -> Plan:
    """A plan that takes layers out."""
    return tv.plan_for(info, blocks, **more)


def request(plan: Plan, path: str | Sequence[str], *, save_folder: str | None = None, **changes: Any) -> HealRequest:
    """A request to heal it on files."""
    paths = (path,) if isinstance(path, str) else tuple(path)
    settings = QUICK.model_copy(update=changes)
    return HealRequest(model=plan.model.source, workload_paths=paths, plan=plan, settings=settings, save_folder=save_folder)


rows, write, tiny_llama, save = tt.rows, tt.write, tv.tiny_llama, tv.save
