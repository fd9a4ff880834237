"""What belongs to a run as a whole: where and how it was measured, what it had to say, and the run as a file."""

from __future__ import annotations

import streamlit as st

from analysis.contracts import Profile
from analysis.i18n.numbers import number, size
from pages.ui.language import language, plain, say, words


def run_facts(found: Profile) -> None:
    """Machine, precision and speed of the run, its notes, and profile.json to take away."""
    t, code, timing = words(), language(), found.timing
    said = [
        t(
            "Measured on {device} in {dtype} on {date}: {rate} tokens/s.",
            device=plain(timing.device_name),
            dtype=timing.dtype,
            date=timing.started_at[:10],
            rate=number(timing.tokens_per_second, code, 0),
        )
    ]
    if timing.peak_memory_bytes:
        said.append(t("Most memory used, by the program as a whole: {size}.", size=size(timing.peak_memory_bytes, code)))
    st.caption("\n".join(f"- {sentence}" for sentence in (*said, *map(say, found.model.notes), *map(say, found.notes))))
    st.download_button(
        t("Download profile.json"),
        data=lambda: found.model_dump_json().encode(),
        file_name="profile.json",
        mime="application/json",
        icon=":material/download:",
        on_click="ignore",
        key="download_profile",
        help=t("The whole run as a file. It opens in another Strata and in the terminal."),
    )
