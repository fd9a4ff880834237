"""The loss of a running trial: its frame from the start, every curve by its name, and the same figures as a sentence and a table."""

from __future__ import annotations

import pytest

from analysis.contracts import Message, Progress
from analysis.reporting.charts.live import live_alt, live_curves, live_rows
from analysis.reporting.charts.palette import Look

BEGUN = Progress(
    stage=Message(id="Reading the model"),
    curves={"full": ((0.0, 3.6), (512.0, 2.9)), "freeze 19": ((0.0, 3.6), (512.0, 3.0)), "lora": ()},
    training_curve=((64.0, 3.5),),
)


def test_every_curve_with_a_point_is_drawn_by_its_name() -> None:
    figure = live_curves(BEGUN, Look())
    assert [one.name for one in figure.data] == ["full fine-tuning", "freeze 0–19", "now in training (its own examples)"]
    assert len({(one.line.color, one.line.dash, one.marker.symbol) for one in figure.data}) == 3


@pytest.mark.parametrize("progress", [None, Progress(stage=Message(id="Reading the model"))])
def test_before_the_first_point_the_frame_is_as_high_and_says_so(progress: Progress | None) -> None:
    figure = live_curves(progress, Look())
    assert figure.layout.height == live_curves(BEGUN, Look()).layout.height
    assert not figure.data
    assert [one.text for one in figure.layout.annotations] == ["The first figures are not there yet."]
    assert live_rows(progress, Look()) == []
    assert "not there yet" in live_alt(progress, Look())


def test_the_newest_point_comes_first_in_the_table_and_in_words() -> None:
    rows = live_rows(BEGUN, Look())
    assert rows[0] == {"arm": "full fine-tuning", "tokens": 512, "loss (nats per token)": 2.9}
    assert live_alt(BEGUN, Look()).startswith("Chart: loss so far, at the newest point: full fine-tuning 2.90")
    assert "全層の微調整" in live_alt(BEGUN, Look("ja"))


def test_a_name_that_is_no_arm_is_shown_as_it_is() -> None:
    odd = Progress(stage=Message(id="Reading the model"), curves={"freeze <b>": ((0.0, 1.0),)})
    assert live_rows(odd, Look())[0]["arm"] == "freeze <b>"
