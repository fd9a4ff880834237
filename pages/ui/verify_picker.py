"""Which verification of a plan is shown, and the one that is running."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from analysis.contracts import Plan, Profile, RunSummary, VerificationSummary
from pages.ui.job_box import watched
from pages.ui.language import words
from pages.ui.session import client, forget, forget_plans, profile, remember, remembered
from pages.ui.verdicts import verdict_word


def watch_verification() -> None:
    """The verification this visit started, while it runs and when it failed; a finished one is shown at once."""
    over = watched("verify_job")
    if over is None:
        return
    forget_plans()
    if over.result_id:
        remember("verification", over.result_id)
    st.rerun()


def chosen_verification(past: Sequence[VerificationSummary]) -> str | None:
    """The verification in the address, else the newest; earlier ones can be chosen. None: there is none yet."""
    if not past:
        return None
    t, known = words(), {one.id: one for one in past}
    asked = remembered("verification")
    if asked and asked not in known:
        forget("verification")
        asked = None
    if len(past) == 1:
        return past[0].id
    st.session_state.verification_shown = asked or past[0].id

    def changed() -> None:
        remember("verification", st.session_state.verification_shown)

    st.selectbox(
        t("Verification shown"),
        list(known),
        format_func=lambda found: _in_words(known[found]),
        key="verification_shown",
        on_change=changed,
        width=640,
    )
    return asked or past[0].id


def _in_words(one: VerificationSummary) -> str:
    return words()(
        "{date}: {verdict}, {n} prompts of {workload}, {device}",
        date=one.created_at[:16].replace("T", " "),
        verdict=verdict_word(one.verdict, run=True),
        n=one.n_examples,
        workload=one.workload_name,
        device=one.device_name,
    )


def made_from(plan: Plan) -> Profile | None:
    """The stored run a plan was made from; None: it is not here, or it is another model's."""
    run = run_of(plan)
    return profile(run.id) if run else None


def run_of(plan: Plan) -> RunSummary | None:
    """The same as it stands in the list of runs."""
    for run in client().runs():
        if run.id == plan.provenance.profile_id or run.model_name == plan.model.name:
            found = profile(run.id)
            if found.model.commit == plan.model.commit and found.stack == plan.model.stack:
                return run
    return None
