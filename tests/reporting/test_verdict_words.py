"""Verdicts as sentences: no grammar of limits in them, no digit finer than its interval, doubt said where there is doubt."""

from __future__ import annotations

import pytest

from analysis.contracts import Estimate, GuardrailResult, Message, Verdict
from analysis.contracts import Guardrail as Limit
from analysis.i18n import render
from analysis.planning.limits import parse_guardrail
from analysis.reporting import headlines
from analysis.reporting.verification_words import estimate, remark
from tests.measured_builders import make_verification


def result(text: str, value: float | None, low: float | None, high: float | None, *, n: int = 8, **reason: object) -> GuardrailResult:
    """An open limit, with the values that its judge leaves in the reason."""
    return GuardrailResult(
        guardrail=parse_guardrail(text),
        verdict="undecided",
        measured=Estimate(value=value, low=low, high=high),
        n=n,
        reason=Message(id="Not measured: {limit}", values={"limit": text, **reason}),
    )


@pytest.mark.parametrize(
    ("open_limit", "expected"),
    [
        (result("perplexity<=+5%", 4.3, 3.1, 5.5), "more prompts would decide it"),
        (result("latency_ms<=1x", 0.98, 0.9, 1.06), "measure again with more repeats"),
        (result("perplexity<=+5%", 4.3, 3.1, 5.5, fewest=10), "8 prompts decide nothing; at least 10 are needed."),
        (result("peak_memory_bytes<=1x", 0.9, None, None), "a single reading"),
        (result("flips@critical<=20%", 0.0, 0.0, 31.2, more=14), "up to 31% cannot be ruled out; this limit takes 14 unchanged cases."),
        (result("flips@critical<=0", 0.0, 0.0, 2.5, more=299), "no number of cases proves"),
    ],
)
def test_an_open_limit_says_in_words_why_it_is_open(open_limit: GuardrailResult, expected: str) -> None:
    found = make_verification(verdict="undecided", guardrails=(open_limit,))
    said = render(headlines.verify(found), "en")
    assert said.startswith("Not enough data: ")
    assert expected in said
    for language in ("en", "ja"):
        sentence = render(headlines.verify(found), language)
        assert "<=" not in sentence
        assert "@" not in sentence
        assert "{" not in sentence


@pytest.mark.parametrize(
    ("text", "value", "low", "high", "expected"),
    [
        ("perplexity<=+5%", 48.52, 34.59, 65.71, "+49% (+35% to +66%)"),
        ("perplexity<=+5%", -4.513, -9.22, 0.909, "−5% (−9% to +1%)"),
        ("flips@critical<=40%", 0.0, 0.0, 31.2, "0% (0% to 31%)"),
        ("perplexity<=1.08x", 1.0213, 1.0091, 1.0333, "1.021x (1.009x to 1.033x)"),
        ("perplexity<=1.08x", 1.3, 1.1, 1.5, "1.30x (1.10x to 1.50x)"),
        ("perplexity<=+5%", 8.0, 5.3, 10.9, "+8.0% (+5.3% to +10.9%)"),
    ],
)
def test_a_result_is_no_finer_than_its_interval_and_never_rounds_onto_its_limit(
    text: str, value: float, low: float, high: float, expected: str
) -> None:
    assert estimate(Estimate(value=value, low=low, high=high), parse_guardrail(text), "en") == expected


@pytest.mark.parametrize(("verdict", "expected"), [("within", None), ("outside", "order entry decided it.")])
def test_what_the_figures_say_already_is_not_said_twice(verdict: Verdict, expected: str | None) -> None:
    found = remark(make_verification(verdict=verdict).guardrails[0])
    assert (render(found, "en") if found else None) == expected


def test_a_speed_that_may_be_either_is_not_called_faster() -> None:
    found = make_verification()
    point = found.cost[0]
    assert point.decode_tokens_per_second is not None
    unsure = point.decode_tokens_per_second.model_copy(update={"ratio": Estimate(value=1.04, low=0.96, high=1.18)})
    doubtful = found.model_copy(update={"cost": (point.model_copy(update={"decode_tokens_per_second": unsure}),)})
    assert "no measurable difference in speed on CPU, 2 cores" in render(headlines.verify(doubtful), "en")


def test_changed_critical_answers_without_a_limit_on_them_are_said_to_have_none() -> None:
    found = make_verification(flips=3)
    bare = found.model_copy(update={"guardrails": found.guardrails[:1], "verdict": "within"})
    assert "3 of 8 critical answers changed; no limit was set on changed answers." in render(headlines.verify(bare), "en")
    limited = bare.model_copy(
        update={
            "guardrails": (
                *bare.guardrails,
                bare.guardrails[0].model_copy(update={"guardrail": Limit(text="", metric="flips", op="<=", value=50, unit="%")}),
            )
        }
    )
    assert "no limit was set" not in render(headlines.verify(limited), "en")
