"""The places of the briefing's sentences by name, written in one language; what is not known is absent and never guessed.

Names are those of the sentences: `saving_month`, `cash`, `stage1_slices`. A sentence asks for its places with `filled`.
"""

from __future__ import annotations

import math
import string
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from analysis.contracts import BusinessCase, Guardrail, Message, Stage
from analysis.errors import StrataError
from analysis.i18n import N_, Language, Translator, render, translator
from analysis.i18n.numbers import number
from analysis.planning import CRITICAL, parse_guardrail
from analysis.reporting import briefing_quality, headlines, headlines_business
from analysis.reporting.briefing_assumed import driver_facts
from analysis.reporting.briefing_clean import clean, fewer, plain_number
from analysis.reporting.money_words import day, money, money_range, month, percent_of, whole_months
from analysis.reporting.verification_words import item, limit

Facts = Mapping[str, str]

MISSING: Mapping[str, str] = {
    "saving_pct": N_("saving as a share of today's cost"),
    "saving_month": N_("saving a month"),
    "payback_months": N_("payback period"),
    "cash": N_("cash saving"),
    "cash_date": N_("date from which less is paid"),
    "quality_change": N_("measured change in quality"),
    "quality_ci": N_("interval of the change in quality"),
    "guardrail": N_("limit set before the test"),
    "guardrail_date": N_("date on which the limit was set"),
    "n_critical": N_("critical cases that were answered"),
    "flip_upper": N_("critical cases that were answered"),
    "flips": N_("critical cases that were answered"),
    "n_needed": N_("number of critical cases needed"),
    "stage1_slices": N_("first stage of the rollout"),
    "stage1_compression": N_("first stage of the rollout"),
    "stage1_weeks": N_("first stage of the rollout"),
    "stop_rule": N_("rule for stopping"),
    "rollback_minutes": N_("minutes of a rehearsed roll-back"),
    "review_date": N_("date of the review"),
    "decision_date": N_("date of the decision"),
    "top_driver": N_("assumption that matters most"),
    "g": N_("gain kept in the trial"),
    "n_trained": N_("number of layers that are trained"),
    "step_saved": N_("measured training time"),
    "n_prompts": N_("number of prompts"),
    "n_slices": N_("number of prompts"),
    "what": N_("what the plan leaves out"),
    "roles": N_("person-days by role"),
    "run_days": N_("person-days for watching"),
    "bad_value": N_("assumption that matters most"),
    "bad_payback": N_("assumption that matters most"),
    "calibration": N_("measured error of the projection"),
    "machine": N_("machine of the measurement"),
    "k": N_("stage for critical work"),
    "thousandth_price": N_("price of a wrong answer"),
    "saving_run": N_("saving of one fine-tune"),
    "gpu_hours": N_("GPU hours of one fine-tune"),
    "break_even": N_("amount of work from which it pays"),
    "metric": N_("limit that was missed"),
    "value": N_("limit that was missed"),
    "limit": N_("limit that was missed"),
    "alternative": N_("alternative worth trying"),
    "break_even_errors": N_("price of a wrong answer"),
    "error_price": N_("price of a wrong answer"),
}
"""A place -> what is missing when it has no value."""


_MANY = frozenset({"flips", "accuracy"})
"""What is watched, where its name is a plural."""


@dataclass(frozen=True)
class Filled:
    """A sentence with its places filled; text is None where one is missing, and `missing` names which, in words."""

    text: str | None
    missing: str = ""


def filled(sentence: str, known: Facts, t: Translator) -> Filled:
    """The sentence in words, or what it lacks."""
    places = {name for _, name, _, _ in string.Formatter().parse(sentence) if name}
    lacking = [name for name in sorted(places) if name not in known]
    if lacking:
        return Filled(None, t(MISSING.get(lacking[0], lacking[0])))
    said = t(sentence, **{name: known[name] for name in places}) if places else t(sentence)
    return Filled(_singular(said))


def or_untested(sentence: str, known: Facts, t: Translator) -> str:
    """The sentence with "not yet tested" in the places that are not known."""
    places = {name for _, name, _, _ in string.Formatter().parse(sentence) if name}
    return filled(sentence, {**dict.fromkeys(places, t("not yet tested")), **known}, t).text or ""


