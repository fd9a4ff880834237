"""Whether something was measured on this machine: times and energy of another one are not this one's."""

from __future__ import annotations

from typing import Literal

import streamlit as st

from analysis.contracts import Healing, Robustness
from pages.ui.session import client


def origin_here(found: Healing | Robustness) -> Literal["measured", "elsewhere"]:
    """The word of origin for what was run: in this store, or on a machine whose device it names."""
    return "measured" if _ran_here(found.id, found.machine.device_name) else "elsewhere"


@st.cache_data(show_spinner=False, max_entries=64)
def _ran_here(document_id: str, device_name: str) -> bool:
    """A worker's own name for its processor is another than the web process's, so the store is asked too."""
    return device_name in {device.name for device in client().devices()} or client().ran_here(document_id)
