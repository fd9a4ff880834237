"""Tables of a case for spreadsheets: a byte order mark, units in heads, plain figures, nothing that runs as a formula."""

from __future__ import annotations

import csv
import io

import pytest

from analysis.contracts import Assumption, BusinessCase, ExchangeRate, MachineNeed, Machines, Message, MoneyPair, SliceVolume, StageMoney
from analysis.i18n import LANGUAGES, Language
from analysis.reporting.assumption_rows import assumption_rows
from analysis.reporting.case_csv import tables
from analysis.reporting.csv import to_csv
from tests.business_builders import make_assumptions, make_case, make_evidence


def _rows(text: str) -> list[dict[str, str]]:
    assert text.startswith("\ufeff")
    return list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"))))


def _full() -> BusinessCase:
    """A case in which every table has something to say."""
    case = make_case("serving")
    need = MachineNeed(by_throughput=3.4, by_memory=1, whole=5)
    result = case.result.model_copy(
        update={
            "machines": Machines(today=need, plan=need.model_copy(update={"by_throughput": 3.0}), headroom=0.18),
            "gpu_hours": MoneyPair(today=400, plan=352),
            "stages": (
                StageMoney(stage=1, starts_on="2026-12-01", months=1, cost=600_000, saving=12_000.456, at_stake=600_000, requests=2_000),
            ),
        }
    )
    rates = (ExchangeRate(currency="USD", per_unit=152.3, as_of="2026-11-20", source="company rate"),)
    return case.model_copy(update={"result": result, "assumptions": case.assumptions.model_copy(update={"rates": rates})})


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_table_has_a_byte_order_mark_and_as_many_cells_as_heads(language: Language) -> None:
    found = tables(_full(), language)
    assert list(found) == [
        "results",
        "before_after",
        "assumptions",
        "exchange_rates",
        "slices",
        "lines",
        "machines",
        "years_cash",
        "years_profit",
        "cumulative",
        "sensitivity",
        "alternatives",
        "targets",
        "stages",
    ]
    for name, text in found.items():
        lines = list(csv.reader(io.StringIO(text.removeprefix("\ufeff"))))
        assert len({len(line) for line in lines}) == 1, name
        assert len(set(lines[0])) == len(lines[0]), name
        assert len(lines) > 1, name


def test_heads_and_words_are_japanese_and_figures_are_the_same_in_both_languages() -> None:
    english, japanese = (tables(_full(), language) for language in ("en", "ja"))
    assert "cost line,part,today (JPY a month)" in english["lines"]
    assert "費用項目,対象" in japanese["lines"]
    for name in english:
        a, b = (list(csv.reader(io.StringIO(found[name]))) for found in (english, japanese))
        numbers = [[cell for cell in line if cell.replace(".", "").replace("-", "").isdigit()] for line in a[1:]]
        assert numbers == [[cell for cell in line if cell.replace(".", "").replace("-", "").isdigit()] for line in b[1:]], name


def test_assumptions_without_a_source_stand_first_and_are_marked() -> None:
    rows = _rows(tables(make_case(), "en")["assumptions"])
    marks = [row["to be confirmed"] for row in rows]
    assert marks == sorted(marks, reverse=True)
    assert "yes" in marks
    electricity = next(row for row in rows if row["name"] == "electricity_price_per_kwh")
    assert electricity["value"] == "25"
    assert electricity["as of"] == "2026-04"
    assert electricity["to be confirmed"] == "no"


def test_units_stand_beside_every_assumption_and_follow_its_own_currency() -> None:
    values = {**make_assumptions().values, "gpu_price_per_hour": Assumption(value=3.5, currency="USD", sourced=True)}
    case = make_case(assumptions=make_assumptions(values=values))
    rows = {row.name: row for row in assumption_rows(case, "en")}
    assert rows["gpu_price_per_hour"].written("en") == "3.5 USD per GPU hour"
    assert rows["horizon_months"].range_written("en") == "24 to 60 months"
    assert rows["discount_rate_percent"].written("ja").startswith("5%")
    assert rows["gpu_price_per_hour"].range_written("en") == ""


def test_cash_and_profit_and_loss_are_two_tables_whose_lines_add_up() -> None:
    found = tables(make_case(), "en")
    for name in ("years_cash", "years_profit"):
        for row in _rows(found[name]):
            *parts, total = [float(value) for head, value in row.items() if "(JPY)" in head]
            assert sum(parts) == pytest.approx(total)


def test_unknown_is_an_empty_cell_with_its_reason_and_never_a_nought() -> None:
    rows = {row["figure"]: row for row in _rows(tables(make_case(pays=False), "en")["results"])}
    assert rows["Payback"]["value"] == ""
    assert "never pays back" in rows["Payback"]["note"]
    assert rows["Internal rate of return"]["value"] == ""
    assert rows["Extra errors"]["value"] == ""


def test_a_table_that_the_case_has_nothing_for_is_left_out() -> None:
    found = tables(make_case(rollout=False), "en")
    assert "stages" not in found
    assert "machines" not in found
    assert "exchange_rates" not in found


@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "＝", "＋", "－", "＠"])
def test_words_of_others_never_run_as_a_formula(sign: str) -> None:
    name = f"{sign}cmd|'/c calc'!A1"
    values = {"horizon_months": Assumption(value=36, source=Message(id="{given}", values={"given": name}), sourced=True, confirmed_by=name)}
    assumptions = make_assumptions(values=values, slices=(SliceVolume(name=f"\n{name}", requests_per_month=1),))
    found = tables(make_case(evidence=make_evidence(is_sample=False), assumptions=assumptions), "en")
    cells = [cell for text in found.values() for line in csv.reader(io.StringIO(text)) for cell in line]
    assert not any(cell.startswith(sign) and not cell.removeprefix("-").replace(".", "").isdigit() for cell in cells)
    assert sum(cell == "'" + name for cell in cells) == 3


def test_a_list_in_a_cell_is_guarded_too() -> None:
    assert b"'=1 2" in to_csv([{"a": ("=1", 2)}])


def test_figures_have_no_false_tails() -> None:
    stages = _rows(tables(_full(), "en")["stages"])
    assert stages[0]["saving in the stage (JPY)"] == "12000.46"
    assert stages[1]["saving in the stage (JPY)"] == ""
