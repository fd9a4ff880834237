"""The limits for other systems, and the rollout as a file."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from analysis.contracts import Rollout
from analysis.economics.alert_rules import guardrails_json, prometheus_rules
from pages.ui.language import words


def exports_box(rollout: Rollout) -> None:
    """Guardrails as JSON and as Prometheus alert rules; rollout.json with its whole record."""
    t = words()
    st.markdown(t("The limits for the systems that watch the machines: an alarm rings where a stage would be rolled back."))
    with st.container(horizontal=True, gap="small"):
        _file(t("Limits as JSON"), "guardrails.json", "application/json", lambda: guardrails_json(rollout))
        _file(t("Limits as alert rules (Prometheus)"), "guardrails.rules.yml", "application/yaml", lambda: prometheus_rules(rollout))
        _file(t("The stages with their record (rollout.json)"), "rollout.json", "application/json", rollout.model_dump_json)


def _file(label: str, name: str, mime: str, make: Callable[[], str]) -> None:
    st.download_button(
        label, data=lambda: make().encode(), file_name=name, mime=mime, icon=":material/download:", on_click="ignore", key=f"file_{name}"
    )
