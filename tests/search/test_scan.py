"""The ablation scan equals the naive one on every kind of architecture, whatever the chunks and batches."""

from __future__ import annotations

import pytest

from analysis.contracts import Search, SearchSettings
from analysis.search.scan import ablation_scan, naive_scan
from tests.models.tiny import build
from tests.profiling.tiny import encoded, examples, loaded

ARCHITECTURES = (
    "llama",
    "qwen3",
    "gemma2",
    "gemma3",
    "gpt2",
    "gpt_neox",
    "gpt_neox_sequential",
    "mixtral",
    "bert",
    "opt",
    "opt_post_norm",
    "bloom",
    "falcon",
    "phi",
    "olmo2",
    "gpt_oss",
)


def _losses(search: Search) -> dict[object, float]:
    return {measured.removed: measured.loss for measured in search.singles}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_scan_equals_the_naive_scan(name: str) -> None:
    model, work = loaded(build(name)), encoded(examples(7, longest=20))
    settings = SearchSettings(batch_tokens=64)
    scan, naive = ablation_scan(model, work, settings), naive_scan(model, work, settings)
    assert scan.base_loss == pytest.approx(naive.base_loss, abs=1e-5)
    assert _losses(scan) == pytest.approx(_losses(naive), abs=1e-5)
    assert {unit for measured in scan.singles for unit, _ in measured.removed} == {"block", "attention", "mlp"}
    assert not any("one by one" in note.in_english() for note in scan.notes)
    assert scan.costs["scan"].block_calls < naive.costs["scan"].block_calls
