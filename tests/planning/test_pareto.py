"""What sets save, what an amount allows, and which sets no other beats."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.contracts import LatencyModel, LatencyShape, ModelInfo, Prune
from analysis.contracts.search import ordered
from analysis.errors import PlanError
from analysis.planning import COSTS, limit_of, pareto_front, project, savings_of
from analysis.planning.pareto import front_only
from tests.builders import make_model
from tests.measured_builders import make_search

UNITS = st.tuples(st.sampled_from(["block", "attention", "mlp"]), st.integers(0, 11))
FIELDS = {"flops": "prefill_flops_per_token", "params": "n_parameters", "bytes": "weight_bytes"}


def latency_model(info: ModelInfo) -> LatencyModel:
    n = info.stacks[0].n_blocks
    shape = LatencyShape(
        phase="decode",
        batch_size=1,
        context_tokens=512,
        rest_ms=4.0,
        block_ms=(0.1,) * n,
        attention_ms=(0.6,) * n,
        mlp_ms=(0.3,) * n,
    )
    return LatencyModel(
        model_commit=info.commit,
        stack="decoder",
        device="cpu",
        device_name="CPU",
        dtype="float32",
        n_blocks=n,
        shapes=(shape,),
        points=(),
        measured_at="2026-04-01",
    )


@given(refs=st.lists(UNITS, min_size=1, max_size=12), cost=st.sampled_from(sorted(FIELDS)))
def test_what_a_set_saves_is_what_the_projection_says(refs: list[tuple[str, int]], cost: str) -> None:
    info = make_model(12, loose_norms=7)
    removed = ordered(tuple(refs))
    operations = [Prune(unit=unit, blocks=tuple(b for u, b in removed if u == unit)) for unit in {unit for unit, _ in removed}]
    quantity = getattr(project(info, operations, 777), FIELDS[cost])
    assert savings_of(info, cost=cost, context_tokens=777).share(removed) == pytest.approx(quantity.saved_share, abs=1e-12)


def test_an_attention_and_an_mlp_make_a_layer() -> None:
    savings = savings_of(make_model(10), cost="layers")
    assert savings.share([("attention", 1), ("mlp", 1)]) == savings.share([("block", 1)]) == 0.1
    assert savings.of([("block", 1), ("attention", 1)]) == 1.0


@pytest.mark.parametrize(
    ("amount", "units", "fits", "too_much"),
    [
        ("20%", ("block",), 6, 7),
        ("20%", ("attention",), 6, 7),
        ("3 layers", ("mlp",), 3, 4),
        ("3 layers", ("attention", "mlp"), 6, 7),
        ("20%", ("block", "attention", "mlp"), 12, 13),
    ],
)
def test_a_plain_amount_counts_units_of_the_one_kind_or_layers(amount: str, units: tuple[str, ...], fits: int, too_much: int) -> None:
    limit = limit_of(make_model(30), amount, units=units)
    half = units[0] if len(units) == 1 else "mlp"
    assert limit.allows([(half, block) for block in range(fits)])
    assert not limit.allows([(half, block) for block in range(too_much)])


@pytest.mark.parametrize("amount", ["7%", "20%params", "13%flops", "30MiB", "4 layers", "11%latency", "9%memory"])
@pytest.mark.parametrize("units", [("block",), ("block", "attention")])
def test_what_a_set_uses_is_told_as_an_amount_that_allows_it(amount: str, units: tuple[str, ...]) -> None:
    info = make_model(30)
    known = latency_model(info)
    limit = limit_of(info, amount, units=units, latency=known)
    removed = [("block", 3), ("block", 8), ("block", 9)]
    said = limit.in_words(limit.used(removed))
    assert limit_of(info, said, units=units, latency=known).allows(removed)


def test_an_amount_of_latency_without_a_measurement_says_what_is_missing() -> None:
    with pytest.raises(PlanError, match="has not been measured yet"):
        limit_of(make_model(), "20%latency")


def test_latency_saved_is_that_of_the_measured_shape() -> None:
    info = make_model(10)
    savings = savings_of(info, cost="latency", latency=latency_model(info))
    assert savings.whole == pytest.approx(14.0)
    assert savings.share([("block", 2)]) == pytest.approx(1 / 14)
    assert savings.of([("attention", 2)]) == pytest.approx(0.6)


@pytest.mark.parametrize("cost", COSTS)
def test_nothing_on_the_front_is_beaten_and_everything_off_it_is(cost: str) -> None:
    search = make_search(12)
    points = pareto_front(search, search.model, cost=cost)
    front = front_only(points)
    assert len(points) == len(search.measured())
    for point in points:
        better = [
            other for other in points if other is not point and other.saved_share >= point.saved_share and other.change <= point.change
        ]
        strictly = [other for other in better if (other.saved_share, other.change) != (point.saved_share, point.change)]
        assert not strictly if point.on_front else better
    assert [point.saved_share for point in front] == sorted(point.saved_share for point in front)
    assert [point.change for point in front] == sorted(point.change for point in front)


def test_only_sets_of_the_chosen_kinds_are_compared() -> None:
    search = make_search(12)
    points = pareto_front(search, search.model, units=["attention"])
    assert points
    assert all(unit == "attention" for point in points for unit, _ in point.removed)


def test_a_point_says_who_found_it_and_how_certain_it_is() -> None:
    search = make_search(12)
    answer = search.paths["greedy"][2]
    point = next(point for point in pareto_front(search, search.model) if point.removed == answer)
    assert "greedy" in point.found_by
    assert point.measured
    assert point.interval == search.measured()[answer].interval
