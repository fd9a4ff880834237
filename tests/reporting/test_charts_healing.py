"""Healing in words and charts: every answer, the models side by side, slices worst first, curves that mark what was judged."""

from __future__ import annotations

from typing import Any

import pytest

from analysis.contracts import Estimate, Message, Progress
from analysis.i18n import render
from analysis.reporting import healing_words as words
from analysis.reporting.charts import healing as charts
from analysis.reporting.charts.palette import Look
from tests.consensus_builders import make_healing, near

LOOKS = [Look(language, theme) for language in ("en", "ja") for theme in ("light", "dark")]
FOUND = make_healing()
UNKNOWN = Estimate(value=None)


@pytest.mark.parametrize(
    ("changes", "answer"),
    [
        ({}, "won_back"),
        ({"recovered": near(0.3)}, "little"),
        ({"recovered_against_control": near(0.05)}, "mere_training"),
        ({"recovered": Estimate(value=0.1, low=-0.1, high=0.3)}, "unsure"),
        ({"recovered": Estimate(value=-0.2, low=-0.3, high=-0.1)}, "worse"),
        ({"recovered": UNKNOWN}, "nothing_lost"),
        ({"recovered": UNKNOWN, "cut_loss": UNKNOWN}, "unknown"),
        ({"recovered": near(1.1), "recovered_against_control": None}, "won_back"),
    ],
)
def test_the_answer_is_the_worst_that_can_be_said(changes: dict[str, Any], answer: str) -> None:
    found = FOUND.model_copy(update=changes)
    assert words.answer(found) == answer
    for language in ("en", "ja"):
        assert "{" not in render(words.healing(found, language), language)


@pytest.mark.parametrize(("stop", "sentence"), [("budget", "The time given was spent"), ("cancelled", "It was stopped before the end")])
def test_a_healing_that_ended_early_says_so(stop: str, sentence: str) -> None:
    arm = FOUND.healed.model_copy(update={"stop": stop})
    assert sentence in render(words.healing(FOUND.model_copy(update={"healed": arm}), "en"), "en")


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: f"{look.language}-{look.theme}")
def test_the_models_stand_side_by_side_with_their_intervals(look: Look) -> None:
    figure = charts.losses_figure(FOUND, look)
    assert [trace.x[0] for trace in figure.data] == [2.6, 3.92, FOUND.healed.loss_after.value, FOUND.others[0].loss_after.value, 2.5]
    assert len({trace.marker.symbol for trace in figure.data}) == 4  # told apart without colour
    assert figure.layout.shapes[0].x0 == 2.6
    assert charts.losses_alt(FOUND, look)


def test_without_a_control_or_a_known_loss_the_rest_is_drawn() -> None:
    found = FOUND.model_copy(update={"control": None, "others": (), "cut_loss": UNKNOWN})
    assert len(charts.losses_figure(found, Look()).data) == 2
    assert "not known" in charts.losses_alt(found, Look())


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: f"{look.language}-{look.theme}")
def test_slices_are_ordered_by_what_is_still_lost(look: Look) -> None:
    worst = next(reversed(FOUND.slices))
    slices = {**FOUND.slices, worst: FOUND.slices[worst].model_copy(update={"healed": near(3.8)})}
    assert charts.worst_first(slices)[0] == worst
    figure = charts.slices_figure(slices, look, names={worst: "<b>x</b>"})
    assert figure.layout.yaxis.ticktext[0] == "&lt;b&gt;x&lt;/b&gt;"
    assert [len(trace.x) for trace in figure.data] == [len(slices)] * 4


def test_a_slice_without_a_control_or_with_an_unknown_loss_comes_last_and_breaks_nothing() -> None:
    name = next(iter(FOUND.slices))
    part = FOUND.slices[name].model_copy(update={"healed": UNKNOWN, "control": None})
    slices = {**FOUND.slices, name: part}
    assert charts.worst_first(slices)[-1] == name
    assert len(charts.slices_figure(slices, Look(), names={}).data) == 4


@pytest.mark.parametrize("along", ["steps", "seconds"])
def test_the_curves_mark_the_weights_that_were_judged(along: charts.Along) -> None:
    figure = charts.curves_figure(FOUND, Look(), along=along)
    lines, rings = figure.data[:3], figure.data[3:]
    assert [list(line.y)[-1] for line in lines] == [ring.y[0] for ring in rings]
    assert all(ring.marker.symbol == "circle-open" for ring in rings)
    assert lines[0].x[-1] == (200 if along == "steps" else 80)


def test_curves_of_arms_that_were_never_judged_are_left_out() -> None:
    arm = FOUND.healed.model_copy(update={"points": (FOUND.healed.points[0].model_copy(update={"selection_loss": None}),)})
    found = FOUND.model_copy(update={"healed": arm, "others": (), "control": None})
    assert not charts.curves_figure(found, Look()).data
    assert "no arm has come to its end yet" in charts.curves_alt(found, Look())
    assert len(charts.curve_rows(found, Look())) == 1


def test_arms_under_way_are_called_by_their_names_and_others_as_they_are() -> None:
    told = Progress(
        stage=Message(id="Judging the cut model"), curves={"healed": ((0.0, 3.9),), "next_token": ((0.0, 3.8),), "odd": ((0.0, 1.0),)}
    )
    figure, alt, rows = charts.heal_live(told, Look("ja"))
    assert next(iter(rows[0].values())) == "回復学習後"
    assert {trace.name for trace in figure.data} == {"回復学習後", "回復学習後（次のトークン）", "odd"}
    assert "3.90" in alt
    assert "1トークンあたり" in figure.layout.title.text  # all tokens of a text are learnt, not only responses
    assert charts.heal_live(None, Look())[2] == []
