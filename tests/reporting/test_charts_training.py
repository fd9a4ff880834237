"""Charts of traces, training and the sweep: what is shaded, what is hatched, what a click carries, and every word in both languages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import plotly.graph_objects as go
import pytest

from analysis.contracts import EofChoice, EofStrategy, Message, Semantics, Trial
from analysis.contracts.freezing import Change, TrainingProjection, TrainingShape
from analysis.planning.eof import virtual_curve
from analysis.reporting.charts.deviation import (
    deviation,
    deviation_alt,
    deviation_rows,
    gain,
    gain_alt,
    gain_rows,
    lens,
    lens_alt,
    lens_rows,
)
from analysis.reporting.charts.gradients import gradient_alt, gradient_bars
from analysis.reporting.charts.palette import Look
from analysis.reporting.charts.series import style
from analysis.reporting.charts.sweep import SYMBOLS, chosen_by, sweep_alt, sweep_front, sweep_rows, untried
from analysis.reporting.charts.trace import token_names, token_trace, token_trace_alt, token_trace_rows, visible
from analysis.reporting.charts.training import (
    AGAINST,
    cost_rows,
    learning_curves,
    learning_curves_alt,
    learning_rows,
    memory_alt,
    memory_bars,
    step_alt,
    step_bars,
)
from tests.trained_builders import make_arm, make_semantics, make_trial

LOOKS = [Look(language, theme) for language in ("en", "ja") for theme in ("light", "dark")]
SEMANTICS = make_semantics()
CURVE = SEMANTICS.overall.curves[SEMANTICS.default_curve]
N = SEMANTICS.n_blocks


def choice(strategy: EofStrategy, eof_layer: int | None) -> EofChoice:
    return EofChoice(strategy=strategy, eof_layer=eof_layer, reason=Message(id="no layer frozen"))


CHOICES = tuple(choice(*pair) for pair in (("gain", 24), ("lens", 24), ("gradient", 14), ("exponent", 28), ("train_last", None)))
TRIAL = make_trial(19, boundaries=(9, 14, 19, 24), kinds=("full", "lora", "lora_freeze"), choices=CHOICES)


def projection() -> TrainingProjection:
    change = Change(full=4e9, plan=1e9, cached=1e9)
    names = ("n_trainable", "step_flops", "weight_bytes", "gradient_bytes", "optimizer_bytes", "activation_bytes", "peak_memory_bytes")
    return TrainingProjection(shape=TrainingShape(), epochs=3, n_sequences=10, **dict.fromkeys(names, change))


def holed(semantics: Semantics) -> Semantics:
    """The same with nothing defined before layer 3's output."""
    curve = CURVE.model_copy(
        update={
            "mean": (None,) * 3 + CURVE.mean[3:],
            "intervals": (None,) * 3 + CURVE.intervals[3:],
            "gain": (None,) * 3 + CURVE.gain[3:],
            "gain_intervals": (None,) * 3 + CURVE.gain_intervals[3:],
        }
    )
    overall = semantics.overall.model_copy(update={"curves": {**semantics.overall.curves, semantics.default_curve: curve}})
    return semantics.model_copy(update={"overall": overall})


