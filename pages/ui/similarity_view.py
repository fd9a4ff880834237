"""The choices of the Similarity page: which measure, which tokens, beside what, in which range."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import streamlit as st

from analysis.contracts import AUTOMATIC_SLICES, Matrix, Profile, Scores
from analysis.i18n import N_
from analysis.reporting.charts.heatmap import FULL_RANGE, MEASURES, Measure, Range, robust_range
from pages.ui.glossary import term
from pages.ui.language import words
from pages.ui.session import client, forget, profile, remember, remembered

SHORT = {"cosine_similarity": N_("Cosine"), "angular_distance": N_("Angular"), "linear_cka": "CKA"}
AUTOMATIC = {
    "prompt": N_("only prompt tokens"),
    "response": N_("only response tokens"),
    "template": N_("only template tokens"),
    "sink": N_("only first and sink tokens"),
}
SAMPLE_SLICES = (
    N_("inspection notes"),
    N_("order entry"),
    N_("maintenance logs"),
    N_("customer mail"),
    N_("code"),
    N_("arithmetic"),
    N_("summaries"),
    N_("Japanese requests"),
)
WHOLE = ""


@dataclass(frozen=True)
class View:
    """What is looked at: `slice_name` and `other` are slice names (WHOLE: all default tokens; None: no comparison)."""

    run_id: str
    measure: Measure
    slice_name: str
    other: Other | None
    shown_range: Range


@dataclass(frozen=True)
class Other:
    """What it is set beside: a slice of the same run, or the same slice of another run."""

    key: str
    label: str
    scores: Scores


def slice_title(name: str) -> str:
    """A slice in words; a slice of one's own is called what the file calls it."""
    t = words()
    if name == WHOLE:
        return t("all tokens that count")
    return t(AUTOMATIC.get(name, name)) if name in AUTOMATIC or name in SAMPLE_SLICES else name


def slices_of(found: Profile) -> list[str]:
    """The whole, the workload's own slices, then those by kind of token."""
    own = [name for name in found.slices if name not in AUTOMATIC_SLICES]
    return [WHOLE, *own, *(name for name in AUTOMATIC_SLICES if name in found.slices)]


def scores_of(found: Profile, slice_name: str) -> Scores:
    """The measures over a slice's tokens."""
    return found.slices.get(slice_name, found.overall) if slice_name else found.overall


def matrix_of(scores: Scores, measure: Measure) -> Matrix | None:
    """All pairs of positions by a measure; None where it was not measured over these tokens."""
    return cast("Matrix | None", getattr(scores, measure.field))


@st.cache_data(show_spinner=False, max_entries=32)
def common_range(run_id: str, field: str, _found: Profile) -> Range:
    """The range that all slices of a run share, so that their heatmaps can be compared."""
    matrices = [
        getattr(scores, field) for name, scores in (("", _found.overall), *_found.slices.items()) if name not in ("sink", "template")
    ]
    return robust_range([matrix for matrix in matrices if matrix is not None])


def controls(run_id: str, found: Profile) -> View:
    """Draws the choices and returns what they ask to see."""
    t = words()
    first, second, third, fourth = st.columns([4, 4, 4, 3], gap="medium", vertical_alignment="bottom")
    with first:
        fields = [field for field in SHORT if getattr(found.overall, field) is not None]
        field = st.radio(
            t("Measure"),
            fields,
            format_func=lambda name: "CKA" if name == "linear_cka" else t(SHORT[name]),
            horizontal=True,
            key="measure",
            persist_state="session",
            help=_meanings(),
        )
    slices = slices_of(found)
    slice_name = second.selectbox(
        t("Tokens"), slices, format_func=slice_title, key=f"slice_{run_id}", persist_state="session", help=term("slice")
    )
    with third:
        other = _other(run_id, found, str(slice_name or WHOLE))
    full = fourth.toggle(
        t("Scale from 0 to 1"),
        key="full_range",
        persist_state="session",
        help=t("Off: the scale spans the middle 96% of all values, the same for every slice, so that small differences show."),
    )
    measure = MEASURES[field or fields[0]]
    return View(run_id, measure, str(slice_name or WHOLE), other, FULL_RANGE if full else common_range(run_id, measure.field, found))


def _meanings() -> str:
    return "\n\n".join(term(name) for name in ("similarity", "angular distance", "CKA"))


def _other(run_id: str, found: Profile, slice_name: str) -> Other | None:
    t = words()
    runs = {f"run:{run.id}": run.name for run in client().runs() if run.id != run_id and run.n_blocks == found.n_blocks}
    options = ["none", *(f"slice:{name}" for name in slices_of(found) if name != slice_name), *runs]
    asked = remembered("compare")
    if asked and asked.startswith("run:") and asked not in runs:
        st.info(t("The other run has another number of layers or is gone, so the two cannot be set side by side."))
        forget("compare")

    def title(option: str) -> str:
        kind, _, name = option.partition(":")
        return t("nothing") if kind == "none" else t("run {run}", run=runs[option]) if kind == "run" else slice_title(name)

    def changed() -> None:
        option = st.session_state.beside
        forget("compare") if option == "none" else remember("compare", option)

    st.session_state.beside = asked if asked in options else "none"
    explained = t("Shows the difference: the tokens on the left minus these.")
    option = str(st.selectbox(t("Compare with"), options, format_func=title, key="beside", on_change=changed, help=explained))
    kind, _, name = option.partition(":")
    if kind == "run":
        return Other(option, runs[option], scores_of(profile(name), slice_name))
    return Other(option, slice_title(name), scores_of(found, name)) if kind == "slice" else None
