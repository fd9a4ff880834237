"""What a stage says in words: what has to be true to begin and to go on, and when it ends early. In one language, for people to edit."""

from __future__ import annotations

from dataclasses import dataclass

from analysis.contracts.business import CaseEvidence
from analysis.economics.uses import serves
from analysis.i18n import Language, translator
from analysis.i18n.numbers import percent

FIRST_LOW, FIRST_HIGH = 0.10, 0.20
"""How much lighter a first stage is advised to be."""


@dataclass(frozen=True)
class StepWords:
    """What the sentences of one stage are made of.

    Attributes:
        number: of the stage.
        n_stages: of the rollout.
        share: how much lighter the plan makes the work.
        days: days with data until it may pass.
        critical_needed: unchanged critical cases that its limit takes; None: it has no such limit.
    """

    number: int
    n_stages: int
    share: float
    days: int
    critical_needed: int | None = None


def entry(step: StepWords, evidence: CaseEvidence, language: Language) -> tuple[str, ...]:
    """Conditions to begin, as clauses without a full stop."""
    t = translator(language)
    found = list[str]()
    if step.number > 1:
        found.append(t("stage {k} has passed, and this one is approved by name", k=step.number - 1))
    else:
        found.append(t("the step is approved by name, the checklist is settled, and the way back has been rehearsed"))
        found += _first_size(step, evidence, language)
        if evidence.standing != "measured":
            found.append(t("a run on own examples has shown that the plan keeps its limits"))
        if not serves(evidence):
            found.append(t("the model of these slices has been fine-tuned with the frozen layers, and the one in use is kept"))
    if step.critical_needed is not None:
        found.append(t("at least {n} critical cases are ready to be checked", n=step.critical_needed))
    return tuple(found)


def _first_size(step: StepWords, evidence: CaseEvidence, language: Language) -> list[str]:
    """A first stage is 10 to 20 % lighter; a plan outside that says so."""
    t = translator(language)
    share = percent(step.share, language)
    if step.share > FIRST_HIGH + 0.005:
        if serves(evidence):
            return [
                t(
                    "a lighter plan of 10 to 20% is made and verified first, or the owner accepts by name that this one is {share} lighter",
                    share=share,
                )
            ]
        return [
            t("the owner accepts by name that the plan saves {share} of the training time, more than the advised 10 to 20%", share=share)
        ]
    if step.share < FIRST_LOW - 0.005:
        return [t("the plan is {share} lighter, less than the usual 10 to 20%, so it is its own first step", share=share)]
    return []


def exit_words(step: StepWords, language: Language) -> tuple[str, ...]:
    """Conditions to go on, as clauses without a full stop."""
    t = translator(language)
    found = [
        t("every limit has held over {days} days with data", days=step.days),
        t("so many answers are checked that no limit is undecided"),
    ]
    if step.number == step.n_stages:
        found.append(t("the real bill has been compared with the plan"))
    return tuple(found)


def stop_words(language: Language) -> str:
    """When a stage ends early, as a clause."""
    return translator(language)("a limit is outside, or is missed on two days in a row")
