"""What the Consensus page is about: the ranking in use and the run it belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import streamlit as st

from analysis.contracts import Profile, Ranking, RankingSummary, RunSummary
from pages.ui.frame import Subject, subject
from pages.ui.language import words
from pages.ui.picker import made_at, pick_result
from pages.ui.session import client, forget, profile, ranking, remember, remembered


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


def ranking_picker(past: Sequence[RankingSummary], shown: RankingSummary) -> None:
    """All rankings of the run, one of them shown."""
    pick_result(words()("Ranking shown"), past, shown.id, "ranking", _in_words, width=640)


def _in_words(one: RankingSummary) -> str:
    t = words()
    parts = {"block": t("layers"), "attention": t("attention"), "mlp": t("MLP")}[one.unit]
    said = t(
        "{date}: {unit}, {voters} measures, {taken} taken out",
        date=made_at(one),
        unit=parts,
        voters=one.n_voters,
        taken=one.n_taken,
    )
    return " · ".join([said, *([] if one.complete else [t("not complete")]), one.device_name])
