"""A rollout's own words in the language of the reader: what Strata wrote is said anew, what a person wrote stays as it is."""

from __future__ import annotations

from collections.abc import Mapping

from analysis.contracts.business import CaseEvidence
from analysis.contracts.rollout import Rollout, Stage
from analysis.economics.advice import days_wanted
from analysis.economics.plan_share import planned_share
from analysis.economics.stage_limits import critical_cases_needed
from analysis.economics.stage_words import StepWords, entry, exit_words, stop_words
from analysis.i18n import LANGUAGES, Language


def step_words(stage: Stage, n_stages: int, evidence: CaseEvidence) -> StepWords:
    """What the sentences of a stage are made of."""
    return StepWords(stage.number, n_stages, planned_share(evidence), days_wanted(stage.weeks), critical_cases_needed(stage.guardrails))


def in_language(rollout: Rollout, evidence: CaseEvidence, language: Language) -> Rollout:
    """The rollout with every sentence that Strata proposed for it in that language."""
    stages = tuple(_stage(stage, step_words(stage, len(rollout.stages), evidence), evidence, language) for stage in rollout.stages)
    return rollout.model_copy(update={"stages": stages})


def _stage(stage: Stage, words: StepWords, evidence: CaseEvidence, language: Language) -> Stage:
    known: dict[str, str] = {}
    for other in LANGUAGES:
        known |= zip(_all(words, evidence, other), _all(words, evidence, language), strict=True)
    return stage.model_copy(
        update={
            "entry": _said(stage.entry, known),
            "exit": _said(stage.exit, known),
            "stop_rule": known.get(stage.stop_rule, stage.stop_rule),
        }
    )


def _all(words: StepWords, evidence: CaseEvidence, language: Language) -> tuple[str, ...]:
    return (*entry(words, evidence, language), *exit_words(words, language), stop_words(language))


def _said(texts: tuple[str, ...], known: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(known.get(text, text) for text in texts)
