"""How much to remove, as people write it: 20%, 20%params, 20%flops, 20%memory, 20%latency, 500MiB, 6 layers."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from analysis.errors import PlanError

AmountKind = Literal["unit_share", "parameter_share", "flop_share", "byte_share", "latency_share", "bytes", "units"]

_SHARES: dict[str, AmountKind] = {
    "": "unit_share",
    "params": "parameter_share",
    "param": "parameter_share",
    "parameters": "parameter_share",
    "flops": "flop_share",
    "flop": "flop_share",
    "memory": "byte_share",
    "bytes": "byte_share",
    "weights": "byte_share",
    "latency": "latency_share",
    "time": "latency_share",
}
_BYTES = {"b": 1, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
_UNITS = ("", "layer", "layers", "block", "blocks", "unit", "units", "層", "個")
_FORM = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<percent>%?)\s*(?P<word>[^\W\d_]*)")


@dataclass(frozen=True)
class Amount:
    """How much to remove. `value` is a share (0 to 1), a number of bytes, or a number of units, by `kind`."""

    kind: AmountKind
    value: Decimal
    text: str

    def units_of(self, n_units: int) -> int:
        """How many of `n_units` a plain share or number asks for, rounded down."""
        assert self.kind in ("unit_share", "units")
        return int(self.value * n_units) if self.kind == "unit_share" else int(self.value)


def parse_amount(text: str) -> Amount:
    """Reads how much to remove; full-width digits and signs are read as half-width ones.

    Raises:
        PlanError: it is written in another way, is zero, or is more than 100%.

    >>> parse_amount("20%").units_of(36)
    7
    >>> parse_amount("１．５GiB").value
    Decimal('1610612736.0')
    """
    plain = unicodedata.normalize("NFKC", text).strip().replace(",", "")
    found = _FORM.fullmatch(plain)
    kind_and_value = _understood(found, Decimal(found["number"])) if found else None
    if kind_and_value is None:
        raise PlanError(
            'How much to remove was given as "{text}". Write a share of the layers (20%), a share of parameters, FLOPs, memory or latency '
            "(20%params, 20%flops, 20%memory, 20%latency), a size (500MiB, 1GiB) or a number of layers (6 layers).",
            text=text,
        )
    kind, value = kind_and_value
    if value <= 0:
        raise PlanError(
            'How much to remove was given as "{text}", which is nothing. Give more than zero, such as 10% or 2 layers.', text=text
        )
    if kind.endswith("_share") and value > 1:
        raise PlanError('How much to remove was given as "{text}". A share is at most 100%: give less, such as 20%.', text=text)
    return Amount(kind, value, plain)


def _understood(found: re.Match[str], number: Decimal) -> tuple[AmountKind, Decimal] | None:
    word = found["word"].lower()
    if found["percent"]:
        return (_SHARES[word], number / 100) if word in _SHARES else None
    if word in _BYTES:
        return "bytes", number * _BYTES[word]
    return ("units", number) if word in _UNITS and number == int(number) else None
