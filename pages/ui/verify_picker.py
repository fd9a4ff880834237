"""Which verification of a plan is shown, and the run that the plan was made from."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.contracts import Plan, Profile, RunSummary, VerificationSummary
from pages.ui.language import words
from pages.ui.picker import made_at, pick_result, shown_of
from pages.ui.session import client, profile
from pages.ui.verdicts import verdict_word


def chosen_verification(past: Sequence[VerificationSummary]) -> str | None:
    """The verification in the address, else the newest; earlier ones can be chosen. None: there is none yet."""
    shown = shown_of(past, "verification")
    if shown:
        pick_result(words()("Verification shown"), past, shown, "verification", _in_words, width=640)
    return shown


def _in_words(one: VerificationSummary) -> str:
    return words()(
        "{date}: {verdict}, {n} prompts of {workload}, {device}",
        date=made_at(one),
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
