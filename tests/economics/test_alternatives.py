"""The other ways to go: what was not measured says so, what a person typed is worked out, and nothing is invented."""

from __future__ import annotations

from typing import Any

import pytest

from analysis.contracts import Alternative, AlternativeInput
from analysis.economics.alternatives import PlanFigures, alternatives
from analysis.i18n import render
from tests.business_builders import make_evidence
from tests.economics.simple_cases import plain_assumptions

PLAN = PlanFigures(today=1_000_000, start_cost=600_000, net_per_month=80_000, payback_months=7.5)


def table(*typed: AlternativeInput, plan: PlanFigures = PLAN, **changes: Any) -> dict[str, Alternative]:
    found = alternatives(plain_assumptions(alternatives=typed, **changes), make_evidence("serving"), plan)
    return {one.kind: one for one in found}


def test_the_ways_to_go_in_their_order() -> None:
    assert list(table()) == ["nothing", "quantise", "smaller_model", "more_machines", "plan"]


def test_what_was_not_measured_says_so_and_has_no_figure() -> None:
    for kind in ("quantise", "smaller_model", "more_machines"):
        row = table()[kind]
        assert row.origin is None
        assert (row.start_cost, row.cost_per_month, row.saving_share, row.payback_months, row.quality) == (None,) * 5
        assert render(row.note, "en").startswith("Not ")
        assert render(row.note, "ja").startswith("未")


def test_doing_nothing_costs_what_it_costs_today() -> None:
    row = table()["nothing"]
    assert (row.start_cost, row.cost_per_month, row.saving_share, row.payback_months) == (0, 1_000_000, 0, None)


def test_the_plan_stands_in_the_same_columns_with_its_measured_quality() -> None:
    row = table()["plan"]
    assert (row.origin, row.start_cost, row.cost_per_month, row.saving_share, row.payback_months) == ("projected", 6e5, 9.2e5, 0.08, 7.5)
    assert row.quality is not None
    assert render(row.quality, "en") == "quality loss 2.1% (0.1% to 4.1%)"


def test_an_estimate_by_hand_is_an_assumption_worked_out_as_far_as_it_reaches() -> None:
    typed = AlternativeInput(kind="quantise", start_cost=300_000, cost_per_month=700_000, quality="unknown", source="vendor's offer")
    row = table(typed)["quantise"]
    assert (row.origin, row.saving_share, row.payback_months) == ("assumed", pytest.approx(0.3), pytest.approx(1.0))
    assert row.note.in_english() == "Estimated by hand: vendor's offer"


@pytest.mark.parametrize(
    ("typed", "saving", "payback"),
    [
        (AlternativeInput(kind="more_machines", start_cost=5e6, cost_per_month=1_200_000), -0.2, None),
        (AlternativeInput(kind="more_machines", cost_per_month=900_000), 0.1, None),
        (AlternativeInput(kind="more_machines", start_cost=1), None, None),
    ],
)
def test_an_estimate_that_saves_nothing_or_is_half_empty_has_no_payback(
    typed: AlternativeInput, saving: float | None, payback: float | None
) -> None:
    row = table(typed)["more_machines"]
    assert row.saving_share == (None if saving is None else pytest.approx(saving))
    assert row.payback_months == payback
    assert "without a source" in row.note.in_english()


def test_growing_the_model_appears_only_where_somebody_estimated_it() -> None:
    assert "grow" in table(AlternativeInput(kind="grow", start_cost=1e6))


def test_a_day_that_costs_nothing_has_no_share() -> None:
    typed = AlternativeInput(kind="quantise", start_cost=1, cost_per_month=0)
    assert table(typed, plan=PlanFigures(0, 0, 0, None))["quantise"].saving_share is None
