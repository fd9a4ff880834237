"""A small catalogue of GPUs: memory, power, and prices by the hour, each with the page where it was read and the date.

A price is a list price to begin with, to be replaced by the reader's own contract. What no page could be found for is left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from analysis.contracts.business import Assumption, Currency
from analysis.contracts.message import Message

_FILE = Path(__file__).with_name("catalogue.json")
_ANOTHER = frozenset({"nvl", "mig", "laptop", "mobile"})
"""Words in a driver's name that make it another device than its plain namesake."""
_MAKERS = frozenset({"nvidia", "amd", "intel", "apple", "geforce", "gpu"})
"""Words that some write before a device's name and others leave out."""


@dataclass(frozen=True)
class Sourced:
    """A figure and the page where it was read."""

    value: float
    source: str
    url: str
    looked_up: str


@dataclass(frozen=True)
class Price:
    """What one provider asks for one hour of a machine, on demand.

    Attributes:
        amount: of the whole machine.
        gpus: in that machine.
        url: the page that was read.
        provider_url: the provider's own page, where that page names it.
        page_date: the date that the page tells; "" where it tells none.
        looked_up: when it was read, as a stored page.
    """

    provider: str
    instance: str
    region: str
    amount: float
    currency: Currency
    gpus: int
    url: str
    provider_url: str
    page_date: str
    looked_up: str

    @property
    def per_gpu_hour(self) -> float:
        """Of one GPU."""
        return self.amount / self.gpus


@dataclass(frozen=True)
class Device:
    """One GPU: its memory and power as published, and what providers ask for it.

    Attributes:
        words: sets of words, any of which is enough to know the device by in the name that a driver gives.
    """

    id: str
    name: str
    maker: str
    memory_gb: Sourced
    power_watts: Sourced | None
    prices: tuple[Price, ...]
    words: tuple[frozenset[str], ...]

    @property
    def memory_gib(self) -> float:
        """Memory in GiB, the published GB read as 10^9 bytes: the smaller of the two readings."""
        return self.memory_gb.value * 1e9 / 2**30


def device(id: str) -> Device | None:
    """The device of that id; None: not in the catalogue."""
    return DEVICES.get(id)


def match(device_name: str) -> Device | None:
    """The catalogue's device for a name as a driver gives it; None where it is not clear which one it is.

    Example:
        >>> match("NVIDIA H100 80GB HBM3").id, match("NVIDIA H100 NVL")
        ('h100-sxm', None)
    """
    words = _words(device_name)
    found = [known for known in DEVICES.values() if any(asked <= words for asked in known.words)]
    return found[0] if len(found) == 1 and not words & _ANOTHER else None


def same_device(priced: str, measured: str) -> bool:
    """Whether a catalogue id, or a name as typed, means the device that was measured."""
    one, other = device(priced) or match(priced), match(measured)
    if one and other:
        return one == other
    typed, told = _words(priced), _words(measured)
    return bool(typed - _MAKERS) and typed - _MAKERS == told - _MAKERS


def _words(name: str) -> set[str]:
    return set(re.findall(r"[^\W_]+", name.lower()))


def price_assumption(price: Price) -> Assumption:
    """A catalogue price as the figure `gpu_price_per_hour`, with where and when it was read; a page without a date has none here."""
    values = {"provider": price.provider, "instance": _instance(price), "looked_up": price.looked_up}
    return Assumption(
        value=price.per_gpu_hour,
        currency=price.currency,
        source=Message(id="{provider}, {instance}: list price on demand (as stored page, looked up on {looked_up})", values=values)
        if price.page_date
        else Message(
            id="{provider}, {instance}: list price on demand (as stored page without a date, looked up on {looked_up})", values=values
        ),
        source_url=price.url,
        as_of=price.page_date,
        sourced=True,
    )


def _instance(price: Price) -> str:
    return f"{price.instance} ({price.region})" if price.region else price.instance


def _device(row: Mapping[str, Any]) -> Device:
    return Device(
        id=row["id"],
        name=row["name"],
        maker=row["maker"],
        memory_gb=Sourced(**row["memory_gb"]),
        power_watts=Sourced(**row["power_watts"]) if row["power_watts"] else None,
        prices=tuple(Price(**price) for price in row["prices"]),
        words=tuple(frozenset(words) for words in row["words"]),
    )


DEVICES: Mapping[str, Device] = MappingProxyType(
    {row["id"]: _device(row) for row in json.loads(_FILE.read_text(encoding="utf-8"))["devices"]}
)
