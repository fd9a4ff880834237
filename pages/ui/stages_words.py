"""What stages, actions, advice and limits are called on the manager's pages: no term that is not explained there."""

from __future__ import annotations

from collections.abc import Mapping

from analysis.contracts import CheckName, Guardrail, Message, RoleName, StageAction, StageEvent
from analysis.economics.stage_rules import CHECK_LABELS
from analysis.errors import StrataError
from analysis.i18n import N_
from analysis.i18n.numbers import percent
from analysis.planning.limits import CRITICAL, parse_guardrail
from analysis.reporting.verification_words import limit
from pages.ui.language import language, plain, say, words
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
# A manager's page says what is lost, not how it is measured; the measure's own name stands one click below.
_METRICS: Mapping[str, str] = {
    "perplexity": N_("Quality loss"),
    "flips": N_("Changed answers"),
    "accuracy": N_("Right answers"),
    "kl": N_("Difference from the original"),
    "similarity": N_("Likeness to the original"),
    "latency_ms": N_("Time to read a request"),
    "first_token_ms": N_("Time to the first word"),
    "decode_tokens_per_second": N_("Writing speed"),
    "peak_memory_bytes": N_("Most memory in use"),
    "weight_bytes": N_("Memory of the model"),
    "kv_cache_bytes": N_("Memory while answering"),
    "prefill_flops": N_("Computation of a request"),
    "energy_mwh": N_("Energy of a request"),
}


def metric_word(name: str) -> str:
    """What a limit is about, in a manager's words."""
    t = words()
    return t(_METRICS[name]) if name in _METRICS else name


def guardrail_words(found: Guardrail) -> str:
    """A limit as a short sentence: "Quality loss, critical cases: at most +5%"."""
    t = words()
    about = metric_word(found.metric)
    if found.slice is not None:
        where = t("critical cases") if found.slice == CRITICAL else slice_title(found.slice)
        about = t("{metric}, {slice}", metric=about, slice=where)
    return t("{about}: {limit}", about=about, limit=_limit_words(found))


def _limit_words(found: Guardrail) -> str:
    """The limit itself: times the original's as more or less, points as points."""
    t, code = words(), language()
    if found.unit == "x" and found.op == "<=":
        change = percent(abs(found.value - 1), code)
        if found.value == 1:
            return t("no more than the original")
        return (
            t("at most {percent} more than the original", percent=change)
            if found.value > 1
            else t("at least {percent} less than the original", percent=change)
        )
    if found.metric == "accuracy" and found.unit == "%" and found.value <= 0:
        return t("at most {n} points fewer", n=abs(found.value))
    return say(limit(found)).replace("\\", "")


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
