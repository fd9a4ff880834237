"""Releasing frees layers from the output side until the tuning part says that more no longer pays."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.training.evaluate import Chance, Judged
from analysis.training.release import boundaries_inward, default_step, run_release
from tests.profiling.tiny import examples

N_BLOCKS = 10
CHANCE = Chance(replicates=400)


def judged(loss: float, *, noise: float = 0.0, seed: int = 0, n: int = 20) -> Judged:
    made = tuple(examples(n))
    losses = loss + noise * np.random.default_rng(seed).normal(size=n)
    return Judged(made, 3 * losses, np.full(n, 3))


def test_boundaries_go_inward_to_full_training() -> None:
    assert boundaries_inward(10, 3) == (6, 3, 0, -1)
    assert boundaries_inward(10, 5, most=20) == (4, -1)
    assert boundaries_inward(30, 3, most=6) == (26, 23)
    assert boundaries_inward(3, 5) == (-1,)


@pytest.mark.parametrize(("n_blocks", "step"), [(1, 1), (4, 1), (30, 3), (80, 8)])
def test_a_tenth_of_the_stack_is_freed_at_a_time(n_blocks: int, step: int) -> None:
    assert default_step(n_blocks) == step


def test_it_stops_where_the_gain_lies_inside_its_interval_and_recommends_the_step_before() -> None:
    losses = {6: judged(2.5), 3: judged(2.0, noise=0.01), 0: judged(2.0, noise=0.01, seed=1), -1: judged(1.0)}
    found = run_release((6, 3, 0, -1), judged(3.0), losses.get, CHANCE, n_blocks=N_BLOCKS)
    assert found.boundaries == (6, 3, 0)
    assert (found.recommended, found.stop) == (3, "no_gain")
    assert "holds 0" in found.notes[0].in_english()


def test_a_step_that_makes_it_worse_stops_too() -> None:
    losses = {6: judged(2.5), 3: judged(2.9)}
    found = run_release((6, 3), judged(3.0), losses.get, CHANCE, n_blocks=N_BLOCKS)
    assert (found.recommended, found.stop) == (6, "no_gain")


def test_nothing_is_recommended_where_not_even_the_first_step_gained() -> None:
    found = run_release((6, 3), judged(3.0), {6: judged(3.0)}.get, CHANCE, n_blocks=N_BLOCKS)
    assert (found.recommended, found.stop) == (None, "no_gain")


def test_all_freed_with_gain_is_done() -> None:
    losses = {4: judged(2.5), -1: judged(2.0)}
    found = run_release((4, -1), judged(3.0), losses.get, CHANCE, n_blocks=N_BLOCKS)
    assert (found.recommended, found.stop, found.notes) == (-1, "done", ())


def test_a_spent_budget_keeps_what_was_found_and_says_so() -> None:
    found = run_release((6, 3, -1), judged(3.0), {6: judged(2.5)}.get, CHANCE, n_blocks=N_BLOCKS)
    assert (found.boundaries, found.recommended, found.stop) == ((6,), 6, "budget")
    assert "no further arm could be trained" in found.notes[0].in_english()


def test_a_limit_in_layers_is_a_budget() -> None:
    found = run_release((6, 3), judged(3.0), {6: judged(2.5), 3: judged(2.0)}.get, CHANCE, n_blocks=N_BLOCKS)
    assert (found.recommended, found.stop) == (3, "budget")


def test_a_tuning_part_of_one_prompt_decides_nothing() -> None:
    found = run_release((6, 3), judged(3.0, n=1), {6: judged(2.0, n=1)}.get, CHANCE, n_blocks=N_BLOCKS)
    assert found.recommended is None
    assert "too small" in found.notes[0].in_english()
