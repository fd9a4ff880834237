"""How freezing is said on the pages: a boundary, what it means for training, and how sure a rule is of it."""

from __future__ import annotations

from analysis.contracts import EofChoice
from analysis.i18n.numbers import percent
from pages.ui.language import language, words


def frozen_words(eof_layer: int) -> str:
    """A boundary in words, as it stands beside the slider."""
    t = words()
    if eof_layer < 0:
        return t("freeze none")
    return t("freeze layer 0") if eof_layer == 0 else t("freeze layers 0 to {eof}", eof=eof_layer)


def what_trains(eof_layer: int, n_blocks: int) -> str:
    """What a boundary means for training, as a sentence."""
    t, first, last = words(), eof_layer + 1, n_blocks - 1
    if eof_layer < 0:
        return t("Nothing is frozen: all {n} layers train.", n=n_blocks)
    if first == last:
        return t("Layers 0 to {eof} stay as they are; only layer {last} trains.", eof=eof_layer, last=last)
    return t("Layers 0 to {eof} stay as they are; layers {first} to {last} train.", eof=eof_layer, first=first, last=last)


def surely(choice: EofChoice) -> str:
    """How sure a rule's choice is: share of resamples that agree, and the range of what they choose; empty where nothing was resampled."""
    if choice.agreement is None:
        return ""
    t, share = words(), percent(choice.agreement, language())
    if choice.low is None or choice.high is None or choice.low == choice.high:
        return t("{share} of 1,000 resamples of the prompts choose the same layer.", share=share)
    return t(
        "{share} of 1,000 resamples of the prompts choose the same layer; nine in ten lie between layers {low} and {high}.",
        share=share,
        low=choice.low,
        high=choice.high,
    )
