"""Stages of real use by chance: how often the advice says what a plan deserves whose true rate is known."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta
from typing import Any

import numpy as np

from analysis.contracts import AdviceKind, MonitoringRow, Rollout, Stage, StageEvent
from analysis.economics.advice import advise
from tests.business_builders import make_rollout

FIRST = date(2026, 12, 1)
DAYS = 28
LIMITS = {"flips": "flips<=10%", "critical": "flips@critical<=5%", "perplexity": "perplexity<=+5%", "latency": "latency_ms<=1.1x"}


def tally(kind: str, times: float, n: int, seed: int = 0) -> Counter[AdviceKind]:
    """What n stages of four weeks are advised at their end, whose true figure is so many times the limit."""
    random = np.random.default_rng([seed, round(100 * times)])
    last = FIRST + timedelta(days=DAYS - 1)
    return Counter(advise(_stage(kind, times, random), today=last).advice for _ in range(n))


def _stage(kind: str, times: float, random: np.random.Generator) -> Rollout:
    days = (FIRST + timedelta(days=day) for day in range(DAYS))
    rows = tuple(MonitoringRow(date=day.isoformat(), slice="mail", requests=1000, on_plan=200, **_day(kind, times, random)) for day in days)
    stage = Stage(number=1, compression=0.15, slices=("mail",), traffic=0.2, weeks=4, guardrails=(LIMITS[kind],), state="running")
    start = StageEvent(stage=1, action="start", who="A. Sato", at=FIRST.isoformat())
    return make_rollout(stages=(stage,), events=(start,), monitoring=rows)


def _day(kind: str, times: float, random: np.random.Generator) -> dict[str, Any]:
    """Thirty checked answers, five critical ones, or a ratio that scatters by 3 % from day to day."""
    if kind == "flips":
        return {"checked": 30, "changed": int(random.binomial(30, 0.10 * times))}
    if kind == "critical":
        return {"checked": 30, "critical": 5, "critical_changed": int(random.binomial(5, 0.05 * times))}
    if kind == "perplexity":
        return {"perplexity_ratio": float(np.exp(np.log1p(0.05 * times) + 0.03 * random.standard_normal()))}
    return {"latency_ms": 100 * float(np.exp(np.log1p(0.10 * times) + 0.05 * random.standard_normal())), "latency_ms_original": 100.0}
