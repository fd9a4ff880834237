"""Text from a user's file, made safe to show in a sentence or on a page."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn"}  # control, invisible and direction marks, halves of characters, unassigned


def hidden(character: str) -> bool:
    """Whether a character steers the display instead of being seen (control, bidi, zero width)."""
    return unicodedata.category(character) in _HIDDEN


def shown(text: str, limit: int = 60) -> str:
    """One line of at most `limit` visible characters."""
    visible = "".join(" " if hidden(character) else character for character in text[: 4 * limit])
    line = " ".join(visible.split())
    return line if len(line) <= limit and len(text) <= 4 * limit else line[: limit - 1].rstrip() + "…"


def shown_names(names: Iterable[str], limit: int = 12) -> str:
    """Column, slice or sheet names in a row, at most `limit` of them."""
    listed = [shown(name, 40) or "(no name)" for name in names]
    return ", ".join(listed[:limit]) + (", …" if len(listed) > limit else "")
