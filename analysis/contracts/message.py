"""A sentence that has not been put into a language yet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from analysis.contracts.base import Contract

Value = str | int | float | bool | None | tuple[str | int | float, ...]


class Message(Contract):
    """A sentence as its English text with named places, and the values that go into them."""

    id: str
    values: Mapping[str, Any] = Field(default_factory=dict)

    def in_english(self) -> str:
        """The sentence in English with its values filled in, for logs and tracebacks."""
        return self.id.format(**{name: _plain(value) for name, value in self.values.items()})


def _plain(value: object) -> object:
    if isinstance(value, Message):
        return value.in_english()
    return ", ".join(str(_plain(item)) for item in value) if isinstance(value, tuple | list) else value
