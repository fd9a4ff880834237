"""Where models come from, and what is said when one cannot be used."""

from __future__ import annotations

import json
import shutil
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer
from transformers import LlamaForCausalLM

sys.path.insert(0, str(Path(__file__).parent))
from tiny import build, save_tokenizer

from analysis.contracts import ModelSource
from analysis.errors import ModelError, ResourceError
from analysis.models import memory
from analysis.models.card import card_folder, read_card
from analysis.models.load import describe_model, load_model
from analysis.models.source import parse_source, source_label


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A whole tiny Llama as save_pretrained writes it, and a home of its own."""
    monkeypatch.setenv("STRATA_HOME", str(tmp_path / "home"))
    return save("llama", tmp_path / "tiny-llama")


def save(name: str, folder: Path) -> Path:
    build(name).to(torch.bfloat16).save_pretrained(folder)
    save_tokenizer(folder)
    return folder


def source(folder: Path) -> ModelSource:
    return ModelSource(kind="folder", location=str(folder))


# -- naming ------------------------------------------------------------------------------------------------------------


def test_names_are_understood(tmp_path: Path) -> None:
    assert parse_source("sample").kind == "sample"
    assert parse_source("owner/name") == ModelSource(kind="hub", location="owner/name")
    assert parse_source("owner/name@v1.0") == ModelSource(kind="hub", location="owner/name", revision="v1.0")
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "adapter_config.json").write_text("{}")
    assert parse_source(str(tmp_path / "adapter")).kind == "adapter"
    assert parse_source(str(tmp_path)).kind == "folder"
    (tmp_path / "m.gguf").write_bytes(b"GGUF")
    assert parse_source(str(tmp_path / "m.gguf")).kind == "gguf"


def test_a_path_that_exists_wins_over_a_hub_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "owner" / "name").mkdir(parents=True)
    assert parse_source("owner/name").kind == "folder"


@pytest.mark.parametrize("text", ["nothing here", "/not/there", "./missing.gguf", "owner/name.gguf", "a/b/c", "owner/name@"])
def test_what_names_no_model_is_refused(text: str) -> None:
    with pytest.raises(ModelError, match="is not a model that can be found"):
        parse_source(text)


def test_single_files_are_refused_with_what_to_give_instead(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"")
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(ModelError, match=r"only the weights. Give the folder"):
        parse_source(str(tmp_path / "model.safetensors"))
    with pytest.raises(ModelError, match="not a model file"):
        parse_source(str(tmp_path / "pytorch_model.bin"))


# -- loading -----------------------------------------------------------------------------------------------------------


def test_a_folder_is_loaded_described_and_remembered(folder: Path) -> None:
    assert read_card(source(folder)) is None
    described = describe_model(source(folder))
    assert described.tokenizer_folder == folder
    loaded = load_model(source(folder), device="cpu")
    assert (loaded.dtype, loaded.info.dtype, loaded.info.weight_bytes) == (torch.float32, "bfloat16", 2 * loaded.info.n_parameters)
    assert loaded.info.commit == described.info.commit
    assert len(loaded.info.commit) == 64
    card = read_card(source(folder))
    assert card is not None
    assert card.info == loaded.info
    assert card.info.stacks[0].layout == "pre_norm"
    assert describe_model(source(folder)) == card
    assert load_model(source(folder), device="cpu", dtype="bfloat16").model.dtype == torch.bfloat16


def test_a_card_is_forgotten_when_the_weights_change(folder: Path) -> None:
    before = describe_model(source(folder)).info.commit
    other = build("llama")
    other.model.layers[0].mlp.down_proj.weight.data.zero_()
    other.to(torch.bfloat16).save_pretrained(folder)
    assert read_card(source(folder)) is None
    assert describe_model(source(folder)).info.commit != before


def test_a_damaged_card_counts_as_none(folder: Path) -> None:
    describe_model(source(folder))
    (card_folder(source(folder)) / "card.json").write_text('{"version": 1')
    assert read_card(source(folder)) is None


@pytest.mark.filterwarnings("ignore::FutureWarning:transformers.*")  # peft's own use of transformers, while making the adapter
def test_an_adapter_is_merged_into_its_base(folder: Path, tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model

    model = get_peft_model(
        load_model(source(folder), device="cpu").model, LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False)
    )
    model.save_pretrained(tmp_path / "adapter")
    config = tmp_path / "adapter" / "adapter_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"base_model_name_or_path": str(folder)}))
    merged = load_model(parse_source(str(tmp_path / "adapter")), device="cpu")
    plain = load_model(source(folder), device="cpu")
    assert merged.info.name == "adapter"
    assert merged.info.commit != plain.info.commit
    assert merged.info.stacks == plain.info.stacks
    assert merged.tokenizer_folder == folder
    attention = [loaded.model.model.layers[0].self_attn for loaded in (merged, plain)]
    assert not torch.equal(attention[0].q_proj.weight, attention[1].q_proj.weight)
    assert torch.equal(attention[0].k_proj.weight, attention[1].k_proj.weight)


def test_an_adapter_that_names_no_base_is_refused(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(ModelError, match="does not name the model"):
        load_model(parse_source(str(tmp_path)), device="cpu")


def test_a_slow_tokenizer_is_converted_beside_the_card(folder: Path) -> None:
    shutil.copy(Path(__file__).parent / "words.txt", folder / "vocab.txt")
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer"}')
    card = describe_model(source(folder))
    assert card.tokenizer_folder is not None
    assert card.tokenizer_folder.parent == card_folder(source(folder))
    assert Tokenizer.from_file(str(card.tokenizer_folder / "tokenizer.json")).encode("valve").ids


# -- planted errors ----------------------------------------------------------------------------------------------------


def refused(folder: Path, match: str) -> None:
    with pytest.raises(ModelError, match=match) as caught:
        load_model(source(folder), device="cpu")
    assert "\n" not in str(caught.value)


def test_folders_that_hold_no_model_are_refused(folder: Path, tmp_path: Path) -> None:
    refused(tmp_path / "nowhere", "is not a folder")
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", "is empty")
    (folder / "config.json").unlink()
    refused(folder, "has no config.json")


def test_damaged_configs_are_refused(folder: Path) -> None:
    (folder / "config.json").write_text("{")
    refused(folder, "not readable as JSON")
    (folder / "config.json").write_text("[]")
    refused(folder, "does not name a model_type")
    (folder / "config.json").write_text('{"model_type": "llama", "num_attention_heads": "four", "hidden_size": 32}')
    refused(folder, "config.json of .* is not valid")


def test_pickled_weights_are_not_opened(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    refused(folder, r"only in pytorch_model.bin.*Save the model as safetensors")


def test_missing_weights_are_named(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    refused(folder, "no safetensors file")
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"a": "model-00001-of-00002.safetensors"}}')
    refused(folder, "lacks model-00001-of-00002.safetensors")
    (folder / "model.safetensors.index.json").write_text("{}")
    refused(folder, "not a list of weight files")


def test_shards_without_their_index_are_refused(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    refused(folder, "neither model.safetensors nor")


@pytest.mark.parametrize(
    "damage", [b"", b"\x00" * 4, b"\xff" * 64, (10).to_bytes(8, "little") + b"not a json", (2).to_bytes(8, "little") + b"[]"]
)
def test_broken_headers_are_refused(folder: Path, damage: bytes) -> None:
    (folder / "model.safetensors").write_bytes(damage)
    refused(folder, "damaged header")


def test_truncated_weights_are_refused(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    refused(folder, "cut off: 100 bytes")


def test_weights_that_lack_a_layer_are_refused(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 4}))
    refused(folder, r"lacks 9 of the weights.*model\.layers\.3")


def test_weights_of_another_size_are_refused(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"intermediate_size": 40}))
    refused(folder, "do not fit its config")


def test_a_missing_tokenizer_is_named(folder: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()
    refused(folder, "has no tokenizer. Copy tokenizer.json")


def test_unknown_kinds_and_remote_code_are_refused(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text()) | {"model_type": "strange"}
    (folder / "config.json").write_text(json.dumps(config))
    refused(folder, r"kind \(strange\) that transformers .* cannot load")
    (folder / "config.json").write_text(json.dumps(config | {"auto_map": {"AutoConfig": "code.Config"}}))
    (folder / "code.py").write_text("raise SystemExit('this must never run')")
    refused(folder, "own program code")


def test_a_quantised_checkpoint_without_its_library_is_refused(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"quantization_config": {"quant_method": "awq", "bits": 4}}))
    refused(folder, r"is quantised \(awq\)")
    assert describe_model(source(folder)).info.n_parameters == build("llama").num_parameters()


@pytest.mark.parametrize("content", [b"GGUF" + b"\x00" * 20, b"GGUF\x03\x00\x00\x00", b"no GGUF at all"])
def test_a_broken_gguf_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setenv("STRATA_HOME", str(tmp_path / "home"))
    (tmp_path / "broken.gguf").write_bytes(content)
    with pytest.raises(ModelError, match=r"broken\.gguf"):
        load_model(parse_source(str(tmp_path / "broken.gguf")), device="cpu")


def test_a_hub_model_that_is_not_here_is_refused_offline() -> None:
    with pytest.raises(ModelError, match="not on this machine and the hub cannot be reached"):
        load_model(parse_source("owner/name@main"), device="cpu")


@pytest.mark.parametrize(
    ("refusal", "said"),
    [
        ("GatedRepoError", "asks for consent"),
        ("RepositoryNotFoundError", "The hub has no model"),
        ("RevisionNotFoundError", "has no revision v9"),
        ("OSError", "could not be fetched: OSError"),
    ],
)
def test_what_the_hub_refuses_is_said_in_words(monkeypatch: pytest.MonkeyPatch, refusal: str, said: str) -> None:
    import huggingface_hub
    from huggingface_hub import errors

    def refuse(*_: object, **__: object) -> None:
        kind = getattr(errors, refusal, OSError)
        raise kind.__new__(kind)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    with pytest.raises(ModelError, match=said):
        load_model(parse_source("owner/name@v9"), device="cpu")


def test_a_full_disk_while_fetching_is_no_bad_input(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", full)
    with pytest.raises(ResourceError, match="could not be fetched: No space left"):
        load_model(parse_source("owner/name"), device="cpu")


def test_from_the_hub_only_files_without_programs_are_asked_for(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    asked: dict[str, object] = {}
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **options: asked.update(options) or str(folder))
    load_model(parse_source("owner/name"), device="cpu")
    patterns = asked["allow_patterns"]
    assert isinstance(patterns, list)
    assert not any(fnmatch(name, pattern) for name in ("code.py", "pytorch_model.bin", "model.pt", "weights.pkl") for pattern in patterns)
    assert all(any(fnmatch(name, pattern) for pattern in patterns) for name in ("config.json", "tokenizer.json", "model.safetensors"))


def test_a_cached_hub_model_is_used_offline_and_known_by_its_commit(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants

    cache, commit = tmp_path / "hub", "0123456789abcdef0123456789abcdef01234567"
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))
    repository = cache / "models--owner--tiny"
    shutil.copytree(folder, repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    loaded = load_model(parse_source("owner/tiny"), device="cpu")
    assert (loaded.info.commit, loaded.info.name) == (commit, "owner/tiny")
    assert source_label(loaded.info.source) == "owner/tiny"


def test_what_cannot_fit_is_refused_before_loading(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available_bytes", lambda _: 1000)
    with pytest.raises(ResourceError, match="GiB are free"):
        load_model(source(folder), device="cpu")


@pytest.mark.parametrize("refusal", [torch.OutOfMemoryError("full"), RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried")])
def test_memory_that_runs_out_while_loading_is_said_so(folder: Path, monkeypatch: pytest.MonkeyPatch, refusal: Exception) -> None:
    def full(*_: object, **__: object) -> None:
        raise refusal

    monkeypatch.setattr(LlamaForCausalLM, "from_pretrained", full)
    with pytest.raises(ResourceError, match="Memory ran out on cpu while loading tiny-llama"):
        load_model(source(folder), device="cpu")


@pytest.mark.parametrize("device", ["tpu", "cuda:99", "gpu", "cpu:x", ""])
def test_devices_that_are_not_there_are_refused(folder: Path, device: str) -> None:
    with pytest.raises(ModelError):
        load_model(source(folder), device=device)


def test_stacks_are_asked_for_by_name(folder: Path) -> None:
    loaded = load_model(source(folder), device="cpu")
    assert loaded.stack() is loaded.stack("decoder")
    with pytest.raises(ModelError, match=r"no stack named encoder\. It has: decoder"):
        loaded.stack("encoder")
