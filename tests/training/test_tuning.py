"""Learning rates are chosen by the tuning part; what diverged is kept in the record and never chosen."""

from __future__ import annotations

import math

import pytest

from analysis.errors import InputError
from analysis.training.tuning import AllDiverged, best_learning_rate


def test_the_rate_with_the_least_loss_is_taken_and_all_are_told() -> None:
    tuned = best_learning_rate((1e-4, 1e-5, 3e-5), {1e-5: 2.0, 3e-5: 1.5, 1e-4: 1.7}.__getitem__)
    assert tuned.rate == 3e-5
    assert tuned.tried == {"1e-05": 2.0, "3e-05": 1.5, "0.0001": 1.7}
    assert not tuned.notes


def test_of_two_equal_losses_the_smaller_rate_is_taken() -> None:
    assert best_learning_rate((1e-3, 1e-4), lambda _rate: 1.0).rate == 1e-4


def test_a_single_rate_is_taken_without_a_run() -> None:
    def never(_rate: float) -> float:
        raise AssertionError("nothing to choose between")

    assert best_learning_rate((3e-5, 3e-5), never).tried == {}


@pytest.mark.parametrize("broken", [None, math.nan, math.inf])
def test_a_rate_that_diverged_is_null_in_the_record_and_not_chosen(broken: float | None) -> None:
    tuned = best_learning_rate((1e-5, 1e-3), {1e-5: 2.0, 1e-3: broken}.__getitem__)
    assert tuned.rate == 1e-5
    assert tuned.tried == {"1e-05": 2.0, "0.001": None}


def test_all_diverged_is_said_with_the_rates_that_were_tried() -> None:
    with pytest.raises(AllDiverged, match=r"0.1.*1.*smaller") as caught:
        best_learning_rate((0.1, 1.0), lambda _rate: None)
    assert isinstance(caught.value, InputError)


@pytest.mark.parametrize(("best", "said"), [(1e-5, "smallest"), (1e-3, "largest")])
def test_a_best_rate_at_the_end_of_the_list_is_remarked_on(best: float, said: str) -> None:
    tuned = best_learning_rate((1e-5, 1e-4, 1e-3), lambda rate: abs(math.log(rate / best)))
    assert [said in note.in_english() for note in tuned.notes] == [True]


def test_past_the_end_of_the_list_further_rates_are_tried_until_the_best_is_no_longer_last() -> None:
    tuned = best_learning_rate((1e-4, 3e-4), lambda rate: abs(math.log(rate / 1e-3)), further=3)
    assert tuned.rate == 1e-3
    assert list(tuned.tried) == ["0.0001", "0.0003", "0.001", "0.003"]
    assert not tuned.notes
    down = best_learning_rate((1e-4, 3e-4), lambda rate: abs(math.log(rate / 1e-6)), further=2)
    assert down.rate == 1e-5
    assert "smallest" in down.notes[0].in_english()


def test_a_rate_past_the_end_that_diverges_ends_the_search() -> None:
    tuned = best_learning_rate((1e-4, 3e-4), lambda rate: 1.0 / rate if rate < 1e-3 else None, further=3)
    assert (tuned.rate, list(tuned.tried.values())[-1]) == (3e-4, None)
