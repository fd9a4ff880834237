"""Quality for someone who decides: how much was lost, within which limit, and what so few critical cases cannot rule out."""

from __future__ import annotations

import math

from analysis.contracts import BusinessCase, CaseEvidence, Estimate, Guardrail, GuardrailResult
from analysis.i18n import Language, translator
from analysis.i18n.numbers import number, span
from analysis.planning import CRITICAL, METRICS
from analysis.reporting import headlines_business
from analysis.reporting.figures import percent_figure
from analysis.reporting.headlines_training import ENOUGH
from analysis.reporting.money_words import day, percent_of
from analysis.reporting.verification_words import item, limit

_CRITICAL_LIMIT = 0.05
"""Rate of changed critical answers that must be ruled out where nobody set a limit."""


def facts(case: BusinessCase, language: Language) -> dict[str, str]:
    """The places of the sentences that speak of quality."""
    evidence = case.evidence
    found = _kept(evidence, language) or _changed(evidence, language)
    found |= _limit(case, language) | _critical(case, language)
    missed = headlines_business.missed_limit(evidence)
    if missed is not None:
        t = translator(language)
        found |= {name: inside(t("{name}", name=value), language) for name, value in missed.items()}
    return found


def gain_kept(evidence: CaseEvidence) -> Estimate | None:
    """The share of full fine-tuning's gain that a trial kept; None: the plan does not freeze, or nothing was compared."""
    found = evidence.training.kept_gain if evidence.training else None
    return None if found is None or found.value is None else found


def _kept(evidence: CaseEvidence, language: Language) -> dict[str, str]:
    found, t = gain_kept(evidence), translator(language)
    if found is None or found.value is None:
        return {}
    share = f"{100 * found.value:.0f}%"
    said = {"g": share.removesuffix("%"), "quality_change": t("{share} of the gain kept", share=share)}
    if found.low is not None and found.high is not None:
        said["quality_ci"] = t("95% interval: {range}", range=span(f"{100 * found.low:.0f}", f"{100 * found.high:.0f}%", language))
    return said


def _changed(evidence: CaseEvidence, language: Language) -> dict[str, str]:
    found = evidence.quality.quality_change
    if found is None or found.value is None:
        return {}
    t = translator(language)
    width = None if found.low is None or found.high is None else found.high - found.low
    said = {"quality_change": side(found.value, language, width)}
    if found.low is not None and found.high is not None:
        if found.low < 0 < found.high:
            ends = span(side(found.low, language, width), side(found.high, language, width), language)
        else:
            near, far = sorted((abs(found.low), abs(found.high)))
            ends = span(percent_of(near, width=width).removesuffix("%"), percent_of(far, width=width), language)
        said["quality_ci"] = t("95% interval: {range}", range=ends)
    return said


def side(change: float, language: Language, width: float | None = None) -> str:
    """A change of quality by its size and its side: above 0 quality was lost."""
    t, share = translator(language), percent_of(abs(change), width=width)
    if share == "0%":
        return share
    return t("{share} for the worse", share=share) if change > 0 else t("{share} for the better", share=share)


def _limit(case: BusinessCase, language: Language) -> dict[str, str]:
    """The limit that the test was held against, and the day it was set where that lies before the test."""
    evidence, t = case.evidence, translator(language)
    result = limit_of_quality(evidence)
    if gain_kept(evidence) is not None:
        found = {"guardrail": t("at least {value} of it", value=f"{100 * ENOUGH:.0f}%")}
    elif result is not None:
        found = {"guardrail": limit_text(result.guardrail, language)}
    else:
        return {}
    rollout = case.rollout
    set_on = "" if rollout is None else rollout.guardrails_set_on[:10]
    if set_on and set_on < evidence.measured_at[:10]:
        found["guardrail_date"] = day(set_on, language) or ""
    return found


def limit_of_quality(evidence: CaseEvidence) -> GuardrailResult | None:
    """The limit that speaks of quality as a whole; else the first that speaks of quality at all."""
    of_quality = [one for one in evidence.guardrails if METRICS[one.guardrail.metric].source == "quality"]
    whole = [one for one in of_quality if one.guardrail.metric == "perplexity" and one.guardrail.slice is None]
    return next(iter(whole), None) or next(iter(of_quality), None)


def limit_text(guardrail: Guardrail, language: Language) -> str:
    """A limit as the board reads it: perplexity as quality lost, others by their name."""
    t = translator(language)
    if guardrail.metric == "perplexity" and guardrail.slice is None and guardrail.unit != "abs":
        share = guardrail.value / 100 if guardrail.unit == "%" else guardrail.value - 1
        return t("at most {share} for the worse", share=percent_of(share))
    return inside(t("{metric} {limit}", metric=item(guardrail), limit=limit(guardrail)), language)


def _critical(case: BusinessCase, language: Language) -> dict[str, str]:
    evidence = case.evidence
    found = {"n_needed": number(cases_needed(case), language)}
    flips = evidence.quality.critical
    if flips is None or flips.n == 0:
        return found | ({} if evidence.n_critical else {"n_critical": "0"})
    upper = flips.upper if flips.upper is not None else 1 - 0.05 ** (1 / flips.n)
    return found | {
        "n_critical": number(flips.n, language),
        "flips": number(flips.changed, language),
        "flip_upper": f"{percent_figure(upper)}%",
    }


def cases_needed(case: BusinessCase) -> int:
    """Unchanged critical cases that would rule out the limit on their changes (95 %, one side)."""
    return math.ceil(math.log(0.05) / math.log(1 - critical_limit(case)))


def critical_limit(case: BusinessCase) -> float:
    """Rate of changed critical answers that is allowed."""
    for result in case.evidence.guardrails:
        guardrail = result.guardrail
        if guardrail.metric == "flips" and guardrail.slice == CRITICAL and guardrail.unit == "%" and 0 < guardrail.value < 100:
            return guardrail.value / 100
    return _CRITICAL_LIMIT


def too_few_critical(case: BusinessCase) -> bool:
    """Whether there are critical cases to judge by at all, and enough for the limit on them where one was set."""
    flips = case.evidence.quality.critical
    if flips is None:
        return case.evidence.n_critical == 0
    limited = any(one.guardrail.metric == "flips" and one.guardrail.slice == CRITICAL for one in case.evidence.guardrails)
    return limited and flips.changed == 0 and flips.upper is not None and flips.upper > critical_limit(case)


def inside(text: str, language: Language) -> str:
    """A title that begins with a capital, as it stands inside an English sentence."""
    return text[:1].lower() + text[1:] if language == "en" and text[1:2].islower() else text
