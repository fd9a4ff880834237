"""The stages of a case as rows: what each serves, its limits and dates, and the money and the risk that hang on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from analysis.contracts import BusinessCase, Stage, StageMoney
from analysis.i18n import Language, render, translator
from analysis.reporting.briefing_clean import clean
from analysis.reporting.drawing_stages import STATE_NAMES
from analysis.reporting.headlines_business import slices_words

_LONGEST = 400


def stage_rows(case: BusinessCase, language: Language) -> Sequence[Mapping[str, object]]:
    """One stage a row; without a rollout the stages that the money was worked out for."""
    t, unit = translator(language), translator(language)(case.assumptions.currency)
    money = {one.stage: one for one in case.result.stages}
    stages = {stage.number: stage for stage in case.rollout.stages} if case.rollout else {}
    return [
        {t("stage"): number, **_dials(stages.get(number), language), **_sums(money.get(number), unit, language)}
        for number in sorted({*money, *stages})
    ]


def _dials(stage: Stage | None, language: Language) -> Mapping[str, object]:
    if stage is None:
        return {}
    t = translator(language)
    return {
        t("state"): t(STATE_NAMES[stage.state]),
        t("slices"): clean(render(slices_words(stage.slices), language), _LONGEST),
        t("lighter (%)"): round(100 * stage.compression, 2),
        t("requests of these slices (%)"): round(100 * stage.traffic, 2),
        t("weeks"): stage.weeks,
        t("starts on"): clean(stage.starts_on, 40),
        t("owner, as entered"): clean(stage.owner, 200),
        t("limits"): clean("; ".join(stage.guardrails), _LONGEST),
        t("conditions to go on"): clean(t("; ").join(t(one) for one in stage.exit if one), _LONGEST),
        t("rule for stopping"): clean(t(stage.stop_rule), _LONGEST) if stage.stop_rule else "",
    }


def _sums(money: StageMoney | None, unit: str, language: Language) -> Mapping[str, object]:
    t = translator(language)
    if money is None:
        return {}
    return {
        t("{figure} ({unit})", figure=t("cost of the stage"), unit=unit): round(money.cost, 2),
        t("{figure} ({unit})", figure=t("saving in the stage"), unit=unit): round(money.saving, 2),
        t("{figure} ({unit})", figure=t("at stake until its decision"), unit=unit): round(money.at_stake, 2),
        t("requests that the plan answers"): round(money.requests),
        t("extra wrong answers"): money.extra_errors,
        t("extra wrong answers, upper end"): money.extra_errors_high,
    }
