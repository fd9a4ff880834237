"""Every architecture exported: the reloaded folder is the plan run in place, or the export is refused in a sentence."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoConfig, PreTrainedModel

from analysis.contracts import ModelSource, Unit
from analysis.errors import StrataError
from analysis.models.load import describe_model, model_class
from tests.models.tiny import TINY
from tests.surgery.export_cases import CASES
from tests.surgery.exporting import export, plan_for, removal, saved, spread_weights

ALL: dict[str, Callable[[], PreTrainedModel]] = {**TINY, **CASES}
WITHOUT_PROMPTS = ("whisper", "vit")
REFUSED = {
    ("modernbert", "encoder", "first and last"): "attn_norm",
    ("modernbert_every_third", "encoder", "first and last"): "attn_norm",
    ("t5", "encoder", "middle"): "loads but does not run",  # transformers 5.23 generates with as many encoder as decoder layers only
    ("t5", "encoder", "first and last"): "has_relative_attention_bias",
    ("t5", "decoder", "first and last"): "has_relative_attention_bias",
    ("gpt2_scaled_by_depth", "decoder", "middle"): "scale_attn_by_inverse_layer_idx",
    ("gpt2_scaled_by_depth", "decoder", "first and last"): "scale_attn_by_inverse_layer_idx",
    ("gpt2_scaled_by_depth", "decoder", "several"): "scale_attn_by_inverse_layer_idx",
    ("gemma3n_shared_caches", "decoder", "middle"): "num_kv_shared_layers",
    ("gemma3n_shared_caches", "decoder", "first and last"): "does not load",  # its table of embeddings holds every layer's side by side
    ("gemma3n_shared_caches", "decoder", "several"): "store_full_length_kv",
    ("gemma3_with_images", "encoder", "middle"): "are not run by text",
}
EXPERTS = ("gpt_oss", "mixtral", "qwen3_moe", "deepseek_v3")
WITHOUT_WEIGHTS_REFUSED = ("modernbert", "t5")


def blocks_of(which: str, n_blocks: int) -> tuple[int, ...]:
    chosen = {"middle": {n_blocks // 2}, "first and last": {0, n_blocks - 1}, "several": {0, 1} if n_blocks < 5 else {1, 2, n_blocks - 2}}
    return tuple(sorted(chosen[which]))


@pytest.fixture(scope="module")
def source_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], ModelSource]:
    made: dict[str, ModelSource] = {}

    def source(name: str) -> ModelSource:
        if name not in made:
            made[name] = saved(spread_weights(ALL[name]()), tmp_path_factory.mktemp(name), tokenizer=name not in WITHOUT_PROMPTS)
        return made[name]

    return source


@pytest.mark.parametrize(
    ("name", "which"),
    [(name, which) for name in ALL for which in ("middle", "first and last", "several") if name in CASES or which != "several"],
)
def test_the_reloaded_folder_is_the_plan_run_in_place(
    name: str, which: str, source_of: Callable[[str], ModelSource], tmp_path: Path
) -> None:
    source = source_of(name)
    for stack in describe_model(source).info.stacks:
        blocks = blocks_of(which, stack.n_blocks)
        if len(blocks) >= stack.n_blocks:
            continue
        plan = plan_for(source, removal(blocks, stack=stack.name), stack=stack.name)
        target = tmp_path / stack.name
        if (reason := REFUSED.get((name, stack.name, which))) is not None:
            with pytest.raises(StrataError, match=reason):
                export(source, plan, target)
            assert not list(tmp_path.glob(".strata-export-*"))
            assert not target.exists()
            continue
        report = export(source, plan, target)
        assert report.max_logit_difference == 0.0
        assert (report.n_blocks.before, report.n_blocks.after) == (stack.n_blocks, stack.n_blocks - len(blocks))
        assert report.n_random_tokens > 0
        assert (report.n_real_tokens > 0) == (name not in WITHOUT_PROMPTS)
        assert_plain_transformers_loads_it(target, stack.path, stack.n_blocks - len(blocks))


def assert_plain_transformers_loads_it(folder: Path, path: str, n_blocks: int) -> None:
    config = AutoConfig.from_pretrained(folder)
    model, report = model_class("it", config).from_pretrained(folder, output_loading_info=True)
    assert not any(report[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert len(cast(Sequence[object], model.get_submodule(path))) == n_blocks


@pytest.mark.parametrize("unit", ["attention", "mlp"])
@pytest.mark.parametrize("name", TINY)
def test_zeroed_output_projections_are_the_plan_run_in_place(
    name: str, unit: Unit, source_of: Callable[[str], ModelSource], tmp_path: Path
) -> None:
    source = source_of(name)
    plan = plan_for(source, removal([1], unit))
    if name == "vit" or (unit == "mlp" and name in EXPERTS):
        with pytest.raises(StrataError, match="under another name" if name == "vit" else "no single output projection"):
            export(source, plan, tmp_path / "out", zeroed=True)
        return
    report = export(source, plan, tmp_path / "out", zeroed=True)
    assert report.max_logit_difference == 0.0
    assert report.n_blocks.saved_share == 0.0
    assert any("is not faster" in note.id for note in report.notes)


@pytest.mark.parametrize("name", ["llama", "gpt2", "gemma3", "gpt_oss", "mixtral", "falcon", "bert", "modernbert", "t5", "whisper", "vit"])
def test_what_does_not_fit_into_memory_is_proved_layer_by_layer(name: str, source_of: Callable[[str], ModelSource], tmp_path: Path) -> None:
    source = source_of(name)
    plan = plan_for(source, removal([1]))
    if name in WITHOUT_WEIGHTS_REFUSED:
        with pytest.raises(StrataError, match="cannot be run alone"):
            export(source, plan, tmp_path / "out", memory=lambda _: 0)
        assert not (tmp_path / "out").exists()
        return
    report = export(source, plan, tmp_path / "out", memory=lambda _: 0)
    assert (report.method, report.max_logit_difference, report.n_real_tokens) == ("block_by_block", 0.0, 0)
    assert any("does not fit" in note.id for note in report.notes)
    assert set(report.files) == {file.name for file in (tmp_path / "out").iterdir()} - {"strata_export.json"}


@pytest.mark.filterwarnings("ignore::FutureWarning:transformers.*")  # peft's own use of transformers, while making the adapter
def test_an_adapter_is_exported_merged_in_its_models_number_format(tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model

    model = spread_weights(TINY["llama"]()).to(torch.bfloat16)
    saved(model, tmp_path / "base")
    get_peft_model(model, LoraConfig(target_modules=["q_proj"], init_lora_weights=False)).save_pretrained(tmp_path / "adapter")
    config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    (tmp_path / "adapter" / "adapter_config.json").write_text(json.dumps(config | {"base_model_name_or_path": str(tmp_path / "base")}))
    source = ModelSource(kind="adapter", location=str(tmp_path / "adapter"))
    report = export(source, plan_for(source, removal([1])), tmp_path / "out")
    assert report.max_logit_difference == 0.0
    written, base = load_file(tmp_path / "out" / "model.safetensors"), load_file(tmp_path / "base" / "model.safetensors")
    assert written["model.layers.1.self_attn.q_proj.weight"].dtype == torch.bfloat16
    assert not torch.equal(written["model.layers.1.self_attn.q_proj.weight"], base["model.layers.2.self_attn.q_proj.weight"])
    assert torch.equal(written["model.layers.1.self_attn.k_proj.weight"], base["model.layers.2.self_attn.k_proj.weight"])


def test_shards_keep_their_size_and_tied_weights_stay_tied(tmp_path: Path) -> None:
    source = saved(spread_weights(TINY["qwen2"]()), tmp_path / "m", max_shard_size="20KB")
    n_before = len(list((tmp_path / "m").glob("model-*.safetensors")))
    export(source, plan_for(source, removal([1])), tmp_path / "out")
    shards = sorted((tmp_path / "out").glob("model-*.safetensors"))
    largest = max(file.stat().st_size for file in (tmp_path / "m").glob("model-*.safetensors"))
    assert 1 < len(shards) <= n_before
    assert all(file.stat().st_size <= largest + 4096 for file in shards)
    index = json.loads((tmp_path / "out" / "model.safetensors.index.json").read_text())["weight_map"]
    assert "lm_head.weight" not in index
    assert set(index.values()) == {file.name for file in shards}


@pytest.mark.sample_model
def test_the_sample_model_is_exported_and_runs_on_its_own(tmp_path: Path) -> None:
    source = ModelSource(kind="sample")
    report = export(source, plan_for(source, removal([13, 14], op="skip")), tmp_path / "out")
    assert (report.max_logit_difference, report.n_blocks.after, report.method) == (0.0, 28, "reloaded")
    assert report.n_real_tokens > 50
    assert {"chat_template.jinja", "tokenizer.json", "generation_config.json", "config.json"} <= set(report.files)
    assert report.n_parameters.after < report.n_parameters.before
