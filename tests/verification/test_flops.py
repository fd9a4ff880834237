from __future__ import annotations

import pytest
import torch

from analysis.contracts.search import UnitSet
from analysis.planning.project_more import counted_flops
from analysis.verification.flops import prefill_flops
from tests.models.tiny import build
from tests.profiling.tiny import loaded

EVERYTHING: UnitSet = ()
A_BLOCK: UnitSet = (("block", 1),)
HALVES: UnitSet = (("attention", 2), ("mlp", 1))

COUNTED = [
    "llama",
    "qwen2",
    "gpt2",
    "gemma2",
    "gemma3",
    "mistral",
    "gpt_oss",
    "mixtral",
    "qwen3_moe",
    "deepseek_v3",
    "falcon",
    "bloom",
    "bert",
    "modernbert",
]


@pytest.mark.parametrize("name", COUNTED)
def test_the_projected_flops_are_the_counters(name: str) -> None:
    model = loaded(build(name))
    for removed in (EVERYTHING, A_BLOCK, HALVES):
        counted = prefill_flops(model, model.stack(), removed, batch_size=2, prompt_tokens=12)
        assert counted == counted_flops(model.info, removed, context_tokens=12, batch_size=2), removed


def test_an_encoder_decoders_stacks_are_counted_without_their_common_head() -> None:
    model = loaded(build("t5"))
    for stack in model.stacks:
        counted = prefill_flops(model, stack, EVERYTHING, batch_size=1, prompt_tokens=12)
        assert counted == counted_flops(model.info, context_tokens=12, stack=stack.info.name)


def test_counting_leaves_the_model_alone() -> None:
    model = loaded(build("gpt2"))
    ids = torch.arange(6)[None]
    with torch.no_grad():
        before = model.model(input_ids=ids).logits
        prefill_flops(model, model.stack(), A_BLOCK, batch_size=1, prompt_tokens=12)
        assert torch.equal(model.model(input_ids=ids).logits, before)
    assert model.model.config._attn_implementation == "sdpa"
    assert model.model.config.pad_token_id == 0
    assert {parameter.device.type for parameter in model.model.parameters()} == {"cpu"}
