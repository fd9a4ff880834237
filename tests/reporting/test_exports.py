"""Plans in other tools' words: what they mean there, what is refused, and names that would break a format."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from analysis.contracts import ExportFormat, Freeze, ModelRef, ModelSource, Plan, Provenance, Prune, Skip
from analysis.errors import PlanError
from analysis.i18n import render
from analysis.reporting.exports import EXPORTS, export_text, in_words, llama_cpp_layers, mergekit_yaml, python_snippet, refusal

NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=40)


def make_plan(*operations: Any, location: str = "/models/own", kind: str = "folder", n_blocks: int = 10, name: str = "own") -> Plan:
    source = ModelSource.model_validate({"kind": kind, "location": location})
    model = ModelRef(name=name, source=source, commit="c0ffee", architecture="LlamaForCausalLM", n_blocks=n_blocks, stack="decoder")
    return Plan(model=model, operations=operations or (Prune(blocks=(3, 4, 8)),), provenance=Provenance(criterion="greedy", amount="30%"))


def model_of(text: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(text)["slices"][0]["sources"][0]["model"]["model"]
    return found


@pytest.mark.parametrize("kind", [Prune, Skip])
def test_mergekit_keeps_the_other_layers_end_exclusive(kind: type[Prune] | type[Skip]) -> None:
    found = yaml.safe_load(mergekit_yaml(make_plan(kind(blocks=(3, 4, 8)))))
    assert found["merge_method"] == "passthrough"
    ranges = [source["layer_range"] for part in found["slices"] for source in part["sources"]]
    assert ranges == [[0, 3], [5, 8], [9, 10]]
    assert "dtype" not in found


@given(removed=st.sets(st.integers(0, 9), min_size=1, max_size=9))
def test_mergekit_slices_and_removed_layers_make_the_model(removed: set[int]) -> None:
    found = yaml.safe_load(mergekit_yaml(make_plan(Prune(blocks=tuple(removed)))))
    kept = [block for part in found["slices"] for block in range(*part["sources"][0]["layer_range"])]
    assert kept == sorted(set(range(10)) - removed)


@given(location=NAMES, name=NAMES)
def test_no_path_breaks_the_yaml(location: str, name: str) -> None:
    text = mergekit_yaml(make_plan(location=location, name=name))
    assert model_of(text) == {"path": location}
    assert len(yaml.safe_load(text)["slices"]) == 3


def test_mergekit_takes_the_pinned_hub_commit_a_given_folder_and_a_number_format() -> None:
    assert model_of(mergekit_yaml(make_plan(kind="hub", location="own/model"))) == {"path": "own/model", "revision": "c0ffee"}
    assert model_of(mergekit_yaml(make_plan(kind="sample", location=""), model_path="/tmp/x")) == {"path": "/tmp/x"}
    assert yaml.safe_load(mergekit_yaml(make_plan(), dtype="bfloat16"))["dtype"] == "bfloat16"
    with pytest.raises(PlanError, match='number format "int4"'):
        mergekit_yaml(make_plan(), dtype="int4")


@pytest.mark.parametrize("kind", ["sample", "gguf", "adapter"])
def test_mergekit_cannot_open_every_kind_of_model(kind: str) -> None:
    with pytest.raises(PlanError, match="opens a model folder or a hub model"):
        mergekit_yaml(make_plan(kind=kind, location="x"))


@pytest.mark.parametrize("export", [mergekit_yaml, llama_cpp_layers])
def test_halves_alone_are_refused_with_what_can_be_done_instead(export: Any) -> None:
    for unit, said in (("attention", "attention"), ("mlp", "MLP")):
        with pytest.raises(PlanError, match=f"takes out {said} alone.*Skip them at run time.*zeroed output projections"):
            export(make_plan(Skip(blocks=(1,)), Skip(unit=unit, blocks=(2,))))
    export(make_plan(Skip(blocks=(1, 2)), Skip(unit="attention", blocks=(2,))))  # goes with its layer


@pytest.mark.parametrize("export", [mergekit_yaml, llama_cpp_layers, python_snippet])
def test_a_plan_that_takes_nothing_out_is_refused(export: Any) -> None:
    with pytest.raises(PlanError, match="takes no layer out"):
        export(make_plan(Freeze(eof_layer=3)))


@pytest.mark.parametrize("blocks", [tuple(range(10)), (3, 12)])
def test_layers_that_the_model_does_not_have_are_refused(blocks: tuple[int, ...]) -> None:
    for export in (mergekit_yaml, llama_cpp_layers):
        with pytest.raises(PlanError, match="at least one must stay"):
            export(make_plan(Prune(blocks=blocks)))


def test_llama_cpp_gets_its_list_and_the_command() -> None:
    text = llama_cpp_layers(make_plan())
    assert text.splitlines()[-1] == "3,4,8"
    assert all(line.startswith("#") for line in text.splitlines()[:-1])
    assert "llama-quantize --prune-layers 3,4,8 " in text


@given(location=NAMES, name=NAMES, kind=st.sampled_from(["hub", "folder", "gguf", "sample"]), half=st.booleans())
def test_no_name_breaks_the_script(location: str, name: str, kind: str, half: bool) -> None:
    plan = make_plan(*([Skip(unit="mlp", blocks=(2,))] if half else []), location=location, name=name, kind=kind)
    tree = ast.parse(python_snippet(plan))
    found = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id.isupper()
    }
    if "PLAN" in found:
        assert Plan.model_validate_json(found["PLAN"]).id == plan.id
        assert Plan.model_validate_json(found["PLAN"]).model.source.location == location
    else:
        assert (found["MODEL"], found["REMOVED"], found["N_LAYERS"]) == (location, [3, 4, 8], 10)


def test_every_operation_is_in_the_words() -> None:
    plan = make_plan(Skip(blocks=(1,)), Skip(unit="attention", blocks=(2, 5)), Skip(unit="mlp", blocks=(7,)))
    assert render(in_words(plan), "en") == (
        "9 of 10 layers run; skipped 1; counted from 0. Attention runs in 8 of 10 layers; skipped in 2 and 5; counted from 0. "
        "MLP runs in 9 of 10 layers; skipped in 7; counted from 0"
    )
    assert "注意機構" in render(in_words(plan), "ja")
    assert export_text(make_plan(Prune(blocks=(3, 4))), "words") == "8 of 10 layers; removed 3 and 4; counted from 0\n"


def test_forms_that_are_no_text_are_refused_and_refusals_are_told_without_raising() -> None:
    for form in ("hf", "onnx"):
        with pytest.raises(PlanError, match="is not one of the texts"):
            export_text(make_plan(), form)
    assert refusal(make_plan(), "mergekit") is None
    told = refusal(make_plan(Skip(unit="mlp", blocks=(2,))), "mergekit")
    assert told is not None
    assert "mergekit knows whole layers only" in render(told, "en")
    assert list(EXPORTS) == list(get_args(ExportFormat))


@pytest.fixture
def tiny_folder(tmp_path: Path) -> Path:
    import torch
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    torch.manual_seed(0)
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 20}
    LlamaForCausalLM(LlamaConfig(num_hidden_layers=5, **shape)).save_pretrained(tmp_path / "tiny")
    words = {word: place for place, word in enumerate(["<unk>", "The", "order", "of", "40", "bearings", *(f"w{i}" for i in range(14))])}
    tokenizer = Tokenizer(WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", pad_token="<unk>").save_pretrained(tmp_path / "tiny")
    return tmp_path / "tiny"


def test_the_plain_script_runs_the_lighter_model_with_its_cache(tiny_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    plan = make_plan(Prune(blocks=(0, 3)), location=str(tiny_folder), n_blocks=5)
    scope: dict[str, Any] = {}
    exec(compile(python_snippet(plan), "run_plan.py", "exec"), scope)
    whole = AutoModelForCausalLM.from_pretrained(tiny_folder)
    stream = whole.model.embed_tokens(scope["tokens"]["input_ids"])
    places = torch.arange(stream.shape[1])[None]
    rotary = whole.model.rotary_emb(stream, places)
    for block in (1, 2, 4):
        out = whole.model.layers[block](stream, position_embeddings=rotary, position_ids=places)
        stream = out[0] if isinstance(out, tuple) else out
    expected = whole.lm_head(whole.model.norm(stream))
    light = scope["model"]
    with torch.no_grad():
        torch.testing.assert_close(light(scope["tokens"]["input_ids"]).logits, expected)
    answer = scope["answer"]
    with torch.no_grad():
        again = light(answer[:, :-1], use_cache=False).logits[:, -1].argmax(-1)
    assert int(again) == int(answer[0, -1])  # the cache gave the same word as a run without it
    assert capsys.readouterr().out.strip()


@pytest.mark.parametrize("name", ["gpt2", "gemma3", "qwen3", "gpt_neox", "olmo2", "mixtral", "bloom"])
def test_the_plain_script_makes_the_model_that_the_plan_makes(name: str, tmp_path: Path) -> None:
    import torch

    from analysis.models.load import load_model
    from analysis.surgery.skip import left_out
    from tests.models.tiny import build, save_tokenizer

    build(name).save_pretrained(tmp_path)
    save_tokenizer(tmp_path)
    loaded = load_model(ModelSource(kind="folder", location=str(tmp_path)), device="cpu")
    plan = make_plan(Prune(blocks=(0,)), location=str(tmp_path), n_blocks=len(loaded.stack(None).blocks))
    scope: dict[str, Any] = {}
    exec(compile(python_snippet(plan), "run_plan.py", "exec"), scope)
    tokens = torch.arange(5, 17)[None]
    with torch.no_grad():
        with left_out(loaded.stack(None), [("block", 0)]):
            expected = loaded.model(tokens, use_cache=False).logits
        assert torch.equal(scope["model"](tokens, use_cache=False).logits, expected)


def test_models_that_write_no_text_get_a_script_that_runs_them() -> None:
    plan = make_plan(Skip(blocks=(1,)))
    encoder = plan.model_copy(update={"model": plan.model.model_copy(update={"architecture": "BertForMaskedLM"})})
    script = python_snippet(encoder)
    assert "generate" not in script
    assert "lighter.model(**tokens)" in script
    ast.parse(script)


def test_the_script_with_surgery_leaves_halves_out(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from analysis.models.load import load_model
    from analysis.surgery.calls import counting

    card = load_model(ModelSource(kind="folder", location=str(tiny_folder)), device="cpu")
    plan = make_plan(Skip(unit="attention", blocks=(1, 3)), location=str(tiny_folder), n_blocks=5)
    model = plan.model.model_copy(update={"commit": card.info.commit, "stack": card.info.stacks[0].name, "name": card.info.name})
    script = python_snippet(plan.model_copy(update={"model": model})).replace("max_new_tokens=32", "max_new_tokens=2")
    scope: dict[str, Any] = {}
    exec(compile(script, "run_plan.py", "exec"), scope)
    from analysis.surgery.apply import apply_plan

    loaded = scope["loaded"]
    with apply_plan(loaded, scope["plan"]), counting(loaded.stack(None)) as calls:
        loaded.model(scope["tokens"]["input_ids"], use_cache=False)
    assert (calls.blocks, calls.attentions, calls.mlps) == (5, 3, 5)
    assert scope["answer"].shape[1] > scope["tokens"]["input_ids"].shape[1]
