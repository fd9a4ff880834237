"""Which words the bases are made of: all, those of the responses, or the ones a person names."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from analysis.contracts import SemanticSettings
from analysis.errors import InputError, ModelError, WorkloadError
from analysis.workload import RESPONSE, EncodedWorkload, Encoder

Ints = NDArray[np.int64]
_NAMED = 8


def response_words(encoded: EncodedWorkload) -> Ints:
    """The tokens that the workload's responses are written in, sorted; each once."""
    parts = [example.input_ids[example.kinds == RESPONSE] for example in encoded.examples]
    return np.unique(np.concatenate([np.empty(0, dtype=np.int64), *parts])).astype(np.int64)


def word_ids(encoder: Encoder, words: Sequence[str]) -> Ints:
    """The tokens of a domain's words, sorted, each once. A word counts as it stands and as it stands behind a space.

    Raises:
        InputError: words without a letter, or made of tokens that the model's tokenizer does not know.
    """
    found: set[int] = set()
    unknown: list[str] = []
    for word in words:
        ids = _tokens(encoder, word)
        if ids:
            found |= ids
        else:
            unknown.append(word)
    if unknown:
        raise InputError(
            "The tokenizer of this model does not know these words: {words} (unknown: {n}). Take them out of the list, or correct them.",
            words=tuple(unknown[:_NAMED]),
            n=len(unknown),
        )
    return np.array(sorted(found), dtype=np.int64)


def _tokens(encoder: Encoder, word: str) -> set[int]:
    """Empty when there is nothing to read in the word, or a part of it is unknown."""
    if not word.strip():
        return set()
    tokenizer = encoder.tokenizer
    special = encoder.special_tokens.get("unk_token")
    unknown = None if special is None else tokenizer.token_to_id(special)
    bare = tokenizer.encode(word.strip(), add_special_tokens=False).ids
    behind_space = tokenizer.encode(f" {word.strip()}", add_special_tokens=False).ids
    if not bare or (unknown is not None and unknown in bare and tokenizer.token_to_id(word.strip()) != unknown):
        return set()
    return {one for one in (*bare, *behind_space) if one != unknown}


def chosen_words(semantic: SemanticSettings, encoded: EncodedWorkload, encoder: Encoder | None) -> Ints | None:
    """The words asked for; None: all of them.

    Raises:
        InputError: unknown words, no word, or only one, which nothing can be told from.
    """
    if semantic.vocabulary == "all":
        return None
    if semantic.vocabulary == "responses":
        ids = response_words(encoded)
    elif not semantic.words:
        raise InputError("The list of words is empty. Give at least two words, or choose the vocabulary 'responses' or 'all'.")
    elif encoder is None:
        raise ModelError(
            "There is no tokenizer beside this model, so words cannot be looked up. Choose the vocabulary 'responses' or 'all'."
        )
    else:
        ids = word_ids(encoder, semantic.words)
    if len(ids) < 2:
        raise WorkloadError(
            "The vocabulary has {n} tokens, but one word cannot be told from others. Give at least two words, or choose "
            "the vocabulary 'all'.",
            n=len(ids),
        )
    return ids
