"""The timeline of the stages and plan against actual: what is drawn, what a reader without eyes is told, dates that are none."""

from __future__ import annotations

import itertools
from datetime import date

import pytest

from analysis.contracts import Message, PlanAgainstActual, Variance
from analysis.i18n import Language
from analysis.reporting.charts.actuals import actuals_figure, actuals_rows, causes_figure, cell
from analysis.reporting.charts.palette import Look, Theme
from analysis.reporting.charts.timeline import stage_spans, timeline_alt, timeline_figure, timeline_rows
from tests.business_builders import make_rollout

TODAY = date(2026, 12, 10)
HOSTILE = "<b>x</b><script>"


def months(price: float | None = 5_000.0) -> PlanAgainstActual:
    first = Variance(
        month="2026-12",
        planned_cost=1_000_000,
        actual_cost=1_040_000,
        volume=30_000,
        price=price,
        effect=10_000 - (price or 0),
        planned_saving=90_000,
        actual_saving=50_000,
    )
    return PlanAgainstActual(months=(first,), planned_payback_months=6, new_payback_months=None, reason=Message(id="As today."))


def test_stages_without_dates_follow_each_other_from_the_first_day() -> None:
    spans = stage_spans(make_rollout(starts_on=""), TODAY)
    assert spans[0].start == TODAY
    assert all(before.end == after.start for before, after in itertools.pairwise(spans))
    assert (spans[0].end - spans[0].start).days == 28


@pytest.mark.parametrize("text", ["", "soon", "2026-13-40", "20261", HOSTILE])
def test_a_date_that_is_none_does_not_take_the_page_down(text: str) -> None:
    figure = timeline_figure(make_rollout(starts_on=text, decision_on=text, review_on=text), Look(), today=TODAY)
    assert len(figure.data) == 4


def test_a_state_is_told_by_its_pattern_and_its_word() -> None:
    rollout = make_rollout()
    states = ("passed", "held", "rolled_back")
    stages = tuple(stage.model_copy(update={"state": state}) for stage, state in zip(rollout.stages, states, strict=True))
    figure = timeline_figure(rollout.model_copy(update={"stages": stages}), Look(), today=TODAY)
    shapes = [bar.marker.pattern.shape or "" for bar in figure.data[:3]]
    assert len(set(shapes)) == 3
    assert ["passed" in figure.layout.yaxis.ticktext[0], "held" in figure.layout.yaxis.ticktext[1]] == [True, True]


def test_today_stands_in_the_timeline_only_while_it_runs() -> None:
    assert timeline_figure(make_rollout(), Look(), today=TODAY).layout.shapes
    assert not timeline_figure(make_rollout(), Look(), today=date(2030, 1, 1)).layout.shapes


def test_names_of_slices_cannot_become_markup() -> None:
    rollout = make_rollout()
    stage = rollout.stages[0].model_copy(update={"slices": (HOSTILE,)})
    figure = timeline_figure(rollout.model_copy(update={"stages": (stage,)}), Look(), today=TODAY)
    assert "<script>" not in figure.to_json()


@pytest.mark.parametrize("language", ["en", "ja"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_both_languages_and_themes_draw(language: Language, theme: Theme) -> None:
    look = Look(language, theme)
    rows = timeline_rows(make_rollout(), look, today=TODAY, names={})
    assert len(rows) == 3
    assert "1" in timeline_alt(make_rollout(), look)
    assert len(actuals_figure(months(), look, currency="JPY").data) == 2
    assert len(actuals_rows(months(), look, currency="JPY")) == 1


def test_the_three_causes_are_drawn_and_add_up_to_the_difference() -> None:
    found = months()
    figure = causes_figure(found, Look(), currency="JPY")
    assert sum(bar.y[0] for bar in figure.data) * 1000 == pytest.approx(found.months[0].difference)


def test_without_hours_price_and_effect_are_not_told_apart() -> None:
    assert len(causes_figure(months(None), Look(), currency="JPY").data) == 2
    assert "not told apart" in actuals_rows(months(None), Look(), currency="JPY")[0].values()


def test_a_minus_is_a_sign_and_never_a_triangle() -> None:
    assert cell(-6_770.4, "JPY", Look()) == "−6,770"
    assert cell(0.0, "USD", Look("ja")) == "0"
