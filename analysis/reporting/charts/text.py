"""Names and prompts inside charts: Plotly reads a little HTML in texts, and must not take it from data."""

from __future__ import annotations


def escaped(text: str) -> str:
    """Text that Plotly shows as it stands."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def shortened(text: str, width: int) -> str:
    """Escaped, and cut with an ellipsis where it is longer than `width` characters."""
    return escaped(text) if len(text) <= width else escaped(text[: width - 1]) + "…"
