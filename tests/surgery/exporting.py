"""What the export's tests share: a tiny model in a folder, a plan for it, and an export of that plan."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from analysis.contracts import ExportReport, ExportRequest, ModelRef, ModelSource, Operation, Plan, Provenance, Prune, Skip, Unit
from analysis.models.load import describe_model
from analysis.surgery.export import run_export
from tests.models.tiny import save_tokenizer


def spread_weights(model: PreTrainedModel) -> PreTrainedModel:
    """Weights, biases and gains large enough that every wrong layer shows."""
    torch.manual_seed(7)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.15 if parameter.dim() > 1 else parameter + torch.randn_like(parameter) * 0.05)
    return model.eval()


def saved(model: PreTrainedModel, folder: Path, *, tokenizer: bool = True, **options: Any) -> ModelSource:
    """The model in a folder, as its source."""
    model.save_pretrained(folder, **options)
    if tokenizer:
        save_tokenizer(folder)
    return ModelSource(kind="folder", location=str(folder))


def plan_for(source: ModelSource, *operations: Operation, stack: str | None = None) -> Plan:
    """A plan of these operations."""
    info = describe_model(source).info
    chosen = info.stack(stack)
    ref = ModelRef(
        name=info.name, source=source, commit=info.commit, architecture=info.architecture, n_blocks=chosen.n_blocks, stack=chosen.name
    )
    return Plan(model=ref, operations=operations, provenance=Provenance(criterion="by hand", amount="some"))


def removal(blocks: Sequence[int], unit: Unit = "block", stack: str | None = None, *, op: str = "prune") -> Prune | Skip:
    """One operation."""
    return (Prune if op == "prune" else Skip)(unit=unit, blocks=tuple(blocks), stack=stack)


def export(source: ModelSource, plan: Plan, folder: Path, **options: Any) -> ExportReport:
    """The export, run here."""
    fields = {name: options.pop(name) for name in ("zeroed", "overwrite") if name in options}
    return run_export(ExportRequest(plan=plan, model=source, folder=str(folder), **fields), **options)