FIGURES: dict[str, Callable[[Look], go.Figure]] = {
    "deviation": lambda look: deviation(SEMANTICS, look, eof_layer=19, straight=virtual_curve(CURVE)),
    "compared": lambda look: deviation(SEMANTICS, look, curves=("whitened", "lens"), slices=tuple(SEMANTICS.slices)[:2], eof_layer=-1),
    "holed": lambda look: deviation(holed(SEMANTICS), look, eof_layer=28),
    "gradients": lambda look: gradient_bars(SEMANTICS, look),
    "gain": lambda look: gain(SEMANTICS, look, eof_layer=19, choice=CHOICES[0]),
    "gain of a slice": lambda look: gain(holed(SEMANTICS), look, slice_name=next(iter(SEMANTICS.slices))),
    "lens": lambda look: lens(SEMANTICS, look, eof_layer=19),
    "trace": lambda look: token_trace(SEMANTICS.traces[0], look, eof_layer=19, selected=(1, 3)),
    "curves": lambda look: learning_curves(TRIAL, look),
    "steps": lambda look: step_bars(TRIAL, look),
    "memory": lambda look: memory_bars(TRIAL, look),
    "projected memory": lambda look: memory_bars(projection(), look),
    "sweep": lambda look: sweep_front(TRIAL, look),
}


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("look", LOOKS)
def test_every_chart_draws_with_a_title_fixed_axes_and_a_stable_height(name: str, look: Look) -> None:
    figure = FIGURES[name](look)
    assert figure.layout.height
    assert figure.layout.title.text
    assert figure.layout.xaxis.fixedrange
    assert figure.layout.xaxis.range
    assert figure.layout.yaxis.range
    colours = look.palette
    assert not [colour for colour in (colours.within, colours.outside) if colour in figure.to_json()]


@pytest.mark.parametrize("name", FIGURES)
def test_japanese_charts_speak_japanese(name: str) -> None:
    english, japanese = (FIGURES[name](Look(language)) for language in ("en", "ja"))
    assert english.layout.title.text != japanese.layout.title.text


def trace_with(figure: go.Figure, colour: str) -> list[Any]:
    """Areas in the freeze operation's colour and pattern."""
    rgb = ", ".join(str(int(colour[place : place + 2], 16)) for place in (1, 3, 5))
    return [one for one in figure.data if one.type == "scatter" and one.fillpattern.shape == "/" and rgb in str(one.fillpattern.fgcolor)]


def test_the_frozen_part_ends_between_the_last_frozen_layer_and_the_first_that_trains() -> None:
    look = Look()
    (area,) = trace_with(deviation(SEMANTICS, look, eof_layer=19), look.palette.operations["freeze"])
    assert max(x for x in area.x if x is not None) == 20.5  # position 20 is "after 19"
    (area,) = trace_with(gain(SEMANTICS, look, eof_layer=19), look.palette.operations["freeze"])
    assert max(x for x in area.x if x is not None) == 19.5
    assert deviation(SEMANTICS, look, eof_layer=19).layout.shapes[0].x0 == 20.5
    said = {one.text for one in deviation(SEMANTICS, look, eof_layer=19).layout.annotations}
    assert said == {"layers 0 to 19 frozen", "layers 20 to 29 train", "last frozen layer: 19"}


def test_with_nothing_frozen_nothing_is_shaded_and_without_a_boundary_there_is_no_line() -> None:
    look = Look()
    assert trace_with(deviation(SEMANTICS, look, eof_layer=-1), look.palette.operations["freeze"]) == []
    assert not deviation(SEMANTICS, look).layout.shapes


def test_undefined_positions_are_hatched_and_leave_a_gap() -> None:
    figure = deviation(holed(SEMANTICS), Look())
    hatch = next(one for one in figure.data if one.fillpattern.shape == "/")
    assert max(x for x in hatch.x if x is not None) == 2.5
    line = next(one for one in figure.data if one.customdata is not None)
    assert list(line.y[:3]) == [None] * 3
    assert line.connectgaps is False


def test_curves_differ_by_colour_dash_and_marker() -> None:
    for look in LOOKS[:2]:
        shown = [style(place, look) for place in range(30)]
        assert len({(one.colour, one.dash) for one in shown}) == 30
    figure = deviation(SEMANTICS, Look(), slices=tuple(SEMANTICS.slices)[:4])
    lines = [one for one in figure.data if one.customdata is not None]
    assert len({one.line.dash for one in lines}) == len({one.marker.symbol for one in lines}) == len({one.line.color for one in lines}) == 5


def test_nats_and_angles_have_a_panel_each() -> None:
    figure = deviation(SEMANTICS, Look(), curves=("whitened", "lens"))
    assert {one.yaxis for one in figure.data if one.customdata is not None} == {"y", "y2"}
    assert (figure.layout.yaxis.title.text, figure.layout.yaxis2.title.text) == ("deviation, whitened", "loss (nats per token)")


