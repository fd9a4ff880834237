"""A rollout's own words in the language of the reader: what Strata wrote is said anew, what a person wrote stays as it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from analysis.contracts.business import CaseEvidence
from analysis.contracts.case import BusinessCase
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


def case_in_language(case: BusinessCase, language: Language) -> BusinessCase:
    """The case with the stages in that language."""
    if case.rollout is None:
        return case
    return case.model_copy(update={"rollout": in_language(case.rollout, case.evidence, language)})


def reworded(stage: Stage, before: StepWords, after: StepWords, evidence: CaseEvidence) -> Stage:
    """The stage with what Strata proposed for it as it was, said of it as it is now; what a person wrote stays as it is.

    Args:
        stage: as it is now: its place, its weeks or its limits have changed.
        before: what its sentences were made of.
        after: what they are made of now.
        evidence: of the plan.
    """
    begin, go_on = stage.entry, stage.exit
    for language in LANGUAGES:
        begin = _moved(begin, entry(before, evidence, language), entry(after, evidence, language))
        go_on = _moved(go_on, exit_words(before, language), exit_words(after, language))
    return stage.model_copy(update={"entry": begin, "exit": go_on})


def _moved(texts: tuple[str, ...], old: tuple[str, ...], new: tuple[str, ...]) -> tuple[str, ...]:
    """Lines with the old sentences gone and the new ones in their places; lines of one's own, and old ones taken out by hand, stay so."""
    if texts == old:
        return new
    known = dict(zip(old, new, strict=True)) if len(old) == len(new) else {}
    return tuple(known.get(text, text) for text in texts)


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
    last = replace(words, n_stages=words.number)  # the last stage's sentences hold every other stage's
    return (*entry(words, evidence, language), *exit_words(last, language), stop_words(language))


def _said(texts: tuple[str, ...], known: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(known.get(text, text) for text in texts)
