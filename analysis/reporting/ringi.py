"""The 稟議 text: plain numbered lines to paste into a circular for approval, every open place said in words."""

from __future__ import annotations

from datetime import date, timedelta

from analysis.contracts import AlternativeKind, BusinessCase, FiscalYear
from analysis.i18n import N_, Language, translator
from analysis.i18n.numbers import number
from analysis.reporting import briefing_page as page
from analysis.reporting import headlines_business
from analysis.reporting.briefing_clean import clean
from analysis.reporting.briefing_facts import Facts, facts, freezes, or_untested
from analysis.reporting.briefing_sentences import argues_against
from analysis.reporting.money_words import day, fiscal_year, money, percent_of

SUBJECT = N_("Subject: lower running cost of a language model (a lighter {model}), stage 1")
SUBJECT_FREEZE = N_("Subject: lower cost of fine-tuning a language model ({model}), stage 1")
SUBJECT_TEST_FREEZE = N_("Subject: trial training of a language model ({model}) with frozen layers")
SUBJECT_ESTIMATE = N_("Subject: estimate for a language model ({model}), report")
SUBJECT_REPORT_FREEZE = N_("Subject: result of the trial training of a language model ({model}), report")
SUBJECT_TEST = N_("Subject: test of a lighter language model ({model})")
SUBJECT_REPORT = N_("Subject: result of the test of a lighter language model ({model}), report")
DECISION = N_("Decision asked: trial operation of a lighter {model} in {stage1_slices}")
DECISION_FREEZE = N_("Decision asked: use of {model}, fine-tuned with frozen layers, in {stage1_slices}")
DECISION_TEST_FREEZE = N_("Decision asked: a trial training of {model} ({verify_days} person-days)")
DECISION_TEST = N_("Decision asked: a test of a lighter {model} ({verify_days} person-days)")
DECISION_NONE = N_("Decision asked: none, report only")
AMOUNT = N_(
    "Amount (excluding tax): start {start_amount} (external {external}, own people {start_days} person-days worth {internal}), "
    "upkeep {run_cost} a month"
)
AMOUNT_STAGE = N_(
    "Amount (excluding tax): stage 1 {ask_amount} (watching included, {ask_days} person-days). All stages: "
    "start {start_amount} (external {external}, own people {start_days} person-days worth {internal}), upkeep {run_cost} a month"
)
AMOUNT_TEST = N_(
    "Amount (excluding tax): own people {verify_days} person-days worth {verify_amount}. For information, if it were put to use later: "
    "start {start_amount}, upkeep {run_cost} a month"
)
BACKGROUND = N_(
    "Background: the model costs {today_cost} a month to run. By measuring {n_prompts} prompts of our own work, {redundant_pct} of the "
    "cost is estimated to go into computation that does not serve that work."
)
BACKGROUND_FREEZE = N_(
    "Background: fine-tuning costs {today_cost} a month. By measuring {n_prompts} prompts of our own work, {redundant_pct} of the cost "
    "is estimated to go into layers that need not be trained again."
)
BACKGROUND_PLAIN = N_("Background: the model costs {today_cost} a month to run. Whether a lighter one would do was looked at.")
BACKGROUND_FREEZE_PLAIN = N_("Background: fine-tuning costs {today_cost} a month. Whether it can be made shorter was looked at.")
DONE_FREEZE = N_("What is done: {plan_words} at the next fine-tune, then use in {stage1_slices} ({stage1_weeks} weeks)")
DONE_TEST = N_("What is done: the plan ({plan_words}) is run beside the original on examples that had no part in choosing it")
DONE_TEST_FREEZE = N_("What is done: a trial training with the plan ({plan_words}), compared with training everything")
DONE = N_("What is done: {plan_words} (in {stage1_slices}, {stage1_compression} lighter, {stage1_weeks} weeks)")
DONE_UNSTAGED = N_("What is done: {plan_words} (stages not yet set)")
DONE_REPORT = N_("What was looked at: {plan_words} (not put to use)")
EFFECT = N_(
    "Effect: {saving_month} a month ({saving_low} to {saving_high}) after {taken_off}. Before that: cash {cash}, purchases avoided "
    "{avoided}, freed capacity {freed}. Profit and loss by fiscal year: {years}"
)
EFFECT_AGAINST = N_(
    "Effect if it were used all the same: {saving_month} a month ({saving_low} to {saving_high}) after {taken_off}. Before that: cash "
    "{cash}, purchases avoided {avoided}, freed capacity {freed}. Profit and loss by fiscal year: {years}"
)
RETURN = N_("Return: payback {payback}, net present value {npv} (discount rate {rate}, {horizon_months} months, {tax})")
QUALITY = N_("Quality: {quality_change} ({quality_ci}). Limit {guardrail}. Critical cases: {flips} of {n_critical} changed")
QUALITY_UNCOUNTED = N_("Quality: {quality_change} ({quality_ci}). Limit {guardrail}. Critical cases: not yet tested")
QUALITY_UNKNOWN = N_("Quality: not yet tested. Critical cases: not yet tested")
RISKS = N_("Risks and what catches them: {risks}")
ALTERNATIVES = N_("Alternatives: do nothing: {alt0} / quantise only: {alt1} / smaller model: {alt2} / more machines: {alt3}")
PEOPLE = N_("People: owner {owner}, engineering {eng}, business rating {expert}, legal and security {legal}")
DATES = N_("Dates: start {start}, interim report {mid}; on {review_date} actual is compared with plan and going on is decided")
STOP = N_("Stop rule: {stop_rule}. Roll-back within {rollback_minutes} minutes (rehearsed on {rehearsal_date})")
STOP_UNTRIED = N_("Stop rule: {stop_rule}. Minutes of the roll-back: not yet tested")
ATTACHED = N_("Attachments: verification certificate, list of assumptions, plan (plan.json, ID {plan_id})")
ATTACHED_TRIAL = N_("Attachments: record of the trial training, list of assumptions, plan (plan.json, ID {plan_id})")
ATTACHED_PLAN = N_("Attachments: list of assumptions, plan (plan.json, ID {plan_id})")
DATES_TEST = N_("Dates: result reported on {review_date}")
NAMES = N_("Names as entered, not verified.")
AGAINST = N_("Note: {banner}")


