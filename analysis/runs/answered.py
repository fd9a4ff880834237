"""Whether a stored search already holds what is asked for, told without a model in memory."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from analysis.contracts import SearchSettings, content_hash
from analysis.errors import PlanError
from analysis.planning import parse_amount

STEERING = ("units", "protect", "strategies", "limit", "beam_width", "seed")
"""What steers a search without shaping any loss."""


def steering(settings: SearchSettings) -> dict[str, Any]:
    """What a finished search has answered, to be kept beside it: the units scanned, and by strategy how it was steered.

    A strategy run again with other units or protected layers replaces its answers, and with them what is noted here.
    """
    how = _how(settings)
    found: dict[str, Any] = {strategy: [how, settings.limit] for strategy in settings.strategies}
    return {**found, **{f"scan {unit}": True for unit in settings.units}}


def answered_by(noted: Mapping[str, Any], asked: SearchSettings) -> bool:
    """Whether every unit asked for was scanned and every strategy has its answers up to at least this limit."""
    scanned = all(noted.get(f"scan {unit}") for unit in asked.units)
    return scanned and all(_reaches(noted.get(strategy), asked) for strategy in asked.strategies)


def _reaches(noted: list[str] | None, asked: SearchSettings) -> bool:
    if noted is None or noted[0] != _how(asked):
        return False
    if noted[1] == asked.limit:
        return True
    with suppress(PlanError):
        went, limit = parse_amount(noted[1]), parse_amount(asked.limit)
        return went.kind == limit.kind and limit.value <= went.value
    return False


def _how(settings: SearchSettings) -> str:
    return content_hash(sorted(settings.units), sorted(settings.protect), settings.beam_width, settings.seed)
