"""A sentence that has not been put into a language yet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field, field_validator

from analysis.contracts.base import Contract

Value = str | int | float | bool | None | tuple[str | int | float, ...]


class Message(Contract):
    """A sentence as its English text with named places, and the values that go into them."""

    id: str
    values: Mapping[str, Any] = Field(default_factory=dict)

    @field_validator("values")
    @classmethod
    def _sentences_inside(cls, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """Sentences among the values are sentences again when a document is read back."""
        return {name: _read_back(value) for name, value in values.items()}

    def in_english(self) -> str:
        """The sentence in English with its values filled in, for logs and tracebacks."""
        return self.id.format(**{name: _plain(value) for name, value in self.values.items()})


def _read_back(value: Any) -> Any:
    if isinstance(value, dict) and value.keys() == {"id", "values"}:
        return Message.model_validate(value)
    return [_read_back(item) for item in value] if isinstance(value, list) else value


def _plain(value: object) -> object:
    if isinstance(value, Message):
        return value.in_english()
    return ", ".join(str(_plain(item)) for item in value) if isinstance(value, tuple | list) else value
