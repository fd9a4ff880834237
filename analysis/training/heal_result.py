"""How much of what a cut had cost was won back: shares with intervals, paired over the prompts that report.

    recovered                  (cut - healed) / (cut - base)          1: all of the lost log-perplexity
    recovered against control  1 - (healed - control) / (cut - base)  what the same training gives the uncut model is taken off

Losses are nats per judged token, each token counting with its prompt's weight.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from analysis.contracts import Estimate, Message, Value
from analysis.contracts.healing import HealSlice
from analysis.errors import ModelError
from analysis.training.evaluate import Chance, Judged, loss, reduction, some
from analysis.verification.statistics import Floats


@dataclass(frozen=True)
class Compared:
    """The verification half as four models judged it.

    Attributes:
        base: the uncut, untrained model.
        cut: with the units left out, untrained.
        healed: the same after healing.
        control: the uncut model after the same training; None: there was none.
    """

    base: Judged
    cut: Judged
    healed: Judged
    control: Judged | None

    def recovered(self, chance: Chance) -> Estimate:
        """Share of the lost log-perplexity that healing won back; null where the cut lost nothing."""
        if self.lost_nothing(chance):
            return Estimate(value=None)
        columns = (self.cut.sums - self.healed.sums, self.cut.sums - self.base.sums)
        return chance.of(columns, self.base).estimate(_share)

    def recovered_against_control(self, chance: Chance) -> Estimate | None:
        """The same, held against the uncut model with the same training."""
        if self.control is None:
            return None
        if self.lost_nothing(chance):
            return Estimate(value=None)
        columns = (self.healed.sums - self.control.sums, self.cut.sums - self.base.sums)
        return chance.of(columns, self.base).estimate(lambda sums: 1 - _share(sums))

    def lost_nothing(self, chance: Chance) -> bool:
        """Whether these prompts do not show that the cut lost anything: its interval reaches 0."""
        lost = reduction(self.cut, self.base, chance)
        return lost.value is None or lost.value <= 0 or (lost.low is not None and lost.low <= 0)

    def notes(self, chance: Chance) -> tuple[Message, ...]:
        """What a reader of the shares must know."""
        if not self.lost_nothing(chance):
            return ()
        lost = reduction(self.cut, self.base, chance)
        values = {"lost": f"{lost.value or 0.0:.3f}"}
        return (
            Message(
                id="The cut did not lose anything that these prompts can show ({lost} nats per token), so no share of it can be recovered.",
                values=values,
            ),
        )

    def slices(self, chance: Chance) -> Mapping[str, HealSlice]:
        """The same losses slice by slice."""
        names = np.array([example.slice for example in self.base.examples])
        return {str(name): self._slice(names == name, chance) for name in sorted(set(names))}

    def _slice(self, chosen: np.ndarray[tuple[int, ...], np.dtype[np.bool_]], chance: Chance) -> HealSlice:
        base, cut, healed = (some(judged, chosen) for judged in (self.base, self.cut, self.healed))
        return HealSlice(
            n_examples=len(base.examples),
            n_tokens=int(base.tokens.sum()),
            base=loss(base, chance),
            cut=loss(cut, chance),
            healed=loss(healed, chance),
            control=None if self.control is None else loss(some(self.control, chosen), chance),
        )

    def example_losses(self) -> dict[str, tuple[float, float, float]]:
        """Prompt -> loss of (base, cut, healed), where all three are numbers."""
        base, cut, healed = (judged.by_example() for judged in (self.base, self.cut, self.healed))
        return {name: (base[name], cut[name], healed[name]) for name in base if name in cut and name in healed}


def check_finite(judged: Judged, dtype: str, *, cut: bool) -> None:
    """Refuses to go on where numbers overflowed.

    Raises:
        ModelError: not every loss is a number.
    """
    bad = [example for example, total in zip(judged.examples, judged.sums, strict=True) if not np.isfinite(total)]
    if not bad:
        return
    values: dict[str, Value] = {"dtype": dtype, "example": bad[0].example_id[:12], "n": len(bad)}
    if cut:
        raise ModelError(
            "With the plan the model's numbers overflowed in {dtype} (prompt {example}; prompts: {n}), so it cannot be healed. Choose "
            "bfloat16 or float32, or another plan.",
            **values,
        )
    raise ModelError(
        "The original model's numbers overflowed in {dtype} (prompt {example}; prompts: {n}), so nothing can be compared with it. Choose "
        "bfloat16 or float32.",
        **values,
    )


def _share(sums: Floats) -> Floats:
    return np.asarray(sums[..., 0] / sums[..., 1])
