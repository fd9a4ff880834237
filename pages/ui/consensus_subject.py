"""What the Consensus page is about: the ranking in use, the run it belongs to, and the job that makes one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import streamlit as st

from analysis.contracts import Profile, Ranking, RankingSummary, RunSummary
from pages.ui.frame import Subject, subject
from pages.ui.job_box import watched
from pages.ui.language import say, words
from pages.ui.messages import saying_errors
from pages.ui.session import chosen, client, forget, profile, ranking, remember, remembered


@dataclass(frozen=True)
class Ranked:
    """The page's subject with the run's profile, its rankings, and the one that is shown."""

    about: Subject
    found: Profile | None
    past: tuple[RankingSummary, ...]
    shown: RankingSummary | None

    @property
    def ranking(self) -> Ranking | None:
        """The ranking that is shown, whole."""
        return ranking(self.shown) if self.shown else None


def ranked_subject() -> Ranked:
    """The run decides which rankings there are; a ranking that came by itself, by an address or a file, brings its run along."""
    stored = {one.id: one for one in client().rankings()}
    asked = remembered("ranking")
    if asked and asked not in stored:
        st.warning(
            words()("There is no such ranking here: it was deleted, or the address comes from another machine."), icon=":material/info:"
        )
        forget("ranking")
        asked = None
    own_run = run_of_ranking(stored[asked]) if asked else None
    if own_run and ("run" not in st.query_params):
        remember("run", own_run.id)
    about = subject()
    if asked and own_run is None:  # it came as a file, and no run of its model is here
        return Ranked(replace(about, run=None), None, (stored[asked],), stored[asked])
    if about.run is None:
        return Ranked(about, None, (), None)
    found = profile(about.run.id)
    past = tuple(client().rankings_for(found.model.commit, found.stack, found.workload.content_hash))
    if asked and asked not in {one.id for one in past}:
        forget("ranking")
        asked = None
    shown = next((one for one in past if one.id == asked), past[0] if past else None)
    return Ranked(about, found, past, shown)


def run_of_ranking(one: RankingSummary) -> RunSummary | None:
    """The newest stored run of the ranking's model on its workload."""
    for run in client().runs():
        if run.model_name == one.model_name and _fits(profile(run.id), one):
            return run
    return None


def _fits(found: Profile, one: RankingSummary) -> bool:
    return (found.model.commit, found.stack, found.workload.content_hash) == (one.model_commit, one.stack, one.workload_hash)


def watch_ranking() -> None:
    """The ranking this visit started, while it runs and when it failed; a finished one is shown at once."""
    over = watched("ranking_job")
    if over is None:
        return
    for note in over.notes:
        st.caption(say(note))
    if over.result_id:
        remember("ranking", over.result_id)
    st.rerun()


def ranking_picker(past: Sequence[RankingSummary], shown: RankingSummary) -> None:
    """All rankings of the run, one of them shown."""
    if len(past) < 2:
        return
    t, known = words(), {one.id: one for one in past}
    st.session_state.ranking_shown = shown.id

    def changed() -> None:
        remember("ranking", st.session_state.ranking_shown)

    st.selectbox(
        t("Ranking shown"),
        list(known),
        format_func=lambda found: _in_words(known[found]),
        key="ranking_shown",
        on_change=changed,
        width=640,
    )


def _in_words(one: RankingSummary) -> str:
    t = words()
    parts = {"block": t("layers"), "attention": t("attention"), "mlp": t("MLP")}[one.unit]
    said = t(
        "{date}: {unit}, {voters} measures, {taken} taken out",
        date=one.created_at[:16].replace("T", " "),
        unit=parts,
        voters=one.n_voters,
        taken=one.n_taken,
    )
    return " · ".join([said, *([] if one.complete else [t("not complete")]), one.device_name])


def delete_button(ranking_id: str) -> None:
    """Deletes the ranking that is shown, after asking."""
    t = words()
    if not st.button(t("Delete this ranking"), key="delete_ranking", type="tertiary", icon=":material/delete:"):
        return

    @st.dialog(t("Delete for good?"))
    def ask() -> None:
        st.markdown(
            t("The ranking is deleted from this machine and cannot be brought back. Plans made from it stay. Files you downloaded stay.")
        )
        with st.container(horizontal=True):
            if st.button(t("Delete"), type="primary", key="delete_ranking_sure"):
                with saying_errors():
                    client().delete_ranking(ranking_id)
                    if chosen("ranking") == ranking_id:
                        forget("ranking")
                    st.rerun()
            if st.button(t("Keep it"), key="keep_ranking"):
                st.rerun()

    ask()
