"""Which examples a plan is put to the test with: its own workload's, or others that are named."""

from __future__ import annotations

from typing import Any

import streamlit as st

from analysis.contracts import Plan, WorkloadInfo
from analysis.i18n import N_
from pages.ui.glossary import term
from pages.ui.language import words
from pages.ui.messages import saying_errors
from pages.ui.workload_choice import workload_fields
from pages.ui.workload_form import prompts_field, read_mapping

KINDS = {"plan": N_("The plan's own workload"), "other": N_("Other examples")}


def examples_field(
    plan: Plan, workload: WorkloadInfo | None, *, key: str, caption: str, caption_of_others: str | None = None
) -> dict[str, Any] | None:
    """The request's fields that name the examples; None while files are still to be named.

    Args:
        plan: what is put to the test.
        workload: what is known of its workload.
        key: under which the fields are remembered.
        caption: which of the examples are used for what.
        caption_of_others: the same where others than the plan's are named; None: `caption` says it of them too.
    """
    t = words()
    known = plan.workload is not None and (plan.workload.is_sample or bool(plan.workload.paths))
    left, right = st.columns(2, gap="large")
    with left:
        kind = st.radio(
            t("Examples"),
            list(KINDS) if known else ["other"],
            format_func=lambda name: t(KINDS[name]),
            horizontal=True,
            key=f"{key}_data_{plan.id}",
            help=term("calibration / verification examples"),
        )
        st.caption(caption if kind == "plan" or caption_of_others is None else caption_of_others)
    if kind == "plan":
        return workload_fields(same_workload(plan, workload) or plan.workload)
    with right:
        chosen, paths = prompts_field(key=key)
        mapping = st.text_input(
            t("Columns, if your file names them otherwise"), key=f"{key}_mapping", placeholder="prompt=text, response=answer", max_chars=500
        )
    if chosen != "sample" and not paths:
        return None
    with saying_errors():
        return {"workload_paths": tuple(str(path) for path in paths), "mapping": read_mapping(mapping or "")}
    return None


def same_workload(plan: Plan, workload: WorkloadInfo | None) -> WorkloadInfo | None:
    """What is known of a workload, where it is the one that the plan was made from."""
    same = workload is not None and plan.workload is not None and workload.content_hash == plan.workload.content_hash
    return workload if same else None
