"""The three parts of a healing have no text in common, long texts are used whole, and steps are filled with tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from analysis.errors import WorkloadError
from analysis.training.heal_data import HealParts, HealSet, filled, heal_parts, windows
from analysis.workload import EncodedExample, EncodedWorkload
from tests.profiling.tiny import encoded
from tests.training.tiny_heal import example


def workload(examples: Sequence[EncodedExample]) -> EncodedWorkload:
    return encoded(list(examples))


def parts(calibration: Sequence[EncodedExample], verification: Sequence[EncodedExample], *, max_tokens: int = 8) -> HealParts:
    return heal_parts(workload(calibration), workload(verification), selection_share=0.2, max_tokens=max_tokens, seed=0)


def texts(examples: Sequence[EncodedExample]) -> set[bytes]:
    return {one.input_ids.tobytes() for one in examples}


VERIFICATION = [example(n, 6, seed=1) for n in range(4)]


def test_too_few_prompts_for_three_parts_are_refused_with_the_numbers() -> None:
    with pytest.raises(WorkloadError, match="3 to learn from and 4 to report on; at least 4 and 2"):
        parts([example(n, 6) for n in range(3)], VERIFICATION)
    with pytest.raises(WorkloadError, match="9 to learn from and 1 to report on"):
        parts([example(n, 6) for n in range(9)], VERIFICATION[:1])


def test_prompts_that_read_the_same_count_once_as_different_prompts() -> None:
    same = [replace(example(0, 6), example_id=f"copy{n}") for n in range(9)]
    with pytest.raises(WorkloadError, match="1 to learn from"):
        parts(same, VERIFICATION)


def test_no_two_parts_share_a_text_or_an_id() -> None:
    found = parts([example(n, 5 + n % 20) for n in range(30)], VERIFICATION)
    groups = (found.train, found.selection, found.report)
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert not texts(groups[one]) & texts(groups[other])
        assert not {e.example_id for e in groups[one]} & {e.example_id for e in groups[other]}
    assert found.n_train + len(found.selection) == 30


def test_a_training_text_that_a_verification_prompt_repeats_is_left_out_and_said() -> None:
    leaking = replace(VERIFICATION[0], example_id="another id")
    found = parts([*(example(n, 6) for n in range(10)), leaking], VERIFICATION)
    assert not texts([leaking]) & texts((*found.train, *found.selection))
    assert any(note.id.startswith("Training examples left out") and note.values["n"] == 1 for note in found.notes)


def test_texts_that_differ_only_behind_the_first_window_do_not_leak_into_what_judges() -> None:
    start = example(0, 8, seed=1)
    longer = replace(start, example_id="longer", input_ids=np.append(start.input_ids, [3, 4, 5]), kinds=np.ones(11, dtype=np.uint8))
    found = parts([*(example(n, 6) for n in range(10)), longer], [start, *VERIFICATION])
    assert "longer" not in {one.example_id for one in (*found.train, *found.selection)}


def test_a_long_text_trains_in_windows_and_all_of_its_tokens_are_used() -> None:
    long = [example(n, 27) for n in range(10)]
    found = parts(long, VERIFICATION)
    train_ids = {one.example_id for one in found.train}
    assert sum(len(one.input_ids) for one in found.train) == 27 * found.n_train == 27 * len(train_ids)
    assert max(len(one.input_ids) for one in found.train) == 8
    assert all(len(one.input_ids) == 8 and one.n_cut == 19 for one in found.selection), "what selects is judged by its start"
    assert any(note.values.get("n") == 3 * found.n_train for note in found.notes)


def test_windows_without_a_token_that_counts_are_left_away() -> None:
    answered = example(0, 20, answered=4)
    assert [one.input_ids.tolist() for one in windows(answered, 8)][-1] == answered.input_ids[16:].tolist()
    single = example(0, 9)
    assert [len(one.input_ids) for one in windows(single, 8)] == [8], "the first token of a window has nothing in front of it"


def test_the_same_text_is_kept_back_whatever_the_order() -> None:
    calibration = [example(n, 6) for n in range(20)]
    one, other = parts(calibration, VERIFICATION), parts(calibration[::-1], VERIFICATION)
    assert texts(one.selection) == texts(other.selection)


def test_short_texts_share_a_step_up_to_the_tokens_of_full_windows() -> None:
    data = HealSet([example(n, 5) for n in range(400)], "both", "cpu")
    steps = data.steps(4, 10, 30, 0)
    assert {len(step) for step in steps} == {8}, "40 tokens a step, as four full windows have"
    assert len(steps) == 30


def test_few_texts_make_several_steps_of_an_epoch() -> None:
    data = HealSet([example(n, 5) for n in range(64)], "both", "cpu")
    assert {len(step) for step in data.steps(8, 512, 20, 0)} == {8}


def test_every_epoch_sees_every_window_once() -> None:
    data = HealSet([example(n, 4 + n % 5) for n in range(23)], "both", "cpu")
    steps = data.steps(4, 10, 12, 0)
    first: list[int] = []
    for step in steps:
        first += step
        if len(first) >= 23:
            break
    assert sorted(first) == list(range(23))
    assert steps == data.steps(4, 10, 12, 0)


def test_fewer_windows_than_a_step_takes_make_one_step() -> None:
    assert filled([0, 1, 2], [5, 5, 5], 8, 10) == [(0, 1, 2)]


def test_the_shares_of_a_step_sum_to_one_for_both_losses_however_it_is_divided() -> None:
    data = HealSet([example(n, 6 + n, answered=2, weight=1.0 + n) for n in range(5)], "both", "cpu")
    for size in (1, 2, 5):
        shares = np.concatenate([weights for _, weights in data.micro_batches(range(5), size)])
        assert shares.sum(axis=0) == pytest.approx([1.0, 1.0])
        assert (shares[:, 0] > 0).sum() == 10, "next-token loss counts the responses"
        assert (shares[:, 1] > 0).sum() == sum(6 + n - 1 for n in range(5)), "distillation counts every token after the first"


def test_next_token_alone_asks_the_head_for_nothing_else() -> None:
    data = HealSet([example(n, 9, answered=2) for n in range(3)], "next_token", "cpu")
    ((batch, weights),) = data.micro_batches(range(3), 3)
    assert len(batch.rows) == len(weights) == 6
