"""Which measures vote, with what weight, and how far: what stands behind --criteria, --weights and --most-perplexity."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import get_args

from analysis.contracts import CHEAP_VOTERS, DEFAULT_VOTERS, MEMBERS, VOTERS, Voter
from analysis.errors import InputError

GROUPS: Mapping[str, tuple[Voter, ...]] = {"default": DEFAULT_VOTERS, "all": VOTERS, "cheap": CHEAP_VOTERS, "members": MEMBERS}
"""Names for several measures at once."""
_LIMIT = re.compile(r"(?P<times>\d+(?:\.\d+)?)\s*x?|\+(?P<more>\d+(?:\.\d+)?)\s*%")


def voters_named(text: str) -> tuple[Voter, ...]:
    """What --criteria names: groups and measures with commas, each measure once, in their usual order.

    Raises:
        InputError: something that is neither, or nothing.
    """
    named = [part.strip() for part in text.split(",") if part.strip()]
    unknown = next((one for one in named if one not in GROUPS and one not in VOTERS), None)
    if unknown is not None or not named:
        raise InputError(
            "--criteria {given} is not understood: write {groups}, or measures with commas: {known}.",
            given=(unknown or text)[:40],
            groups=tuple(GROUPS),
            known=VOTERS,
        )
    asked = {voter for one in named for voter in GROUPS.get(one, (one,))}
    return tuple(voter for voter in VOTERS if voter in asked)


def weights_named(text: str) -> dict[Voter, float]:
    """What --weights names: ``cka=2,taylor=0.5``.

    Raises:
        InputError: another form, a measure that there is not, or a weight below zero.
    """
    found: dict[Voter, float] = {}
    known: dict[str, Voter] = {voter: voter for voter in get_args(Voter)}
    for part in filter(None, (one.strip() for one in text.split(","))):
        name, _, value = (side.strip() for side in part.partition("="))
        weight = _number(value)
        if name not in known or weight is None:
            raise InputError(
                "--weights {given} is not understood: write NAME=X with X from 0 up, for example cka=2,taylor=0.5. Measures: {known}.",
                given=part[:40],
                known=VOTERS,
            )
        found[known[name]] = weight
    return found


def check_weights(rule: str | None, weights: Mapping[Voter, float]) -> None:
    """Refuses weights that would count for nothing.

    Raises:
        InputError: weights are given to a rule that takes none.
    """
    if weights and rule != "borda":
        raise InputError("--weights only counts with --rule borda. Add that, or leave --weights out.")


def most_perplexity_of(text: str | None) -> float | None:
    """``1.5x`` or ``+50%`` as a multiple of the untouched model's perplexity.

    Raises:
        InputError: another form, or less than the untouched model's.
    """
    if text is None:
        return None
    found = _LIMIT.fullmatch(text.strip())
    times = None if found is None else float(found["times"]) if found["times"] else 1 + float(found["more"]) / 100
    if times is None or times < 1:
        raise InputError("--most-perplexity {given} is not understood: write a multiple from 1x up, or +50%.", given=text[:40])
    return times


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 <= value < math.inf else None
