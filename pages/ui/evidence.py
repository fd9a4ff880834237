"""Where figures come from: origin badges, "How do we know?", tables to take away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import streamlit as st

from analysis.i18n import N_
from analysis.reporting.csv import to_csv
from pages.ui.language import plain, words

Row = Mapping[str, object]
Rows = Sequence[Mapping[str, object]]
Origin = Literal["measured", "projected", "assumed", "elsewhere"]
_MEANING = {
    "measured": N_("The plan was run and this is what came out."),
    "projected": N_("Worked out from measurements, not yet run."),
    "assumed": N_("Put in by a person; you can change it."),
    "elsewhere": N_("Measured on another machine: its times and memory are not this one's."),
}
_PIECE, _JOINER, _JAPANESE = 8, "\u2060", "\u3000"
_WORDS = {"elsewhere": N_("measured on another machine")}


def badge(origin: Origin, meaning: str | None = None) -> None:
    """The word that says where the figures beside it come from; `meaning` is its tooltip, None: the usual one."""
    t = words()
    st.badge(
        t(_WORDS.get(origin, origin)),
        color="gray",
        help=meaning or (t(_MEANING[origin]) if origin != "measured" else t("Measured on this machine, on the run named above.")),
    )


def section(title: str, origin: Origin | None, *, help: str | None = None, meaning: str | None = None, anchor: str | None = None) -> None:
    """A heading with the word that says where the figures below it come from.

    Args:
        title: the heading.
        origin: measured on the run named above, projected, assumed, or measured on another machine; None: no figures follow.
        help: the tooltip of the heading.
        meaning: the tooltip of the word; None: the usual one.
        anchor: under which a link on the page finds the heading.
    """
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.header(title, anchor=anchor or False, help=help, width="content")
        if origin:
            badge(origin, meaning)


def table(rows: Rows, *, alt: str, marked: Sequence[str] = ()) -> None:
    """Figures as a table that wraps instead of being cut off, and that a screen reader can read.

    Args:
        rows: one mapping of head to value a row.
        alt: the accessible name.
        marked: heads whose values are markdown of ours; all other text is shown as it is.
    """
    shown = [{unbroken(head): _cell(value, head in marked) for head, value in row.items()} for row in rows]
    st.table(shown, hide_index=True, alt=alt)


def _cell(value: object, is_marked: bool) -> object:
    """A cell as markdown that shows just its text; what is marked keeps its links."""
    if not is_marked:
        return plain(unbroken(str(value)))
    return value if "](" in str(value) else unbroken(str(value))


def unbroken(text: str) -> str:
    """Japanese text that a narrow column sets in pieces of some letters, not one letter a line: joined by marks that are not seen."""
    if not _is_japanese(text):
        return text
    parts = text.split(" ")
    return " ".join(
        "".join(_JOINER.join(part[at : at + _PIECE]) for at in range(0, len(part), _PIECE)) if _is_japanese(part) else part
        for part in parts
    )


def _is_japanese(text: str) -> bool:
    return any(letter >= _JAPANESE for letter in text)


def download_rows(rows: Sequence[Row], file_name: str, *, key: str) -> None:
    """The figures as CSV that Excel opens in any language (UTF-8 with BOM)."""
    t = words()
    st.download_button(
        t("Download as CSV"),
        data=lambda: to_csv(rows),
        file_name=file_name,
        mime="text/csv",
        icon=":material/download:",
        on_click="ignore",
        key=f"csv_{key}",
    )


def how_do_we_know(*, formula: str, source: str, sample: str, interval: str, rows: Sequence[Row], file_name: str, key: str) -> None:
    """Formula, source, sample size, interval and raw table, one click below the figure."""
    t = words()
    box = st.expander(t("How do we know?"), icon=":material/science:", key=f"know_{key}", on_change="rerun")
    if not box.open:  # a closed box computes and sends nothing
        return
    with box:
        facts = {t("Formula"): formula, t("Source"): source, t("Sample"): sample, t("Interval"): interval}
        st.markdown("\n".join(f"- **{name}**: {text}" for name, text in facts.items() if text))
        st.dataframe(rows, hide_index=True, height=260, alt=t("The figures behind the chart, as a table"))
        download_rows(rows, file_name, key=key)
