"""What a step looks at: which prompts judge, which positions are of one kind, how tokens read, and how much fits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from analysis.contracts import RankingSettings, UnitRef
from analysis.profiling.bootstrap import poisson_weights
from analysis.search import positions as positions_module
from analysis.search.positions import affordable, draw_positions, judging_prompts
from analysis.search.pseudo_classes import k_means, pseudo_classes
from analysis.search.ranking_votes import Said, replicate_ranks, vote_of
from analysis.search.token_losses import TokenLosses
from analysis.search.token_texts import encoder_of, token_kinds, token_texts
from analysis.workload import EncodedExample, Encoder
from tests.profiling.tiny import examples, loaded, tiny_llama

CPU = torch.device("cpu")


def test_prompts_that_judge_are_chosen_by_their_text_and_some_always_fit() -> None:
    work = examples(20)
    chosen = judging_prompts(work, 0.2)
    assert chosen.sum() == 4
    assert (judging_prompts(work, 0.2) == chosen).all()
    assert (judging_prompts(work[::-1], 0.2) == chosen[::-1]).all()
    assert judging_prompts(work, 0.0).sum() == 0
    assert judging_prompts(work[:2], 0.5).sum() == 1
    assert judging_prompts(work[:1], 0.5).sum() == 0


def test_fewer_positions_than_asked_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    assert affordable(2048, 30, 576, CPU) == (2048, None)
    monkeypatch.setattr(positions_module, "available_bytes", lambda _: 31 * 576 * 4 * 5 * 100)
    n, note = affordable(2048, 30, 576, CPU)
    assert n == 100
    assert note is not None
    assert "100 token positions instead of 2048" in note.in_english()
    monkeypatch.setattr(positions_module, "available_bytes", lambda _: None)
    assert affordable(2048, 30, 576, CPU) == (2048, None)


@given(st.lists(st.integers(2, 40), min_size=1, max_size=12), st.integers(0, 300))
def test_positions_are_as_even_as_lengths_allow(lengths: list[int], most: int) -> None:
    template = examples(1)[0]
    work = [
        replace(template, example_id=f"{n:064x}", input_ids=np.arange(length), kinds=np.ones(length, np.uint8))
        for n, length in enumerate(lengths)
    ]
    drawn = draw_positions(work, most)
    per_example = np.bincount(drawn.examples, minlength=len(work))
    assert len(drawn) == min(most, sum(length - 1 for length in lengths))
    short = [n for n, length in enumerate(lengths) if per_example[n] < length - 1]
    if short:  # whoever has tokens left gave no fewer than anyone else, but for the remainder
        assert per_example[short].min() >= per_example.max() - 1
    assert all(len(set(drawn.places[drawn.examples == n])) == per_example[n] for n in range(len(work)))


# -- classes -----------------------------------------------------------------------------------------------------------


def _features(n: int, seed: int = 0) -> torch.Tensor:
    """Three clouds far apart."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, 8, generator=generator) + 20 * torch.eye(8)[torch.arange(n) % 3]


def test_slices_are_classes_where_two_have_enough_and_small_ones_stand_together() -> None:
    work = [replace(example, slice=name) for example, name in zip(examples(40), ("a", "b") * 18 + ("c", "d", "c", "d"), strict=True)]
    positions = draw_positions(work, 10_000)
    found = pseudo_classes(torch.randn(len(positions), 8), positions, work, RankingSettings(dimension=4))
    assert (found.by, found.n) == ("slices", 3)
    assert found.labels is not None
    names = [work[owner].slice for owner in positions.examples]
    assert {(name, label) for name, label in zip(names, found.labels.tolist(), strict=True)} == {("a", 0), ("b", 1), ("c", 2), ("d", 2)}
    assert found.notes == ()


def test_one_slice_leaves_clusters_of_features() -> None:
    work = examples(40, slices=("a",))
    positions = draw_positions(work, 10_000)
    base = _features(len(positions))
    found = pseudo_classes(base, positions, work, RankingSettings(dimension=4, n_classes=3))
    assert (found.by, found.n) == ("kmeans", 3)
    assert found.labels is not None
    assert len({(n % 3, label) for n, label in enumerate(found.labels.tolist())}) == 3
    asked = pseudo_classes(base, positions, work, RankingSettings(dimension=4, n_classes=3, classes="slices"))
    assert asked.by == "kmeans"
    assert "Fewer than two slices" in asked.notes[0].in_english()
    tasks = pseudo_classes(base, positions, work, RankingSettings(dimension=4, classes="tasks"))
    assert "no task names" in tasks.notes[0].in_english()


