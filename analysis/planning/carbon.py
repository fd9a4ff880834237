"""Carbon of electricity: grams of CO2 per kilowatt-hour by country, or a figure of one's own.

The table is `grid.csv` beside this file: generation within a country's borders, averaged over a year and its whole life cycle. It knows
nothing of an hour, a region, or a contract for green power; whoever has the factor of their own utility should give that instead.

Source: Our World in Data, Energy dataset, from Ember and the Energy Institute (CC BY 4.0).
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType

from analysis.contracts.robustness import GridIntensity
from analysis.contracts.verification import Estimate
from analysis.errors import InputError
from analysis.i18n import N_

_FILE = Path(__file__).with_name("grid.csv")
SOURCE = N_("Our World in Data, from Ember and the Energy Institute (CC BY 4.0)")
OWN = N_("own figure")
_NEAR = 4


@dataclass(frozen=True)
class Country:
    """One country's electricity.

    Attributes:
        iso3: its ISO 3166 code of three letters.
        name: in English.
        grams: of CO2 equivalents per kWh.
        year: that the figure is of.
    """

    iso3: str
    name: str
    grams: float
    year: int


def _read() -> dict[str, Country]:
    with _FILE.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(line for line in file if not line.startswith("#"))
        found = [Country(row["iso3"], row["name"], float(row["grams"]), int(row["year"])) for row in rows]
    return {country.iso3: country for country in sorted(found, key=lambda country: country.name)}


COUNTRIES: Mapping[str, Country] = MappingProxyType(_read())
"""By code, in the order of their English names."""


def grid_of(country: str | None, own: float | None = None) -> GridIntensity | None:
    """Carbon of the electricity used.

    Args:
        country: ISO 3166 code of three letters, capitals or not; None: none was chosen.
        own: kilograms per kWh; goes before the country's.

    Returns:
        None where neither was given: carbon is not worked out.

    Raises:
        InputError: the country is not in the table.

    >>> grid = grid_of("jpn")
    >>> grid.country_name, grid.year, round(grid.kg_per_kwh, 3)
    ('Japan', 2023, 0.485)
    """
    known = None if country is None else _known(country)
    if own is not None:
        return GridIntensity(
            kg_per_kwh=own, country=known and known.iso3, country_name=known.name if known else "", source=OWN, assumed=True
        )
    if known is None:
        return None
    return GridIntensity(kg_per_kwh=known.grams / 1000, country=known.iso3, country_name=known.name, year=known.year, source=SOURCE)


def grams(watt_hours: Estimate, grid: GridIntensity) -> Estimate:
    """Grams of CO2 of some energy: 1 Wh at 1 kg per kWh is 1 g.

    >>> grams(Estimate(value=2.0, low=1.0, high=3.0), grid_of(None, 0.5))
    Estimate(value=1.0, low=0.5, high=1.5)
    """
    value, low, high = (None if part is None else part * grid.kg_per_kwh for part in (watt_hours.value, watt_hours.low, watt_hours.high))
    return Estimate(value=value, low=low, high=high)


def _known(country: str) -> Country:
    found = COUNTRIES.get(country.strip().upper())
    if found is None:
        raise InputError(
            "The country {country} is not in the table of electricity. Give its code of three letters (near ones: {near}), or your own "
            "figure in kg of CO2 per kWh.",
            country=country.strip()[:40] or "''",
            near=tuple(f"{near.iso3} {near.name}" for near in near_ones(country)),
        )
    return found


def near_ones(country: str) -> tuple[Country, ...]:
    """Countries that may be meant: by the beginning of the code or the name, then by likeness; Japan's where nothing is near.

    >>> [near.iso3 for near in near_ones("JP")], near_ones("Germani")[0].name
    (['JPN'], 'Germany')
    """
    asked = country.strip().casefold()
    by_name = {near.name.casefold(): near for near in COUNTRIES.values()}
    begin = [near for near in COUNTRIES.values() if asked and (near.iso3.casefold().startswith(asked) or asked in near.name.casefold())]
    alike = [by_name[name] for name in get_close_matches(asked, by_name, n=_NEAR)]
    codes = [COUNTRIES[code] for code in get_close_matches(asked.upper(), COUNTRIES, n=_NEAR)]
    return tuple(dict.fromkeys([*begin, *alike, *codes]))[:_NEAR] or (COUNTRIES["JPN"],)
