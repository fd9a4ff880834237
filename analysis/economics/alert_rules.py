"""The limits of a rollout for other tools: as JSON, and as alert rules of Prometheus.

A service that answers requests with the plan exposes these metrics; every one carries the label `plan` (the plan's id) and `slice`:

    strata_requests_total              counter   requests, also by the label `served_by`: plan or original
    strata_fallbacks_total             counter   of the plan's, handed to the original
    strata_checked_total               counter   answers of the plan that were checked
    strata_changed_total               counter   of the checked, differing from the original's
    strata_wrong_total                 counter   of the checked, wrong
    strata_wrong_original_total        counter   of the checked, wrong with the original
    strata_critical_total              counter   of the checked, critical cases
    strata_critical_changed_total      counter   of the critical, changed
    strata_perplexity_ratio            gauge     plan / original
    strata_latency_ms                  gauge     median answer time of the plan
    strata_latency_ms_original         gauge     median answer time of the original

An alert compares the figure of one day; it knows no interval. It calls a person, who decides by the advice. Critical answers call at
once, however few were checked; the others after two days, when enough were checked.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence

from analysis.contracts.rollout import Rollout
from analysis.contracts.verification import Guardrail
from analysis.economics.stage_limits import can_be_watched
from analysis.i18n import Language, translator
from analysis.planning.limits import CRITICAL, parse_guardrail

WINDOW = "1d"
FEWEST_CHECKED = 30
"""Below so many checked answers a day a share alarms nobody."""


def guardrails_json(rollout: Rollout) -> str:
    """The limits stage by stage, each taken apart, for a program that watches them."""
    stages = [
        {
            "stage": stage.number,
            "plan_id": stage.plan_id or rollout.plan_id,
            "slices": list(stage.slices),
            "traffic": stage.traffic,
            "guardrails": [parse_guardrail(text).model_dump(mode="json") for text in stage.guardrails],
            "stop_rule": stage.stop_rule,
        }
        for stage in rollout.stages
    ]
    document = {
        "schema_version": 1,
        "kind": "guardrails",
        "plan_id": rollout.plan_id,
        "guardrails_set_on": rollout.guardrails_set_on,
        "stages": stages,
    }
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


def prometheus_rules(rollout: Rollout, language: Language = "en") -> str:
    """A rule file (YAML): one alert for each limit that can be watched, and one for a monitoring that has fallen silent."""
    t = translator(language)
    lines = ["groups:", f"  - name: {_quoted(f'strata-{rollout.plan_id}')}", "    interval: 5m", "    rules:"]
    names = set[str]()
    for guardrail, stages in _limits(rollout):
        critical = guardrail.slice == CRITICAL
        summary = (
            t("Critical answers miss {limit}: send everything back to the original.", limit=guardrail.text)
            if critical
            else t("{limit} was missed for a day: look at the advice, and go back to the original if it stays so.", limit=guardrail.text)
        )
        labels = {"severity": "critical" if critical else "warning", "plan": rollout.plan_id, "limit": guardrail.text, "stages": stages}
        lines += _rule(_alert_name(guardrail, names), expression(guardrail, rollout.plan_id), "0m" if critical else WINDOW, labels, summary)
    silent = f"absent(strata_requests_total{_selector(rollout.plan_id, None)})"
    summary = t("No request has been counted for a day: the limits are not watched.")
    lines += _rule("StrataMonitoringSilent", silent, WINDOW, {"severity": "warning", "plan": rollout.plan_id}, summary)
    return "\n".join(lines) + "\n"


def _limits(rollout: Rollout) -> Iterator[tuple[Guardrail, str]]:
    """Every limit once, with the stages it is watched in."""
    texts = dict.fromkeys(text for stage in rollout.stages for text in stage.guardrails)
    for text in texts:
        guardrail = parse_guardrail(text)
        if can_be_watched(guardrail):
            yield guardrail, ",".join(str(stage.number) for stage in rollout.stages if text in stage.guardrails)


def _alert_name(guardrail: Guardrail, used: set[str]) -> str:
    """StrataFlips, StrataFlipsCritical, StrataFlipsSlice2: of letters and digits only, each once."""
    where = "" if guardrail.slice is None else "Critical" if guardrail.slice == CRITICAL else "Slice"
    name = "Strata" + "".join(part.capitalize() for part in guardrail.metric.split("_")) + where
    free = next(each for n in range(1, len(used) + 2) if (each := name if n == 1 else f"{name}{n}") not in used)
    used.add(free)
    return free


def expression(guardrail: Guardrail, plan_id: str) -> str:
    """PromQL that is true on a day on which the limit is missed."""
    selector = _selector(plan_id, None if guardrail.slice == CRITICAL else guardrail.slice)
    return _EXPRESSIONS[guardrail.metric](guardrail, selector)


def _flips(guardrail: Guardrail, selector: str) -> str:
    names = ("critical", "critical_changed") if guardrail.slice == CRITICAL else ("checked", "changed")
    checked, changed = (_day(f"strata_{name}_total", selector) for name in names)
    if guardrail.unit == "abs":
        return f"{changed} > {_plain(guardrail.value)}"
    enough = "" if guardrail.slice == CRITICAL else f" and {checked} >= {FEWEST_CHECKED}"
    return f"100 * {changed} / {checked} > {_plain(guardrail.value)}{enough}"


def _accuracy(guardrail: Guardrail, selector: str) -> str:
    checked, wrong, original = (_day(f"strata_{name}_total", selector) for name in ("checked", "wrong", "wrong_original"))
    figure = f"1 - {wrong} / {checked}" if guardrail.unit == "abs" else f"100 * ({original} - {wrong}) / {checked}"
    return f"{figure} < {_plain(guardrail.value)} and {checked} >= {FEWEST_CHECKED}"


def _perplexity(guardrail: Guardrail, selector: str) -> str:
    return f"avg(avg_over_time(strata_perplexity_ratio{selector}[{WINDOW}])) > {_plain(_ratio(guardrail))}"


def _latency(guardrail: Guardrail, selector: str) -> str:
    plan, original = (f"avg(avg_over_time({name}{selector}[{WINDOW}]))" for name in ("strata_latency_ms", "strata_latency_ms_original"))
    return f"{plan} > {_plain(guardrail.value)}" if guardrail.unit == "abs" else f"{plan} / {original} > {_plain(_ratio(guardrail))}"


_EXPRESSIONS: Mapping[str, Callable[[Guardrail, str], str]] = {
    "flips": _flips,
    "accuracy": _accuracy,
    "perplexity": _perplexity,
    "latency_ms": _latency,
}


def _ratio(guardrail: Guardrail) -> float:
    return 1 + guardrail.value / 100 if guardrail.unit == "%" else guardrail.value


def _plain(value: float) -> str:
    """A threshold in all its digits: 1234567, 1.05."""
    return f"{value:.12g}"


def _day(metric: str, selector: str) -> str:
    return f"sum(increase({metric}{selector}[{WINDOW}]))"


def _selector(plan_id: str, slice_name: str | None) -> str:
    matchers = [f"plan={_promql(plan_id)}"] + ([] if slice_name is None else [f"slice={_promql(slice_name)}"])
    return "{" + ",".join(matchers) + "}"


def _promql(text: str) -> str:
    """A string of PromQL: a backslash before quotation marks and backslashes, control characters by number."""
    return '"' + "".join(_promql_character(character) for character in text) + '"'


def _promql_character(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    return f"\\u{ord(character):04x}" if unicodedata.category(character) == "Cc" else character


def _rule(name: str, expr: str, wait: str, labels: Mapping[str, str], summary: str) -> Sequence[str]:
    return [
        f"      - alert: {name}",
        f"        expr: {_quoted(expr)}",
        f"        for: {wait}",
        "        labels:",
        *(f"          {key}: {_quoted(_untemplated(value))}" for key, value in labels.items()),
        "        annotations:",
        f"          summary: {_quoted(_untemplated(summary))}",
        '          value: "{{ $value }}"',
    ]


def _untemplated(text: str) -> str:
    """Labels and annotations are templates: braces that a name holds are written out."""
    return text.replace("{{", '{{ "{{" }}')


def _quoted(text: str) -> str:
    """A YAML string: a JSON string is one, once what YAML cannot hold is written by number."""
    plain = json.dumps(text, ensure_ascii=False)
    return "".join(character if character.isprintable() or character == "\u3000" else _numbered(character) for character in plain)


def _numbered(character: str) -> str:
    return f"\\u{ord(character):04x}" if ord(character) < 0x10000 else f"\\U{ord(character):08x}"
