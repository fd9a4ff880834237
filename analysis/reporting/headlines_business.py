"""The first sentences of ROI, Stages and Briefing: what it is worth, how sure that is, and what they say when the news is bad.

`roi` speaks of what is left a month after the people who watch and renew are paid: the same saving that pays the start-up
cost back. `roi_buckets` says what of it a treasurer sees.
"""

from __future__ import annotations

from collections.abc import Sequence

from analysis.contracts import BusinessCase, CaseEvidence, GuardrailResult, Message, Rollout, Stage, StageAdvice
from analysis.contracts.rollout import AdviceKind
from analysis.i18n import N_
from analysis.i18n.numbers import number
from analysis.planning import CRITICAL
from analysis.reporting.briefing_parts import Briefing
from analysis.reporting.figures import percent_figure
from analysis.reporting.headlines_training import ENOUGH
from analysis.reporting.limit_words import limit_in_words
from analysis.reporting.money_words import day, in_both, money_message, money_range, of_100, percent_of, whole_months
from analysis.reporting.verification_words import in_limits_unit, item, limit

ADVICE: dict[AdviceKind, str] = {
    "go": N_("go on"),
    "hold": N_("hold"),
    "roll_back": N_("roll back"),
    "stop": N_("stop the project"),
}
"""What the evidence advises, in two words."""

_SAMPLE_SLICES = frozenset(
    {"inspection notes", "order entry", "maintenance logs", "customer mail", "code", "arithmetic", "summaries", "Japanese requests"}
)
_LEAST = 0.005
"""Share of today's cost below which money counts as none."""


def roi(case: BusinessCase) -> Message:
    """What the plan saves a month and when that has paid for its start; for thin evidence, what is missing comes first."""
    if case.standing == "outside":
        return _not_recommended(case.evidence)
    if case.result.payback_months is None and case.result.net_per_month <= 0:
        says = never_pays(case)
        return says if case.standing != "rough" else _both(rough(case), says)
    if case.standing == "rough":
        return rough(case)
    if case.standing == "undecided":
        return _both(Message(id="Not decided yet: the test cannot tell whether the limits hold."), saves(case))
    return saves(case)


def saves(case: BusinessCase) -> Message:
    """The saving a month, its range, and when it has paid for the start."""
    found, h = case.result, round(horizon(case))
    values = {**_saving(case), "k": of_100(found.simulation.payback_share), "h": h}
    if found.payback_months is None:
        return Message(
            id="Saves about {s} a month ({lo} to {hi}), but that does not pay for the start within {y} years; "
            "in {k} of 100 simulated cases within {h} months.",
            values={**values, "y": 10},
        )
    whole = whole_months(found.payback_months)
    if whole <= 1:
        return Message(
            id="Saves about {s} a month ({lo} to {hi}) and pays back in the first month; in {k} of 100 simulated cases within {h} months.",
            values=values,
        )
    return Message(
        id="Saves about {s} a month ({lo} to {hi}) and pays back in {m} months; in {k} of 100 simulated cases within {h} months.",
        values={**values, "m": whole},
    )


def _saving(case: BusinessCase) -> dict[str, object]:
    """The net saving a month with its cautious and its hopeful end."""
    found, currency = case.result, case.assumptions.currency
    low, high = saving_interval(case)
    ends = {language: money_range(low, high, currency, language, near=found.net_per_month) for language in ("en", "ja")}
    return {
        "s": money_message(found.net_per_month, currency, interval=(low, high)),
        "lo": in_both(ends["en"][0], ends["ja"][0]),
        "hi": in_both(ends["en"][1], ends["ja"][1]),
    }


def saving_interval(case: BusinessCase) -> tuple[float, float]:
    """P10 and P90 of the net saving a month; the saving itself where the simulation has none."""
    spread, net = case.result.simulation.net_per_month, case.result.net_per_month
    low, high = (net if end is None else end for end in (spread.p10, spread.p90))
    return min(low, net), max(high, net)


def horizon(case: BusinessCase) -> float:
    """Months that are evaluated."""
    given = case.assumptions.values.get("horizon_months")
    return given.value if given is not None and given.value else float(len(case.result.cumulative) - 1)


