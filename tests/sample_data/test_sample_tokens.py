"""The sample workload stays small enough, counted with the sample model's own tokenizer and chat template."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.models.sample import prepare_sample
from analysis.workload import RESPONSE, EncodedExample, Encoder, sample_workload

MAX_TOKENS = 9_000

pytestmark = pytest.mark.sample_model


@pytest.fixture(scope="module")
def tokenizer_folder() -> Path:
    return prepare_sample()


@pytest.fixture(scope="module")
def encoded(tokenizer_folder: Path) -> list[EncodedExample]:
    encoder = Encoder.from_folder(tokenizer_folder)
    return [encoder.encode(example, max_tokens=MAX_TOKENS, chat_template=True) for example in sample_workload().examples]


def test_both_halves_together_stay_within_9000_tokens_and_use_them(encoded: list[EncodedExample]) -> None:
    assert 8_500 <= sum(len(example.input_ids) for example in encoded) <= MAX_TOKENS
    assert not any(example.n_cut for example in encoded)


def test_system_texts_stay_where_they_are_and_responses_are_found(encoded: list[EncodedExample]) -> None:
    assert not any(example.system_joined for example in encoded)
    assert all((example.kinds == RESPONSE).any() for example in encoded)
