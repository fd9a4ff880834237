"""What a plan does, in one line, and what to know about its evidence before reading any money out of it."""

from __future__ import annotations

from collections.abc import Iterator

from analysis.contracts import CaseEvidence, Freeze, Message, Operation, Pair, Plan
from analysis.i18n import N_
from analysis.planning.sweep_front import WORTH_KEEPING

_FROZEN = N_("Layers 0 to {eof} frozen")
_WORDS = {
    ("prune", "block"): N_("Layers {list} removed"),
    ("prune", "attention"): N_("Attention of layers {list} removed"),
    ("prune", "mlp"): N_("MLP of layers {list} removed"),
    ("skip", "block"): N_("Layers {list} skipped"),
    ("skip", "attention"): N_("Attention of layers {list} skipped"),
    ("skip", "mlp"): N_("MLP of layers {list} skipped"),
}


def words_of(operations: tuple[Operation, ...]) -> Message:
    """What operations do, in one line."""
    parts = [_part(operation) for operation in operations]
    return parts[0] if len(parts) == 1 else Message(id="Several steps: {parts}", values={"parts": parts})


def _part(operation: Operation) -> Message:
    if not isinstance(operation, Freeze):
        return Message(id=_WORDS[operation.op, operation.unit], values={"list": list(operation.blocks)})
    if operation.eof_layer < 0:
        return Message(id="No layer frozen")
    if operation.eof_layer == 0:
        return Message(id="Layer 0 frozen")
    return Message(id=_FROZEN, values={"eof": operation.eof_layer})


def evidence_notes(plan: Plan, evidence: CaseEvidence) -> tuple[Message, ...]:
    """The weightiest first."""
    return (*_standing(evidence), *_reach(plan, evidence), *_serving(evidence), *_training(evidence))


def _standing(evidence: CaseEvidence) -> Iterator[Message]:
    """What the test left open, or missed."""
    if evidence.origin == "projected":
        yield Message(id="No time was measured yet: the saving is a range, from half of what the projection promises to all of it.")
    if evidence.verdict == "outside":
        yield Message(id="The plan missed a limit in its test, so it is not recommended. What it would save is shown all the same.")
    elif evidence.verdict == "undecided":
        yield Message(id="The test decided nothing: it takes more examples to tell whether the plan stays within its limits.")
    elif evidence.verification_id is not None and evidence.verdict is None:
        yield Message(id="No limit was set before the test, so nothing says whether the quality is good enough.")
    if evidence.trial_id is not None:
        yield from _kept(evidence)


def _kept(evidence: CaseEvidence) -> Iterator[Message]:
    kept = None if evidence.training is None or evidence.training.kept_gain is None else evidence.training.kept_gain.value
    if kept is None:
        yield Message(id="The trial was not compared with full fine-tuning, so nothing says how much of the gain the plan keeps.")
    elif kept < WORTH_KEEPING:
        yield Message(
            id="In the trial the plan kept {kept}% of full fine-tuning's gain, less than the {least}% that are asked for: it is not "
            "recommended. What it would save is shown all the same.",
            values={"kept": round(100 * kept), "least": round(100 * WORTH_KEEPING)},
        )


def _reach(plan: Plan, evidence: CaseEvidence) -> Iterator[Message]:
    """Which half of the work the plan changes at all."""
    if plan.only_freezes:
        yield Message(id="The plan changes training only: answering requests costs what it costs today.")
    elif plan.eof_layer is None:
        yield Message(id="The plan changes answering requests only: a fine-tune costs what it costs today.")
    elif evidence.serving is None:
        yield Message(id="The plan takes parts out as well, but answering requests was not measured: verify the plan to have that counted.")


def _serving(evidence: CaseEvidence) -> Iterator[Message]:
    if evidence.serving is None or evidence.origin != "measured":
        return
    slow = [point for point in evidence.serving.points if point.prefill_ms.ratio > 1 and (point.decode_ms or point.prefill_ms).ratio > 1]
    if slow:
        yield Message(
            id="With the plan an answer took longer than without it (requests at a time: {batches}): there is no saving to be had there.",
            values={"batches": [point.batch_size for point in slow]},
        )
    if any(point.waits_for_work for point in evidence.serving.points):
        yield Message(
            id="The device waited for work while it was measured: under load a lighter model may save another share. Verify again with as "
            "many requests at a time as in real use."
        )


def _training(evidence: CaseEvidence) -> Iterator[Message]:
    hours: Pair | None = None if evidence.training is None else evidence.training.hours
    if hours is None or hours.ratio_low is None or hours.ratio_high is None:
        return
    yield Message(
        id="A fine-tune takes {share}% of the time of full fine-tuning; the 95% interval, from the spread of single steps, is {low} to "
        "{high}%.",
        values={"share": round(100 * hours.ratio), "low": round(100 * hours.ratio_low), "high": round(100 * hours.ratio_high)},
    )
