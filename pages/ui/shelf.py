"""What is stored, as rows with a menu: open, rename, compare, delete (which asks first)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import streamlit as st

from analysis.i18n import N_
from pages.ui.language import plain, words
from pages.ui.messages import saying_errors

SHOWN_AT_FIRST = 6
ACTIONS = {
    "verify": N_("Open its verification"),
    "try": N_("Open its trial"),
    "rename": N_("Rename"),
    "compare": N_("Compare with the one in use"),
    "delete": N_("Delete"),
}


@dataclass(frozen=True)
class Item:
    """One stored thing: its name, a line of facts, and what can be done with it."""

    id: str
    name: str
    facts: Callable[[], str]
    chosen: bool
    open: Callable[[str], None]
    rename: Callable[[str, str], object]
    delete: Callable[[str], object]
    compare: Callable[[str], None] | None
    marks: str = ""
    """What stands behind the name, as markdown."""
    verify: Callable[[str], None] | None = None
    attempt: Callable[[str], None] | None = None
    """Opens the trial of a plan that freezes."""


def shelf(items: Sequence[Item], *, key: str) -> None:
    """The rows, newest first; older ones one click away."""
    t = words()
    shown = items
    if len(items) > SHOWN_AT_FIRST and not st.session_state.get(f"all_{key}"):
        shown = items[:SHOWN_AT_FIRST]
    for item in shown:
        _row(item, key)
    if len(shown) < len(items):
        st.button(
            t("Show all {n}", n=len(items)),
            key=f"show_all_{key}",
            type="tertiary",
            on_click=st.session_state.__setitem__,
            args=(f"all_{key}", True),
        )


def _row(item: Item, key: str) -> None:
    t = words()
    row = f"{key}_{item.id}"
    with st.container(border=True, horizontal=True, vertical_alignment="center", horizontal_alignment="distribute", gap="small"):
        with st.container(gap=None):
            st.markdown(f"**{plain(item.name)}**" + f" {item.marks}")
            st.caption(item.facts())
        with st.container(horizontal=True, width="content", gap="small", vertical_alignment="center"):
            if st.button(t("In use") if item.chosen else t("Open"), key=f"open_{row}", help=t("Opens {name}.", name=plain(item.name))):
                item.open(item.id)
            missing = {"compare": item.chosen or item.compare is None, "verify": item.verify is None, "try": item.attempt is None}
            left_out = {name for name, no in missing.items() if no}
            actions = [name for name in ACTIONS if name not in left_out]
            done = st.menu_button(t("More"), actions, key=f"more_{row}", format_func=lambda name: t(ACTIONS[name]), type="tertiary")
    if done == "rename":
        _ask_name(item)
    elif done == "delete":
        gone = t(
            "{name} is deleted from this machine and cannot be brought back. Files you downloaded stay.", name=f"**{plain(item.name)}**"
        )
        ask_delete(gone, lambda: item.delete(item.id), key=item.id)
    elif done == "compare" and item.compare is not None:
        item.compare(item.id)
    elif done == "try" and item.attempt is not None:
        item.attempt(item.id)
    elif done == "verify" and item.verify is not None:
        item.verify(item.id)


def _ask_name(item: Item) -> None:
    t = words()

    @st.dialog(t("Rename"))
    def ask() -> None:
        name = st.text_input(t("New name"), value=item.name, max_chars=120, key=f"name_{item.id}")
        if st.button(t("Rename"), type="primary", key=f"rename_{item.id}", disabled=not (name or "").strip()):
            with saying_errors():
                item.rename(item.id, (name or "").strip())
                st.rerun()

    ask()


def ask_delete(said: str, delete: Callable[[], object], *, key: str) -> None:
    """Says what would be gone for good, and deletes only after a second press."""
    t = words()

    @st.dialog(t("Delete for good?"))
    def ask() -> None:
        st.markdown(said)
        with st.container(horizontal=True):
            if st.button(t("Delete"), type="primary", key=f"delete_{key}_sure"):
                with saying_errors():
                    delete()
                    st.rerun()
            if st.button(t("Keep it"), key=f"keep_{key}"):
                st.rerun()

    ask()