def test_the_last_layer_is_hatched_and_the_chosen_one_named() -> None:
    figure = gain(SEMANTICS, Look(), choice=CHOICES[0])
    hatch = next(one for one in figure.data if one.type == "scatter" and one.fillpattern.shape == "/")
    assert {x for x in hatch.x if x is not None} == {N - 1.5, N - 0.5}
    assert [one.text for one in figure.layout.annotations] == ["chosen: 24"]
    assert figure.layout.annotations[0].x == 24


def test_clicks_carry_positions_layers_tokens_and_arms() -> None:
    look = Look()
    assert [list(one) for one in deviation(SEMANTICS, look).data[-1].customdata] == [[position] for position in range(N + 1)]
    bars = next(one for one in gain(SEMANTICS, look).data if one.type == "bar")
    assert [list(one) for one in bars.customdata] == [[block] for block in range(N)]
    trace = SEMANTICS.traces[0]
    cells = token_trace(trace, look).data[-1]
    assert {tuple(one) for one in cells.customdata} == {(row, column) for row in range(len(trace.tokens)) for column in range(N + 1)}
    arms = {int(one[0]) for drawn in sweep_front(TRIAL, look).data if drawn.customdata is not None for one in drawn.customdata}
    assert arms == set(range(len(TRIAL.arms)))


def test_tokens_show_what_cannot_be_seen_and_never_become_markup() -> None:
    assert visible(" a\n\x00") == "␣a↵·"
    hostile = SEMANTICS.traces[0].model_copy(update={"tokens": ("<b>x</b>", " y", "\n", "<a", ".")})
    assert token_names(hostile, Look())[0] == "&lt;b&gt;x&lt;/b&gt;"
    assert "<b>x" not in token_trace(hostile, Look()).to_json()
    hidden = SEMANTICS.traces[0].model_copy(update={"tokens": ("",) * 5})
    assert token_names(hidden, Look()) == [f"token {n}" for n in range(1, 6)]


def test_a_trace_without_a_lens_is_hatched_and_a_long_one_is_cut_and_said() -> None:
    trace = SEMANTICS.traces[0]
    figure = token_trace(trace, Look(), shown="lens_loss")
    assert [one for one in figure.data if one.type == "scatter" and one.fillpattern.shape == "/"]
    long = trace.model_copy(update={"tokens": ("a",) * 300, "deviation": trace.deviation[:1] * 300})
    assert "100 more in the table" in token_trace(long, Look()).layout.title.text
    assert len(token_trace_rows(long, Look())) == 300


@pytest.mark.parametrize("against", AGAINST)
def test_learning_curves_run_against_what_was_asked_for(against: Any) -> None:
    figure = learning_curves(TRIAL, Look(), against=against)
    for drawn, arm in zip(figure.data, TRIAL.arms, strict=True):
        assert list(drawn.x) == [getattr(point, against) for point in arm.points]
    assert figure.layout.xaxis.title.text == AGAINST[against]


def test_an_arm_not_judged_yet_shows_its_tuning_loss_and_says_so() -> None:
    arm = make_arm("freeze", 19)
    early = arm.model_copy(update={"points": tuple(point.model_copy(update={"verification_loss": None}) for point in arm.points)})
    figure = learning_curves((early,), Look())
    assert figure.data[0].name == "freeze 0–19 (tuning part)"
    assert list(figure.data[0].y) == [point.tuning_loss for point in arm.points]
    nothing = early.model_copy(update={"points": ()})
    assert learning_curves((nothing,), Look()).layout.height
    assert learning_curves((), Look()).layout.height


def test_steps_without_later_epochs_show_only_the_first() -> None:
    full = make_trial(19, kinds=("full",), arms=(make_arm("full", -1),))
    assert [one.name for one in step_bars(full, Look()).data] == ["first epoch"]
    assert len(step_bars(TRIAL, Look()).data) == 2