def ringi_text(case: BusinessCase, language: Language) -> str:
    """The text to copy, in one language.

    A plan that its evidence does not carry begins with the words of the banner and asks for a test only; one that is advised
    against asks for nothing and reports.
    """
    return ringi_from(case, facts(case, language), language)


def ringi_from(case: BusinessCase, known: Facts, language: Language) -> str:
    """The same from places that are written already."""
    t = translator(language)
    places = {**known, **_own(case, known, language)}
    head, *numbered = (or_untested(sentence, places, t) for sentence in _sentences(case, places))
    lines = [head, *(f"{number}. {line}" for number, line in enumerate(numbered, start=1))]
    if case.is_sample or case.evidence.is_sample:
        lines.insert(0, t("These are the sample's figures, not yours."))
    warning = page.banner(case, t)
    if warning is not None:
        lines.insert(0, t(AGAINST, banner=warning))
    if case.rollout is not None and any(case.rollout.roles.values()) and PEOPLE in _sentences(case, places):
        lines.append(t(NAMES))
    return "\n".join(lines)


def _sentences(case: BusinessCase, places: Facts) -> tuple[str, ...]:
    """Subject and numbered lines, in the order in which a circular has them."""
    freeze, background, attached = freezes(case), _background(case, places), _attached(case)
    quality = QUALITY if "flips" in places else QUALITY_UNCOUNTED if "quality_change" in places else QUALITY_UNKNOWN
    if argues_against(case):
        tested = SUBJECT_REPORT_FREEZE if freeze else SUBJECT_REPORT
        subject = SUBJECT_ESTIMATE if case.standing == "rough" else tested
        return (subject, DECISION_NONE, background, DONE_REPORT, EFFECT_AGAINST, RETURN, quality, ALTERNATIVES, attached)
    if case.standing != "measured":
        asked = (SUBJECT_TEST_FREEZE, DECISION_TEST_FREEZE) if freeze else (SUBJECT_TEST, DECISION_TEST)
        done = DONE_TEST_FREEZE if freeze else DONE_TEST
        first = (*asked, AMOUNT_TEST, background, done, EFFECT, RETURN, quality)
        return (*first, RISKS, ALTERNATIVES, PEOPLE, DATES_TEST, attached)
    asked = (SUBJECT_FREEZE, DECISION_FREEZE) if freeze else (SUBJECT, DECISION)
    amount = AMOUNT if places["ask_amount"] == places["start_amount"] else AMOUNT_STAGE
    done = DONE_UNSTAGED if case.rollout is None else DONE_FREEZE if freeze else DONE
    stop = STOP if "rollback_minutes" in places and "rehearsal_date" in places else STOP_UNTRIED
    return (*asked, amount, background, done, EFFECT, RETURN, quality, RISKS, ALTERNATIVES, PEOPLE, DATES, stop, attached)