def never_pays(case: BusinessCase) -> Message:
    """That the saving never exceeds its running cost, and from which amount of work on it would."""
    even = case.result.break_even
    if even.value is not None and even.value <= even.today:
        return Message(id="It never pays back: watching and renewing it cost more than it saves.")
    if even.value is None:
        return Message(id="It never pays back: watching and renewing it cost more than it saves, at any amount of work that was looked at.")
    if even.kind == "bill":
        value = money_message(even.value, case.assumptions.currency)
        return Message(id="At this bill it never pays back; it would from about {v} a month.", values={"v": value})
    if even.kind == "runs":
        runs = in_both(rounded_up(even.value, "en"), rounded_up(even.value, "ja"))
        return Message(id="At this number of fine-tunes it never pays back; it would from {v} a month.", values={"v": runs})
    requests = in_both(rounded_up(even.value, "en"), rounded_up(even.value, "ja"))
    return Message(id="At this volume it never pays back; it would from {v} requests a month.", values={"v": requests})


def rough(case: BusinessCase) -> Message:
    """A range of the cost before anything was run, and nothing finer."""
    ends = saving_share(case)
    if ends is None:
        return Message(id="Rough estimate before any test: today's cost is not known, so no share of it can be named. Verify to narrow it.")
    low, high = ends
    if high <= 0:
        values = {"lo": percent_of(-high, width=high - low).removesuffix("%"), "hi": percent_of(-low, width=high - low)}
        return Message(id="Rough estimate before any test: {lo} to {hi} more than today's cost. Verify to narrow it.", values=values)
    if low < 0:
        values = {"lo": percent_of(-low, width=high - low), "hi": percent_of(high, width=high - low)}
        return Message(
            id="Rough estimate before any test: between {lo} more and {hi} less than today's cost. Verify to narrow it.", values=values
        )
    values = {"lo": percent_of(low, width=high - low).removesuffix("%"), "hi": percent_of(high, width=high - low)}
    return Message(id="Rough estimate before any test: {lo} to {hi} of the cost. Verify to narrow it.", values=values)


def saving_share(case: BusinessCase) -> tuple[float, float] | None:
    """P10 and P90 of the net saving as shares of today's cost; None: there is no cost today."""
    today = case.result.cost.today
    if today <= 0:
        return None
    low, high = saving_interval(case)
    return low / today, high / today


def _not_recommended(evidence: CaseEvidence) -> Message:
    found = missed_limit(evidence)
    if found is None:
        return Message(id="Not recommended: the test missed a limit.")
    return Message(id="Not recommended: {metric} came out at {value}, and the limit was {limit}.", values=found)


def missed_limit(evidence: CaseEvidence) -> dict[str, object] | None:
    """What came out outside its limit, by name, value and limit; None: the evidence does not name it."""
    result = next((one for one in evidence.guardrails if one.verdict == "outside"), None)
    if result is not None:
        return _quality_lost(result) or {
            "metric": item(result.guardrail),
            "value": in_limits_unit(result.measured, result.guardrail)[0],
            "limit": limit(result.guardrail),
        }
    kept = evidence.training.kept_gain if evidence.training else None
    if kept is None or kept.value is None or kept.value >= ENOUGH:
        return None
    least = Message(id="at least {value}", values={"value": f"{100 * ENOUGH:.0f}%"})
    return {"metric": Message(id="gain kept in the trial"), "value": f"{100 * kept.value:.0f}%", "limit": least}


def limit_item(result: GuardrailResult) -> Message:
    """What a limit looks at, as those who decide know it: perplexity is quality loss."""
    lost = _quality_lost(result)
    found = None if lost is None else lost["metric"]
    return found if isinstance(found, Message) else item(result.guardrail)


