"""The way back on one page: for the person who has to take it at night."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.contracts.business import CaseEvidence
from analysis.contracts.rollout import RoleName, Rollout
from analysis.economics.stage_language import in_language
from analysis.i18n import Language, Translator, translator
from analysis.i18n.numbers import number
from analysis.workload.shown import shown

_LONGEST_LINE = 1000
_ROLES: tuple[RoleName, ...] = ("owner", "engineer", "expert", "legal")


def runbook(rollout: Rollout, evidence: CaseEvidence, language: Language) -> str:
    """How everything goes back to the original: when, who, step by step, and how long it took when it was tried. Markdown."""
    t = translator(language)
    rollout = in_language(rollout, evidence, language)  # what people typed stands in one line each: no name makes a step
    parts = [
        "# " + t("Way back: {plan}", plan=_line(rollout.plan_name or rollout.plan_id)),
        t(
            "Model {model} ({commit}). The original stays in place and is never removed.",
            model=_line(evidence.model_name),
            commit=evidence.model_commit[:12],
        ),
        "## " + t("How long it takes"),
        _time(rollout, t, language),
        "## " + t("When to go back"),
        _bullets(_when(rollout, t)),
        "## " + t("Who is told"),
        _bullets(_who(rollout, t)),
        "## " + t("Step by step"),
        _steps(rollout, t),
        "## " + t("Afterwards"),
        _bullets(
            [
                t("Record the roll-back on the page Stages, with your name and the reason."),
                t("Keep the day's monitoring and the answers that were wrong: they decide what is tried next."),
                t("Tell those named above. The stage begins again only when it has been approved anew."),
            ]
        ),
    ]
    return "\n\n".join(parts) + "\n"


def _time(rollout: Rollout, t: Translator, language: Language) -> str:
    done = rollout.rehearsal
    if done is None:
        return "**" + t("Not rehearsed yet: nobody knows how long it takes.") + "**"
    said = t(
        "{minutes} minutes, measured on {date} by {who}.", minutes=number(done.minutes, language), date=_line(done.on), who=_line(done.who)
    )
    return said + ("\n\n" + _line(done.note) if done.note else "")


def _when(rollout: Rollout, t: Translator) -> list[str]:
    stage = rollout.current or rollout.next_stage or rollout.stages[-1]
    found = [t("Stage {k}: {rule}", k=stage.number, rule=_line(stage.stop_rule))] if stage.stop_rule else []
    return [*found, *(t("Limit: {limit}", limit=_line(text)) for text in stage.guardrails)] or [t("No limit has been set yet.")]


def _who(rollout: Rollout, t: Translator) -> list[str]:
    """Names are as entered, not verified."""
    titles = {"owner": t("Owner"), "engineer": t("Engineer"), "expert": t("Business expert"), "legal": t("Legal and security")}
    return [t("{role}: {name}", role=titles[role], name=_line(rollout.roles.get(role, "")) or t("not named yet")) for role in _ROLES]


def _steps(rollout: Rollout, t: Translator) -> str:
    """Those that were rehearsed; else the usual ones, marked as such."""
    if rollout.rehearsal is not None and rollout.rehearsal.steps:
        return _numbered([_line(step) for step in rollout.rehearsal.steps])
    usual = [
        t("Send all requests to the original: set the plan's share of requests to 0."),
        t("Wait until requests that the plan has begun are answered."),
        t("Send three requests of each slice, and compare their answers with the original's."),
        t("Watch the answer time and the errors for 15 minutes."),
        t("Switch the service with the plan off; keep its files."),
    ]
    return t("The usual steps, not rehearsed here yet:") + "\n\n" + _numbered(usual)


def _line(text: str) -> str:
    return shown(text, _LONGEST_LINE)


def _bullets(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _numbered(lines: Sequence[str]) -> str:
    return "\n".join(f"{place}. {line}" for place, line in enumerate(lines, start=1))