def _background(case: BusinessCase, places: Facts) -> str:
    """Why it was looked at; a share that nobody measured, or that is no saving, is not named."""
    if "n_prompts" not in places or case.result.saving_share <= 0:
        return BACKGROUND_FREEZE_PLAIN if freezes(case) else BACKGROUND_PLAIN
    return BACKGROUND_FREEZE if freezes(case) else BACKGROUND


def _attached(case: BusinessCase) -> str:
    """What there is to attach: a certificate only where the plan was verified."""
    if case.evidence.verification_id is not None:
        return ATTACHED
    return ATTACHED_TRIAL if case.evidence.trial_id is not None else ATTACHED_PLAN


def _own(case: BusinessCase, known: Facts, language: Language) -> dict[str, str]:
    t = translator(language)
    unnamed, unset = t("not yet named"), t("not yet set")
    roles = {} if case.rollout is None else case.rollout.roles
    found = {
        "redundant_pct": _share(case),
        "verify_amount": _verification(case, known, language),
        "years": _years(case, language),
        "risks": _risks(case, known, language),
        "owner": known.get("owner", unnamed),
        "eng": clean(roles.get("engineer", ""), 40) or unnamed,
        "expert": clean(roles.get("expert", ""), 40) or unnamed,
        "legal": clean(roles.get("legal", ""), 40) or unnamed,
        "start": _start(case, language) or unset,
        "mid": _interim(case, language) or unset,
        "review_date": known.get("review_date", unset),
        "stop_rule": known.get("stop_rule", unset),
        "stage1_slices": known.get("stage1_slices", unset),
        "verify_days": known.get("verify_days", known["start_days"]),
    }
    return found | _return(case, known, language) | _others(case, language)


def _share(case: BusinessCase) -> str:
    """What is saved before upkeep, no finer than its range."""
    spread = case.result.simulation.saving_share
    width = None if spread.p10 is None or spread.p90 is None else spread.p90 - spread.p10
    return percent_of(case.result.saving_share, width=width)


def _verification(case: BusinessCase, known: Facts, language: Language) -> str:
    """What the days of a test are worth, at the price of own people's days."""
    start = case.result.start
    days = start.roles.get("engineer", 0.0) + start.roles.get("expert", 0.0)
    if not start.days or not known.get("verify_days"):
        return known["start_amount"]
    return money(days * start.internal / start.days, case.assumptions.currency, language, about=False)


def _return(case: BusinessCase, known: Facts, language: Language) -> dict[str, str]:
    t, values = translator(language), case.assumptions.values
    rate = values.get("discount_rate_percent")
    horizon = headlines_business.horizon(case)
    paid = t("{n} months", n=known["payback_months"]) if "payback_months" in known else t("none")
    found = {
        "payback": paid,
        "horizon_months": number(round(horizon), language),
        "tax": t("after tax") if case.assumptions.after_tax else t("before tax"),
    }
    if rate is not None and rate.value is not None:
        found["rate"] = f"{number(rate.value, language)}%"
    return found


def _years(case: BusinessCase, language: Language) -> str:
    """Profit and loss of up to three fiscal years: this one, the next, the one after."""
    t = translator(language)
    names = (t("this year"), t("next year"), t("the year after"))
    return t(", ").join(
        t("{name} ({year}) {amount}", name=name, year=fiscal_year(year.year, language), amount=_profit(year, case, language))
        for name, year in zip(names, case.result.years, strict=False)
    )


def _profit(year: FiscalYear, case: BusinessCase, language: Language) -> str:
    low, high = headlines_business.saving_interval(case)
    return money(year.profit.total, case.assumptions.currency, language, interval=(year.n_months * low, year.n_months * high))


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
