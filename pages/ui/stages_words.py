"""What stages, actions, advice and limits are called on the manager's pages: no term that is not explained there."""

from __future__ import annotations

from collections.abc import Mapping

from analysis.contracts import CheckName, Guardrail, Message, RoleName, StageAction, StageEvent
from analysis.economics.stage_rules import CHECK_LABELS
from analysis.errors import StrataError
from analysis.i18n import N_
from analysis.planning.limits import CRITICAL, parse_guardrail
from analysis.reporting.limit_words import limit_in_words
from pages.ui.language import plain, say, words
from pages.ui.similarity_view import slice_title

ACTIONS: Mapping[StageAction, str] = {
    "approve": N_("Approve"),
    "start": N_("Start the stage"),
    "pass": N_("Passed: go on to the next stage"),
    "hold": N_("Hold: stay at this stage"),
    "resume": N_("Go on after a hold"),
    "roll_back": N_("Roll back to the original"),
    "stop": N_("Stop the project"),
    "rehearse": N_("Roll-back rehearsed"),
    "check": N_("Checklist changed"),
    "note": N_("Note only"),
}
ROLES: Mapping[RoleName, str] = {
    "owner": N_("Owner"),
    "engineer": N_("Engineer"),
    "expert": N_("Business expert"),
    "legal": N_("Legal and security"),
}


def guardrail_words(found: Guardrail) -> str:
    """A limit as a short sentence, its slice by the name that is shown."""
    shown = found if found.slice in (None, CRITICAL) else found.model_copy(update={"slice": slice_title(str(found.slice))})
    return say(limit_in_words(shown)).replace("\\", "")


def limit_words(text: str) -> str:
    """A limit as it stands in a stage, in words; one that cannot be read as it stands."""
    try:
        return guardrail_words(parse_guardrail(text))
    except StrataError:
        return text


def who_words(name: str) -> str:
    """A name as it was typed, marked as that."""
    return words()("{who} (as entered, not verified)", who=plain(name)) if name else ""


def check_words(name: CheckName) -> str:
    """An item of the checklist, to stand at the beginning of a line."""
    said = words()(CHECK_LABELS[name])
    return said[:1].upper() + said[1:]


def note_words(done: StageEvent) -> str:
    """A note; one on the checklist begins with the name of its item, which is put into words."""
    name, colon, rest = done.note.partition(":")
    if done.action != "check" or name not in CHECK_LABELS:
        return done.note
    said = check_words(name)  # type: ignore[arg-type]  # just looked up
    return f"{said}:{rest}" if colon else said


def say_plainly(found: Message | StrataError) -> str:
    """A sentence in which limits stand as they are written (``flips<=10%``), with these limits in a manager's words."""
    message = found.message if isinstance(found, StrataError) else found
    return say(_plainly(message))


def _plainly(message: Message) -> Message:
    return Message(id=message.id, values={name: _value(value) for name, value in message.values.items()})


def _value(value: object) -> object:
    if isinstance(value, Message):
        return _plainly(value)
    if isinstance(value, tuple | list):
        return tuple(_value(one) for one in value)
    if not isinstance(value, str) or not ("<=" in value or ">=" in value):
        return value
    return words()('"{limit}"', limit=limit_words(value))
