"""The seven parts of the page in sentences, each in the variant that the evidence allows."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.contracts import BusinessCase, Stage
from analysis.i18n import N_, Language, Translator, render, translator
from analysis.i18n.numbers import number
from analysis.reporting import briefing_quality, headlines_business
from analysis.reporting.briefing_assumed import listed_words, most_important
from analysis.reporting.briefing_clean import clean, plain_number
from analysis.reporting.briefing_facts import Facts, filled, freezes, or_untested, stage_facts, typed
from analysis.reporting.briefing_parts import RiskRow, StageBox
from analysis.reporting.briefing_sentences import MISSED, argues_against, never
from analysis.reporting.money_words import day, percent_of, percent_range

_MOST_BOXES = 3

SHORT = N_(
    "Keep the present model, leave out part of its computation ({what}), and lower the {cost_name} by {saving_pct} "
    "(expected: about {saving_month} a month). We ask for approval of stage 1: {ask_amount}, {ask_days} person-days."
)
SHORT_FREEZE = N_(
    "Keep the present model, train only its last {n_trained} of {N} layers at the next fine-tune, and lower the {cost_name} by "
    "{saving_pct} (expected: about {saving_month} a month). We ask for approval of stage 1: {ask_amount}, {ask_days} person-days."
)
MAY_FALL = N_("The {cost_name} may fall by {saving_pct} (about {saving_month} a month); whether quality holds is not decided.")
NOT_PROPOSED = N_("We looked into it and do not propose it.")
NOTHING_ASKED = N_("Nothing is asked for today.")
MORE_CASES = N_("We ask only for {ask_days} person-days to test it on more cases, until {review_date}.")
MORE_CASES_UNDATED = N_("We ask only for {ask_days} person-days to test it on more cases.")
TEST = N_("We ask only for {ask_days} person-days to verify it, until {review_date}.")
TEST_UNDATED = N_("We ask only for {ask_days} person-days to verify it.")

SAVING = N_("Saving: {saving_month} a month ({saving_low} to {saving_high}), of which {cash} is cash; payback {payback_months} months.")
SAVING_RUNNING = N_(
    "Saving: {saving_month} a month ({saving_low} to {saving_high}) after {taken_off}; cash before it {cash}; "
    "payback {payback_months} months."
)
SAVING_AVOIDED = N_(
    "Saving: {saving_month} a month ({saving_low} to {saving_high}) after {taken_off}; before it, {cash} is cash and {avoided} purchases "
    "avoided; payback {payback_months} months."
)
SAVING_IF = N_("Saving if the limits hold: {saving_month} a month ({saving_low} to {saving_high}) after {taken_off}.")
SAVING_AGAINST = N_("Saving if it were used all the same: {saving_month} a month ({saving_low} to {saving_high}) after {taken_off}.")
SAVING_PROJECTED = N_("Saving, projected: {saving_month} a month ({saving_low} to {saving_high}) after {taken_off}.")
SAVING_LATE = N_("Saving: {saving_month} a month ({saving_low} to {saving_high}) after {taken_off}; not paid back within {years} years.")
QUALITY = N_("Quality: {quality_change} ({quality_ci}); limit {guardrail}, set on {guardrail_date}, before the test.")
QUALITY_UNDATED = N_("Quality: {quality_change} ({quality_ci}); limit {guardrail}.")
QUALITY_UNLIMITED = N_("Quality: {quality_change} ({quality_ci}); no limit was set before the test.")
QUALITY_PROJECTED = N_("Quality: projected to be {quality_change} ({quality_ci}); not yet tested.")
QUALITY_MISSED = N_("Quality: {metric} {value}; the limit {limit} was missed.")
QUALITY_UNKNOWN = N_("Quality: not yet tested.")
BACK = N_("Way back: the original stays; return within {rollback_minutes} minutes, rehearsed on {rehearsal_date}.")
BACK_UNTRIED = N_("Way back: the original stays; the minutes are not yet tested.")

WRONG_ANSWERS = N_("Wrong answers in {critical_slices}")
QUALITY_FALLS = N_("Quality falls unnoticed")
NO_SAVING = N_("The saving does not appear")

ASK_BY_ROLE = N_("{ask_amount} (excluding tax), {ask_days} person-days: {roles}.")
ASK_STAGE = N_("Stage 1: {ask_amount} (excluding tax, watching included), {ask_days} person-days.")
ASK_IN_ALL = N_("In all: {start_amount}, {start_days} person-days ({roles}).")
ASK_IN_ALL_BARE = N_("In all: {start_amount}, {start_days} person-days.")
ASK = N_("{ask_amount} (excluding tax), {ask_days} person-days.")
STAGE_ONE = N_(
    "Stage 1: {stage1_slices}, {stage1_compression} lighter, {stage1_traffic} of requests, {stage1_weeks} weeks. Go on if {entry2}. "
    "Stop if {stop_rule}."
)
STAGE_ONE_FREEZE = N_(
    "Stage 1: {stage1_slices}, {stage1_compression} less training time, {stage1_traffic} of requests, {stage1_weeks} weeks. "
    "Go on if {entry2}. Stop if {stop_rule}."
)


def in_short(case: BusinessCase, known: Facts, language: Language) -> tuple[str, ...]:
    """Part 1: what, how much, how soon, and what is asked for today."""
    t = translator(language)
    nothing = t(NOTHING_ASKED)
    if case.standing == "outside":
        said = filled(MISSED, known, t).text
        return (said or render(headlines_business.roi(case), language), nothing)
    if case.result.net_per_month <= 0:
        said = never(case, known, language)
        estimate = (render(headlines_business.rough(case), language),) if case.standing == "rough" else ()
        return (t(NOT_PROPOSED), *estimate, said, nothing)
    if argues_against(case):
        return (t(NOT_PROPOSED), render(headlines_business.saves(case), language), nothing)
    dated = "review_date" in known
    if case.standing == "rough":
        return (render(headlines_business.rough(case), language), _verify(TEST if dated else TEST_UNDATED, known, t))
    if case.standing == "undecided":
        return (or_untested(MAY_FALL, known, t), _verify(MORE_CASES if dated else MORE_CASES_UNDATED, known, t))
    return (or_untested(SHORT_FREEZE if freezes(case) else SHORT, known, t),)


def _verify(sentence: str, known: Facts, t: Translator) -> str:
    return or_untested(sentence, {**known, "ask_days": known.get("verify_days", known["start_days"])}, t)


def points(case: BusinessCase, known: Facts, language: Language) -> tuple[str, str, str]:
    """Part 2: saving, quality, way back; the figure first."""
    t = translator(language)
    back = filled(BACK, known, t).text or t(BACK_UNTRIED)
    return _saving(case, known, language), _quality(case, known, t), back


def _saving(case: BusinessCase, known: Facts, language: Language) -> str:
    t = translator(language)
    if case.result.net_per_month <= 0:
        return t("Saving: none. {why}", why=_with_machines(render(headlines_business.never_pays(case), language), case, language))
    return _with_machines(_saved(case, {**known, "saving_month": known["saving_about"]}, t), case, language)


def _with_machines(said: str, case: BusinessCase, language: Language) -> str:
    """Beside the money, that the number of machines stays, where it does."""
    stays = headlines_business.machines_stay(case)
    if stays is None:
        return said
    return said + {"en": " ", "ja": ""}[language] + render(stays, language)


def _saved(case: BusinessCase, places: Facts, t: Translator) -> str:
    if case.standing == "outside":
        return or_untested(SAVING_AGAINST, places, t)
    if case.standing == "undecided":
        return or_untested(SAVING_IF, places, t)
    if case.standing == "rough":
        return or_untested(SAVING_PROJECTED, places, t)
    if case.result.payback_months is None:
        return or_untested(SAVING_LATE, places, t)
    if case.result.buckets.avoided:
        return or_untested(SAVING_AVOIDED, places, t)
    return or_untested(SAVING_RUNNING if case.assumptions.after_tax or headlines_business.takes_running(case) else SAVING, places, t)


def _quality(case: BusinessCase, known: Facts, t: Translator) -> str:
    if case.standing == "outside" and "metric" in known:
        return or_untested(QUALITY_MISSED, known, t)
    if "quality_change" not in known:
        return t(QUALITY_UNKNOWN)
    if case.evidence.quality.projected:
        return or_untested(QUALITY_PROJECTED, known, t)
    if "guardrail" not in known:
        return or_untested(QUALITY_UNLIMITED, known, t)
    return or_untested(QUALITY if "guardrail_date" in known else QUALITY_UNDATED, known, t)


def risks(case: BusinessCase, known: Facts, language: Language) -> tuple[RiskRow, ...]:
    """Part 4: critical cases first, then quality in use, then the money."""
    t = translator(language)
    if argues_against(case):
        return (RiskRow(t("Wrong answers if it were used all the same"), t("the original stays in use"), known.get("owner", "")),)
    who = known.get("owner", t("who acts is not yet named"))
    critical = t(WRONG_ANSWERS, critical_slices=known.get("critical_slices", t("critical cases")))
    if "k" in known:
        stays = t("these stay on the full model until stage {k}; a person confirms", k=known["k"])
    elif case.rollout is None or "critical_slices" in known:
        stays = t("these stay on the full model; a person confirms")
    else:
        stays = t("no slice is marked as critical; a person checks samples")
    watched = t("no limit is watched yet")
    if "watched" in known:
        many = known.get("watched_many")
        watched = t(
            "{metric} are checked daily (limit: {guardrail})" if many else "{metric} is checked daily (limit: {guardrail})",
            metric=known["watched"],
            guardrail=known["watched_limit"],
        )
    review = known.get("review_date", t("not yet set"))
    return (
        RiskRow(critical, stays, who),
        RiskRow(t(QUALITY_FALLS), watched, t("{owner} switches back", owner=known["owner"]) if "owner" in known else who),
        RiskRow(t(NO_SAVING), t("actual against plan every month"), t("decision on {review_date}", review_date=review)),
    )


def stage_boxes(case: BusinessCase, language: Language) -> tuple[StageBox, ...]:
    """Part 5: at most three boxes; of more stages those in the middle share one."""
    if case.rollout is None or argues_against(case):
        return ()
    stages = case.rollout.stages
    groups = [(stage,) for stage in stages] if len(stages) <= _MOST_BOXES else [stages[:1], stages[1:-1], stages[-1:]]
    dial = N_("{share} less training") if freezes(case) else N_("{share} lighter")
    return tuple(_box(group, before, dial, language) for before, group in zip(((), *groups), groups, strict=False))


def _box(group: Sequence[Stage], before: Sequence[Stage], dial: str, language: Language) -> StageBox:
    """The first box names its slices; a later one counts them, and says how much lighter only where that changes."""
    t, first, last = translator(language), group[0], group[-1]
    slices = stage_facts(last, language, names=1)["slices"]
    if before and len(last.slices) > 2:
        slices = t("{n} slices", n=len(last.slices))
    lighter = t(dial, share=percent_of(last.compression))
    if before and before[-1].compression == last.compression:
        lighter = ""
    lines = (slices, lighter, _traffic(first, last, language), t("{weeks} weeks", weeks=_weeks(group, language)))
    title = t("Stage {number}", number=first.number)
    if first is not last:
        title = t("Stages {first} to {last}", first=first.number, last=last.number)
    return StageBox(first.number, title, tuple(line for line in lines if line), _condition(last, t))


def _traffic(first: Stage, last: Stage, language: Language) -> str:
    t = translator(language)
    if first.traffic != last.traffic:
        return t("{share} of requests", share=percent_range(first.traffic, last.traffic, language))
    return t("all requests") if last.traffic == 1.0 else t("{share} of requests", share=percent_of(last.traffic))


def _weeks(group: Sequence[Stage], language: Language) -> str:
    return plain_number(sum(stage.weeks for stage in group), 1, language)


def _condition(stage: Stage, t: Translator) -> str:
    """The first condition to go on; further ones are counted, the page of the stages has them all."""
    if not stage.exit:
        return ""
    more = len(stage.exit) - 1
    first = typed(stage.exit[0], t)
    if more:
        return t("Go on if {condition} (and {n} more).", condition=first, n=more)
    return t("Go on if {condition}.", condition=first)


def rollout_sentence(case: BusinessCase, known: Facts, t: Translator) -> str:
    """Part 5 as one sentence, for slides and where there are no boxes."""
    if argues_against(case):
        return t("No rollout: the original stays in use.")
    if case.rollout is None:
        return t("The stages have not been decided yet.")
    return or_untested(STAGE_ONE_FREEZE if freezes(case) else STAGE_ONE, known, t)


def stop_sentence(case: BusinessCase, known: Facts, t: Translator) -> str:
    """When it ends early, and how fast the way back is."""
    if argues_against(case):
        return ""
    if "stop_rule" not in known:
        return t("When we stop has not been decided yet.")
    return t("We stop if {stop_rule}.", stop_rule=known["stop_rule"])


def asked(case: BusinessCase, known: Facts, language: Language) -> tuple[str, ...]:
    """Part 6: the amount, the days by role, the dates."""
    t = translator(language)
    if argues_against(case):
        return (t("No approval and no money."),)
    dates = t(
        "Decision by {decision_date}; first report {review_date}.",
        decision_date=known.get("decision_date", t("not yet set")),
        review_date=known.get("review_date", t("not yet set")),
    )
    if case.standing != "measured":
        return (_verify(N_("Only the test: {ask_days} person-days."), known, t), dates)
    if known["ask_amount"] == known["start_amount"]:
        return (or_untested(ASK_BY_ROLE if "roles" in known else ASK, known, t), dates)
    whole = or_untested(ASK_IN_ALL if "roles" in known else ASK_IN_ALL_BARE, known, t)
    return (or_untested(ASK_STAGE, known, t), whole, dates)


def sources(case: BusinessCase, known: Facts, language: Language, *, with_texts: bool) -> tuple[str, ...]:
    """Part 7: what was measured, where and when, the assumptions that matter most, and the plan's number."""
    t, evidence = translator(language), case.evidence
    lines = [_measured(case, known, language)]
    important = most_important(case, language)
    if important:
        lines.append(t("Most depends on: {assumptions}.", assumptions=listed_words(important, language)))
    if with_texts and evidence.workload_name:
        lines.append(t("Workload: {name}.", name=clean(evidence.workload_name, 60)))
    stays = "machine" in known  # nothing is said of a machine that nobody named
    lines.append(t("Plan {plan_id}. No prompt left that machine." if stays else "Plan {plan_id}.", plan_id=known["plan_id"]))
    return tuple(lines)


