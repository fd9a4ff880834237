"""What a visit remembers: the guard, the store behind it, and which run, plan and job it looks at."""

from __future__ import annotations

from typing import Literal

import streamlit as st

from analysis.contracts import (
    Assumptions,
    Healing,
    LatencyModel,
    Plan,
    PlanSummary,
    Profile,
    Ranking,
    RankingSummary,
    Robustness,
    Search,
    Semantics,
    Trial,
    Verification,
)
from analysis.runs.client import Client, open_client

Remembered = Literal[
    "run",
    "plan",
    "job",
    "compare",
    "compare_plan",
    "case",
    "set",
    "verification",
    "trial",
    "search_job",
    "verify_job",
    "export_job",
    "latency_job",
    "semantics_job",
    "trial_job",
    "steps_job",
    "ranking",
    "ranking_job",
    "verify_part",
    "robustness",
    "robustness_job",
    "trials_part",
    "healing",
    "heal_job",
]
JOBS: tuple[Remembered, ...] = (
    "job",
    "search_job",
    "verify_job",
    "export_job",
    "latency_job",
    "semantics_job",
    "trial_job",
    "steps_job",
    "ranking_job",
    "robustness_job",
    "heal_job",
)


def ensure_session(page: str) -> None:
    """First line of every page: a deep link to a fresh server goes through app.py and comes back (see there)."""
    if "ready" not in st.session_state:
        st.session_state.goto = (page, st.query_params.to_dict())
        st.switch_page("app.py")


@st.cache_resource(show_spinner=False)
def client() -> Client:
    """The one client of this server's store."""
    return open_client()


@st.cache_resource(show_spinner=False, max_entries=8)
def profile(run_id: str) -> Profile:
    """A stored profile, parsed once; profiles never change under their id."""
    return client().profile(run_id)


def search_of(run_id: str) -> Search | None:
    """What removing layers was measured to cost for a run's model and workload; None: not measured yet."""
    stored = tuple((one.id, one.n_measured, one.created_at) for one in client().searches())
    return _search_of(run_id, stored) if stored else None


@st.cache_resource(show_spinner=False, max_entries=8)
def _search_of(run_id: str, stored: tuple[tuple[str, int, str], ...]) -> Search | None:
    found, search = profile(run_id), client().search_for(profile(run_id))
    same = search is not None and len(search.model.stack(search.stack).blocks) == found.n_blocks
    return search if same else None  # a file changed by hand must not take the page down


@st.cache_resource(show_spinner=False, max_entries=8)
def verification(verification_id: str) -> Verification:
    """A stored verification, parsed once; verifications never change under their id."""
    return client().verification(verification_id)


def semantics_of(run_id: str) -> Semantics | None:
    """The traces measured for a run's model and prompts; None: not measured yet."""
    stored = tuple((one.id, one.created_at) for one in client().semantics_list())
    return _semantics_of(run_id, stored) if stored else None


@st.cache_resource(show_spinner=False, max_entries=8)
def _semantics_of(run_id: str, stored: tuple[tuple[str, str], ...]) -> Semantics | None:
    found = profile(run_id)
    traces = client().semantics_for(found)
    return (
        traces if traces is not None and traces.n_blocks == found.n_blocks else None
    )  # a file changed by hand must not take the page down


@st.cache_resource(show_spinner=False, max_entries=8)
def trial(trial_id: str) -> Trial:
    """A stored trial, parsed once; trials never change under their id."""
    return client().trial(trial_id)


@st.cache_resource(show_spinner=False, max_entries=8)
def healing(healing_id: str) -> Healing:
    """A stored healing, parsed once; healings never change under their id."""
    return client().healing(healing_id)


@st.cache_resource(show_spinner=False, max_entries=8)
def robustness(robustness_id: str) -> Robustness:
    """A stored robustness test, parsed once; tests never change under their id."""
    return client().robustness(robustness_id)


def ranking(stored: RankingSummary) -> Ranking:
    """A stored ranking as far as it has come: it grows step by step under its id."""
    return _ranking(stored.id, stored.created_at, stored.n_taken, stored.complete)


@st.cache_resource(show_spinner=False, max_entries=8)
def _ranking(ranking_id: str, created_at: str, n_taken: int, complete: bool) -> Ranking:
    return client().ranking(ranking_id)


def latency_of(commit: str, stack: str | None = None) -> LatencyModel | None:
    """How long a model was measured to take on this machine; None: not measured here."""
    return client().latency_model(commit, stack=stack)


def remembered(what: Remembered) -> str | None:
    """The id this visit is about: from the URL, else as chosen before; put back into the URL."""
    found = st.query_params.get(what) or st.session_state.get(f"chosen_{what}")
    if found:
        remember(what, found)
    return found or None


def remember(what: Remembered, found: str) -> None:
    """Makes `found` what this visit is about, so that a reload or a copied address shows the same."""
    st.session_state[f"chosen_{what}"] = found
    if st.query_params.get(what) != found:
        st.query_params[what] = found


def chosen(what: Remembered) -> str | None:
    """The id chosen in this visit, wherever it came from."""
    found: str | None = st.session_state.get(f"chosen_{what}")
    return found


def working(plan_id: str) -> Assumptions | None:
    """What this visit assumes about the business for a plan; None: nothing was changed or opened yet."""
    found: Assumptions | None = _all_working().get(plan_id)
    return found


def keep_working(plan_id: str, assumptions: Assumptions) -> None:
    """The visit goes on with these assumptions for a plan, on every page, until they are stored as a case or let go."""
    _all_working()[plan_id] = assumptions


def forget_working(plan_id: str) -> None:
    """Lets go of what this visit assumed for a plan."""
    _all_working().pop(plan_id, None)


def _all_working() -> dict[str, Assumptions]:
    """Plan id -> assumptions of this visit."""
    kept: dict[str, Assumptions] = st.session_state.setdefault("assumptions", {})
    return kept


def forget(what: Remembered) -> None:
    """This visit is about none of them any more."""
    st.session_state.pop(f"chosen_{what}", None)
    st.query_params.pop(what, None)


def go(page: str) -> None:
    """To another page, with the run, plan and language this visit is about."""
    kept = {
        what: st.session_state[f"chosen_{what}"]
        for what in ("run", "plan", "case", "compare", "compare_plan")
        if st.session_state.get(f"chosen_{what}")
    }
    st.switch_page(f"pages/{page}.py", query_params={**kept, "lang": st.session_state.language})


@st.cache_data(show_spinner=False, max_entries=64)
def _plan(plan_id: str, name: str, state: str, verdict: str | None, kept_gain: float | None) -> Plan:
    return client().plan(plan_id)


def stored_plan(plan: PlanSummary) -> Plan:
    """A stored plan as it is now: under its present name, with its newest verification or trial."""
    return _plan(plan.id, plan.name, plan.state, plan.verdict, plan.kept_gain)


def only_freezes(plan: PlanSummary) -> bool:
    """Whether a stored plan freezes and takes nothing out; one that does both is verified as well as tried."""
    return plan.eof_layer is not None and stored_plan(plan).only_freezes


def forget_plans() -> None:
    """Reads every plan anew from now on."""
    _plan.clear()
