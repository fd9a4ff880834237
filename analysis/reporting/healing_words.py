"""A healing in words: the first sentence with its bad forms, and what every training is called."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from analysis.contracts import Estimate, HealArm, Healing, HealMethod, HealObjective, HealStop, Message, Value
from analysis.i18n import N_, Language
from analysis.i18n.numbers import number, percent, span

OBJECTIVES: Mapping[HealObjective, str] = {
    "next_token": N_("next token"),
    "distillation": N_("distillation"),
    "both": N_("next token and distillation"),
}
METHODS: Mapping[HealMethod, str] = {"lora": N_("LoRA adapters"), "full": N_("all weights")}
STOPS: Mapping[HealStop, str] = {
    "done": N_("all steps"),
    "no_gain": N_("no more gain"),
    "budget": N_("time was up"),
    "cancelled": N_("stopped"),
}
LITTLE = 0.5
"""Share of the lost log-perplexity below which little came back."""
MERE_TRAINING = 0.1
"""Share, against the control, up to which what came back is mere training."""
Answer = Literal["nothing_lost", "unknown", "worse", "unsure", "mere_training", "little", "won_back"]


def answer(found: Healing) -> Answer:
    """What came of a healing, the worst that can be said of it first."""
    won, against = found.recovered, found.recovered_against_control
    if won.value is None:
        return "nothing_lost" if found.cut_loss.value is not None and found.base_loss.value is not None else "unknown"
    if won.high is not None and won.high <= 0:
        return "worse"
    if won.value <= 0 or (won.low is not None and won.low <= 0):
        return "unsure"
    if against is not None and against.value is not None and against.value <= MERE_TRAINING:
        return "mere_training"
    return "little" if won.value < LITTLE else "won_back"


def healing(found: Healing, language: Language) -> Message:
    """The share of the lost log-perplexity that came back, against the control; or why that is no healing."""
    said = _said(found, language)
    if found.healed.stop in ("budget", "cancelled"):
        early = Message(id="The time given was spent before the end, so more may be possible.")
        stopped = Message(id="It was stopped before the end, so more may be possible.")
        return Message(id="{first} {second}", values={"first": said, "second": early if found.healed.stop == "budget" else stopped})
    return said


def _said(found: Healing, language: Language) -> Message:
    won, against = share(found.recovered, language), share(found.recovered_against_control, language)
    values: dict[str, Value] = {"won": won, "against": against}
    match answer(found):
        case "nothing_lost":
            return Message(id="The cut cost no loss that could be told from none, so there is nothing to win back.")
        case "unknown":
            return Message(id="What healing won back is not known: the losses could not be judged.")
        case "worse":
            return Message(id="Healing did not help: after it the loss is higher than right after the cut.")
        case "unsure":
            return Message(
                id="Healing won nothing back that these prompts can show: {won} of the lost log-perplexity.", values={"won": won}
            )
        case "mere_training":
            return Message(
                id="This is mere training, not healing: {won} of the lost log-perplexity came back, but {against} when what the uncut "
                "model gains by the same training is taken off.",
                values=values,
            )
        case "little" if against:
            return Message(
                id="Healing won back only {won} of the lost log-perplexity; {against} when what the uncut model gains by the same "
                "training is taken off.",
                values=values,
            )
        case "little":
            return Message(
                id="Healing won back only {won} of the lost log-perplexity. Nothing tells how much of it mere training would gain.",
                values={"won": won},
            )
        case _ if against:
            return Message(
                id="Healing won back {won} of the lost log-perplexity; {against} when what the uncut model gains by the same training "
                "is taken off.",
                values=values,
            )
        case _:
            return Message(
                id="Healing won back {won} of the lost log-perplexity. Nothing tells how much of it mere training would gain.",
                values={"won": won},
            )


def share(found: Estimate | None, language: Language) -> str:
    """A share with its interval: "94% (88 to 101%)"; empty where it is not known."""
    if found is None or found.value is None:
        return ""
    said = percent(found.value, language)
    if found.low is None or found.high is None:
        return said
    between = span(number(100 * found.low, language, 0), percent(found.high, language), language)
    return f"{said}（{between}）" if language == "ja" else f"{said} ({between})"


def arm(found: HealArm) -> Message:
    """What a training is called."""
    what = Message(id=OBJECTIVES[found.objective])
    if found.name == "control":
        return Message(id="control: uncut, {objective}", values={"objective": what})
    return Message(id="healed: {objective}", values={"objective": what})


def live_name(name: str) -> Message | None:
    """What a curve of a healing under way is called; None: it is no arm of a healing."""
    known = {
        "healed": Message(id="healed"),
        "control": Message(id="control"),
        "distillation": Message(id="healed: {objective}", values={"objective": Message(id="distillation")}),
        "next_token": Message(id="healed: {objective}", values={"objective": Message(id="next token")}),
        "both": Message(id="healed: {objective}", values={"objective": Message(id="next token and distillation")}),
    }
    return known.get(name)


def arms(found: Healing) -> tuple[HealArm, ...]:
    """Every training: the healing, other objectives, the control."""
    return (found.healed, *found.others, *([found.control] if found.control is not None else []))