def _measured(case: BusinessCase, known: Facts, language: Language) -> str:
    """Prompts, slices, machine, day, seed; what nobody measured is not claimed."""
    t, evidence = translator(language), case.evidence
    places = {
        "n_prompts": known.get("n_prompts", "0"),
        "n_slices": known.get("n_slices", "0"),
        "seed": str(evidence.seed),
    }
    unmeasured = case.standing == "rough" or not evidence.device_name
    if unmeasured and "n_prompts" not in known:
        return t("Projected from a first measurement; seed {seed}.", seed=str(evidence.seed))
    if unmeasured:
        return t("{n_prompts} prompts in {n_slices} slices, projected from a first measurement; seed {seed}.", **places)
    measured_on = day(evidence.measured_at, language) or t("not yet set")
    return t(
        "{n_prompts} prompts ({n_judged} judged) in {n_slices} slices; {machine}, {measured_on}, seed {seed}.",
        **places,
        n_judged=number(evidence.n_judged, language),
        machine=clean(evidence.device_name, 40),
        measured_on=measured_on,
    )


def banner(case: BusinessCase, t: Translator) -> str | None:
    """What stands over the page when the evidence does not carry the case."""
    if case.standing == "rough" and freezes(case):
        return t("Not verified: no trial training has been run yet.")
    if case.standing == "rough":
        return t("Not verified: nothing has been run in its lighter form yet.")
    if case.standing == "undecided":
        return t("Not decided: the test cannot tell whether the limits hold.")
    if case.standing == "outside":
        return t("Outside the limit: not recommended")
    return None


def stamp(case: BusinessCase, t: Translator) -> str:
    """How far the plan has come, in two words."""
    if case.standing == "rough":
        return t("Projected only")
    if case.standing == "outside":
        return t("Outside limits")
    if case.standing == "undecided":
        return t("Not enough data")
    if case.rollout is not None and any(stage.state == "passed" for stage in case.rollout.stages):
        return t("Piloted")
    if case.evidence.verification_id is None and briefing_quality.gain_kept(case.evidence) is not None:
        return t("Trial training done")
    return t("Verified")


def title(case: BusinessCase, known: Facts, t: Translator) -> str:
    """The message of the page as its title; a plan that is not carried by its evidence gets a neutral one."""
    if case.standing == "measured" and not argues_against(case) and "saving_pct" in known:
        return t(
            "{saving_pct} less expected for the {cost_name}, with the model we have",
            saving_pct=known["saving_pct"],
            cost_name=known["cost_name"],
        )
    return t("Report on shorter fine-tuning") if freezes(case) else t("Report on a lighter model")
