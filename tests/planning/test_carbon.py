"""Carbon of electricity: the table, unknown countries, one's own figure."""

from __future__ import annotations

import pytest

from analysis.contracts.verification import Estimate
from analysis.errors import InputError
from analysis.planning.carbon import COUNTRIES, SOURCE, grams, grid_of, near_ones


@pytest.mark.parametrize(
    ("given", "near"), [("JP", "JPN Japan"), ("Japan", "JPN Japan"), ("UK", "GBR"), ("JPM", "JPN Japan"), ("Deutschland", ""), ("", "JPN")]
)
def test_an_unknown_country_is_refused_with_near_ones(given: str, near: str) -> None:
    with pytest.raises(InputError, match="is not in the table of electricity") as refused:
        grid_of(given)
    assert near in str(refused.value) or given == "UK"


def test_an_unknown_country_is_refused_even_beside_an_own_figure() -> None:
    with pytest.raises(InputError, match="XXX"):
        grid_of("XXX", 0.4)


def test_nothing_given_means_no_carbon() -> None:
    assert grid_of(None) is None


@pytest.mark.parametrize("given", ["JPN", "jpn", " Jpn "])
def test_a_country_brings_its_figure_year_and_source(given: str) -> None:
    grid = grid_of(given)
    assert grid is not None
    assert (grid.country, grid.country_name, grid.year, grid.source, grid.assumed) == ("JPN", "Japan", 2023, SOURCE, False)
    assert grid.kg_per_kwh == pytest.approx(0.485392)


def test_an_own_figure_goes_before_the_country_and_is_marked_as_assumed() -> None:
    grid = grid_of("FRA", 0.0)
    assert grid is not None
    assert (grid.kg_per_kwh, grid.country, grid.year, grid.assumed) == (0.0, "FRA", None, True)
    alone = grid_of(None, 0.3)
    assert alone is not None
    assert (alone.country, alone.country_name) == (None, "")


def test_every_row_of_the_table_is_plausible() -> None:
    assert len(COUNTRIES) > 200
    for code, country in COUNTRIES.items():
        assert (code, len(code), code.isupper(), code.isalpha()) == (country.iso3, 3, True, True)
        assert country.name
        assert 5 < country.grams < 1500
        assert 2020 <= country.year <= 2024


def test_countries_come_by_name() -> None:
    names = [country.name for country in COUNTRIES.values()]
    assert names == sorted(names)


def test_near_ones_are_few_and_never_none() -> None:
    assert all(1 <= len(near_ones(text)) <= 4 for text in ("", "a", "zzzz", "united", "日本"))


def test_grams_follow_the_interval_and_what_is_unknown_stays_unknown() -> None:
    grid = grid_of(None, 0.5)
    assert grid is not None
    assert grams(Estimate(value=4.0, low=2.0), grid) == Estimate(value=2.0, low=1.0)
    assert grams(Estimate(value=None), grid) == Estimate(value=None)