def _quality_lost(result: GuardrailResult) -> dict[str, object] | None:
    """Perplexity as those who decide know it: quality lost, in percent. None: the limit is on something else."""
    guardrail, value = result.guardrail, result.measured.value
    if guardrail.metric != "perplexity" or guardrail.unit == "abs" or value is None:
        return None
    shares = [number / 100 if guardrail.unit == "%" else number - 1 for number in (value, guardrail.value)]
    lost = Message(id="quality loss")
    metric = lost
    if guardrail.slice is not None:
        metric = Message(
            id="{metric}, critical cases" if guardrail.slice == CRITICAL else "{metric}, slice {slice}",
            values={"metric": lost, "slice": guardrail.slice},
        )
    return {
        "metric": metric,
        "value": percent_of(shares[0]),
        "limit": Message(id="at most {value}", values={"value": percent_of(shares[1])}),
    }


def roi_buckets(case: BusinessCase) -> Message:
    """What of the saving leaves the accounts, what need not be bought, and what is only room; whole machines that stay are said."""
    says, stays = _buckets(case), machines_stay(case)
    return says if stays is None else _both(stays, says)


def machines_stay(case: BusinessCase) -> Message | None:
    """That the number of machines stays and how much room there is; None: in the cloud, or another number is needed."""
    machines = case.result.machines
    if machines is None or case.assumptions.place == "cloud" or machines.today.whole != machines.plan.whole:
        return None
    if machines.headroom < _LEAST or machines.today.whole == 0:
        return None
    return still_machines(machines.today.whole, machines.headroom)


def still_machines(n: int, headroom: float) -> Message:
    """That no machine becomes free, and how much more work the same machines take."""
    if n == 1:
        return Message(id="Still one machine; {h}% more headroom.", values={"h": percent_figure(headroom)})
    return Message(id="Still {n} machines; {h}% more headroom.", values={"n": n, "h": percent_figure(headroom)})


def _buckets(case: BusinessCase) -> Message:
    found, currency = case.result, case.assumptions.currency
    buckets = found.buckets
    off, interval = running_costs(case), saving_interval(case)
    values: dict[str, object] = {
        name: money_message(amount, currency, interval=interval)
        for name, amount in (("a", buckets.cash), ("b", buckets.avoided), ("c", buckets.freed))
    }
    counted = case.assumptions.count_capacity or buckets.freed == 0
    if not takes_running(case):
        return Message(
            id="Of this, {a} is cash, {b} a purchase avoided, {c} freed capacity that is worth money only if used."
            if counted
            else "Of this, {a} is cash and {b} a purchase avoided; {c} more of freed capacity is not counted, because it is worth "
            "money only if used.",
            values=values,
        )
    values["r"] = money_message(off, currency, interval=interval)
    return Message(
        id="Before upkeep of {r} a month, {a} is cash, {b} a purchase avoided, {c} freed capacity that is worth money only if used."
        if counted
        else "Before upkeep of {r} a month, {a} is cash and {b} a purchase avoided; {c} more of freed capacity is not counted, "
        "because it is worth money only if used.",
        values=values,
    )


def running_costs(case: BusinessCase) -> float:
    """What watching, renewing and more errors cost a month."""
    return case.result.running_per_month + max(case.result.quality_per_month or 0.0, 0.0)


def takes_running(case: BusinessCase) -> bool:
    """Whether the running costs are large enough to be told beside the saving."""
    return running_costs(case) > _LEAST * max(case.result.cost.today, 0.0)


def stages(rollout: Rollout, advice: StageAdvice | None = None) -> Message:
    """Where the rollout stands, whether its limits held, and what the evidence advises."""
    stage = _stage_of(rollout, advice)
    if stage is None:
        return _finished(rollout)
    values: dict[str, object] = {
        "k": stage.number,
        "n": len(rollout.stages),
        "slices": slices_words(stage.slices),
        "compression": percent_figure(stage.compression),
        "traffic": percent_figure(stage.traffic),
    }
    if advice is None or advice.stage != stage.number or advice.days == 0:
        return _without_days(stage, values)
    values |= {"d": advice.days_held, "advice": Message(id=ADVICE[advice.advice])}
    missed = next((one for one in advice.limits if one.verdict == "outside"), None)
    if missed is None and advice.advice in ("roll_back", "stop"):  # held over all days, but not on the newest
        missed = next((one for one in advice.limits if one.first_missed_on), None)
    if missed is not None:
        values["limit"] = limit_in_words(missed.guardrail)
        return Message(
            id="Stage {k} of {n}: {slices}, {compression}% lighter, {traffic}% of their requests. A limit was missed ({limit}): {advice}.",
            values={name: value for name, value in values.items() if name != "d"},
        )
    if advice.advice != "go" and (not advice.limits or any(one.verdict == "undecided" for one in advice.limits)):
        return Message(
            id="Stage {k} of {n}: {slices}, {compression}% lighter, {traffic}% of their requests. No limit was missed on {d} days, "
            "but they are too few to decide: {advice}.",
            values=values,
        )
    return Message(
        id="Stage {k} of {n}: {slices}, {compression}% lighter, {traffic}% of their requests. All limits held for {d} days: {advice}.",
        values=values,
    )


