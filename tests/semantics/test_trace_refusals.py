"""Workloads and vocabularies with nothing to trace are refused in words; what is left out is counted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from analysis.contracts import ProfileSettings, SemanticSettings
from analysis.errors import InputError, ModelError, WorkloadError
from analysis.semantics.run import trace_model
from analysis.semantics.tokens import plan_tokens
from analysis.semantics.vocabulary import chosen_words, response_words, word_ids
from analysis.workload import PROMPT, RESPONSE, Encoder
from tests.profiling import tiny

SETTINGS = ProfileSettings(unit_tokens=100, cka_minibatch=16, batch_tokens=100)
PLAIN = SemanticSettings(gradients=False)
EXAMPLES = tiny.examples(6)


def silent(example, *, n_cut: int = 0):
    return replace(example, kinds=np.where(example.kinds == RESPONSE, PROMPT, example.kinds).astype(np.uint8), n_cut=n_cut)


def encoder() -> Encoder:
    words = ["<unk>", "night", "order", "stock", "s"]
    tokenizer = Tokenizer(WordLevel({word: index for index, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = Whitespace()
    return Encoder(tokenizer, None, {"unk_token": "<unk>"})


def test_no_response_at_all_is_refused_before_the_model_runs():
    with pytest.raises(WorkloadError, match="None of the prompts has a response.*'response'.*train_last"):
        plan_tokens(tiny.encoded([silent(example) for example in EXAMPLES]), PLAIN, None)


def test_responses_cut_away_entirely_are_refused_with_the_remedy():
    with pytest.raises(WorkloadError, match="cut away.*--max-tokens"):
        plan_tokens(tiny.encoded([silent(example, n_cut=9) for example in EXAMPLES]), PLAIN, None)


def test_a_vocabulary_without_a_response_token_is_refused():
    with pytest.raises(WorkloadError, match="None of the response tokens is in the chosen vocabulary"):
        plan_tokens(tiny.encoded(EXAMPLES), PLAIN, np.array([tiny.VOCABULARY, tiny.VOCABULARY + 1]))


def test_examples_without_or_with_a_cut_response_are_left_out_and_counted():
    made = [silent(EXAMPLES[0]), silent(EXAMPLES[1], n_cut=5), silent(EXAMPLES[2], n_cut=5), *EXAMPLES[3:]]
    answered = {example.example_id for example in (EXAMPLES[1], *EXAMPLES[3:])}
    _, found = trace_model(tiny.loaded(tiny.tiny_llama()), tiny.encoded(made), SETTINGS, PLAIN, answered=answered)
    assert (found.n_without_response, found.n_response_cut, found.overall.n_examples) == (2, 1, 3)
    assert len(found.examples) == 3


def test_a_response_at_the_very_start_has_nothing_before_it_to_predict_it():
    first = replace(EXAMPLES[0], kinds=np.where(np.arange(len(EXAMPLES[0].kinds)) == 0, RESPONSE, EXAMPLES[0].kinds).astype(np.uint8))
    plan = plan_tokens(tiny.encoded([first]), PLAIN, None)
    assert plan.examples[0].positions.min() > 0


@pytest.mark.parametrize("opens", [True, False])
def test_states_of_sinks_that_predict_a_response_are_counted_and_said(opens):
    """A response right behind the first token is predicted from a sink."""
    made = [
        replace(example, kinds=np.where(np.arange(len(example.kinds)) == 1, RESPONSE, example.kinds).astype(np.uint8))
        for example in EXAMPLES
    ]
    _, found = trace_model(tiny.loaded(tiny.tiny_llama()), tiny.encoded(made if opens else EXAMPLES), SETTINGS, PLAIN)
    assert any("sink token" in note.in_english() and note.values["n"] == 6 for note in found.notes) == opens
    assert found.overall.n_tokens == (24 if opens else 18)


def test_unknown_words_are_named():
    with pytest.raises(InputError, match="does not know these words: unicorn, <unk> ghost \\(unknown: 2\\)"):
        word_ids(encoder(), ["night", "unicorn", "<unk> ghost"])


def test_words_become_their_tokens():
    assert word_ids(encoder(), ["stock", "night", "night order"]).tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("semantic", "sentence"),
    [
        (SemanticSettings(vocabulary="words"), "list of words is empty"),
        (SemanticSettings(vocabulary="words", words=("night",)), "one word cannot be told from others"),
        (SemanticSettings(vocabulary="words", words=("  ",)), "does not know these words"),
    ],
)
def test_a_vocabulary_needs_two_known_words(semantic, sentence):
    with pytest.raises(InputError, match=sentence):
        chosen_words(semantic, tiny.encoded(EXAMPLES), encoder())


def test_words_need_a_tokenizer():
    with pytest.raises(ModelError, match="no tokenizer"):
        chosen_words(SemanticSettings(vocabulary="words", words=("a", "b")), tiny.encoded(EXAMPLES), None)


def test_one_response_word_is_not_enough():
    same = [replace(example, input_ids=np.where(example.kinds == RESPONSE, 7, example.input_ids)) for example in EXAMPLES]
    assert response_words(tiny.encoded(same)).tolist() == [7]
    with pytest.raises(WorkloadError, match="one word cannot be told"):
        chosen_words(SemanticSettings(vocabulary="responses"), tiny.encoded(same), None)


def test_a_head_of_packed_numbers_is_refused():
    import torch

    model = tiny.tiny_llama()
    loaded = tiny.loaded(model)
    model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.detach().to(torch.int8), requires_grad=False)
    with pytest.raises(ModelError, match="plain numbers"):
        trace_model(loaded, tiny.encoded(EXAMPLES), SETTINGS, PLAIN)


def test_texts_are_kept_only_with_excerpts(tmp_path: Path):
    words = {("<unk>" if index == 0 else f"w{index}"): index for index in range(tiny.VOCABULARY)}
    tokenizer = Tokenizer(WordLevel(words, unk_token="<unk>"))
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    model = replace(tiny.loaded(tiny.tiny_llama()), tokenizer_folder=tmp_path)
    for shown in (True, False):
        _, found = trace_model(model, tiny.encoded(EXAMPLES), SETTINGS.model_copy(update={"excerpts": shown}), PLAIN)
        trace = found.traces[0]
        answer = next(e for e in EXAMPLES if e.example_id == trace.example_id)
        said = [f"w{word}" for word in answer.input_ids[answer.kinds == RESPONSE]]
        assert [text.strip() for text in trace.tokens] == (said if shown else ["", "", ""])
        assert bool(trace.excerpt) == bool(found.examples[0].excerpt) == bool(trace.top_words) == shown
        if shown:
            assert all(text in words for row in trace.top_words for text in row)
