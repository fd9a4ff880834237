"""What stands before a list of layers agrees with how many are listed."""

from __future__ import annotations

import pytest

from analysis.i18n import translator
from analysis.reporting.headlines import runs_of


@pytest.mark.parametrize(
    ("blocks", "said"),
    [
        ((17,), "Removing layer 17"),
        ((1,), "Removing layer 1"),
        ((3, 7), "Removing layers 3 and 7"),
        ((15, 16, 17), "Removing layers 15–17"),
    ],
)
def test_one_layer_is_a_layer_and_several_are_layers(blocks: tuple[int, ...], said: str) -> None:
    assert translator("en")("Removing layers {list}", list=runs_of(blocks)) == said


def test_a_range_that_is_spelt_out_stays_as_it_is() -> None:
    assert translator("en")("layers {first} to {last}", first=3, last=9) == "layers 3 to 9"


def test_japanese_has_no_plural() -> None:
    assert translator("ja")("Removing layers {list}", list=(17,)) == "層17の剪定"
