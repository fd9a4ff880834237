"""Before the start: the checklist, the rehearsed roll-back with its measured minutes, and the one-page runbook."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, date, datetime

import streamlit as st

from analysis.contracts import CaseEvidence, ChecklistItem, CheckName, Rehearsal, Rollout
from analysis.economics.runbook import runbook
from analysis.economics.stages import act, check_item
from analysis.i18n import LANGUAGES, Language
from analysis.i18n.numbers import number
from pages.ui.evidence import badge
from pages.ui.glossary import term
from pages.ui.language import language, plain, words
from pages.ui.messages import saying_errors
from pages.ui.stages_keeping import NAME_LIMIT, NOTE_LIMIT, event, keep
from pages.ui.stages_words import check_words, who_words

_TITLES: dict[Language, str] = {"en": "English", "ja": "日本語"}
LONGEST_REHEARSAL = 1440.0


def checklist_box(rollout: Rollout) -> None:
    """What has to be settled before real use: ticked by whom, on which day."""
    t, key = words(), f"{rollout.plan_id}_{len(rollout.events)}"
    st.subheader(t("Checklist"), anchor=False)
    done = sum(item.done for item in rollout.checklist)
    st.caption(t("Settled: {done} of {n}. No stage starts while one is open.", done=done, n=len(rollout.checklist)))
    with st.form(f"checklist_{key}", border=False):
        ticks = {item.name: st.checkbox(_item_words(item), value=item.done, key=f"check_{item.name}_{key}") for item in rollout.checklist}
        who = st.text_input(t("Your name"), key=f"check_who_{key}", max_chars=NAME_LIMIT)
        note = st.text_input(t("Note"), key=f"check_note_{key}", max_chars=NOTE_LIMIT)
        pressed = st.form_submit_button(t("Keep the checklist"), icon=":material/checklist:")
    if pressed:
        _keep_checklist(rollout, ticks, (who or "").strip(), (note or "").strip())


def _item_words(item: ChecklistItem) -> str:
    t = words()
    said = check_words(item.name)
    if not item.done:
        return said
    return t("{item}: {who}, {date}", item=said, who=plain(item.who) or t("no name"), date=item.on)


def _keep_checklist(rollout: Rollout, ticks: Mapping[CheckName, bool], who: str, note: str) -> None:
    """Keeps what was ticked, with who and when; a tick without a name is refused."""
    t, changed = words(), [item for item in rollout.checklist if ticks[item.name] != item.done]
    if not changed:
        st.info(t("Nothing was changed in the checklist."))
        return
    if not who:
        st.error(t("A tick needs a name: type yours, then keep the checklist again."), icon=":material/error:")
        return
    at = datetime.now(UTC).isoformat(timespec="seconds")
    with saying_errors():
        then = rollout
        for item in changed:
            then = check_item(then, item.name, who=who, at=at, note=note, done=ticks[item.name])
        keep(then, t("The checklist is kept."), seen=rollout)


def rehearsal_box(rollout: Rollout, evidence: CaseEvidence) -> None:
    """The roll-back as it was tried, and a form with a clock for trying it."""
    t = words()
    st.subheader(t("Rehearsal of the roll-back"), anchor=False, help=term("roll back"))
    tried = rollout.rehearsal
    if tried is None:
        st.warning(
            t("Not rehearsed yet: nobody knows how long the way back takes. Try it once, with the clock running."), icon=":material/timer:"
        )
    else:
        badge("measured")
        said = t(
            "Back on the original within {minutes} minutes, on {date}", minutes=number(tried.minutes, language()), date=plain(tried.on)
        )
        st.markdown(f"{said}: {who_words(tried.who)}")
        st.markdown("\n".join(f"{place}. {plain(step)}" for place, step in enumerate(tried.steps, start=1)))
    _clock(rollout.plan_id)
    _rehearsal_form(rollout)
    _runbook(rollout, evidence)


def _clock(plan_id: str) -> None:
    """Start when the switch is ordered, stop when the first request is answered by the original again."""
    t, key = words(), f"rehearsal_began_{plan_id}"

    def started() -> None:
        st.session_state[key] = time.monotonic()

    def stopped() -> None:
        minutes = (time.monotonic() - st.session_state.pop(key)) / 60
        st.session_state[f"rehearsal_minutes_{plan_id}"] = max(round(minutes, 1), 0.1)

    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        if key in st.session_state:
            st.button(t("Stop the clock"), key="stop_clock", icon=":material/stop_circle:", on_click=stopped)
            st.caption(t("The clock runs. Stop it when the first request is answered by the original again."))
        else:
            st.button(t("Start the clock"), key="start_clock", icon=":material/timer:", on_click=started)
            st.caption(t("Or type the minutes that you measured."))


def _rehearsal_form(rollout: Rollout) -> None:
    t, plan_id, tried = words(), rollout.plan_id, rollout.rehearsal
    st.session_state.setdefault(f"rehearsal_minutes_{plan_id}", None)
    with st.form(f"rehearsal_{plan_id}_{len(rollout.events)}", border=False):
        a, b = st.columns(2, gap="small")
        minutes = a.number_input(t("Minutes measured"), 0.0, LONGEST_REHEARSAL, step=1.0, format="%g", key=f"rehearsal_minutes_{plan_id}")
        on = b.date_input(t("Day of the rehearsal"), value=date.today(), max_value=date.today(), key=f"rehearsal_on_{plan_id}")
        who = st.text_input(t("Who did it"), key=f"rehearsal_who_{plan_id}", max_chars=NAME_LIMIT)
        text = st.text_area(
            t("Steps, one a line"),
            "\n".join(tried.steps) if tried else "",
            key=f"rehearsal_steps_{plan_id}",
            height=110,
            max_chars=4000,
            help=t("What was done, in order. The runbook prints these lines."),
        )
        pressed = st.form_submit_button(t("Keep the rehearsal"), icon=":material/save:")
    if pressed:
        steps = tuple(line.strip() for line in (text or "").splitlines() if line.strip())
        _keep_rehearsal(rollout, minutes or 0.0, on, (who or "").strip(), steps)


def _keep_rehearsal(rollout: Rollout, minutes: float, on: date | None, who: str, steps: tuple[str, ...]) -> None:
    t = words()
    missing = [
        *([] if minutes > 0 else [t("the minutes (above 0)")]),
        *([] if on else [t("the day")]),
        *([] if who else [t("who did it")]),
        *([] if steps else [t("the steps")]),
    ]
    if missing or on is None:
        st.error(t("The rehearsal is not kept: fill in {missing}.", missing=tuple(missing)), icon=":material/error:")
        return
    note = t("{minutes} minutes, on {date}", minutes=minutes, date=on.isoformat())
    tried = Rehearsal(minutes=minutes, on=on.isoformat(), who=who, steps=steps)
    with saying_errors():
        then = act(rollout.model_copy(update={"rehearsal": tried}), event(0, "rehearse", who, note))
        keep(then, t("The rehearsal is kept."), seen=rollout)


def _runbook(rollout: Rollout, evidence: CaseEvidence) -> None:
    """One page for the drawer beside the machine."""
    t = words()
    st.session_state.setdefault("runbook_language", language())
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        spoken: Language = (
            st.selectbox(t("Language of the runbook"), LANGUAGES, format_func=lambda code: _TITLES[code], key="runbook_language", width=170)
            or "en"
        )
        st.download_button(
            t("Download the runbook"),
            data=lambda: runbook(rollout, evidence, spoken).encode("utf-8-sig"),
            file_name=f"runbook-{rollout.plan_id}-{spoken}.txt",
            mime="text/plain",
            icon=":material/download:",
            on_click="ignore",
            key="download_runbook",
        )
