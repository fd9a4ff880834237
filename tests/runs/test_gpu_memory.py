"""On a machine with a GPU: one model at a time, and its memory really comes back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from analysis.contracts import ModelSource
from analysis.runs.slot import ModelSlot, memory_in_use
from tests.models.tiny import save_tokenizer


@pytest.fixture
def cuda() -> Any:
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("needs a GPU")
    return torch.cuda


def test_two_models_are_never_in_memory_together_and_unloading_gives_it_back(
    cuda: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    monkeypatch.setenv("STRATA_HOME", str(tmp_path / "home"))
    shape = LlamaConfig(
        hidden_size=1024, intermediate_size=4096, num_hidden_layers=8, num_attention_heads=8, num_key_value_heads=8, vocab_size=8000
    )
    LlamaForCausalLM(shape).save_pretrained(tmp_path / "model")
    save_tokenizer(tmp_path / "model")
    source, slot = ModelSource(kind="folder", location=str(tmp_path / "model")), ModelSlot()
    before = memory_in_use() if cuda.is_initialized() else 0
    assert before is not None
    assert slot.load(source, "cuda", "bfloat16").info.name
    one = cuda.max_memory_reserved()
    slot.load(source, "cuda", "float16")
    assert cuda.max_memory_reserved() <= 1.1 * one
    slot.unload()
    left = memory_in_use()
    assert left is not None
    assert left - before < 2**25
