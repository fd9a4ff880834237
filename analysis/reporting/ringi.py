"""The 稟議 text: plain numbered lines to paste into a circular for approval, every open place said in words."""

from __future__ import annotations

from datetime import date, timedelta

from analysis.contracts import AlternativeKind, BusinessCase
from analysis.i18n import N_, Language, translator
from analysis.i18n.numbers import number
from analysis.reporting import briefing_page as page
from analysis.reporting import headlines_business
from analysis.reporting.briefing_clean import clean
from analysis.reporting.briefing_facts import Facts, facts, freezes, or_untested
from analysis.reporting.money_words import day, fiscal_year, money, percent_of

SUBJECT = N_("Subject: lower running cost of a language model (a lighter {model}), stage 1")
DECISION = N_("1. Decision asked: trial operation of a lighter {model} in {stage1_slices}")
AMOUNT = N_(
    "2. Amount (excluding tax): start {ask_amount} (external {external}, own people {ask_days} person-days worth {internal}), "
    "{run_cost} a month"
)
BACKGROUND = N_(
    "3. Background: running costs are {today_cost} a month. By measuring {n_prompts} prompts of our own work, {redundant_pct} of the cost "
    "is estimated to go into computation that does not serve that work."
)
BACKGROUND_FREEZE = N_(
    "3. Background: fine-tuning costs {today_cost} a month. By measuring {n_prompts} prompts of our own work, {redundant_pct} of the cost "
    "is estimated to go into layers that need not be trained again."
)
DONE = N_("4. What is done: {plan_words} (in {stage1_slices}, {stage1_compression} lighter, {stage1_weeks} weeks)")
EFFECT = N_(
    "5. Effect: {saving_month} a month ({saving_low} to {saving_high}) after running costs. Cash {cash}, purchases avoided {avoided}, "
    "freed capacity {freed} (before running costs). Profit and loss by fiscal year: {years}"
)
RETURN = N_("6. Return: payback {payback}, net present value {npv} (discount rate {rate}, {horizon_months} months, {tax})")
QUALITY = N_("7. Quality: {quality_change} ({quality_ci}). Limit {guardrail}. Critical cases: {flips} of {n_critical} changed")
RISKS = N_("8. Risks and what catches them: {risks}")
ALTERNATIVES = N_("9. Alternatives: do nothing {alt0} / quantise only {alt1} / smaller model {alt2} / more machines {alt3}")
PEOPLE = N_("10. People: owner {owner}, engineering {eng}, business rating {expert}, legal and security {legal}")
DATES = N_("11. Dates: start {start}, interim report {mid}; on {review_date} actual is compared with plan and going on is decided")
STOP = N_("12. Stop rule: {stop_rule}. Roll-back within {rollback_minutes} minutes (rehearsed on {rehearsal_date})")
STOP_UNTRIED = N_("12. Stop rule: {stop_rule}. Minutes of the roll-back: not yet tested")
ATTACHED = N_("13. Attachments: verification certificate, list of assumptions, plan (plan.json, ID {plan_id})")
NAMES = N_("Names as entered, not verified.")
AGAINST = N_("Note: {banner}")


def ringi_text(case: BusinessCase, language: Language) -> str:
    """The text to copy, in one language; a plan that its evidence does not carry begins with the same words as the banner."""
    return ringi_from(case, facts(case, language), language)


def ringi_from(case: BusinessCase, known: Facts, language: Language) -> str:
    """The same from places that are written already."""
    t = translator(language)
    places = {**known, **_own(case, known, language)}
    sentences = (
        SUBJECT,
        DECISION,
        AMOUNT,
        BACKGROUND_FREEZE if freezes(case) else BACKGROUND,
        DONE,
        EFFECT,
        RETURN,
        QUALITY,
        RISKS,
        ALTERNATIVES,
        PEOPLE,
        DATES,
        STOP if "rollback_minutes" in places and "rehearsal_date" in places else STOP_UNTRIED,
        ATTACHED,
    )
    lines = [or_untested(sentence, places, t) for sentence in sentences]
    if case.is_sample or case.evidence.is_sample:
        lines.insert(0, t("These are the sample's figures, not yours."))
    warning = page.banner(case, t)
    if warning is not None:
        lines.insert(0, t(AGAINST, banner=warning))
    if case.rollout is not None and any(case.rollout.roles.values()):
        lines.append(t(NAMES))
    return "\n".join(lines)


