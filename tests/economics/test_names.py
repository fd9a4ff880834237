"""The registry of figures: complete, in order, said in both languages, and with starting values that would pass their own check."""

from __future__ import annotations

import pytest

from analysis.economics.names import FIGURES, GROUPS, Figure
from analysis.i18n import translator
from tests.economics.simple_cases import plain_assumptions, plain_evidence

EACH = pytest.mark.parametrize("figure", FIGURES.values(), ids=FIGURES)
NONE = {"gpu_price_per_hour", "co2_kg_per_kwh", "error_price", "tax_rate_percent", "bill_serving_per_month", "speed_factor"}


def test_the_figures_of_the_specification_and_their_starting_values() -> None:
    wanted = {
        "horizon_months": (36, 24, 60),
        "discount_rate_percent": (5, 3, 8),
        "growth_percent_per_year": (0, 0, 30),
        "peak_factor": (3, 1.5, 6),
        "utilisation_percent": (30, 10, 70),
        "spare_machines": (1, None, None),
        "life_years": (5, None, None),
        "maintenance_percent_per_year": (10, 5, 15),
        "electricity_price_per_kwh": (25, 18, 32),
        "pue": (1.5, 1.2, 2.0),
        "internal_day": (40_000, 30_000, 60_000),
        "external_day": (60_000, 40_000, 100_000),
        "engineer_days": (10, 7, 20),
        "renewal_months": (6, None, None),
        "bill_variable_percent": (70, 40, 100),
    }
    assert {name: (FIGURES[name].default, FIGURES[name].low, FIGURES[name].high) for name in wanted} == wanted


def test_what_must_not_be_guessed_has_no_starting_value() -> None:
    assert all(FIGURES[name].default is None for name in NONE)


@EACH
def test_a_starting_value_lies_in_its_range_and_the_range_in_what_is_allowed(figure: Figure) -> None:
    ends = [end for end in (figure.low, figure.default, figure.high) if end is not None]
    assert ends == sorted(ends)
    assert all(figure.lowest <= end <= figure.highest for end in ends)
    assert figure.lowest < figure.highest


@EACH
def test_label_unit_and_place_are_said_in_both_languages(figure: Figure) -> None:
    for sentence in (figure.label, figure.own_figure):
        assert translator("ja")(sentence) != sentence
        assert translator("en")(sentence) == sentence
    assert figure.group in GROUPS
    assert ("{currency}" in figure.unit) == figure.is_money


@EACH
def test_what_is_needed_is_used(figure: Figure) -> None:
    for basis in ("bill", "volume"):
        for place in ("cloud", "reserved", "own"):
            assumptions = plain_assumptions(basis=basis, place=place, after_tax=True, capitalise=True)
            assert figure.used(assumptions, plain_evidence()) or not figure.needed(assumptions, plain_evidence())


def test_limits_of_money_follow_the_currency() -> None:
    assert FIGURES["internal_day"].limits("JPY") == (1_000, 1_000_000)
    assert FIGURES["internal_day"].limits("USD") == (10, 10_000)
    assert FIGURES["pue"].limits("USD") == FIGURES["pue"].limits("JPY")
