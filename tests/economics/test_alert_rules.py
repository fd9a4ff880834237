"""Limits for other tools: valid YAML whatever a slice is called, one alert a limit, expressions that say what the limit says."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from analysis.contracts import Rollout
from analysis.economics import alert_rules
from analysis.economics.alert_rules import expression, guardrails_json, prometheus_rules
from analysis.i18n import LANGUAGES
from analysis.planning.limits import parse_guardrail
from tests.business_builders import make_rollout


def watching(*limits: str) -> Rollout:
    base = make_rollout()
    return base.model_copy(update={"stages": (base.stages[0].model_copy(update={"guardrails": limits}),)})


def rules(rollout: Rollout, language: Any = "en") -> list[dict[str, Any]]:
    groups = yaml.safe_load(prometheus_rules(rollout, language))["groups"]
    assert [set(group) for group in groups] == [{"name", "interval", "rules"}]
    found: list[dict[str, Any]] = groups[0]["rules"]
    return found


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_limit_has_one_alert_and_a_silent_monitoring_too(language: Any) -> None:
    found = rules(make_rollout(), language)
    assert [rule["alert"] for rule in found] == ["StrataPerplexity", "StrataFlips", "StrataFlipsCritical", "StrataMonitoringSilent"]
    for rule in found:
        assert set(rule) == {"alert", "expr", "for", "labels", "annotations"}
        assert re.fullmatch(r"\d+[smhd]", rule["for"])
        assert ("。" in rule["annotations"]["summary"]) == (language == "ja")
        assert all(isinstance(value, str) for value in rule["labels"].values())
    assert found[0]["labels"] == {"severity": "warning", "plan": "abcdef012345", "limit": "perplexity<=+5%", "stages": "1,2,3"}
    assert (found[2]["labels"]["severity"], found[2]["for"], found[2]["labels"]["stages"]) == ("critical", "0m", "3")


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        ("perplexity<=+5%", 'avg(avg_over_time(strata_perplexity_ratio{plan="p"}[1d])) > 1.05'),
        ("perplexity@mail<=1.08x", 'avg(avg_over_time(strata_perplexity_ratio{plan="p",slice="mail"}[1d])) > 1.08'),
        (
            "latency_ms<=0.9x",
            'avg(avg_over_time(strata_latency_ms{plan="p"}[1d])) / avg(avg_over_time(strata_latency_ms_original{plan="p"}[1d])) > 0.9',
        ),
        ("latency_ms<=250abs", 'avg(avg_over_time(strata_latency_ms{plan="p"}[1d])) > 250'),
        (
            "flips@critical<=5%",
            '100 * sum(increase(strata_critical_changed_total{plan="p"}[1d])) / sum(increase(strata_critical_total{plan="p"}[1d])) > 5',
        ),
        ("latency_ms<=1234567abs", 'avg(avg_over_time(strata_latency_ms{plan="p"}[1d])) > 1234567'),
        ("perplexity<=+0.1234567%", 'avg(avg_over_time(strata_perplexity_ratio{plan="p"}[1d])) > 1.001234567'),
        ("flips<=3abs", 'sum(increase(strata_changed_total{plan="p"}[1d])) > 3'),
        (
            "flips<=10%",
            '100 * sum(increase(strata_changed_total{plan="p"}[1d])) / sum(increase(strata_checked_total{plan="p"}[1d])) > 10'
            ' and sum(increase(strata_checked_total{plan="p"}[1d])) >= 30',
        ),
        (
            "accuracy>=-2%",
            '100 * (sum(increase(strata_wrong_original_total{plan="p"}[1d])) - sum(increase(strata_wrong_total{plan="p"}[1d])))'
            ' / sum(increase(strata_checked_total{plan="p"}[1d])) < -2 and sum(increase(strata_checked_total{plan="p"}[1d])) >= 30',
        ),
        (
            "accuracy>=0.9abs",
            '1 - sum(increase(strata_wrong_total{plan="p"}[1d])) / sum(increase(strata_checked_total{plan="p"}[1d])) < 0.9'
            ' and sum(increase(strata_checked_total{plan="p"}[1d])) >= 30',
        ),
    ],
)
def test_an_expression_is_true_when_the_limit_is_missed(limit: str, expected: str) -> None:
    assert expression(parse_guardrail(limit), "p") == expected


def test_every_metric_of_an_expression_is_documented() -> None:
    text = prometheus_rules(watching("perplexity<=+5%", "latency_ms<=1.1x", "flips<=10%", "flips@critical<=5%", "accuracy>=-2%"))
    used = set(re.findall(r"strata_[a-z_]+", text))
    assert len(used) == 11 - 1  # all but the counter of fallbacks, which no limit speaks of
    assert used <= set(re.findall(r"strata_[a-z_]+", alert_rules.__doc__ or ""))


def test_a_limit_that_cannot_be_watched_has_no_alert() -> None:
    assert [rule["alert"] for rule in rules(watching("kl<=0.05"))] == ["StrataMonitoringSilent"]


def test_names_of_alerts_are_letters_and_digits_and_each_stands_once() -> None:
    found = [rule["alert"] for rule in rules(watching("perplexity<=+5%", "perplexity<=+8%", "perplexity@注文<=+9%", "perplexity@a b<=+9%"))]
    assert found[:4] == ["StrataPerplexity", "StrataPerplexity2", "StrataPerplexitySlice", "StrataPerplexitySlice2"]


@given(st.text(min_size=1, max_size=30))
def test_any_name_of_a_slice_is_escaped(name: str) -> None:
    guardrail = parse_guardrail("perplexity@mail<=+5%").model_copy(update={"slice": name})
    matcher = re.search(r'slice=("(?:[^"\\]|\\.)*")}', expression(guardrail, "p"), re.DOTALL)
    assert matcher is not None
    assert json.loads(matcher[1], strict=False) == name
    line = alert_rules._rule("Name", expression(guardrail, "p"), "0m", {"limit": name}, name)
    read = yaml.safe_load("\n".join(line))[0]
    assert read["expr"] == expression(guardrail, "p")
    assert read["labels"]["limit"] == name.replace("{{", '{{ "{{" }}')


def test_the_limits_as_json_are_taken_apart_stage_by_stage() -> None:
    found = json.loads(guardrails_json(make_rollout()))
    assert (found["kind"], found["plan_id"], found["guardrails_set_on"]) == ("guardrails", "abcdef012345", "2026-11-20")
    assert [stage["stage"] for stage in found["stages"]] == [1, 2, 3]
    assert found["stages"][0]["guardrails"][0] == {
        "text": "perplexity<=+5%",
        "metric": "perplexity",
        "slice": None,
        "op": "<=",
        "value": 5.0,
        "unit": "%",
    }