def test_memory_adds_up_and_what_is_not_told_is_said() -> None:
    figure = memory_bars(projection(), Look())
    assert len(figure.data) == 4
    assert [one.text for one in figure.layout.annotations] == ["14.9 GiB", "3.7 GiB"]
    arm = make_arm("full", -1)
    silent = arm.model_copy(update={"cost": arm.cost.model_copy(update={"activation_bytes": None})})
    assert "activations are not told" in memory_bars(make_trial(19, arms=(silent,)), Look()).layout.title.text


def test_the_sweep_marks_what_each_rule_chose_and_lists_what_was_not_tried() -> None:
    assert chosen_by(TRIAL)["freeze 24"] == ("gain", "lens")
    assert untried(TRIAL) == {"exponent": 28}
    texts = {one.text for one in sweep_front(TRIAL, Look()).layout.annotations}
    assert {"largest gain<br>logit lens", "0–24"} <= texts
    assert not [text for text in texts if "fine-tuning" in text or "freeze" in text]  # told by their markers and the legend
    assert len(set(SYMBOLS.values())) == len(SYMBOLS)


def boxes_under(figure: go.Figure) -> list[tuple[float, float]]:
    return [(one.x, one.ay) for one in figure.layout.annotations if one.ay > 0]


def test_rules_at_neighbouring_arms_stand_at_different_heights() -> None:
    close = make_trial(19, boundaries=(18, 19, 20), choices=tuple(choice(*pair) for pair in (("gain", 18), ("lens", 19), ("gradient", 20))))
    heights = [ay for _, ay in sorted(boxes_under(sweep_front(close, Look())))]
    assert len(set(heights)) == 3


def test_a_trial_without_a_front_or_arms_still_draws() -> None:
    empty = make_trial(19, arms=())
    for draw in (sweep_front, step_bars, memory_bars, learning_curves):
        assert draw(empty, Look()).layout.height


def every_text(trial: Trial, look: Look) -> list[str]:
    return [
        deviation_alt(SEMANTICS, look),
        deviation_alt(SEMANTICS, look, eof_layer=19),
        gain_alt(SEMANTICS, look, choice=CHOICES[0]),
        gain_alt(SEMANTICS, look),
        lens_alt(SEMANTICS, look),
        token_trace_alt(SEMANTICS.traces[0], look),
        learning_curves_alt(trial, look),
        step_alt(trial, look),
        memory_alt(trial, look),
        sweep_alt(trial, look),
    ]


def test_every_chart_is_told_in_a_sentence_in_both_languages() -> None:
    english, japanese = every_text(TRIAL, Look("en")), every_text(TRIAL, Look("ja"))
    assert all(text.endswith(".") for text in english)
    assert all(text.endswith("。") for text in japanese)


def test_every_chart_is_also_a_table() -> None:
    look = Look()
    assert len(deviation_rows(SEMANTICS, look, slices=tuple(SEMANTICS.slices)[:1])) == N + 1
    assert [row["layer"] for row in gain_rows(SEMANTICS, look)] == list(range(N))
    assert len(lens_rows(SEMANTICS, look)) == N + 1
    assert len(learning_rows(TRIAL, look)) == sum(len(arm.points) for arm in TRIAL.arms)
    assert len(cost_rows(TRIAL, look)) == len(sweep_rows(TRIAL, look)) == len(TRIAL.arms)
    seconds = [row["seconds of training, measured"] for row in sweep_rows(TRIAL, look)]
    assert seconds == sorted(seconds)


def test_the_strongest_pull_is_the_full_bar_and_what_was_not_measured_is_hatched() -> None:
    figure = gradient_bars(SEMANTICS, Look())
    assert max(figure.data[0].y) == pytest.approx(100)
    assert [list(one) for one in figure.data[0].customdata] == [[block] for block in range(N)]
    bare = SEMANTICS.model_copy(update={"gradients": None})
    assert gradient_bars(bare, Look()).data[1].fillpattern.shape == "/"
    assert "nothing was measured" in gradient_alt(bare, Look())
    assert "most on layer" in gradient_alt(SEMANTICS, Look())
