"""A small catalogue of GPUs: memory and power from the maker's page, prices by the hour from providers' pages, each with address and date.

A price is a starting point to be replaced by the reader's own contract. What has no page to point to is not in it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

from analysis.contracts.business import Assumption, Currency
from analysis.contracts.message import Message

_FILE = Path(__file__).with_name("catalogue.json")


@dataclass(frozen=True)
class Price:
    """What one provider asks for one hour of a machine.

    Attributes:
        amount: of the whole machine, an hour, on demand.
        gpus: in that machine.
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
    page_date: str
    looked_up: str

    @property
    def per_gpu_hour(self) -> float:
        """Of one GPU an hour."""
        return self.amount / self.gpus


@dataclass(frozen=True)
class Device:
    """One GPU: what the maker says of it, and what providers ask for it."""

    id: str
    name: str
    maker: str
    memory_gb: float
    power_watts: float
    url: str
    looked_up: str
    words: tuple[str, ...]
    prices: tuple[Price, ...]

    @property
    def memory_gib(self) -> float:
        """Memory in GiB; the makers count in GB and mean GiB on all but the newest, so the smaller reading is taken."""
        return self.memory_gb * 1e9 / 2**30


@cache
def _devices() -> tuple[Device, ...]:
    rows = json.loads(_FILE.read_text(encoding="utf-8"))["devices"]
    return tuple(_device(row) for row in rows)


def _device(row: Mapping[str, object]) -> Device:
    given = dict(row)
    prices = given.pop("prices")
    words = given.pop("words")
    assert isinstance(prices, list)
    assert isinstance(words, list)
    return Device(**given, words=tuple(words), prices=tuple(Price(**price) for price in prices))  # type: ignore[arg-type]


DEVICES: Mapping[str, Device] = MappingProxyType({device.id: device for device in _devices()})


def device(id: str) -> Device | None:
    """The device of that id; None: not in the catalogue."""
    return DEVICES.get(id)


def match(device_name: str) -> Device | None:
    """The catalogue's device for a name as a driver gives it ("NVIDIA H100 80GB HBM3"); None where it is not sure which one it is."""
    words = set(re.findall(r"[a-z0-9]+", device_name.lower()))
    found = [known for known in DEVICES.values() if set(known.words) <= words]
    best = max((len(known.words) for known in found), default=0)
    closest = [known for known in found if len(known.words) == best]
    return closest[0] if len(closest) == 1 else None


def same_device(priced: str, measured: str) -> bool:
    """Whether a catalogue id or typed name means the device that was measured."""
    if not priced or not measured:
        return False
    one, other = device(priced) or match(priced), match(measured)
    return one == other if one and other else priced.strip().lower() == measured.strip().lower()


def price_assumption(price: Price) -> Assumption:
    """A catalogue price as the assumption `gpu_price_per_hour`, with where it was read."""
    return Assumption(
        value=price.per_gpu_hour,
        currency=price.currency,
        source=Message(
            id="{provider} {instance} ({region}), list price on demand, read from a stored page",
            values={"provider": price.provider, "instance": price.instance, "region": price.region},
        ),
        source_url=price.url,
        as_of=price.page_date or price.looked_up,
        sourced=True,
    )
