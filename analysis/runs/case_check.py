"""Whether a business case made elsewhere follows from its own evidence and assumptions: it is worked out again and compared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any, TypeVar

from analysis.contracts import Assumptions, BusinessCase, CaseResult, Plan, content_hash
from analysis.economics.case import result_of
from analysis.economics.dates import first_of_next_month
from analysis.errors import DocumentError, InputError

_CLOSE, _DRAWN = 1e-6, 1e-3
"""How far figures may be apart, as a share: the worked out ones, and the simulated ones, where one draw more or less may count."""


D = TypeVar("D")


def checked(document: D, filename: str) -> D:
    """A business case, or a plan that carries one, with its sentences written anew; any other document as it is.

    Figures are compared with what follows; sentences are ours, so nobody else's words stand beside them.

    Raises:
        DocumentError: its figures were changed by hand, or another version of Strata works them out otherwise.
    """
    if isinstance(document, Plan) and document.business_case is not None:
        return document.model_copy(update={"business_case": checked(document.business_case, filename)})
    if not isinstance(document, BusinessCase):
        return document
    again = worked_out_again(document)
    place = "assumptions" if again is None else next(differences(document, again), None)
    if again is None or place is not None:
        raise DocumentError(
            "{file} does not follow from its own evidence and assumptions ({place}): it was changed by hand, or made by another version "
            "of Strata. Make the case again from its plan: python -m analysis roi --assumptions {file}",
            file=filename,
            place=place,
        )
    return document.model_copy(update={"result": again})


def worked_out_again(case: BusinessCase) -> CaseResult | None:
    """What follows from a case's evidence and assumptions, by the draws and the seed it names; None: nothing can."""
    drawn = case.result.simulation
    try:
        return result_of(case.evidence, _as_of_its_making(case), draws=drawn.draws, seed=drawn.seed, rollout=case.rollout)
    except InputError:
        return None


def differences(case: BusinessCase, again: CaseResult) -> Iterator[str]:
    """Places of a case whose figures are not what follows from its evidence and assumptions."""
    if case.id != content_hash("case", case.evidence, case.assumptions)[:16]:
        yield "id"
    yield from (f"result{place}" for place in _apart(case.result.model_dump(mode="json"), again.model_dump(mode="json")))


def _as_of_its_making(case: BusinessCase) -> Assumptions:
    """Without a first day the case began in the month after it was made, whatever day it is now."""
    if case.assumptions.starts_on:
        return case.assumptions
    try:
        made = date.fromisoformat(case.created_at[:10])
    except ValueError:
        return case.assumptions
    return case.assumptions.model_copy(update={"starts_on": first_of_next_month(made).isoformat()})


def _apart(given: Any, again: Any, place: str = "") -> Iterator[str]:
    """Places at which two dumps have different figures; sentences may differ."""
    if _is_sentence(given) or _is_sentence(again) or place.endswith(".notes"):
        return
    if isinstance(given, Mapping) and isinstance(again, Mapping) and given.keys() == again.keys():
        for name, value in given.items():
            yield from _apart(value, again[name], f"{place}.{name}")
    elif isinstance(given, list) and isinstance(again, list) and len(given) == len(again):
        for index, (one, other) in enumerate(zip(given, again, strict=True)):
            yield from _apart(one, other, f"{place}.{index}")
    elif _is_number(given) and _is_number(again):
        allowed = _DRAWN if place.startswith((".simulation", ".cost_low", ".cost_high")) else _CLOSE
        if abs(given - again) > allowed * max(1.0, abs(given), abs(again)):
            yield place
    elif given != again:
        yield place


def _is_sentence(value: object) -> bool:
    return isinstance(value, Mapping) and value.keys() == {"id", "values"}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
