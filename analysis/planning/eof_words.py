"""Why a rule chooses its layer, or why it cannot: one plain sentence each, layers counted from 0."""

from __future__ import annotations

import math

from analysis.contracts import EofStrategy, Message


def why_curve(strategy: EofStrategy, eof: int, curve: list[float], score: float) -> Message:
    """Why a rule that reads a deviation curve ends at `eof`; `curve` [P], `score` what the rule found there."""
    n_blocks, value = len(curve) - 1, curve[eof + 1]
    if strategy == "smallest_deviation":
        return _why_smallest(eof, n_blocks, value, curve[0])
    if strategy == "scaled_gain":
        return _why_scaled(eof, value)
    if strategy == "exponent" and score > 0.0:
        return Message(
            id="Of the layers that may be frozen, the deviation falls most steeply for its depth at layer {eof} (exponent {value}).",
            values={"eof": eof, "value": round(score, 3)},
        )
    if strategy == "exponent":
        score = curve[eof] - value
    return _why_gain(strategy, eof, score, curve[0] - curve[-1])


def why_vote(eof: int, n: int, total: int, *, most: bool) -> Message:
    """Most prompts choose this layer for themselves, or (not `most`) fewer that weigh more."""
    values = {"n": n, "total": total, "eof": eof}
    if eof < 0:
        return Message(id="{n} of {total} prompts would freeze no layer, and together they weigh most.", values={"n": n, "total": total})
    if most:
        return Message(id="{n} of {total} prompts choose layer {eof} for themselves, more than choose any other.", values=values)
    return Message(id="{n} of {total} prompts choose layer {eof} for themselves, and together they weigh most.", values=values)


def why_prefix(strategy: EofStrategy, eof: int, times: float) -> Message:
    """Why a prefix ends before block eof + 1, whose value is `times` the median."""
    values = {"first": eof + 1, "times": round(times, 2)}
    if strategy == "gradient" and eof < 0:
        return Message(id="Layer 0 already has {times} times the median gradient per weight, so no layer is frozen.", values=values)
    if strategy == "gradient":
        return Message(
            id="Layer {first} is the first whose gradient per weight reaches the median ({times} times it); the layers before it learn "
            "less and are frozen.",
            values=values,
        )
    if eof < 0:
        return Message(
            id="The gradient of layer 0 already changes {times} times as much as the median layer's, so no layer is frozen.", values=values
        )
    return Message(
        id="Layer {first} is the first whose gradient still changes as much as the median layer's ({times} times it); the layers before it "
        "have settled and are frozen.",
        values=values,
    )


def why_last(eof: int, n: int, n_blocks: int) -> Message:
    """The budget alone."""
    if eof < 0:
        return Message(id="The budget lets all {n_blocks} layers train, so no layer is frozen.", values={"n_blocks": n_blocks})
    return Message(
        id="Only the budget decides: {n} of {n_blocks} layers train, and layers 0 to {eof} are frozen.",
        values={"n": n, "n_blocks": n_blocks, "eof": eof},
    )


def why_half(eof: int, n_blocks: int) -> Message:
    """No budget: the later half."""
    if eof < 0:
        return Message(id="With {n_blocks} layers there is nothing to halve, so no layer is frozen.", values={"n_blocks": n_blocks})
    return Message(
        id="The later half of the layers trains ({n} of {n_blocks}): a starting value that looks at nothing. A sweep on your own examples "
        "finds what they need.",
        values={"n": n_blocks - 1 - eof, "n_blocks": n_blocks},
    )


def why_sweep(eof: int, *, released: bool) -> Message:
    """What a sweep recommends."""
    if released:
        return Message(
            id="When layers were freed step by step, training more than layers {first} and later no longer lowered the loss for certain.",
            values={"first": eof + 1},
        )
    if eof < 0:
        return Message(id="In the sweep no frozen arm kept 90% of what training everything gains, so no layer is frozen.")
    return Message(
        id="In the sweep on these examples, freezing up to layer {eof} was the most that kept at least 90% of what training "
        "everything gains.",
        values={"eof": eof},
    )


def why_budget(eof: int, unlimited: int, n: int, n_blocks: int) -> Message:
    """The rule alone would let more layers train than the budget does."""
    values = {"n": n, "n_blocks": n_blocks, "eof": eof, "unlimited": unlimited}
    if unlimited < 0:
        return Message(
            id="The budget lets {n} of {n_blocks} layers train, so layers 0 to {eof} are frozen; the rule alone would freeze none.",
            values=values,
        )
    return Message(
        id="The budget lets {n} of {n_blocks} layers train, so layers 0 to {eof} are frozen; the rule alone would end "
        "at layer {unlimited}.",
        values=values,
    )


