"""What a stopped trial has already found out: finished arms and tried learning rates, in a folder of its own, until it is stored."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from analysis.home import write_atomically
from analysis.training.evaluate import Judged


@dataclass(frozen=True)
class Kept:
    """A folder of small files, each of one arm or rate; none is read that belongs to another trial.

    Attributes:
        folder: where they lie; None: nothing is kept.
        key: what the figures depend on beside the arm itself.
    """

    folder: Path | None
    key: str

    def place(self, *names: str) -> Path | None:
        """A folder for an arm's own checkpoints."""
        return None if self.folder is None else self.folder.joinpath(*names)

    def read(self, name: str) -> dict[str, Any] | None:
        """What was written under the name for this same trial; None: nothing that can be used."""
        if self.folder is None:
            return None
        try:
            found = json.loads((self.folder / f"{name}.json").read_bytes())
        except (OSError, ValueError):
            return None  # not there, or half a file of a machine that went down: it is trained again
        return found["content"] if isinstance(found, dict) and found.get("key") == self.key else None

    def write(self, name: str, content: dict[str, Any]) -> None:
        """Keeps something under a name, whole or not at all."""
        if self.folder is not None:
            write_atomically(self.folder / f"{name}.json", json.dumps({"key": self.key, "content": content}).encode())


def judged_as_json(judged: Judged | None) -> list[float] | None:
    """Its sums; the rest is known."""
    return None if judged is None else [float(value) for value in judged.sums]


def judged_from_json(sums: Sequence[float] | None, like: Judged | None) -> Judged | None:
    """The same prompts with other sums."""
    if sums is None or like is None:
        return None
    assert len(sums) == len(like.examples)
    return Judged(like.examples, np.array(sums, dtype=np.float64), like.tokens)