def _stage_of(rollout: Rollout, advice: StageAdvice | None) -> Stage | None:
    current = rollout.current
    if current is None and advice is not None:
        current = next((stage for stage in rollout.stages if stage.number == advice.stage), None)
    return current or rollout.next_stage


def _without_days(stage: Stage, values: dict[str, object]) -> Message:
    if stage.state == "planned":
        return Message(
            id="Stage {k} of {n}: {slices}, {compression}% lighter, {traffic}% of their requests. It has not started yet.", values=values
        )
    return Message(
        id="Stage {k} of {n}: {slices}, {compression}% lighter, {traffic}% of their requests. There are no days of monitoring yet: "
        "bring them in to judge it.",
        values=values,
    )


def _finished(rollout: Rollout) -> Message:
    """No stage runs and none is to come: passed to the end, or ended before it."""
    last = rollout.stages[-1].state
    if any(stage.state == "stopped" for stage in rollout.stages):
        return Message(id="The rollout was stopped; the original answers everything.")
    if any(stage.state == "rolled_back" for stage in rollout.stages):
        return Message(id="The rollout was rolled back; the original answers everything.")
    n = len(rollout.stages)
    return Message(id="All {n} stages are passed." if last == "passed" else "No stage of {n} is running.", values={"n": n})


def briefing(made: Briefing) -> Message:
    """How many figures the page rests on and of what kind; a banner is said first."""
    counts = made.counts
    values: dict[str, object] = {"q": counts.measured, "r": counts.projected, "t": counts.assumed}
    says = Message(id="One page, ready to print. {q} figures are measured, {r} projected, {t} assumed.", values=values)
    if counts.elsewhere:
        says = Message(
            id="One page, ready to print. {q} figures are measured, {e} measured on another machine, {r} projected, {t} assumed.",
            values={**values, "e": counts.elsewhere},
        )
    if made.banner is None:
        return says
    return Message(id="{banner}. {page}", values={"banner": made.banner.rstrip(".。"), "page": says})


def slices_words(names: Sequence[str]) -> Message:
    """Slices as a list in words; the sample's are put into the language, none means all."""
    if not names:
        return Message(id="all slices")
    return Message(id="{slices}", values={"slices": tuple(slice_words(name) for name in names)})


def slice_words(name: str) -> Message:
    """One slice: the sample's by its translation, one's own as the file calls it."""
    if name == "all":  # the one row that a case without a workload has
        return Message(id="all slices")
    return Message(id=name) if name in _SAMPLE_SLICES else Message(id="{name}", values={"name": name})


def on_day(iso: str) -> Message | None:
    """A date in words of either language; None: there is none."""
    english, japanese = day(iso, "en"), day(iso, "ja")
    return None if english is None or japanese is None else in_both(english, japanese)


def rounded_up(value: float, language: str) -> str:
    """An amount of work from which it pays, rounded up to two digits."""
    step = 10.0 ** max(len(str(int(value))) - 2, 0)
    rounded = -(-value // step) * step if value >= 10 else round(value + 0.049, 1)
    return number(rounded, language, 0 if rounded == round(rounded) else 1)


def _both(first: Message, second: Message) -> Message:
    return Message(id="{first} {second}", values={"first": first, "second": second})
