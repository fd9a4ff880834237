"""A trial's loss while it runs, inside the box of its job."""

from __future__ import annotations

import streamlit as st

from analysis.contracts import Progress
from analysis.reporting.charts.live import live_alt, live_curves, live_rows
from pages.ui.charts import draw_now, look
from pages.ui.language import words


def show_live(progress: Progress | None) -> None:
    """The curves so far and, one click below, their figures; the frame is there from the start, so that nothing jumps."""
    t = words()
    draw_now(live_curves(progress, look()), alt=live_alt(progress, look()), key="live_curves")
    with st.expander(t("These figures as a table"), icon=":material/table:", key="live_table"):
        rows = live_rows(progress, look())
        if not rows:
            st.caption(t("The first figures are not there yet."))
            return
        st.dataframe(rows, hide_index=True, height=240, alt=t("Loss so far of every way of training, as a table"))
