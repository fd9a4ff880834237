"""Attention or MLP removals that a stock class can express: the last matrix of the half set to zero, so that it adds nothing.

The half is still computed, so this changes what the model says exactly as the plan does, and its speed not at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from analysis.contracts.search import UnitRef
from analysis.errors import PlanError
from analysis.models.stack import LoadedModel, Stack
from analysis.models.structure import parts_of
from analysis.surgery.compare import Inputs


def output_projections(loaded: LoadedModel, stack: Stack, halves: Sequence[UnitRef], inputs: Inputs) -> tuple[str, ...]:
    """Names of the weights and biases that have to be zero for these halves to add nothing.

    Found by watching which matrix of the half runs last; that zeroing it does what the plan does is proved by the
    comparison of the written model.

    Raises:
        PlanError: a half has no single last matrix (experts, for one).
    """
    names = {id(module): name for name, module in loaded.model.named_modules()}
    found: list[str] = []
    for unit, block in halves:
        modules = _modules(stack.blocks[block], unit)
        last = _last_matrix(loaded, modules, inputs)
        if last is None or _has_experts(modules):
            raise PlanError(
                "The {unit} of layer {block} has no single output projection that could be set to zero. Skip it at run time instead "
                "(python -m analysis run-plan).",
                unit={"mlp": "MLP"}.get(unit, unit),
                block=block,
            )
        found += [f"{names[id(last)]}.{name}" for name, _ in last.named_parameters(recurse=False)]
    return tuple(found)


def _modules(block: nn.Module, unit: str) -> tuple[nn.Module, ...]:
    parts = parts_of(block)
    if unit == "mlp":
        return parts.mlp
    return () if parts.attention is None else (parts.attention,)


def _last_matrix(loaded: LoadedModel, modules: Sequence[nn.Module], inputs: Inputs) -> nn.Module | None:
    """The module with a weight matrix that ran last among them."""
    ran: list[nn.Module] = []

    def note(module: nn.Module, _: tuple[Any, ...], output: Any) -> None:
        if isinstance(output, Tensor):
            ran.append(module)

    matrices = [inner for module in modules for inner in module.modules() if _is_matrix(inner)]
    handles = [module.register_forward_hook(note) for module in matrices]
    try:
        with torch.no_grad():
            loaded.model(**inputs)
    finally:
        for handle in handles:
            handle.remove()
    return ran[-1] if ran else None


def _is_matrix(module: nn.Module) -> bool:
    weight = module._parameters.get("weight")
    return weight is not None and weight.dim() == 2 and not isinstance(module, nn.Embedding)


def _has_experts(modules: Sequence[nn.Module]) -> bool:
    inner = [module for outer in modules for module in outer.modules()]
    stacked = any(parameter.dim() == 3 for module in inner for parameter in module._parameters.values() if parameter is not None)
    return stacked or any(isinstance(module, nn.ModuleList) for module in inner)