def _own(case: BusinessCase, known: Facts, language: Language) -> dict[str, str]:
    t = translator(language)
    unnamed, unset = t("not yet named"), t("not yet set")
    roles = {} if case.rollout is None else case.rollout.roles
    found = {
        "ask_amount": known["start_amount"],
        "ask_days": known["start_days"],
        "redundant_pct": percent_of(case.result.saving_share),
        "years": _years(case, language),
        "risks": _risks(case, known, language),
        "owner": known.get("owner", unnamed),
        "eng": clean(roles.get("engineer", ""), 40) or unnamed,
        "expert": clean(roles.get("expert", ""), 40) or unnamed,
        "legal": clean(roles.get("legal", ""), 40) or unnamed,
        "start": _start(case, language) or unset,
        "mid": _interim(case, language) or unset,
        "review_date": known.get("review_date", unset),
    }
    return found | _return(case, known, language) | _others(case, language)


def _return(case: BusinessCase, known: Facts, language: Language) -> dict[str, str]:
    t, values = translator(language), case.assumptions.values
    rate = values.get("discount_rate_percent")
    horizon = headlines_business.horizon(case)
    paid = t("{n} months", n=known["payback_months"]) if "payback_months" in known else t("none")
    found = {
        "payback": paid,
        "npv": money(case.result.npv, case.assumptions.currency, language, interval=_npv_interval(case)),
        "horizon_months": number(round(horizon), language),
        "tax": t("after tax") if case.assumptions.after_tax else t("before tax"),
    }
    if rate is not None and rate.value is not None:
        found["rate"] = f"{number(rate.value, language)}%"
    return found


def _npv_interval(case: BusinessCase) -> tuple[float, float] | None:
    spread = case.result.simulation.npv
    return None if spread.p10 is None or spread.p90 is None else (spread.p10, spread.p90)


def _years(case: BusinessCase, language: Language) -> str:
    """Profit and loss of up to three fiscal years: this one, the next, the one after."""
    t, currency = translator(language), case.assumptions.currency
    names = (t("this year"), t("next year"), t("the year after"))
    return t(", ").join(
        t("{name} ({year}) {amount}", name=name, year=fiscal_year(year.year, language), amount=money(year.profit.total, currency, language))
        for name, year in zip(names, case.result.years, strict=False)
    )


def _risks(case: BusinessCase, known: Facts, language: Language) -> str:
    t = translator(language)
    rows = page.risks(case, known, language)
    return " / ".join(t("{risk} → {catch}", risk=row.concern, catch=row.limit) for row in rows)


def _others(case: BusinessCase, language: Language) -> dict[str, str]:
    """The alternatives by their cost a month, as far as anybody knows it."""
    kinds: tuple[AlternativeKind, ...] = ("nothing", "quantise", "smaller_model", "more_machines")
    by_kind = {one.kind: one for one in case.result.alternatives}
    t, found = translator(language), dict[str, str]()
    for place, kind in enumerate(kinds):
        one = by_kind.get(kind)
        if one is not None and one.cost_per_month is not None:
            found[f"alt{place}"] = t("{amount} a month", amount=money(one.cost_per_month, case.assumptions.currency, language))
    return found


def _start(case: BusinessCase, language: Language) -> str | None:
    begins = (case.rollout.starts_on if case.rollout else "") or case.assumptions.starts_on
    return day(begins, language)


def _interim(case: BusinessCase, language: Language) -> str | None:
    """When stage 1 ends."""
    if case.rollout is None:
        return None
    first = case.rollout.stages[0]
    begins = first.starts_on or case.rollout.starts_on or case.assumptions.starts_on
    try:
        ends = date.fromisoformat(begins[:10]) + timedelta(weeks=first.weeks)
    except ValueError:
        return None
    return day(ends.isoformat(), language)
