"""One prompt of a workload, and the half of the data that it belongs to."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from analysis.contracts import content_hash

Role = Literal["system", "user", "assistant", "tool"]
Part = Literal["calibration", "verification"]
_SALT = b"strata split v1:"


@dataclass(frozen=True)
class Turn:
    """What one side said in a conversation."""

    role: Role
    content: str


@dataclass(frozen=True)
class Example:
    """One request as the model gets it, with the answer it should give when that is known.

    Attributes:
        turns: the conversation up to the answer: an optional system text, then user, assistant and tool turns.
        response: the answer that belongs to it.
        choices: possible answers, for judging by multiple choice; empty when there are none.
        answer: the right one of the choices.
        slice: the kind of work it stands for.
        weight: how much it counts, 1 by default.
        critical: whether a wrong answer is expensive.
        requests_per_month: what its slice gets in a month; for money only.
    """

    turns: tuple[Turn, ...]
    response: str | None = None
    choices: tuple[str, ...] = ()
    answer: str | None = None
    slice: str = ""
    weight: float = 1.0
    critical: bool = False
    requests_per_month: float | None = None

    @cached_property
    def id(self) -> str:
        """SHA-256 over what is said (turns, response, choices, answer), so it is the same in every file."""
        return content_hash([[turn.role, turn.content] for turn in self.turns], self.response, self.choices, self.answer)

    @cached_property
    def part(self) -> Part:
        """Which half it belongs to: a salted hash decides, so it is the same in every file and never chosen."""
        return "calibration" if hashlib.sha256(_SALT + self.id.encode()).digest()[0] % 2 == 0 else "verification"

    @property
    def prompt(self) -> str:
        """What the user asked last."""
        return next((turn.content for turn in reversed(self.turns) if turn.role == "user"), "")

    @property
    def n_characters(self) -> int:
        """Characters of the conversation and its answer."""
        return sum(len(turn.content) for turn in self.turns) + len(self.response or "")
