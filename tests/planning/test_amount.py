"""How much to remove, as people write it."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.errors import PlanError
from analysis.planning import parse_amount


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  ",
        "abc",
        "-20%",
        "20%%",
        "%",
        "20 %speed",
        "2.5 layers",
        "2.5",
        "1 GIBI",
        "20%20%",
        "1e3",
        "nan",
        "inf",
        "6 attention",
        "0x10",
        "20%\n5",
    ],
)
def test_an_amount_that_cannot_be_read_is_refused_with_what_is_allowed(text: str) -> None:
    with pytest.raises(PlanError, match=r"20%params, 20%flops, 20%memory, 20%latency"):
        parse_amount(text)


@pytest.mark.parametrize("text", ["0", "0%", "0 layers", "0GiB", "0.0%params"])
def test_nothing_is_not_an_amount(text: str) -> None:
    with pytest.raises(PlanError, match="which is nothing"):
        parse_amount(text)


@pytest.mark.parametrize("text", ["101%", "100.5%flops", "9999%params"])
def test_a_share_is_at_most_everything(text: str) -> None:
    with pytest.raises(PlanError, match="at most 100%"):
        parse_amount(text)


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("20%", "unit_share", "0.2"),
        (" ２０％ ", "unit_share", "0.2"),
        ("20 %", "unit_share", "0.2"),
        ("12.5%params", "parameter_share", "0.125"),
        ("20% FLOPs", "flop_share", "0.2"),
        ("20%memory", "byte_share", "0.2"),
        ("1GiB", "bytes", str(1 << 30)),
        ("500 MiB", "bytes", str(500 << 20)),
        ("1.5gb", "bytes", "1500000000"),
        ("1,000 MB", "bytes", "1000000000"),
        ("6 layers", "units", "6"),
        ("６層", "units", "6"),
        ("6", "units", "6"),
    ],
)
def test_amounts_are_read_as_written(text: str, kind: str, value: str) -> None:
    amount = parse_amount(text)
    assert (amount.kind, amount.value) == (kind, Decimal(value))


@pytest.mark.parametrize(
    ("share", "n_units", "expected"), [("20%", 30, 6), ("20%", 29, 5), ("29%", 100, 29), ("10%", 30, 3), ("3%", 30, 0)]
)
def test_a_share_of_units_is_rounded_down_without_binary_surprises(share: str, n_units: int, expected: int) -> None:
    assert parse_amount(share).units_of(n_units) == expected


@given(st.text(max_size=20))
def test_any_text_is_read_or_refused_in_words(text: str) -> None:
    with suppress(PlanError):
        assert parse_amount(text).value > 0
