"""From assumptions and evidence to figures: currencies, ranges, the measured share over slices, what is absent."""

from __future__ import annotations

import pytest

from analysis.contracts import Assumption, ExchangeRate, Pair, SliceVolume
from analysis.economics.catalogue import DEVICES, price_assumption
from analysis.economics.figures import base_figures, draw_figures, ranges
from analysis.errors import InputError
from tests.business_builders import make_evidence
from tests.economics.simple_cases import plain_assumptions, plain_evidence

RATE = ExchangeRate(currency="USD", per_unit=150.0, as_of="2026-11-20", source="company rate")


def test_a_sum_in_another_currency_is_converted_with_its_range() -> None:
    dollars = Assumption(value=100, low=80, high=150, currency="USD")
    assumptions = plain_assumptions(values={**plain_assumptions().values, "internal_day": dollars}, rates=(RATE,))
    found = ranges(assumptions, plain_evidence())["internal_day"]
    assert (found.low, found.value, found.high) == (12_000, 15_000, 22_500)


def test_a_sum_that_counts_is_refused_without_a_rate() -> None:
    assumptions = plain_assumptions(values={**plain_assumptions().values, "internal_day": Assumption(value=100, currency="USD")})
    with pytest.raises(InputError, match="no exchange rate was given"):
        base_figures(assumptions, plain_evidence())


def test_a_sum_without_a_rate_that_the_case_has_no_use_for_is_left_out() -> None:
    values = {"gpu_price_per_hour": price_assumption(DEVICES["h200"].prices[0]), "other_start_cost": Assumption(value=0, currency="USD")}
    found = base_figures(plain_assumptions(values={**plain_assumptions().values, **values}), plain_evidence())
    assert not values.keys() & found.keys()


def test_what_nobody_gave_is_absent() -> None:
    found = base_figures(plain_assumptions(), plain_evidence())
    assert "error_price" not in found
    assert "tax_rate_percent" not in found
    assert "error_share_percent" not in found
    assert "measured_training_ratio" not in found


def test_memory_and_power_come_from_the_catalogue_unless_typed() -> None:
    found = base_figures(plain_assumptions(), plain_evidence())
    assert found["gpu_memory_gib"] == pytest.approx(141e9 / 2**30)
    assert found["gpu_power_watts"] == 700
    typed = plain_assumptions(values={**plain_assumptions().values, "gpu_power_watts": Assumption(value=650)})
    assert base_figures(typed, plain_evidence())["gpu_power_watts"] == 650


def test_the_measured_share_weighs_reading_and_writing_by_the_tokens_of_the_slices() -> None:
    evidence = make_evidence("serving")
    assert evidence.serving is not None
    point = evidence.serving.points[0]
    assert point.decode_ms is not None
    slices = (
        SliceVolume(name="short", requests_per_month=300, prompt_tokens=100, new_tokens=0),
        SliceVolume(name="long", requests_per_month=100, prompt_tokens=500, new_tokens=40),
    )
    prompt, new = (300 * 100 + 100 * 500) / 400, (100 * 40) / 400
    today, plan = (
        getattr(point.prefill_ms, side) * prompt / point.prompt_tokens + getattr(point.decode_ms, side) * new for side in ("today", "plan")
    )
    found = ranges(plain_assumptions(slices=slices), evidence)["measured_request_ratio"]
    assert found.value == pytest.approx(plan / today)
    share = point.prefill_ms.today * prompt / point.prompt_tokens / today
    assert found.low == pytest.approx(share * 0.86 + (1 - share) * 0.85)
    assert found.high == pytest.approx(share * 0.91 + (1 - share) * 0.90)


def test_the_point_nearest_to_the_priced_batch_is_taken() -> None:
    evidence = make_evidence("serving")
    assert evidence.serving is not None
    small = evidence.serving.points[0].model_copy(update={"batch_size": 1, "prefill_ms": Pair(today=10, plan=5), "decode_ms": None})
    evidence = evidence.model_copy(update={"serving": evidence.serving.model_copy(update={"points": (small, *evidence.serving.points)})})
    for batch, ratio in ((1, 0.5), (2, 0.5), (3, 0.879), (64, 0.879)):
        assumptions = plain_assumptions(values={**plain_assumptions().values, "batch_size": Assumption(value=batch, low=1, high=64)})
        found = ranges(assumptions, evidence)
        assert found["measured_request_ratio"].value == pytest.approx(ratio, abs=1e-3)
        assert found["batch_size"].shape == "fixed"


def test_another_machine_widens_the_machine_factor_and_the_measured_one_fixes_it() -> None:
    factor = {"machine_factor": Assumption(value=1)}
    same = plain_assumptions(values={**plain_assumptions().values, **factor})
    other = same.model_copy(update={"gpu": "h100-sxm"})
    assert ranges(same, plain_evidence())["machine_factor"].shape == "fixed"
    found = ranges(other, plain_evidence())["machine_factor"]
    assert (found.low, found.value, found.high) == (0.7, 1, 1.1)


def test_a_speed_that_somebody_names_is_drawn_from_half_to_twice_of_it() -> None:
    values = {**plain_assumptions().values, "speed_factor": Assumption(value=40)}
    evidence = plain_evidence(device_kind="cpu", device_name="AMD EPYC")
    found = ranges(plain_assumptions(values=values, accept_other_device=True), evidence)["speed_factor"]
    assert (found.low, found.high) == (20, 80)


def test_a_persons_own_share_of_errors_wins_over_the_measured_one() -> None:
    typed = plain_assumptions(values={**plain_assumptions().values, "error_share_percent": Assumption(value=2.5)})
    found = base_figures(typed, make_evidence("serving"))
    assert found["error_share_percent"] == 2.5
    assert "measured_error_percent" not in found
    measured = base_figures(plain_assumptions(), make_evidence("serving"))
    assert measured["error_share_percent"] == measured["measured_error_percent"] == pytest.approx(1.0)


def test_a_projected_freeze_is_about_training_and_a_projected_skip_about_requests() -> None:
    freeze = make_evidence("training", "rough", training=None)
    skip = make_evidence("serving", "rough", serving=None)
    for evidence, name in ((freeze, "measured_training_ratio"), (skip, "measured_request_ratio")):
        found = ranges(plain_assumptions(), evidence)
        assert {other for other in found if other.endswith("ratio")} == {name}
        assert (found[name].shape, found[name].low, found[name].high) == ("uniform", 0.75, 0.95)
        assert found[name].value == pytest.approx(0.85)


def test_months_and_machines_are_drawn_whole() -> None:
    drawn = draw_figures(plain_assumptions({"horizon_months": (24, 36, 60)}), plain_evidence(), 500, 0)["horizon_months"]
    assert (drawn == drawn.round()).all()
    assert 24 <= drawn.min() < drawn.max() <= 60


def test_a_share_cannot_fall_below_nothing() -> None:
    evidence = plain_evidence(0.95, low=0.5, high=1.4)
    drawn = draw_figures(plain_assumptions(), evidence, 5000, 0)["measured_request_ratio"]
    assert drawn.min() >= 0
    assert (drawn == 0).mean() < 0.01  # drawn again, not pressed against the wall
