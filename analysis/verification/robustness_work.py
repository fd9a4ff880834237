"""How much a robustness test has to run, part by part, so that one bar can tell how far all of it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from analysis.contracts.robustness import RobustnessSettings
from analysis.verification.attacks import attackable, chosen_examples
from analysis.verification.disturbed import Judged
from analysis.verification.energy_use import ROUNDS
from analysis.workload import EncodedExample

_THERE_AND_BACK = 3
"""A pass with gradients beside one without: twice the work on the way back."""
_WARM_UPS = 3


@dataclass(frozen=True)
class Work:
    """Tokens that each part runs through a model, both models together; a pass with gradients counts three times.

    Energy is taken as every prompt read once a turn: on a slow device it is less, because a turn reads no longer than ten seconds.
    """

    noises: float
    attacks: float
    energy: float

    @classmethod
    def of(cls, judged: Sequence[Judged], examples: Sequence[EncodedExample], settings: RobustnessSettings, *, counted: bool) -> Self:
        """What these settings run on these examples. `counted`: the device tells its energy, so no watts need be assumed."""
        n_noisy = len(settings.noises) * len(set(settings.levels))
        attacked = chosen_examples([example for example in judged if attackable(example).any()], settings.attack_examples)
        turns = 2 * ROUNDS + _WARM_UPS if settings.energy and (counted or settings.watts is not None) else 0
        return cls(
            noises=2.0 * (1 + n_noisy) * _tokens([example.encoded for example in judged]),
            attacks=2.0 * _passes(settings) * _tokens([example.encoded for example in attacked]),
            energy=float(turns * _tokens(examples)),
        )

    @property
    def total(self) -> float:
        """All of it."""
        return self.noises + self.attacks + self.energy


def _tokens(examples: Sequence[EncodedExample]) -> int:
    return sum(len(example.input_ids) for example in examples)


def _passes(settings: RobustnessSettings) -> int:
    """Passes of one model for one prompt: untouched, then at each strength the steps there and back, and what came of them."""
    if not settings.attacks:
        return 0
    steps = _THERE_AND_BACK + 1
    if "pgd" in settings.attacks:
        steps += _THERE_AND_BACK * settings.pgd_steps + 2
    return 1 + steps * len(set(settings.epsilons))
