"""Sentences to say in the meeting: eight, about ninety seconds, in the variant that the evidence allows.

A sentence whose figure is missing is not said; which and why is told. A plan outside its limits is not argued for: only what was
tried, that it is not recommended, and what to try next.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from analysis.contracts import Alternative, AlternativeKind, BusinessCase
from analysis.i18n import N_, Language, render, translator
from analysis.reporting import briefing_quality, headlines_business
from analysis.reporting.briefing_facts import Facts, filled, freezes
from analysis.reporting.briefing_parts import Dropped, Sentence
from analysis.reporting.briefing_table import way

KEEP = N_(
    "We keep the model we have and stop paying for computation that our own work does not use: {saving_pct} of the {cost_name}, "
    "about {saving_month} a month."
)
BASIS = N_("The basis is {n_prompts} of our own prompts in {n_slices} kinds of work, and the lighter model was run, not estimated.")
QUALITY = N_("Quality changed by {quality_change}; the limit we fixed beforehand was {guardrail}.")
CRITICAL = N_(
    "In {n_critical} critical cases no answer changed. That many cases cannot rule out a rate of up to {flip_upper}, so critical work "
    "stays on the full model for now."
)
CRITICAL_CHANGED = N_(
    "In {n_critical} critical cases {flips} answers changed, and a rate of up to {flip_upper} cannot be ruled out, so critical work "
    "stays on the full model for now."
)
CRITICAL_FEW = N_("We have {n_critical} critical cases, too few to judge; we collect {n_needed} before stage 2.")
START = N_(
    "We start where little can go wrong, {stage1_slices}, {stage1_compression} lighter, and widen only after {stage1_weeks} weeks "
    "within the limits."
)
START_FREEZE = N_(
    "We start where little can go wrong, {stage1_slices}, with {stage1_traffic} of their requests, and widen only after {stage1_weeks} "
    "weeks within the limits."
)
START_SHARE = N_("We start with {stage1_traffic} of the requests and widen only after {stage1_weeks} weeks within the limits.")
BACK = N_("If a limit is crossed, we are back on the original within {rollback_minutes} minutes; it is never removed.")
TAKES = N_(
    "In all it takes {ask_amount} and {ask_days} person-days to start, and we expect it back in {payback_months} months; what would "
    "change that most is {top_driver}."
)
TODAY = N_("Today I ask for stage 1 only. On {review_date} we report actual against plan, and you decide: widen, hold or stop.")
TODAY_SUM = N_(
    "Today I ask for stage 1 only, {ask_amount}. On {review_date} we report actual against plan, and you decide: widen, hold or stop."
)
FREEZE = N_(
    "For the next fine-tune we train only the last {n_trained} of {N} layers: {gpu_hours} fewer GPU hours each time, {saving_run} a run."
)
FREEZE_SHARE = N_(
    "For the next fine-tune we train only the last {n_trained} of {N} layers: {step_saved} less training time each time, about "
    "{saving_month} a month."
)
FREEZE_PROJECTED = N_(
    "For the next fine-tune we would train only the last {n_trained} of {N} layers: projected, not measured, about {saving_month} a month."
)
FREEZE_CHOSEN = N_("The layer was chosen by measuring our own examples; the page shows the curve and the trials beside it.")
FREEZE_BASIS = N_(
    "The basis is {n_prompts} of our own prompts in {n_slices} kinds of work, and the shorter training was run, not estimated."
)
FREEZE_KEPT = N_("The trial kept {g}% of the improvement that training everything gives.")
PROJECTION = N_("This is a projection from a first measurement; nothing has been run in its lighter form yet.")
PROJECTION_FREEZE = N_("This is a projection from a first measurement; no trial training has been run yet.")
VERIFY = N_("Today I ask only for {ask_days} person-days to verify it, until {review_date}.")
VERIFY_UNDATED = N_("Today I ask only for {ask_days} person-days to verify it.")
DECIDE_UNDATED = N_("Today I ask only for {ask_days} person-days to test it on more cases.")
DECIDE = N_("Today I ask only for {ask_days} person-days to test it on more cases, until {review_date}.")
MISSED = N_("We tested it and do not recommend it: {metric} came out at {value}, and our limit was {limit}.")
NEXT = N_("The next thing worth trying is {alternative}; how many person-days that takes has not been worked out.")
NEVER = N_("At today's volume it does not pay back; it would from {break_even} requests a month.")
MISSING = N_("missing: {what}")
LATE = N_("It takes {ask_amount} and {ask_days} person-days, and the saving does not pay that back within {years} years.")


_TO_TRY: dict[AlternativeKind, str] = {"quantise": N_("to quantise only"), "grow": N_("to grow instead of rebuild")}
"""Alternatives that are a verb, as they stand inside a sentence."""


@dataclass(frozen=True)
class _Choice:
    """One sentence for its number, with the places that it fills in its own way.

    `text` stands for words that are complete already, `why_not` for a reason not to say it.
    """

    number: int
    sentence: str = ""
    places: Facts = field(default_factory=dict)
    text: str = ""
    why_not: str = ""


def sentences(case: BusinessCase, known: Facts, language: Language) -> tuple[tuple[Sentence, ...], tuple[Dropped, ...]]:
    """What can be said, in order, and what cannot, with the reason: most often a missing figure."""
    t = translator(language)
    said, left_out = list[Sentence](), list[Dropped]()
    for choice in _choices(case, known, language):
        if choice.why_not:
            left_out.append(Dropped(choice.number, choice.why_not))
        elif choice.text:
            said.append(Sentence(choice.number, choice.text))
        else:
            found = filled(choice.sentence, {**known, **choice.places}, t)
            if found.text is None:
                left_out.append(Dropped(choice.number, t(MISSING, what=found.missing)))
            else:
                said.append(Sentence(choice.number, found.text))
    return tuple(said), tuple(left_out)


def _choices(case: BusinessCase, known: Facts, language: Language) -> Iterator[_Choice]:
    t = translator(language)
    if case.standing == "outside":
        yield from _against(case, known, language)
        return
    if case.result.net_per_month <= 0:
        yield _Choice(1, why_not=t("there is no saving to name"))
    else:
        yield _first(case, known)
    yield _second(case)
    yield _third(case, t(MISSING, what=t("a test of its quality")), t(MISSING, what=t("a result that lies within the limit")))
    yield _fourth(case)
    whole = {"ask_amount": known["start_amount"], "ask_days": known["start_days"]}
    if argues_against(case):
        for number in (5, 6):
            yield _Choice(number, why_not=t("it does not pay back"))
        yield _Choice(7, text=never(case, known, language)) if case.result.net_per_month <= 0 else _Choice(7, LATE, whole)
        yield _Choice(8, why_not=t("it does not pay back"))
        return
    yield _Choice(5, _start(case))
    yield _Choice(6, BACK)
    yield _Choice(7, TAKES, whole)
    yield _last(case, known)


def _start(case: BusinessCase) -> str:
    """How it begins; "where little can go wrong" only where stage 1 has slices of its own and none is critical."""
    served = set(case.rollout.stages[0].slices) if case.rollout is not None else set()
    critical = {one.name for one in case.assumptions.slices if one.critical}
    if case.rollout is not None and (not served or served == {"all"} or served & critical):
        return START_SHARE
    return START_FREEZE if freezes(case) else START


def _last(case: BusinessCase, known: Facts) -> _Choice:
    """What is asked for today: a stage, or only the days of a test."""
    if case.standing == "measured":
        return _Choice(8, TODAY if known["ask_amount"] == known["start_amount"] else TODAY_SUM)
    dated, undated = (VERIFY, VERIFY_UNDATED) if case.standing == "rough" else (DECIDE, DECIDE_UNDATED)
    return _Choice(8, dated if "review_date" in known else undated, {"ask_days": known.get("verify_days", known["start_days"])})


def never(case: BusinessCase, known: Facts, language: Language) -> str:
    """That it does not pay back, and from how much work on it would."""
    if case.result.break_even.kind == "requests" and "break_even" in known:
        return translator(language)(NEVER, break_even=known["break_even"])
    return render(headlines_business.never_pays(case), language)


def _first(case: BusinessCase, known: Facts) -> _Choice:
    bare = {"saving_month": known["saving_bare"]}
    if not freezes(case):
        return _Choice(1, KEEP, bare)
    if case.standing == "rough":
        return _Choice(1, FREEZE_PROJECTED, bare)
    return _Choice(1, FREEZE if "gpu_hours" in known and "saving_run" in known else FREEZE_SHARE, bare)


def _second(case: BusinessCase) -> _Choice:
    if case.standing == "rough":
        return _Choice(2, PROJECTION_FREEZE if freezes(case) else PROJECTION)
    if not freezes(case):
        return _Choice(2, BASIS)
    chosen = case.evidence.training is not None and case.evidence.training.recommended
    return _Choice(2, FREEZE_CHOSEN if chosen else FREEZE_BASIS)


def _third(case: BusinessCase, no_test: str, not_within: str) -> _Choice:
    if case.standing == "rough" or case.evidence.quality.projected:
        return _Choice(3, why_not=no_test)
    if briefing_quality.gain_kept(case.evidence) is not None:
        return _Choice(3, FREEZE_KEPT)
    if case.standing != "measured":
        return _Choice(3, why_not=not_within)
    return _Choice(3, QUALITY)


def _fourth(case: BusinessCase) -> _Choice:
    if briefing_quality.too_few_critical(case):
        return _Choice(4, CRITICAL_FEW)
    flips = case.evidence.quality.critical
    return _Choice(4, CRITICAL_CHANGED if flips is not None and flips.changed else CRITICAL)


def _against(case: BusinessCase, known: Facts, language: Language) -> Iterator[_Choice]:
    """A plan that missed a limit: the finding, its basis, and what to try instead."""
    t = translator(language)
    yield _Choice(1, MISSED)
    yield _second(case)
    for number in (3, 4, 5, 6, 7):
        yield _Choice(number, why_not=t("the plan is not recommended"))
    other = next_worth_trying(case)
    if other is None:
        yield _Choice(8, why_not=t(MISSING, what=t("alternative worth trying")))
    else:
        yield _Choice(8, text=t(NEXT, alternative=t(_TO_TRY.get(other.kind, "")) if other.kind in _TO_TRY else way(other.kind, t)))


def argues_against(case: BusinessCase) -> bool:
    """Whether nothing is to be rolled out: a limit was missed, or the plan never pays for its start and its upkeep."""
    return case.standing == "outside" or case.result.net_per_month <= 0 or case.result.payback_months is None


def next_worth_trying(case: BusinessCase) -> Alternative | None:
    """The alternative that saves most by what is known; else the first that nobody has looked at yet."""
    others = [one for one in case.result.alternatives if one.kind not in ("nothing", "plan", "more_machines")]
    known = [one for one in others if one.saving_share is not None and one.saving_share > 0]
    if known:
        return max(known, key=lambda one: one.saving_share or 0.0)
    return next((one for one in others if one.origin is None), None)