def facts(case: BusinessCase, language: Language, *, decision_on: str = "") -> dict[str, str]:
    """Every place that this case can fill.

    Args:
        case: what it is worth.
        language: of the words.
        decision_on: date of the decision; empty: the rollout's.
    """
    known = {
        **_subject(case, language),
        **_worth(case, language),
        **_start(case, language),
        **briefing_quality.facts(case, language),
        **_stages(case, language, decision_on),
        **driver_facts(case, language),
    }
    return {name: text for name, text in known.items() if text}


def _subject(case: BusinessCase, language: Language) -> dict[str, str]:
    evidence, t = case.evidence, translator(language)
    found = {
        "model": clean(evidence.model_name, 60),
        "cost_name": cost_name(case, t),
        "plan_words": clean(render(evidence.words, language), 120),
        "plan_id": evidence.plan_id[:16],
        "N": number(evidence.n_blocks, language),
        "machine": clean(evidence.device_name, 50),
    }
    if evidence.n_prompts:
        found |= {"n_prompts": number(evidence.n_prompts, language), "n_slices": number(len(evidence.slices) or 1, language)}
    removed = _left_out(case)
    if removed:
        found["what"] = clean(render(Message(id="{slices}", values={"slices": removed}), language), 120)
    if evidence.training is not None:
        found["n_trained"] = number(evidence.training.n_trained, language)
    elif evidence.eof_layer is not None:
        found["n_trained"] = number(evidence.n_blocks - evidence.eof_layer - 1, language)
    return found


def _left_out(case: BusinessCase) -> tuple[Message, ...]:
    """What the model runs without, part by part."""
    return tuple(
        Message(id=headlines.PARTS[operation.unit], values={"list": headlines.runs_of(operation.blocks)})
        for operation in case.evidence.operations
        if operation.op != "freeze"
    )


def cost_name(case: BusinessCase, t: Translator) -> str:
    """Which cost goes down, to stand inside a sentence."""
    if freezes(case):
        return t("cost of fine-tuning")
    return t("running cost of the model")


def freezes(case: BusinessCase) -> bool:
    """Whether the plan makes training cheaper and takes nothing out."""
    return case.evidence.serving is None and case.evidence.eof_layer is not None


def _worth(case: BusinessCase, language: Language) -> dict[str, str]:
    result, currency = case.result, case.assumptions.currency
    interval = headlines_business.saving_interval(case)

    def sum_(amount: float, *, about: bool = False) -> str:
        return money(amount, currency, language, interval=interval, about=about)

    low, high = money_range(*interval, currency, language, near=result.net_per_month)
    found = {
        "saving_month": sum_(result.net_per_month, about=language == "ja"),
        "saving_bare": sum_(result.net_per_month),
        "saving_about": sum_(result.net_per_month, about=True),
        "saving_low": low,
        "saving_high": high,
        "cash": sum_(result.buckets.cash),
        "avoided": sum_(result.buckets.avoided),
        "freed": sum_(result.buckets.freed),
        "cash_date": month(result.buckets.cash_from or "", language) or "",
        "run_cost": sum_(headlines_business.running_costs(case)),
        "today_cost": money(result.cost.today, currency, language, about=False),
    }
    found["npv"] = money(result.npv, currency, language, interval=_npv_interval(case))
    found["taken_off"] = _taken_off(case, found["run_cost"], translator(language))
    share = headlines_business.saving_share(case)
    if share is not None:
        found["saving_pct"] = percent_of(result.net_per_month / result.cost.today, width=share[1] - share[0])
        found["lo"], found["hi"] = (percent_of(end, width=share[1] - share[0]) for end in share)
    even = result.break_even
    if even.value is not None and even.value > even.today:
        found["break_even"] = headlines_business.rounded_up(even.value, language)
    if result.payback_months is not None:
        found["payback_months"] = number(whole_months(result.payback_months), language)
    found["years"] = "10"
    return found | _per_run(case, language) | _errors(case, language)


def _npv_interval(case: BusinessCase) -> tuple[float, float] | None:
    spread = case.result.simulation.npv
    return None if spread.p10 is None or spread.p90 is None else (spread.p10, spread.p90)


