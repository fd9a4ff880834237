"""Rules, curves, arms and training figures in words: one place for the pages, the terminal, the charts and the handed-out page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from analysis.contracts import ArmKind, EofStrategy, Message, StopReason, TrialArm
from analysis.contracts.semantics import CurveName
from analysis.i18n import N_


@dataclass(frozen=True)
class RuleWords:
    """A rule that chooses the last frozen layer, as a reader meets it.

    Attributes:
        title: its name (English sentence part; its own translation key).
        meaning: what it does, in one sentence (the same).
        ours: the published text does not give this formula; it is our reading.
    """

    title: str
    meaning: str
    ours: bool = False


RULES: Mapping[EofStrategy, RuleWords] = {
    "smallest_deviation": RuleWords(
        N_("smallest deviation"),
        N_(
            "Freezes up to the layer after which the state is nearest to the right word; the last layer always trains and is not looked at."
        ),
    ),
    "gain": RuleWords(
        N_("largest gain"),
        N_(
            "Freezes up to the layer that brings the state nearer to the right word than any other; the last layer always trains and is "
            "not looked at."
        ),
        True,
    ),
    "scaled_gain": RuleWords(
        N_("deviation scaled by depth"),
        N_("Weighs the deviation that is left against the depth still to come, by a scaling law, and freezes up to the largest product."),
        True,
    ),
    "exponent": RuleWords(
        N_("steepest fall"), N_("Freezes up to the layer where the deviation falls fastest in proportion to the depth passed."), True
    ),
    "lens": RuleWords(
        N_("logit lens"), N_("As the largest gain, but by what the model's own head would say at every layer instead of by an angle."), True
    ),
    "gradient": RuleWords(
        N_("gradient norm"),
        N_("Freezes the first layers whose weights the training examples pull on less than on half of the layers."),
        True,
    ),
    "plasticity": RuleWords(
        N_("settled gradients"), N_("Freezes the first layers whose pull changes least while a trial trains, as AutoFreeze does.")
    ),
    "train_last": RuleWords(
        N_("last layers by budget"),
        N_("Looks at no measurement: trains as many last layers as the budget allows; half of them without one."),
    ),
    "sweep": RuleWords(
        N_("what a sweep recommends"),
        N_("The last boundary that kept 90% of what training everything gains, found by trying several on part of your own examples."),
    ),
}
"""Every rule in the order it is offered."""

OUR_READING = N_("our reading")
"""The mark of a rule whose formula the published text does not give."""

CURVE_TITLES: Mapping[CurveName, str] = {
    "literal": N_("as published"),
    "literal_raw": N_("as published, before the final norm"),
    "centred": N_("centred"),
    "centred_raw": N_("centred, before the final norm"),
    "whitened": N_("whitened"),
    "whitened_raw": N_("whitened, before the final norm"),
    "lens": N_("logit lens"),
}
"""What a deviation is measured against, by name."""

CURVE_MEANINGS: Mapping[CurveName, str] = {
    "literal": N_("1 less the cosine between the state, after the final norm, and the word's basis vector as the paper builds it."),
    "literal_raw": N_("The same without the final norm."),
    "centred": N_("Bases of the words less their mean: what all words have in common no longer counts."),
    "centred_raw": N_("Centred, without the final norm."),
    "whitened": N_("Centred, and every direction counts by how much the words differ along it."),
    "whitened_raw": N_("Whitened, without the final norm."),
    "lens": N_("No basis: minus the log probability that the model's own head gives the right word, in nats."),
}

KINDS: Mapping[ArmKind, str] = {
    "freeze": N_("frozen up to a layer"),
    "full": N_("full fine-tuning"),
    "lora": N_("LoRA on all layers"),
    "lora_freeze": N_("LoRA on the free layers"),
}
"""Ways of training, by name."""

STOPS: Mapping[StopReason, str] = {
    "done": N_("trained to the end"),
    "budget": N_("stopped: the time given was spent"),
    "no_gain": N_("stopped: the gain lay inside its interval"),
    "cancelled": N_("stopped by a person"),
}
"""Why an arm ended."""

FIGURES: Mapping[str, str] = {
    "n_trainable": N_("Weights that train"),
    "step_flops": N_("FLOPs of a step"),
    "weight_bytes": N_("Memory of the weights"),
    "gradient_bytes": N_("Memory of the gradients"),
    "optimizer_bytes": N_("Memory of the optimizer"),
    "activation_bytes": N_("Memory of the activations"),
    "peak_memory_bytes": N_("Peak memory"),
    "step_ms": N_("Time of a step"),
    "tokens_per_second": N_("Tokens per second"),
    "hours": N_("Time of all epochs"),
    "energy_wh": N_("Energy of all epochs"),
    "cost": N_("Price of all epochs"),
}
"""Field of a training projection -> its name in words."""

PARTS: Mapping[str, str] = {
    "weight_bytes": N_("weights"),
    "gradient_bytes": N_("gradients"),
    "optimizer_bytes": N_("optimizer"),
    "activation_bytes": N_("activations"),
}
"""What the memory of a training step is made of."""


def rule(strategy: EofStrategy) -> Message:
    """A rule's name, with the mark where its formula is our reading."""
    known = RULES[strategy]
    if not known.ours:
        return Message(id=known.title)
    return Message(id="{rule} (our reading)", values={"rule": Message(id=known.title)})


def frozen_layers(eof_layer: int) -> Message:
    """What is frozen: "layers 0 to 19 frozen"."""
    if eof_layer < 0:
        return Message(id="no layer frozen")
    if eof_layer == 0:
        return Message(id="layer 0 frozen")
    return Message(id="layers 0 to {last} frozen", values={"last": eof_layer})


def trained_layers(eof_layer: int, n_blocks: int) -> Message:
    """What trains: "layers 20 to 29 train"."""
    first, last = eof_layer + 1, n_blocks - 1
    if first == last:
        return Message(id="layer {layer} trains", values={"layer": last})
    return Message(id="layers {first} to {last} train", values={"first": first, "last": last})


def arm(found: TrialArm) -> Message:
    """An arm's name in words: "freeze 0–19", "full fine-tuning", "LoRA on 20 and after"."""
    return way(found.kind, found.eof_layer)


def way(kind: ArmKind, eof_layer: int) -> Message:
    """A way of training up to a boundary, short enough for a chart."""
    if kind == "full":
        return Message(id="full fine-tuning")
    if kind == "lora" or (kind == "lora_freeze" and eof_layer < 0):
        return Message(id="LoRA on all layers")
    if eof_layer < 0:
        return Message(id="freeze none")
    if kind == "lora_freeze":
        return Message(id="LoRA, freeze 0–{last}", values={"last": eof_layer})
    return Message(id="freeze 0–{last}", values={"last": eof_layer})