def test_too_few_positions_have_no_classes() -> None:
    work = examples(2, slices=("a",))
    positions = draw_positions(work, 30)
    found = pseudo_classes(torch.randn(len(positions), 8), positions, work, RankingSettings())
    assert (found.by, found.n, found.labels) == ("none", 0, None)


def test_clusters_are_the_same_again_and_stop_at_what_differs() -> None:
    points = _features(90)
    assert torch.equal(k_means(points, 3, 0), k_means(points, 3, 0))
    assert set(k_means(torch.ones(50, 4), 8, 0).tolist()) == {0}


# -- votes -------------------------------------------------------------------------------------------------------------


def test_undefined_is_never_a_number() -> None:
    replicates = np.array([[0.3, np.nan, 0.1, 0.1], [0.1, np.nan, 0.2, 0.2]])
    said = Said(np.array([0.2, np.nan, 0.1, np.inf]), replicates, 12)
    vote = vote_of("cka", said)
    assert vote.values == (0.2, None, 0.1, None)
    assert vote.ranks == (2.0, None, 1.0, None)
    assert vote.intervals[1] is None
    assert replicate_ranks([said]) == (((3, 0, 1, 2),), ((1, 0, 2, 3),))


def test_every_voter_is_resampled_by_the_same_draws() -> None:
    hashes = [example.example_id for example in examples(9)]
    draws = poisson_weights(hashes, 50)
    assert draws.shape == (50, 9)
    assert (draws == poisson_weights(hashes, 50)).all()
    assert poisson_weights(hashes, 0).shape == (0, 9)


# -- token losses ------------------------------------------------------------------------------------------------------


def _losses(work: list[EncodedExample]) -> TokenLosses:
    refs: tuple[UnitRef, ...] = (("block", 0),)
    owners, places = np.array([0, 0, 1]), np.array([4, 5, 4])
    targets = np.array([work[owner].input_ids[place] for owner, place in zip(owners, places, strict=True)])
    losses = np.array([[1.0, 2.0, 3.0], [2.0, np.nan, 4.0]])
    return TokenLosses(((), refs), losses, owners, targets, places, np.array([1.0, 3.0]), tuple(work))


def test_sums_weigh_examples_and_keep_what_is_undefined() -> None:
    losses = _losses(examples(2))
    assert losses.sums()[0].tolist() == [3.0, 9.0]
    assert losses.counts().tolist() == [2.0, 3.0]
    assert losses.means()[0] == pytest.approx(12 / 5)
    assert np.isnan(losses.means()[1])
    assert losses.of((("block", 0),))[2] == 4.0
    with pytest.raises(KeyError):
        losses.of((("block", 1),))


# -- how tokens read ---------------------------------------------------------------------------------------------------

TEXT = "Order 1,200 ball valves BV-40 for 株式会社, 納期は3月。 " * 5


@pytest.fixture(scope="module")
def byte_level() -> Encoder:
    """A tokenizer of bytes, trained on nothing but English: every kanji is several tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(["ball valves for the order"] * 20, trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet))
    return Encoder(tokenizer, None, {})


def test_tokens_read_together_as_the_text_does(byte_level: Encoder) -> None:
    ids = byte_level.tokenizer.encode(TEXT).ids
    texts = token_texts(byte_level, ids)
    assert len(ids) > 100
    assert len(texts) == len(ids)
    assert "".join(texts) == TEXT
    assert "納" in texts
    assert "" in texts


def test_a_text_that_ends_inside_a_character_is_read_all_the_same(byte_level: Encoder) -> None:
    ids = byte_level.tokenizer.encode("valves 納").ids[:-1]
    assert len(token_texts(byte_level, ids)) == len(ids)


def test_kinds_follow_the_predicted_token(byte_level: Encoder) -> None:
    ids = np.array(byte_level.tokenizer.encode("納 5").ids)
    work = [replace(examples(1)[0], input_ids=ids, kinds=np.ones(len(ids), np.uint8))]
    places = np.arange(len(ids))
    losses = TokenLosses(((),), np.zeros((1, len(ids))), np.zeros(len(ids), np.int64), ids, places, np.ones(1), tuple(work))
    kinds = token_kinds(losses, byte_level)
    assert kinds[0] == kinds[2] == "kanji"
    assert kinds[-1] == "digits"
    assert token_kinds(losses, None) == ()


def test_a_model_without_a_tokenizer_has_no_kinds(tmp_path: Path) -> None:
    model = loaded(tiny_llama())
    assert encoder_of(replace(model, tokenizer_folder=None)) is None
    assert encoder_of(replace(model, tokenizer_folder=tmp_path)) is None
