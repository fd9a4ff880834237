"""Whether something was measured on this machine: times and energy of another one are not this one's."""

from __future__ import annotations

from typing import Literal

import streamlit as st

from analysis.contracts import Machine
from pages.ui.session import client


def origin_of_machine(machine: Machine) -> Literal["measured", "elsewhere"]:
    """The word of origin for what a machine measured."""
    return "measured" if machine.device_name in _names_here() else "elsewhere"


@st.cache_data(show_spinner=False, max_entries=1)
def _names_here() -> frozenset[str]:
    return frozenset(device.name for device in client().devices())
