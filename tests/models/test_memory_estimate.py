"""The memory a profile will take, from a model's anatomy."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from tiny import build

from analysis.contracts import DType, ModelInfo, ModelSource, ProfileSettings
from analysis.models.estimate import estimate_memory
from analysis.models.stack import Identity, assemble


@pytest.fixture(scope="module")
def info() -> ModelInfo:
    import torch

    return assemble(build("llama"), Identity("tiny", ModelSource(kind="folder"), "c0ffee", torch.bfloat16))[0]


@pytest.mark.parametrize(
    ("device", "dtype", "width"),
    [("auto", "auto", 4), ("cpu", "bfloat16", 2), ("cuda", "auto", 2), ("cuda:1", "float32", 4), ("mps", "auto", 2)],
)
def test_weights_count_in_the_format_they_run_in(info: ModelInfo, device: str, dtype: DType, width: int) -> None:
    estimate = estimate_memory(info, ProfileSettings(device=device, dtype=dtype))
    assert estimate.weight_bytes == width * info.n_parameters
    assert estimate.total_bytes == estimate.weight_bytes + estimate.profile_bytes


def test_the_pair_buffer_grows_with_its_tokens_and_positions(info: ModelInfo) -> None:
    small, large = (estimate_memory(info, ProfileSettings(unit_tokens=n, batch_tokens=1024)).profile_bytes for n in (1000, 2000))
    assert large - small == 1000 * (3 + 1) * 32 * 4


def test_packed_weights_keep_their_size(info: ModelInfo) -> None:
    packed = info.model_copy(update={"weight_bytes": info.n_parameters // 2})
    assert estimate_memory(packed, ProfileSettings()).weight_bytes == info.n_parameters // 2


def test_the_device_auto_stands_for_can_be_told(info: ModelInfo) -> None:
    assert estimate_memory(info, ProfileSettings(), device="cuda:0").weight_bytes == 2 * info.n_parameters
