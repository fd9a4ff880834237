"""What arms train on: responses only, a part kept back by text alone, every example once an epoch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from analysis.errors import WorkloadError
from analysis.training.data import TrainingSet, learned_tokens, schedule, split_examples
from analysis.workload import PROMPT, TEMPLATE
from tests.profiling.tiny import encoded
from tests.training.tiny_training import examples_with_responses


def test_the_same_examples_are_kept_back_whatever_their_order_and_none_is_in_both_parts() -> None:
    examples = list(examples_with_responses(20))
    one, other = split_examples(encoded(examples), 0.2, 0), split_examples(encoded(examples[::-1]), 0.2, 0)
    kept = {example.example_id for example in one.tuning}
    assert len(kept) == 4
    assert kept == {example.example_id for example in other.tuning}
    assert kept.isdisjoint(example.example_id for example in one.train)
    assert len(one.train) == 16


def test_another_seed_keeps_others_back() -> None:
    examples = list(examples_with_responses(20))
    kept = [{example.example_id for example in split_examples(encoded(examples), 0.3, seed).tuning} for seed in (0, 1)]
    assert kept[0] != kept[1]


def test_two_examples_of_the_same_text_stay_in_the_same_part() -> None:
    examples = list(examples_with_responses(10))
    twins = [replace(example, example_id=f"twin-{example.example_id}") for example in examples]
    for seed in range(5):
        parts = split_examples(encoded(examples + twins), 0.3, seed)
        kept = {example.example_id for example in parts.tuning}
        assert all((example.example_id in kept) == (f"twin-{example.example_id}" in kept) for example in examples)


def test_a_share_of_nothing_keeps_nothing_back_and_a_large_one_leaves_something_to_train_on() -> None:
    examples = list(examples_with_responses(2))
    assert split_examples(encoded(examples), 0.0, 0).tuning == ()
    assert [
        len(part) for part in (split_examples(encoded(examples), 0.5, 0).train, split_examples(encoded(examples[:1]), 0.5, 0).train)
    ] == [1, 1]


def test_examples_without_a_response_are_left_out_and_counted_apart_from_those_that_lost_theirs_to_cutting() -> None:
    answered = list(examples_with_responses(6))
    silent = [replace(example, kinds=np.full_like(example.kinds, PROMPT)) for example in answered[:2]]
    cut = [replace(answered[2], kinds=np.full_like(answered[2].kinds, PROMPT), n_cut=9)]
    parts = split_examples(encoded([*silent, *cut, *answered[3:]]), 0.0, 0)
    assert len(parts.train) == 3
    assert [note.in_english() for note in parts.notes] == [
        "Training examples left out because they have no response: 2 of 6.",
        "Training examples left out because no token of their response is left after cutting: 1 of 6.",
    ]


def test_a_workload_without_a_single_response_is_refused_in_words() -> None:
    silent = [replace(example, kinds=np.full_like(example.kinds, PROMPT)) for example in examples_with_responses(3)]
    with pytest.raises(WorkloadError, match="None of the 3 training examples has a response"):
        split_examples(encoded(silent), 0.2, 0)


def test_responses_that_were_all_cut_away_are_told_apart_from_none() -> None:
    cut = [replace(example, kinds=np.full_like(example.kinds, PROMPT), n_cut=4) for example in examples_with_responses(3)]
    with pytest.raises(WorkloadError, match="No token of any response is left to train on: 3 of 3"):
        split_examples(encoded(cut), 0.2, 0)


def test_only_response_tokens_with_something_in_front_are_learnt() -> None:
    example = examples_with_responses(1)[0]
    assert learned_tokens(example).sum() == (example.kinds == 2).sum()
    assert not learned_tokens(replace(example, kinds=np.array([2, TEMPLATE, PROMPT, *example.kinds[3:]], dtype=np.uint8)))[0]


def test_every_epoch_sees_every_example_once_in_an_order_of_its_own() -> None:
    steps = schedule(7, 3, 0, epochs=2)
    assert [len(step) for step in steps] == [3, 3, 1, 3, 3, 1]
    first, second = [[member for step in part for member in step] for part in (steps[:3], steps[3:])]
    assert sorted(first) == sorted(second) == list(range(7))
    assert first != second
    assert schedule(7, 3, 0, epochs=2) == steps
    assert schedule(7, 3, 1, epochs=2) != steps
    assert schedule(7, 3, 0, epochs=9, n_steps=4) == steps[:4]


def test_passes_of_a_step_hold_all_its_examples_and_their_shares_sum_up_to_one() -> None:
    data = TrainingSet(examples_with_responses(8))
    passes = data.micro_batches((5, 0, 7, 2, 1), 2)
    assert sorted(member for batch, _ in passes for member in batch.members) == [0, 1, 2, 5, 7]
    assert [len(batch.members) for batch, _ in passes] == [2, 2, 1]
    assert sum(weights.sum() for _, weights in passes) == pytest.approx(1.0)
    assert max(batch.ids.size for batch, _ in passes) == data.batch(data.largest([(5, 0, 7, 2, 1)], 2)).ids.size
