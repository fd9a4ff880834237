"""The sample model: converted once and whole, described exactly, and speaking sensible English."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors import SafetensorError

from analysis.contracts import Message, ModelSource
from analysis.errors import ModelError, ResourceError
from analysis.models import sample
from analysis.models.card import read_card
from analysis.models.load import describe_model, load_model
from analysis.models.stack import LoadedModel

SOURCE = ModelSource(kind="sample")


@pytest.mark.sample_model
def test_its_anatomy_is_that_of_smollm2(sample_model: LoadedModel) -> None:
    info = sample_model.info
    assert (info.n_parameters, info.hidden_size, info.vocab_size, info.max_context_tokens) == (134_515_008, 576, 49_152, 8_192)
    assert (info.dtype, info.weight_bytes, info.tied_head, info.head_flops_per_token) == ("bfloat16", 269_030_016, True, 56_623_104)
    assert [stack.n_blocks for stack in info.stacks] == [30]
    assert info.stacks[0].layout == "pre_norm"
    assert "not the original's" in info.notes[0].in_english()


@pytest.mark.sample_model
def test_it_says_sensible_english(sample_model: LoadedModel) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(sample_model.tokenizer_folder)
    turns = [{"role": "user", "content": "What is the capital of France? Answer in one sentence."}]
    ids = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_tensors="pt", return_dict=True)["input_ids"]
    with torch.no_grad():
        answer = sample_model.model.generate(ids, max_new_tokens=12, do_sample=False)
    assert "Paris" in tokenizer.decode(answer[0, ids.shape[1] :])


@pytest.mark.sample_model
def test_its_taps_show_attention_and_mlp_on_other_tokens(sample_model: LoadedModel) -> None:
    stack = sample_model.stack()
    assert [tap.mid and tap.mid.module for tap in stack.taps] == [block.post_attention_layernorm for block in stack.blocks]


@pytest.mark.sample_model
def test_its_card_is_read_without_loading_it(sample_folder: Path) -> None:
    described = describe_model(SOURCE)
    card = read_card(SOURCE)
    assert card is not None
    assert card.info == described.info
    assert card.tokenizer_folder == sample_folder
    assert (sample_folder / "tokenizer_config.json").is_file()
    assert "im_start" in (sample_folder / "chat_template.jinja").read_text()


@pytest.mark.sample_model
def test_it_is_not_converted_twice(sample_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("converted again")

    monkeypatch.setattr(sample, "_convert", never)
    said: list[Message] = []
    assert sample.prepare_sample(said.append) == sample_folder
    assert said == []
    assert sample.sample_commit() == json.loads((sample_folder / "manifest.json").read_text())["files"]["model.safetensors"]["sha256"]


@pytest.fixture
def quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A home of its own and a conversion that only writes two small files; counts how often it ran."""
    monkeypatch.setenv("STRATA_HOME", str(tmp_path))
    monkeypatch.setattr(sample, "find_carrier", lambda: Path("carrier.gguf"))
    runs: list[int] = []

    def convert(_: Path, folder: Path) -> None:
        runs.append(1)
        (folder / "model.safetensors").write_bytes(b"weights")
        (folder / "config.json").write_text("{}")

    monkeypatch.setattr(sample, "_convert", convert)
    return runs


def test_a_damaged_conversion_is_made_again(quick: list[int]) -> None:
    folder = sample.prepare_sample()
    assert sample.sample_is_ready()
    (folder / "model.safetensors").write_bytes(b"weigh")
    assert not sample.sample_is_ready()
    sample.prepare_sample()
    (folder / "manifest.json").write_text("{")
    sample.prepare_sample()
    shutil.rmtree(folder)
    sample.prepare_sample()
    assert (len(quick), (folder / "model.safetensors").read_bytes()) == (4, b"weights")
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_an_interrupted_conversion_leaves_nothing(quick: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: Path, folder: Path) -> None:
        (folder / "model.safetensors").write_bytes(b"wei")
        raise KeyboardInterrupt

    monkeypatch.setattr(sample, "_convert", interrupted)
    with pytest.raises(KeyboardInterrupt):
        sample.prepare_sample()
    assert not sample.sample_is_ready()
    assert list(sample.sample_folder().parent.iterdir()) == []


def test_a_full_disk_while_converting_is_said_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Model:
        config = SimpleNamespace(max_position_embeddings=8)

        def save_pretrained(self, _folder: Path) -> None:
            raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setenv("STRATA_HOME", str(tmp_path))
    monkeypatch.setattr(sample, "find_carrier", lambda: Path("carrier.gguf"))
    monkeypatch.setattr("analysis.models.gguf.expand", lambda *_: Model())
    with pytest.raises(ResourceError, match="is full"):
        sample.prepare_sample()
    assert list(sample.sample_folder().parent.iterdir()) == []


def test_a_missing_carrier_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRATA_HOME", str(tmp_path))
    monkeypatch.setattr(sample, "PACKAGE", "no-such-package-at-all")
    with pytest.raises(ModelError, match="no-such-package-at-all, which carries the sample model, is not installed"):
        sample.prepare_sample()
    with pytest.raises(ModelError, match="not been prepared yet"):
        sample.sample_commit()


@pytest.mark.sample_model
def test_a_gguf_file_loads_as_plain_weights_with_its_tokenizer(
    sample_model: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STRATA_HOME", str(tmp_path))
    loaded = load_model(ModelSource(kind="gguf", location=str(sample.find_carrier())), device="cpu", dtype="bfloat16")
    assert loaded.info.stacks == sample_model.info.stacks
    assert not hasattr(loaded.model.config, "quantization_config")
    kept = dict(sample_model.model.named_parameters())
    assert all(torch.equal(weight.float(), kept[name]) for name, weight in loaded.model.named_parameters())
    assert loaded.tokenizer_folder is not None
    assert (loaded.tokenizer_folder / "tokenizer.json").is_file()
    card = read_card(loaded.info.source)
    assert card is not None
    assert "expanded here" in card.info.notes[0].in_english()