def why_budget_instead(eof: int, n: int, n_blocks: int) -> Message:
    """R0 found only the end of where it may look."""
    return Message(
        id="The deviation is smallest at the last layer that may be frozen, which does not say where to stop, so the budget decides: "
        "{n} of {n_blocks} layers train, and layers 0 to {eof} are frozen.",
        values={"n": n, "n_blocks": n_blocks, "eof": eof},
    )


NO_TRACES = Message(
    id="This rule reads the traces, and none were measured: run a profile with the traces switched on, or choose another rule."
)
NO_LENS = Message(
    id="This rule reads what the model's own head would say at every layer, and that was not measured: measure the traces again with the "
    "logit lens on."
)
NO_GRADIENTS = Message(
    id="This rule needs the gradient of every layer, and no backward pass was run: measure the traces again with gradients switched on."
)
NO_HISTORY = Message(
    id="This rule watches how gradients change while everything trains: run a trial that compares with full fine-tuning, then ask again."
)
NO_SWEEP = Message(
    id="This rule takes what a sweep recommends, and there is none for this model and workload: run a sweep, or choose another rule."
)
NO_SCORE = Message(
    id="No layer of this model has a score by this rule: the traces are undefined there, or too few layers could be the last frozen one. "
    "Choose another rule, or set the layer by hand."
)
NO_VOTES = Message(
    id="Prompts can only vote on the curve that was kept for each of them: choose by the mean, or vote on "
    "the default curve or the logit lens."
)


def _why_smallest(eof: int, n_blocks: int, value: float, start: float) -> Message:
    values = {"eof": eof, "value": round(value, 4)}
    if eof < 0:
        return Message(
            id="No layer that may be frozen brings the state nearer to the right word than the input is (deviation {value}), so none is.",
            values=values,
        )
    if eof == n_blocks - 2:
        return Message(
            id="The deviation is smallest at layer {eof} ({value}), the last that may be frozen, so only one layer would train: give a "
            "budget, or choose another rule.",
            values=values,
        )
    if math.isnan(start):
        return Message(
            id="After layer {eof} the state is nearer to the right word than after any other layer that may be frozen (deviation {value}).",
            values=values,
        )
    return Message(
        id="After layer {eof} the state is nearer to the right word than after any other layer that may be frozen (deviation {value}, "
        "at the input {start}).",
        values={**values, "start": round(start, 4)},
    )


def _why_scaled(eof: int, value: float) -> Message:
    """The rule's weights fall with depth, so that its answer is layer 0 wherever the curve does not outweigh them."""
    values = {"eof": eof, "value": round(value, 4)}
    if eof == 0:
        return Message(
            id="After layer 0 most is left to gain (deviation {value}), but only because this rule's own weights are largest there: the "
            "deviation changes too little from layer to layer to outweigh them, so do not rely on this rule here.",
            values=values,
        )
    return Message(
        id="After layer {eof} most is left to gain: deviation {value}, weighted by how much the layers above it can still do.",
        values=values,
    )


def _why_gain(strategy: EofStrategy, eof: int, gain: float, total: float) -> Message:
    values = {"eof": eof, "gain": round(gain, 4)}
    if gain <= 0.0:
        return Message(
            id="No layer that may be frozen brings the state nearer to the right word; layer {eof} takes it away least ({gain}), so do not "
            "rely on this rule here.",
            values=values,
        )
    if math.isnan(total):
        return Message(
            id="Layer {eof} brings the state nearer to the right word than any other layer that may be frozen (gain {gain}).", values=values
        )
    values = {**values, "total": round(total, 4)}
    if strategy == "lens":
        return _why_lens(values)
    if eof == 0:
        return Message(
            id="Layer 0 brings the state nearer to the right word than any other layer that may be frozen (gain {gain} of {total}). "
            "That is the step from the input's own words into the model and says little about where freezing should end, so do not rely on "
            "this rule here.",
            values=values,
        )
    return Message(
        id="Layer {eof} brings the state nearer to the right word than any other layer that may be frozen (gain {gain} of {total}).",
        values=values,
    )


def _why_lens(values: dict[str, float]) -> Message:
    if values["eof"] == 0:
        return Message(
            id="Layer 0 lowers the loss of the model's own head more than any other layer that may be frozen ({gain} of {total} nats), "
            "because the head cannot read the input as it stands. That says little about where freezing should end, so do not rely on this "
            "rule here.",
            values=values,
        )
    return Message(
        id="Layer {eof} lowers the loss of the model's own head more than any other layer that may be frozen ({gain} of {total} nats).",
        values=values,
    )