def _taken_off(case: BusinessCase, upkeep: str, t: Translator) -> str:
    """What lies between the saving before and the one that is told."""
    if not case.assumptions.after_tax:
        return t("upkeep of {amount}", amount=upkeep)
    return t("upkeep of {amount} and tax", amount=upkeep)


def _per_run(case: BusinessCase, language: Language) -> dict[str, str]:
    """One fine-tune: what it saves in money, and in GPU hours where they are known."""
    result, currency = case.result, case.assumptions.currency
    runs = case.assumptions.values.get("training_runs_per_month")
    found: dict[str, str] = {}
    if result.per_training_run is not None and result.per_training_run.change < 0:
        found["saving_run"] = money(-result.per_training_run.change, currency, language, about=False)
    if result.gpu_hours is not None and runs is not None and runs.value and result.gpu_hours.change < 0 and freezes(case):
        hours = -result.gpu_hours.change / runs.value
        found["gpu_hours"] = plain_number(hours, 0 if hours >= 10 else 2, language)
    training = case.evidence.training
    if training is not None and training.hours.saved_share > 0:
        found["step_saved"] = percent_of(training.hours.saved_share)
    return found


def _errors(case: BusinessCase, language: Language) -> dict[str, str]:
    result, currency = case.result, case.assumptions.currency
    price = case.assumptions.values.get("error_price")
    found: dict[str, str] = {}
    if result.break_even_errors is not None and result.break_even_errors >= 0 and price is not None and price.value:
        found["break_even_errors"] = number(int(result.break_even_errors), language)
        found["error_price"] = money(price.value, price.currency or currency, language, about=False)
    if result.break_even_error_price is not None and result.break_even_error_price > 0:
        price_each, net = result.break_even_error_price, result.net_per_month
        found["thousandth_price"] = money(price_each, currency, language, about=False, interval=_as_certain(price_each, net, case))
    return found


def _as_certain(amount: float, net: float, case: BusinessCase) -> tuple[float, float] | None:
    """The interval of a sum that follows from the saving: as wide beside it as the saving's own."""
    if net <= 0:
        return None
    low, high = headlines_business.saving_interval(case)
    return amount * low / net, amount * high / net


def _start(case: BusinessCase, language: Language) -> dict[str, str]:
    """What is asked for: the whole start, and what stage 1 takes where it is told apart."""
    start, currency = case.result.start, case.assumptions.currency
    t = translator(language)

    def sum_(amount: float) -> str:
        return money(amount, currency, language, about=False)

    found = {
        "start_amount": sum_(start.total),
        "start_days": _days(start.days, language),
        "external": sum_(start.external),
        "internal": sum_(start.internal),
        "roles": role_words(start.roles, t, language),
        "verify_days": _days(start.roles.get("engineer", 0.0) + start.roles.get("expert", 0.0), language),
    }
    found |= {"ask_amount": found["start_amount"], "ask_days": found["start_days"]}
    first = next(iter(case.result.stages), None)
    if first is not None and case.rollout is not None:
        found |= {"ask_amount": sum_(first.cost), "ask_days": _days(case.rollout.stages[0].start_days, language)}
    daily = start.internal / start.days if start.days else 0.0
    if daily > 0:
        run_days = case.result.running_per_month / daily
        found |= {"run_days": _days(run_days, language), "fte": plain_number(math.ceil(5 * run_days - 1e-9) / 100, 2, language)}
    if not start.roles.get("engineer", 0.0) + start.roles.get("expert", 0.0):
        found["verify_days"] = ""
    return found


def role_words(roles: Mapping[str, float], t: Translator, language: Language) -> str:
    """Person-days by role: "engineer 10, business expert 3"."""
    names = {"engineer": t("engineer"), "expert": t("business expert"), "legal": t("legal and security"), "external": t("external")}
    return t(", ").join(
        t("{role} {days}", role=names[role], days=_days(days, language)) for role, days in roles.items() if days and role in names
    )


def _days(days: float, language: Language) -> str:
    return plain_number(days, 1, language)


