"""The catalogue: every figure with the page where it was read; names of drivers matched only where they are clear."""

from __future__ import annotations

import re
from datetime import date

import pytest

from analysis.economics.catalogue import DEVICES, Sourced, device, match, price_assumption, same_device
from analysis.i18n import render

LOOKED_UP = "2026-11-22"
PRICES = [price for known in DEVICES.values() for price in known.prices]
SOURCED = [figure for known in DEVICES.values() for figure in (known.memory_gb, known.power_watts) if figure is not None]


def test_it_is_small_and_every_device_has_a_price() -> None:
    assert 8 <= len(DEVICES) <= 12
    assert all(known.prices for known in DEVICES.values())
    assert all(known.id == name for name, known in DEVICES.items())


@pytest.mark.parametrize("price", PRICES, ids=lambda price: f"{price.provider}-{price.instance}")
def test_every_price_has_an_address_and_a_date(price) -> None:  # type: ignore[no-untyped-def]
    assert re.match(r"https://[\w.-]+/", price.url)
    assert price.looked_up == LOOKED_UP
    assert not price.page_date or date(2026, 1, 1) <= date.fromisoformat(price.page_date) <= date.fromisoformat(LOOKED_UP)
    assert 0.1 < price.per_gpu_hour < 15  # dollars: a figure far outside was read wrongly
    assert price.currency == "USD"
    assert price.gpus >= 1


@pytest.mark.parametrize("figure", SOURCED, ids=lambda figure: figure.url[-30:])
def test_memory_and_power_have_an_address(figure: Sourced) -> None:
    assert figure.url.startswith("https://")
    assert figure.source
    assert figure.looked_up == LOOKED_UP
    assert figure.value > 0


@pytest.mark.parametrize(
    ("name", "id"),
    [
        ("NVIDIA H200", "h200"),
        ("NVIDIA H100 80GB HBM3", "h100-sxm"),
        ("NVIDIA H100 PCIe", "h100-pcie"),
        ("NVIDIA A100-SXM4-80GB", "a100-sxm-80"),
        ("NVIDIA A100-SXM4-40GB", "a100-sxm-40"),
        ("NVIDIA A100 80GB PCIe", "a100-pcie-80"),
        ("NVIDIA L40S", "l40s"),
        ("NVIDIA L4", "l4"),
        ("NVIDIA A10G", "a10g"),
        ("Tesla T4", "t4"),
        ("NVIDIA GeForce RTX 4090", "rtx-4090"),
    ],
)
def test_a_drivers_name_is_known(name: str, id: str) -> None:
    found = match(name)
    assert found is not None
    assert found.id == id


@pytest.mark.parametrize(
    "name",
    [
        "",
        "NVIDIA H100 NVL",
        "NVIDIA H200 NVL",
        "NVIDIA GH200 480GB",
        "NVIDIA H100 80GB HBM3 MIG 1g.10gb",
        "NVIDIA A100",
        "NVIDIA A100-PCIE-40GB",
        "NVIDIA A10",
        "NVIDIA L40",
        "NVIDIA GeForce RTX 4090 Laptop GPU",
        "NVIDIA RTX 4000 Ada Generation",
        "AMD EPYC 9554",
    ],
)
def test_a_name_that_is_not_clear_matches_nothing(name: str) -> None:
    assert match(name) is None


def test_the_priced_device_is_the_measured_one_by_id_or_by_name() -> None:
    assert same_device("h200", "NVIDIA H200")
    assert same_device("NVIDIA H200", "NVIDIA H200")
    assert same_device("Our own board", "our own board")
    assert not same_device("h100-sxm", "NVIDIA H200")
    assert not same_device("", "NVIDIA H200")
    assert not same_device("", "")


def test_a_price_becomes_an_assumption_that_says_where_it_was_read() -> None:
    known = device("h100-sxm")
    assert known is not None
    price = next(one for one in known.prices if one.provider == "AWS")
    given = price_assumption(price)
    assert given.value == pytest.approx(55.04 / 8)
    assert (given.currency, given.sourced, given.as_of, given.source_url) == ("USD", True, price.page_date, price.url)
    assert given.source is not None
    assert "as stored page" in render(given.source, "en")
    assert LOOKED_UP in render(given.source, "ja")


def test_a_price_of_a_page_without_a_date_says_so_and_has_none() -> None:
    known = device("t4")
    assert known is not None
    given = price_assumption(known.prices[0])
    assert given.as_of == ""
    assert given.source is not None
    assert "without a date" in render(given.source, "en")
    assert "日付なし" in render(given.source, "ja")


def test_an_unknown_id_is_no_device() -> None:
    assert device("h300") is None
