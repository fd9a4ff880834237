"""What is lost with some units: sums by hand, intervals over prompts, the worst prompts first."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from analysis.search.lost import SHOWN_PROMPTS, lost_with
from analysis.search.token_losses import TokenLosses
from tests.profiling import tiny

FIRST, SECOND = (("block", 1),), (("block", 1), ("mlp", 2))


def measured(n: int = 12, tokens: int = 3, seed: int = 0) -> TokenLosses:
    """Random losses of n prompts under nothing, FIRST and SECOND."""
    draw = np.random.default_rng(seed)
    examples = tuple(tiny.examples(n))
    owners = np.repeat(np.arange(n), tokens)
    base = draw.random(len(owners)) + 1
    losses = np.stack([base, base + draw.normal(0.3, 0.2, len(owners)), base + draw.normal(0.6, 0.2, len(owners))])
    numbers = np.arange(len(owners))
    return TokenLosses(((), FIRST, SECOND), losses, owners, numbers, numbers, np.array([one.weight for one in examples]), examples)


def test_every_set_but_the_base_is_told_in_order() -> None:
    losses = measured()
    assert [one.removed for one in lost_with(losses, 0)] == [FIRST, SECOND]
    assert [one.removed for one in lost_with(losses, 1)] == [(), SECOND]


def test_changes_are_weighted_means_by_slice_and_kind() -> None:
    losses = measured()
    kinds = ["digits", "latin", "kanji"] * 12
    found = lost_with(losses, 0, kinds)[1]
    weights, change = losses.weights[losses.owners], losses.losses[2] - losses.losses[0]
    slices = np.array([one.slice for one in losses.examples])[losses.owners]
    assert found.change.value == pytest.approx(np.average(change, weights=weights))
    assert set(found.slices) == {"a", "b"}
    for name, part in found.slices.items():
        here = slices == name
        assert part.change.value == pytest.approx(np.average(change[here], weights=weights[here]))
        assert part.loss_before == pytest.approx(np.average(losses.losses[0][here], weights=weights[here]))
        assert (part.n_tokens, part.n_examples) == (18, 6)
    assert list(found.kinds) == ["digits", "kanji", "latin"]
    here = np.array(kinds) == "kanji"
    assert found.kinds["kanji"].change.value == pytest.approx(np.average(change[here], weights=weights[here]))
    assert sum(part.n_tokens for part in found.kinds.values()) == 36


def test_intervals_hold_the_change_and_are_the_same_every_time() -> None:
    losses = measured()
    once, again = lost_with(losses, 0, seed=3), lost_with(losses, 0, seed=3)
    assert once == again
    change = once[0].change
    assert change.low < change.value < change.high
    assert lost_with(losses, 0, replicates=0)[0].change.low is None
    assert lost_with(losses, 0, replicates=0)[0].change.value == pytest.approx(change.value)


def test_a_change_that_is_the_same_everywhere_has_no_width() -> None:
    losses = measured()
    same = replace(losses, losses=np.stack([losses.losses[0]] * 2 + [losses.losses[0] + 0.5]))
    zero, half = lost_with(same, 0)
    assert (zero.change.value, zero.change.low, zero.change.high) == (0, 0, 0)
    assert (half.change.low, half.change.high) == (pytest.approx(0.5), pytest.approx(0.5))
    assert zero.prompts == ()


def test_a_single_prompt_has_a_change_without_an_interval() -> None:
    found = lost_with(measured(n=1), 0)[0]
    assert found.change.value is not None
    assert found.change.low is None


def test_prompts_that_lose_most_come_first_and_winners_are_not_named() -> None:
    losses = measured(n=14)
    losses.losses[1, losses.owners == 5] = losses.losses[0, losses.owners == 5] - 1
    prompts = lost_with(losses, 0, excerpts={one.example_id: one.excerpt for one in losses.examples})[0].prompts
    changes = [prompt.change for prompt in prompts]
    assert changes == sorted(changes, reverse=True)
    assert len(prompts) == SHOWN_PROMPTS
    assert losses.examples[5].example_id not in {prompt.example_id for prompt in prompts}
    assert all(prompt.excerpt.startswith("prompt ") for prompt in prompts)
    assert all(prompt.n_tokens == 3 for prompt in prompts)


def test_no_text_is_kept_unless_it_is_given() -> None:
    assert {prompt.excerpt for prompt in lost_with(measured(), 0)[0].prompts} == {""}


def test_among_equals_critical_prompts_come_first() -> None:
    losses = measured(n=4)
    examples = tuple(replace(one, critical=number == 2) for number, one in enumerate(losses.examples))
    equal = replace(losses, examples=examples, losses=np.stack([losses.losses[0], losses.losses[0] + 1, losses.losses[0]]))
    prompts = lost_with(equal, 0)[0].prompts
    assert prompts[0].example_id == examples[2].example_id
    assert [prompt.critical for prompt in prompts] == [True, False, False, False]


def test_an_overflow_leaves_its_own_parts_undefined_and_no_others() -> None:
    losses = measured()
    hit = int(np.flatnonzero(np.array([one.slice for one in losses.examples])[losses.owners] == "a")[0])
    losses.losses[1, hit] = np.nan
    first, second = lost_with(losses, 0)
    assert first.change.value is None
    assert first.slices["a"].change.value is None
    assert first.slices["b"].change.value is not None
    assert second.change.value is not None
    assert losses.examples[losses.owners[hit]].example_id not in {prompt.example_id for prompt in first.prompts}


def test_prompts_that_count_for_nothing_are_in_no_part() -> None:
    losses = measured()
    slices = np.array([one.slice for one in losses.examples])
    silent = replace(losses, weights=np.where(slices == "a", 0.0, losses.weights))
    found = lost_with(silent, 0)[0]
    assert set(found.slices) == {"b"}
    assert found.change.value == pytest.approx(found.slices["b"].change.value)