def _stages(case: BusinessCase, language: Language, decision_on: str) -> dict[str, str]:
    rollout, t = case.rollout, translator(language)
    found = {"decision_date": day(decision_on, language) or ""}
    if rollout is None:
        return found
    first = rollout.stages[0]
    owner = rollout.roles.get("owner") or first.owner
    found |= {
        "decision_date": found["decision_date"] or day(rollout.decision_on, language) or "",
        "review_date": day(rollout.review_on, language) or "",
        "owner": clean(owner, 40),
        "stop_rule": typed(first.stop_rule, t),
        **{f"stage1_{name}": text for name, text in stage_facts(first, language).items()},
        "entry2": conditions(first.exit or (rollout.stages[1].entry if len(rollout.stages) > 1 else ()), t),
    }
    if rollout.rehearsal is not None:
        found["rollback_minutes"] = number(-int(-rollout.rehearsal.minutes // 1), language)
        found["rehearsal_date"] = day(rollout.rehearsal.on, language) or ""
    return found | _watched(first, language) | _critical_stage(case, language)


def stage_facts(stage: Stage, language: Language, *, names: int = 2) -> dict[str, str]:
    """The three dials of a stage and its weeks."""
    served = [clean(render(headlines_business.slice_words(name), language), 40) for name in stage.slices]
    t = translator(language)
    return {
        "slices": fewer(served, names, t) if served else t("all slices"),
        "compression": percent_of(stage.compression),
        "traffic": percent_of(stage.traffic),
        "weeks": plain_number(stage.weeks, 1, language),
    }


def conditions(clauses: Iterable[str], t: Translator) -> str:
    """What has to be true, as one clause."""
    return t(" and ").join(typed(clause, t) for clause in clauses)


def typed(text: str, t: Translator) -> str:
    """Words typed by a person, to stand inside a sentence; a clause of Strata's own is put into the language."""
    said = clean(t(text) if text.strip() and "{" not in text else text, 90).rstrip(". 。")
    return said[:1].lower() + said[1:] if said[1:2].islower() else said


def _watched(stage: Stage, language: Language) -> dict[str, str]:
    """The limit that is watched daily: on quality as a whole, else the first."""
    limits = [guardrail for text in stage.guardrails if (guardrail := _read(text)) is not None and guardrail.slice != CRITICAL]
    chosen = next((one for one in limits if one.metric == "perplexity"), next(iter(limits), None))
    if chosen is None:
        return {}
    if chosen.metric == "perplexity" and chosen.slice is None:
        found = {"watched": translator(language)("Quality loss")}
    else:
        found = {"watched": render(item(chosen), language), "watched_many": "yes" if chosen.metric in _MANY else ""}
    return found | {"watched_limit": _watched_limit(chosen, language)}


def _watched_limit(chosen: Guardrail, language: Language) -> str:
    """A limit on right answers as the points that may be lost, any other as it was set."""
    if chosen.metric == "accuracy" and chosen.unit == "%" and chosen.op == ">=" and chosen.value < 0:
        return translator(language)("at most {n} points fewer", n=f"{-chosen.value:g}")
    return render(limit(chosen), language).replace("+", "").replace("-", "−")


def _read(text: str) -> Guardrail | None:
    """A limit as it was typed; None: it is not one, and the page of the stages says so."""
    try:
        return parse_guardrail(text)
    except StrataError:
        return None


def _critical_stage(case: BusinessCase, language: Language) -> dict[str, str]:
    """Which slices are critical, and the first stage that serves one of them."""
    assert case.rollout is not None
    critical = [entry.name for entry in case.assumptions.slices if entry.critical]
    if not critical:
        return {}
    stages = case.rollout.stages
    first = next((stage.number for stage in stages if not stage.slices or set(stage.slices) & set(critical)), None)
    names = [clean(render(headlines_business.slice_words(name), language), 40) for name in critical]
    found = {"critical_slices": fewer(names, 2, translator(language))}
    return found if first is None else found | {"k": str(first)}


def _singular(text: str) -> str:
    """English counts of one without the plural s."""
    for plural, one in (
        ("months", "month"),
        ("weeks", "week"),
        ("minutes", "minute"),
        ("person-days", "person-day"),
        ("prompts", "prompt"),
    ):
        text = text.replace(f" 1 {plural}", f" 1 {one}")
    return text
