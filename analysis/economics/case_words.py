"""What a case says about itself in words: why there is no payback, no rate of return, what to confirm, what was left out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from analysis.contracts.business import Assumptions, CaseEvidence, Pair, ServingPoint
from analysis.contracts.case import Buckets, Machines, Simulation
from analysis.contracts.message import Message
from analysis.economics.energy import measured_energy
from analysis.economics.flows import MONTHS, Flows, error_prices
from analysis.economics.lines import FullUse
from analysis.economics.machines import Fleet, fleet_of_volume
from analysis.economics.names import FIGURES
from analysis.economics.streams import billed_fleet
from analysis.economics.uses import other_machine, serves, trains

_MUCH_LATER = 1.2
"""Times the payback of the figures as given, beyond which the middle of the simulated ones is said beside it."""


def no_payback(saving: float, net: float) -> Message:
    """Why nothing is paid back within the months looked at."""
    if saving <= 0:
        return Message(id="The plan saves nothing that counts at these figures, so it never pays back.")
    if net <= 0:
        return Message(id="What it takes to watch and renew the plan eats the saving each month, so it never pays back.")
    return Message(id="It does not pay back within {months} months, the longest time looked at.", values={"months": MONTHS})


def no_irr(start: float, rates: Sequence[float], largest: float) -> Message:
    """Why there is no internal rate of return to show."""
    if start <= 0:
        return Message(id="Nothing is paid to begin, so there is no rate of return.")
    if len(rates) > 1:
        return Message(id="The money changes direction more than once, so more than one rate would fit: none is shown.")
    if rates:
        return Message(
            id="The start-up cost is so small beside the saving that a rate of return above {largest}% a year says nothing.",
            values={"largest": round(100 * largest)},
        )
    return Message(id="The saving never outweighs its cost, so there is no rate of return.")


def notes_of(use: FullUse, buckets: Buckets, machines: Machines | None, unconfirmed: Sequence[str]) -> tuple[Message, ...]:
    """What to know before the figures are used, the weightiest first."""
    setting = use.flows.setting
    assumptions, evidence = setting.assumptions, setting.evidence
    return (
        *evidence.notes,
        *_unconfirmed(unconfirmed),
        *_device(assumptions, evidence),
        *_untouched(use.flows),
        *_unsure(use.flows),
        *_machines(use, buckets, machines),
        *_put_off(buckets),
        *_bill(use.flows, buckets),
        *_contract(use.flows, buckets),
        *_quality(use.flows),
        *_left_out(use.flows),
    )


def fleet_of(flows: Flows) -> Fleet | None:
    """The machines that a case is worked out with, wherever it runs; None: nothing tells how many there are."""
    setting = flows.setting
    if setting.assumptions.basis == "bill" and (found := billed_fleet(setting)) is not None:
        return found
    return fleet_of_volume(setting.evidence, setting.work, setting.figures) if serves(setting.evidence) else None


def _unconfirmed(names: Sequence[str]) -> Iterator[Message]:
    if names:
        yield Message(
            id="Starting values without a source ({n}), to be confirmed: {names}.",
            values={"n": len(names), "names": [Message(id=FIGURES[name].label) for name in names]},
        )


def _device(assumptions: Assumptions, evidence: CaseEvidence) -> Iterator[Message]:
    if other_machine(assumptions, evidence):
        yield Message(
            id="The times were measured on {measured}, not on the machine that is priced: the saving there may be another. Verify on the "
            "machine that is used.",
            values={"measured": evidence.device_name},
        )


def _untouched(flows: Flows) -> Iterator[Message]:
    """A bill that the plan cannot lower."""
    figures, evidence = flows.setting.figures, flows.setting.evidence
    if flows.setting.assumptions.basis != "bill":
        return
    if "bill_serving_per_month" in figures and not serves(evidence):
        yield Message(id="The bill for answering requests is not lowered by this plan: it changes fine-tuning only.")
    if "bill_training_per_month" in figures and not trains(evidence):
        yield Message(id="The bill for fine-tuning is not lowered by this plan: it changes answering requests only.")


def _unsure(flows: Flows) -> Iterator[Message]:
    """A measured saving whose interval reaches nought."""
    evidence = flows.setting.evidence
    if evidence.origin != "measured":
        return
    times = [evidence.training.hours if evidence.training else None, _priced_time(flows)]
    if any(pair is not None and (pair.ratio_low is None or pair.ratio_high is None) for pair in times):
        yield Message(id="The measured saving has no interval, so the simulation takes it as certain: it was not measured repeatedly.")
    for pair in times:
        if pair is not None and pair.ratio < 1 and pair.ratio_high is not None and pair.ratio_high >= 1:
            yield Message(id="The measurement does not rule out that the plan saves no time at all: that lies within its 95% interval.")
            return


def later_than_said(months: float | None, simulated: Simulation) -> Iterator[Message]:
    """The case pays back earlier than half of the simulated ones: its ranges lie mostly on the worse side of its figures."""
    middle = simulated.payback_months.p50
    if months is None or (middle is not None and middle <= _MUCH_LATER * months):
        return
    if middle is None:
        yield Message(
            id="At the figures as given it pays back, in half of the simulated cases not within {months} months: most ranges reach further "
            "to the worse side.",
            values={"months": MONTHS},
        )
    else:
        yield Message(
            id="Half of the simulated cases take longer than {middle} months to pay back, the figures as given {months}: most ranges reach "
            "further to the worse side.",
            values={"middle": round(middle, 1), "months": round(months, 1)},
        )


def _priced_time(flows: Flows) -> Pair | None:
    point = flows.setting.work.point
    return None if point is None else (point.decode_ms or point.prefill_ms)


def _machines(use: FullUse, buckets: Buckets, machines: Machines | None) -> Iterator[Message]:
    fleet = fleet_of(use.flows)
    if machines is None or fleet is None:
        return
    stated, needed = machines.stated, machines.today.whole
    if fleet.shortfall:
        yield Message(
            id="Machines that are there: {stated}. By these figures the peak hour would take more of them. Check the peak factor, the "
            "number of requests at a time and a month; until then the machines are taken to be just full.",
            values={"stated": stated},
        )
    elif stated is not None and stated > needed:
        yield Message(
            id="Machines that are there: {stated}; the work takes {needed} even without the plan. Letting the others go is not the plan's "
            "saving.",
            values={"stated": stated, "needed": needed},
        )
    bought_alike = not buckets.avoided and buckets.avoided_today == buckets.avoided_plan
    if use.flows.setting.assumptions.place != "cloud" and machines.plan.whole == needed and machines.headroom > 0 and bought_alike:
        n, share = max(stated or 0, needed), round(100 * machines.headroom)
        if n == 1:
            yield Message(id="Still one machine; {share}% more headroom. No whole machine becomes free.", values={"share": share})
        else:
            yield Message(id="Still {n} machines; {share}% more headroom. No whole machine becomes free.", values={"n": n, "share": share})


def _put_off(buckets: Buckets) -> Iterator[Message]:
    """Purchases that fall out of the evaluation period, whose price is counted without a word of what comes after it."""
    fewer = sum(one.machines for one in buckets.avoided_today) - sum(one.machines for one in buckets.avoided_plan)
    if fewer > 0:
        yield Message(
            id="Machines that need not be bought within the evaluation period: {n}. Their whole price counts as avoided, though growth may "
            "make them necessary after it.",
            values={"n": fewer},
        )


def _bill(flows: Flows, buckets: Buckets) -> Iterator[Message]:
    """What a bill for machines is taken to be."""
    assumptions = flows.setting.assumptions
    if assumptions.basis != "bill" or assumptions.place == "cloud" or not (buckets.cash or buckets.freed):
        return
    if "machines_today" not in flows.setting.figures:
        yield Message(
            id="How many machines there are was not given, so the saving is taken in proportion to the work, while only whole machines can "
            "be given back. Type the machines today."
        )
    if assumptions.place == "own":
        yield Message(
            id="The bill of own machines is taken to be money that is really paid. Leave out what is only written off: it goes on, with "
            "the plan or without it."
        )


def _contract(flows: Flows, buckets: Buckets) -> Iterator[Message]:
    assumptions = flows.setting.assumptions
    if assumptions.place == "reserved" and assumptions.contract_ends_on and buckets.cash_from is not None:
        yield Message(
            id="The contract is paid until {ends}; from {start} on less is really paid. Before that, what the plan frees is capacity.",
            values={"ends": assumptions.contract_ends_on, "start": buckets.cash_from},
        )
    if assumptions.place == "own" and assumptions.basis == "volume":
        yield Message(
            id="Machines that are already bought go on being written off: switching one off saves its power and maintenance only."
        )


def _quality(flows: Flows) -> Iterator[Message]:
    setting = flows.setting
    known = "error_share_percent" in setting.figures or "measured_error_percent" in setting.figures
    if not serves(setting.evidence):
        return
    if error_prices(setting.assumptions, setting.figures) is None:
        yield Message(id="Errors are not priced: no price of a wrong answer was given.")
    elif not known:
        yield Message(id="Errors are not priced: no answers could be judged, so nothing tells how many more there are.")


def _power(flows: Flows) -> Iterator[Message]:
    """How electricity of own machines was told, where it was not measured."""
    setting = flows.setting
    if not any(one.line == "electricity" for one in flows.streams):
        yield Message(id="Electricity is left out: neither energy was measured nor the power of the device is known.")
    elif not measured_energy(setting.assumptions, setting.evidence, setting.work, setting.runs):
        yield Message(id="Energy was not measured: electricity is worked out from the power of the device and its working time.")


def _lengths(assumptions: Assumptions, evidence: CaseEvidence, point: ServingPoint) -> Iterator[Message]:
    """Requests whose length nobody told: those of the measurement are taken, and that is said."""
    unread = evidence.mean_prompt_tokens is None and any(one.prompt_tokens is None for one in assumptions.slices)
    unwritten = evidence.mean_new_tokens is None and any(one.new_tokens is None for one in assumptions.slices)
    if unread:
        yield Message(
            id="Nothing tells how long the requests are: {n} tokens are taken to be read, as in the measurement. Give each slice's own.",
            values={"n": point.prompt_tokens},
        )
    if unwritten and point.decode_ms is not None:
        yield Message(
            id="Nothing tells how long the answers are: {n} tokens are taken to be written, as in the measurement. Give each slice's own.",
            values={"n": point.new_tokens},
        )


def _left_out(flows: Flows) -> Iterator[Message]:
    setting = flows.setting
    work = setting.work
    by_volume = setting.assumptions.basis == "volume"
    if by_volume and work.point is not None:
        yield from _lengths(setting.assumptions, setting.evidence, work.point)
    if by_volume and work.point is not None and work.point.decode_ms is None and setting.evidence.mean_new_tokens:
        yield Message(id="Writing the answer was not measured: only reading the prompt is priced.")
    if by_volume and setting.assumptions.place == "own":
        yield from _power(flows)
    if by_volume and setting.assumptions.place != "cloud" and setting.runs.hours is not None:
        yield Message(
            id="Hours of fine-tuning on machines that are there anyway are capacity: they are no cash, as the machines stay paid."
        )
    if float(setting.figures.get("rollout_months", 1.0)) > float(setting.figures["horizon_months"]):
        yield Message(
            id="Not all of the work runs with the plan within the evaluation period: figures a month are those of its last month."
        )
    if setting.assumptions.after_tax:
        yield Message(
            id="After tax: losses are carried to later years of the period, and tax arises month by month with the year's profit so far."
        )
