"""A robustness test in words: the first sentence, what every disturbance is called, and what was not tested."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from babel import Locale
from babel.core import get_global

from analysis.contracts import ATTACKS, NOISES, Comparison, Disturbance, Disturbed, Message, Robustness
from analysis.i18n import N_, Language
from analysis.i18n.numbers import percent
from analysis.planning.carbon import COUNTRIES

DISTURBANCES: Mapping[Disturbance, str] = {
    "keyboard": N_("slips on the keyboard"),
    "swap": N_("letters swapped"),
    "case": N_("capitals and small letters"),
    "spacing": N_("spaces lost or added"),
    "words": N_("other words"),
    "fgsm": N_("attack, one step (FGSM)"),
    "pgd": N_("attack, several steps (PGD)"),
}
IN_A_SENTENCE: Mapping[Disturbance, str] = {
    "keyboard": N_("typing slips"),
    "swap": N_("swapped letters"),
    "case": N_("wrong capitals"),
    "spacing": N_("wrong spaces"),
    "words": N_("other words"),
    "fgsm": N_("the one-step attack (FGSM)"),
    "pgd": N_("the repeated attack (PGD)"),
}
"""Shorter names, for sentences that list several."""
COMPARISONS: Mapping[Comparison, str] = {
    "worse": N_("more sensitive"),
    "better": N_("less sensitive"),
    "no_difference": N_("no difference"),
    "unknown": N_("not known"),
}
ON_UNKNOWN_WORK: Mapping[Comparison, str] = {**COMPARISONS, "worse": N_("it loses more"), "better": N_("it loses less")}
Standing = Literal["worse", "better", "single", "no_difference", "unknown"]
"""A disturbance over all its strengths; `single`: one strength differs and the others do not bear it out."""


@dataclass(frozen=True)
class Stand:
    """How a plan stands under one disturbance.

    Attributes:
        kind: the disturbance.
        standing: over all strengths.
        results: strength by strength, weakest first.
        n_worse: strengths at which the plan is more sensitive.
        n_better: strengths at which it is less sensitive.
    """

    kind: Disturbance
    standing: Standing
    results: tuple[Disturbed, ...]
    n_worse: int
    n_better: int

    @property
    def strongest(self) -> Disturbed:
        """The result at the greatest strength."""
        return self.results[-1]


def stands(found: Robustness) -> tuple[Stand, ...]:
    """Every disturbance that was tested, in the order they are offered."""
    by_kind: dict[Disturbance, list[Disturbed]] = {}
    for kind in (*NOISES, *ATTACKS):
        rows = sorted((result for result in found.results if result.kind == kind), key=lambda result: result.level)
        if rows:
            by_kind[kind] = rows
    return tuple(_stand(kind, rows) for kind, rows in by_kind.items())


def _stand(kind: Disturbance, rows: Sequence[Disturbed]) -> Stand:
    told = [row.comparison for row in rows if row.comparison != "unknown"]
    worse, better = told.count("worse"), told.count("better")
    return Stand(kind, _standing(len(told), worse, better), tuple(rows), worse, better)


def _standing(told: int, worse: int, better: int) -> Standing:
    """One row of several may differ by chance (one in twenty does); two that point the same way are taken at their word."""
    if not told:
        return "unknown"
    if not worse and not better:
        return "no_difference"
    if worse and better:
        return "single"
    if max(worse, better) >= min(2, told):
        return "worse" if worse else "better"
    return "single"


def robustness(found: Robustness) -> Message:
    """Under which disturbances the cut makes the model more sensitive, less, or neither; and when that cannot be told."""
    all_stands = stands(found)
    if not all_stands:
        return Message(id="No disturbance was tested here, so nothing is known of how the plan bears disturbed input.")
    if all(stand.standing == "unknown" for stand in all_stands):
        return Message(id="Whether the cut makes the model more sensitive cannot be told from {n} prompts.", values={"n": found.n_examples})
    if all(stand.standing == "no_difference" for stand in all_stands):
        return Message(
            id="The cut makes no difference that {prompts} prompts can show: the plan bears all {n} disturbances as the original does.",
            values={"prompts": found.n_examples, "n": len(all_stands)},
        )
    parts = list(_parts(all_stands))
    said = parts[0]
    for part in parts[1:]:
        said = Message(id="{first} {second}", values={"first": said, "second": part})
    return said


def _parts(all_stands: Sequence[Stand]) -> Iterator[Message]:
    """The sentences of the answer, worst first."""
    worse, better, single, same, unknown = (
        [stand for stand in all_stands if stand.standing == name] for name in ("worse", "better", "single", "no_difference", "unknown")
    )
    if worse:
        yield Message(
            id="The cut makes the model more sensitive to {kinds}: the loss rises by up to {more} nats a token more than the original's.",
            values={"kinds": _names(worse), "more": f"{_most(worse):.2g}"},
        )
    if better:
        less = Message(id="It is less sensitive to {kinds}.", values={"kinds": _names(better)})
        yield less if worse else Message(id="The cut makes the model less sensitive to {kinds}.", values={"kinds": _names(better)})
    if single:
        yield Message(id="Under {kinds} single strengths differ, which may be chance.", values={"kinds": _names(single)})
    if len(same) == 1:
        yield Message(id="No difference shows under {kinds}.", values={"kinds": _names(same)})
    if len(same) > 1:
        yield Message(id="Under the other {n} disturbances no difference shows.", values={"n": len(same)})
    if unknown:
        yield Message(id="Nothing can be told of {kinds}.", values={"kinds": _names(unknown)})


def _names(found: Sequence[Stand]) -> tuple[Message, ...]:
    return tuple(Message(id=IN_A_SENTENCE[stand.kind]) for stand in found)


def _most(found: Sequence[Stand]) -> float:
    """The largest difference that is above chance."""
    return max(row.difference.value or 0.0 for stand in found for row in stand.results if row.comparison == "worse")


def standing_of(stand: Stand) -> Message:
    """How a plan stands under one disturbance, with at how many strengths."""
    n = len(stand.results)
    if stand.standing == "worse":
        return Message(id="more sensitive at {k} of {n} strengths", values={"k": stand.n_worse, "n": n})
    if stand.standing == "better":
        return Message(id="less sensitive at {k} of {n} strengths", values={"k": stand.n_better, "n": n})
    if stand.standing == "single":
        return Message(id="differs at {k} of {n} strengths, may be chance", values={"k": stand.n_worse + stand.n_better, "n": n})
    return Message(id=COMPARISONS[stand.standing])


def level(kind: Disturbance, value: float, language: Language) -> str:
    """A strength as it is written: a share of letters or words in percent, an attack's as epsilon."""
    return f"{value:g}" if kind in ATTACKS else percent(value, language, 0 if round(value * 1000) % 10 == 0 else 1)


def not_tested(found: Robustness) -> tuple[Message, ...]:
    """What this test says nothing about, because it was not asked for or because the method cannot."""
    tested = {result.kind for result in found.results}
    missing = tuple(Message(id=DISTURBANCES[kind]) for kind in (*NOISES, *ATTACKS) if kind not in tested)
    said = [Message(id="Not tested: {kinds}.", values={"kinds": missing})] if missing else []
    if found.settings.slices:
        said.append(Message(id="Only these slices were tested: {slices}.", values={"slices": found.settings.slices}))
    return (
        *said,
        Message(
            id="Judged is how well the clean continuation is predicted, not answers that are written; texts found by searching for an "
            "attack, and slips in system texts, were not tried."
        ),
    )


def country_name(iso3: str, language: Language) -> str:
    """A country as the language calls it; as the table of electricity does where the language has no word for it.

    >>> country_name("JPN", "ja"), country_name("JPN", "en")
    ('日本', 'Japan')
    """
    known = COUNTRIES.get(iso3)
    alike = get_global("territory_aliases").get(iso3) or [""]
    said: str | None = Locale(language).territories.get(alike[0])
    return said or (known.name if known else iso3)
