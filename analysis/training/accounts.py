"""What an arm's steps cost, from its diary and its tensors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import nn

from analysis.contracts.trial import StepCost
from analysis.contracts.verification import Distribution
from analysis.training.activations import Saved
from analysis.training.diary import Diary
from analysis.training.trainee import Trainee
from analysis.verification.energy import MILLIJOULES_PER_MWH


def step_cost(trainee: Trainee, diary: Diary, saved: Saved | None, epoch: int) -> StepCost:
    """Times, memory and energy of an arm's training steps; the first `epoch` of them are its first epoch."""
    first, later = diary.step_ms[:epoch], diary.step_ms[epoch:]
    kept = trainee.cache
    return StepCost(
        first_epoch_ms=_distribution(first),
        later_epochs_ms=_distribution(later) if later else None,
        n_steps=len(diary.step_ms),
        tokens_per_second=diary.tokens / diary.seconds if diary.seconds else 0.0,
        peak_memory_bytes=diary.peak_bytes,
        weight_bytes=_bytes(trainee.parameters()),
        gradient_bytes=diary.gradient_bytes,
        optimizer_bytes=diary.optimizer_bytes,
        activation_bytes=None if saved is None else saved.total,
        cache="off" if kept is None else kept.kind,
        cache_bytes=0 if kept is None else kept.n_bytes,
        energy_wh=None if not diary.millijoules else diary.millijoules / MILLIJOULES_PER_MWH / 1e3,
    )


def library_bytes(device: torch.device) -> int:
    """What the matrix library keeps on a GPU for itself, after it has worked there: it is given back, and weighed by that.

    It is taken anew with the next product.
    """
    give_back = getattr(torch._C, "_cuda_clearCublasWorkspaces", None)
    if device.type != "cuda" or give_back is None:
        return 0
    before = torch.cuda.memory_allocated(device)
    give_back()
    return max(before - torch.cuda.memory_allocated(device), 0)


def _bytes(tensors: Iterator[nn.Parameter]) -> int:
    return sum({tensor.untyped_storage().data_ptr(): tensor.numel() * tensor.element_size() for tensor in tensors}.values())


def _distribution(milliseconds: Sequence[float]) -> Distribution:
    p50, p95 = np.percentile(milliseconds, [50, 95])
    return Distribution(p50=float(p50), p95=float(p95), n=len(milliseconds))
