"""Training budgets as people write them, filled from the output side inward."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.contracts import StepModel, StepPoint, TrainingShape
from analysis.errors import PlanError
from analysis.planning import fit_steps, parse_train_budget, predict_step, step_flops, training_bytes, within
from tests.builders import make_model

MODEL = make_model(30)
SHAPE = TrainingShape(response_tokens=64)


def measured(shape: TrainingShape = SHAPE) -> StepModel:
    """10 ms outside, 0.4 a frozen layer, 1.2 a trained one."""
    points = [
        StepPoint(eof_layer=eof, cached=cached, p50_ms=ms, p95_ms=ms, repeats=5)
        for eof, cached, ms in [(-1, False, 46.0), (14, False, 34.0), (28, False, 22.8), (14, True, 28.0), (28, True, 11.2)]
    ]
    return fit_steps(
        points, model_commit="c0ffee", stack="decoder", device="cpu", device_name="a CPU", shape=shape, n_blocks=30, measured_at="now"
    )


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("6layers", "layers", "6"),
        ("6", "layers", "6"),
        ("６層", "layers", "6"),
        ("50%", "layer_share", "0.5"),
        ("40%flops", "flop_share", "0.4"),
        ("40 % FLOPs", "flop_share", "0.4"),
        ("3GiB", "bytes", str(3 << 30)),
        ("20min", "minutes", "20"),
        ("1.5 h", "minutes", "90"),
        ("20分", "minutes", "20"),
        ("2時間", "minutes", "120"),
    ],
)
def test_budgets_are_read_as_people_write_them(text: str, kind: str, value: str) -> None:
    budget = parse_train_budget(text)
    assert (budget.kind, budget.value) == (kind, Decimal(value))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "Write a number of layers"),
        ("much", "Write a number of layers"),
        ("-3layers", "Write a number of layers"),
        ("2.5 layers", "Write a number of layers"),
        ("30%params", "Write a number of layers"),
        ("0", "nothing could train"),
        ("0%flops", "nothing could train"),
        ("0 GiB", "nothing could train"),
        ("140%flops", "at most 100%"),
    ],
)
def test_budgets_that_cannot_be_meant_are_refused_in_words(text: str, words: str) -> None:
    with pytest.raises(PlanError, match=words):
        parse_train_budget(text)


def test_b_layers_may_train() -> None:
    assert within(parse_train_budget("6layers"), MODEL, None, SHAPE) == 23  # 24 to 29 train
    assert within(parse_train_budget("30"), MODEL, None, SHAPE) == -1
    assert within(parse_train_budget("99"), MODEL, None, SHAPE) == -1
    assert within(parse_train_budget("50%"), MODEL, None, SHAPE) == 14
    assert within(parse_train_budget("1"), MODEL, None, SHAPE) == 28


@given(st.integers(40, 100))
@settings(max_examples=20, deadline=None)
def test_a_flops_budget_is_filled_and_not_exceeded(percent: int) -> None:
    eof, limit = within(parse_train_budget(f"{percent}%flops"), MODEL, None, SHAPE), percent / 100 * step_flops(MODEL, -1, SHAPE)
    assert step_flops(MODEL, eof, SHAPE) <= limit
    assert eof == -1 or step_flops(MODEL, eof - 1, SHAPE) > limit


@given(st.integers(3000, 12000))
@settings(max_examples=20, deadline=None)
def test_a_memory_budget_is_filled_and_not_exceeded(mebibytes: int) -> None:
    eof, limit = within(parse_train_budget(f"{mebibytes}MiB"), MODEL, None, SHAPE), mebibytes * (1 << 20)
    assert training_bytes(MODEL, eof, SHAPE).peak <= limit
    assert eof == -1 or training_bytes(MODEL, eof - 1, SHAPE).peak > limit


@given(st.lists(st.integers(40, 100), min_size=2, max_size=5, unique=True))
@settings(max_examples=20, deadline=None)
def test_a_larger_budget_never_freezes_more(shares: list[int]) -> None:
    found = [within(parse_train_budget(f"{share}%flops"), MODEL, None, SHAPE) for share in sorted(shares)]
    assert found == sorted(found, reverse=True)


def test_minutes_are_those_of_all_epochs_without_the_cache() -> None:
    steps = measured()
    eof = within(parse_train_budget("1min"), MODEL, None, SHAPE, steps, epochs=3, n_sequences=4000)
    minutes = [predict_step(steps, boundary) * 3 * 500 / 60_000 for boundary in (eof - 1, eof)]
    assert minutes[1] <= 1 < minutes[0]


def test_minutes_without_measured_steps_are_refused_in_words() -> None:
    with pytest.raises(PlanError, match="steps measured on this device"):
        within(parse_train_budget("20min"), MODEL, None, SHAPE)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1%flops", "% of what training everything does"),
        ("1MiB", "MiB, so nothing could train"),
        ("1s", "minutes, so nothing could train"),
        ("2%", "Give at least 4%"),
    ],
)
def test_a_budget_that_fits_nothing_says_what_is_needed(text: str, words: str) -> None:
    with pytest.raises(PlanError, match=words):
        within(parse_train_budget(text), MODEL, None, SHAPE, measured(), epochs=3, n_sequences=4000)


def test_what_a_refusal_says_is_needed_is_enough() -> None:
    with pytest.raises(PlanError) as refused:
        within(parse_train_budget("1MiB"), MODEL, None, SHAPE)
    needed = refused.value.message.values["least"]
    assert within(parse_train_budget(f"{needed}MiB"), MODEL, None, SHAPE) == 28
