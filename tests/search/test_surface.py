"""On made-up surfaces with noisy prompts: greedy and beam end where a greedy search without any dropping out does, for less than half."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.contracts import Message, UnitRef, UnitSet
from analysis.planning.amount import parse_amount
from analysis.planning.spending import Limit, Savings
from analysis.search.allowance import LEAST_PASSES, Allowance
from analysis.search.beam import Hunter
from analysis.search.race import Entrant, race
from analysis.search.steering import Steering
from tests.search.surface import Shape, Surface

SEEDS = range(8)


def _steering(n_units: int, steps: int) -> Steering:
    units: tuple[UnitRef, ...] = tuple(("block", block) for block in range(n_units))
    limit = Limit(parse_amount(f"{steps} layers"), steps, Savings("layers", n_units, dict.fromkeys(units, 1.0)), per_unit=True)
    return Steering(units, limit, n_units, None)


def _hunted(seed: int, shape: Shape, steps: int) -> tuple[Surface, UnitSet, UnitSet, UnitSet, float, float]:
    """The surface, what greedy, the beam and an unshared greedy found, and the shares of the unshared one's passes."""
    surface, steering = Surface(seed, shape), _steering(shape.n_units, steps)
    surface.scan(steering.candidates)
    hunter = Hunter(surface, steering)
    greedy = hunter.greedy()
    after_greedy = surface.passes
    beam = hunter.beam(greedy, 3)
    full, passes = surface.full_greedy(steering.children, steps)
    return surface, greedy[-1], beam[steps - 1], full[-1], after_greedy / passes, surface.passes / passes


@pytest.mark.parametrize(
    "shape", [Shape(), Shape(batches=9), Shape(noise=0.5, prompts=96, batches=24, tokens=512), Shape(friends=80)], ids=str
)
@pytest.mark.parametrize(("steps", "at_least"), [(3, 5), (6, 7), (8, 7)])
def test_as_good_as_unshared_greedy_for_less_than_half(shape: Shape, steps: int, at_least: int) -> None:
    good = 0
    for seed in SEEDS:
        surface, greedy, beam, full, greedy_share, beam_share = _hunted(seed, shape, steps)
        assert greedy_share < 0.47
        assert beam_share < 0.5
        assert surface.loss(beam) <= surface.loss(greedy)
        good += surface.loss(greedy) <= surface.loss(full) + 1e-9
    assert good >= at_least


def test_a_race_keeps_to_its_passes_and_runs_two_to_the_end() -> None:
    surface, steering = Surface(0), _steering(30, 3)
    surface.scan(steering.candidates)
    entrants = [Entrant(child) for child in steering.children((("block", 14),))]
    raced = race(surface, steering, entrants, Message(id=""), base=(("block", 14),), passes=5.0)
    assert raced.passes <= 5.0
    assert len(raced.done) >= 2
    exact = surface.prompt_losses(raced.done[0]) - surface.prompt_losses((("block", 14),))
    assert raced.changes[raced.done[0]] == pytest.approx(exact)


def test_with_few_prompts_nothing_drops_out_by_chance() -> None:
    surface, steering = Surface(1, Shape(prompts=6, batches=6)), _steering(30, 3)
    surface.scan(steering.candidates)
    base = min(((unit,) for unit in steering.candidates), key=surface.loss)
    children = list(steering.children(base))
    raced = race(surface, steering, [Entrant(child) for child in children], Message(id=""), base=base)
    assert len(raced.done) == len(children)
    assert raced.done[0] == min(children, key=surface.loss)


def test_the_allowance_is_shared_out_over_the_steps_and_unspent_passes_go_on() -> None:
    allowance = Allowance((30, 29, 28), 0.5, 31.0)
    first = allowance.for_step(1)
    assert first == pytest.approx((0.5 * 87 - 31) * 29 / 57)
    allowance.spent += first / 2
    assert allowance.for_step(2) == pytest.approx(0.5 * 87 - 31 - first / 2)
    assert Allowance((10, 9), 0.45, 11.0).for_step(1) < LEAST_PASSES


def test_surfaces_are_as_noisy_as_they_claim() -> None:
    surface = Surface(0)
    one: UnitSet = (("block", 14),)
    changes = (surface.prompt_losses(one) - surface.prompt_losses(())) / surface.per_example
    assert float(np.std(changes)) > float(np.mean(changes))
