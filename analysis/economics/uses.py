"""Which figures a case's arithmetic asks for: by where today's cost comes from, where it runs, and what was measured."""

from __future__ import annotations

from analysis.contracts.business import Assumptions, CaseEvidence, DeviceKind
from analysis.economics.catalogue import device, match, same_device


def serves(evidence: CaseEvidence) -> bool:
    """Whether the plan changes what answering requests costs: measured, or projected of a plan that does not freeze."""
    return evidence.serving is not None or (evidence.projected_saving is not None and evidence.eof_layer is None)


def trains(evidence: CaseEvidence) -> bool:
    """Whether the plan changes what a fine-tune costs: measured, or projected of a plan that freezes."""
    return evidence.training is not None or (evidence.projected_saving is not None and evidence.eof_layer is not None)


def always(assumptions: Assumptions, evidence: CaseEvidence) -> bool:
    """In every case."""
    return True


def never(assumptions: Assumptions, evidence: CaseEvidence) -> bool:
    """In no case."""
    return False


def taxed(assumptions: Assumptions, evidence: CaseEvidence) -> bool:
    """After tax."""
    return assumptions.after_tax


def capitalised(assumptions: Assumptions, evidence: CaseEvidence) -> bool:
    """Start-up cost is spread in the books."""
    return assumptions.capitalise


def bill(assumptions: Assumptions, evidence: CaseEvidence) -> bool:
    """Today's cost is the invoice."""
    return assumptions.basis == "bill"


def serving_bill_alone(assumptions: Assumptions, evidence: CaseEvidence) -> bool:
    """The invoice for requests is the only one that the plan could change, or nobody gave the other."""
    return bill(assumptions, evidence) and serves(evidence) and not (trains(evidence) and _given(assumptions, "bill_training_per_month"))


def training_bill_alone(assumptions: Assumptions, evidence: CaseEvidence) -> bool:
    """The invoice for fine-tuning is the only one that the plan could change, or nobody gave the other."""
    return bill(assumptions, evidence) and trains(evidence) and not (serves(evidence) and _given(assumptions, "bill_serving_per_month"))


def priced_serving(assumptions: Assumptions, evidence: CaseEvidence) -> bool:
    """Requests x measured time x price."""
    return assumptions.basis == "volume" and evidence.serving is not None


def priced_training(assumptions: Assumptions, evidence: CaseEvidence) -> bool:
    """Fine-tuning runs x hours x price."""
    return assumptions.basis == "volume" and trains(evidence)


def by_the_hour(assumptions: Assumptions, evidence: CaseEvidence) -> bool:
    """Requests on GPUs that are paid by the hour."""
    return priced_serving(assumptions, evidence) and assumptions.place == "cloud"


def waits_for_peak(assumptions: Assumptions, evidence: CaseEvidence) -> bool:
    """Requests on whole machines, whose number the peak hour decides."""
    return priced_serving(assumptions, evidence) and assumptions.place != "cloud"


def spare_counted(assumptions: Assumptions, evidence: CaseEvidence) -> bool:
    """Whole machines are counted: from the peak, or because somebody said how many the bill pays for."""
    by_bill = bill(assumptions, evidence) and assumptions.place != "cloud" and _given(assumptions, "machines_today")
    return by_bill or waits_for_peak(assumptions, evidence)


def on_machines(assumptions: Assumptions, evidence: CaseEvidence) -> bool:
    """On whole machines, reserved or own."""
    return assumptions.place != "cloud"


def rented(assumptions: Assumptions, evidence: CaseEvidence) -> bool:
    """On GPUs whose price is by the hour, paid as used or until a contract ends."""
    priced = priced_serving(assumptions, evidence) or priced_training(assumptions, evidence)
    return priced and assumptions.place in ("cloud", "reserved")


def own_machines(assumptions: Assumptions, evidence: CaseEvidence) -> bool:
    """On own machines, priced by depreciation, maintenance and power."""
    return assumptions.basis == "volume" and assumptions.place == "own"


def power_used(assumptions: Assumptions, evidence: CaseEvidence) -> bool:
    """Energy counts and the device did not tell all of it."""
    return assumptions.basis == "volume" and (own_machines(assumptions, evidence) or co2_wanted(assumptions, evidence))


def co2_wanted(assumptions: Assumptions, evidence: CaseEvidence) -> bool:
    """Somebody gave a CO2 factor."""
    return assumptions.basis == "volume" and _given(assumptions, "co2_kg_per_kwh")


def external_paid(assumptions: Assumptions, evidence: CaseEvidence) -> bool:
    """Others work on it."""
    given = assumptions.values.get("external_days")
    return given is not None and bool(given.value)


def both_kinds(assumptions: Assumptions, evidence: CaseEvidence) -> bool:
    """A measurement of one kind of device is priced as another: its speed has to be named."""
    return assumptions.basis == "volume" and other_kind(assumptions, evidence)


def other_kind(assumptions: Assumptions, evidence: CaseEvidence) -> bool:
    """The priced device is of another kind than the measured one, so that its times have to be scaled by name.

    That is a GPU for a processor or the other way round; and, where times are priced one by one, a GPU of another name. The bill
    asks for the share saved alone, which another GPU only makes less sure.
    """
    if evidence.device_kind is None:
        return False
    if evidence.device_kind != priced_kind(assumptions):
        return True
    named = assumptions.basis == "volume" and evidence.device_kind == "gpu" and assumptions.gpu.strip() and evidence.device_name
    return bool(named) and not same_device(assumptions.gpu, evidence.device_name)


def priced_kind(assumptions: Assumptions) -> DeviceKind:
    """What is priced: a device of the catalogue is a GPU, whatever was ticked beside it."""
    return "gpu" if device(assumptions.gpu) or match(assumptions.gpu) else assumptions.device_kind


def other_machine(assumptions: Assumptions, evidence: CaseEvidence) -> bool:
    """The times were measured, but not on the device that is priced."""
    if evidence.device_kind is None or evidence.origin == "projected":
        return False
    return other_kind(assumptions, evidence) or not same_device(assumptions.gpu, evidence.device_name)


def _given(assumptions: Assumptions, name: str) -> bool:
    given = assumptions.values.get(name)
    return given is not None and given.value is not None
