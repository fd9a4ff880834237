"""Freeing layers from the output side inward until freeing more no longer pays: the budget policy that needs no rule.

Every arm starts from the original weights, so that each is a plain fine-tune of its own. Whether one more step of layers
pays is asked of the tuning part: the gain over the arm before, paired over prompts. The verification half judges each arm
for the reader and is never asked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from analysis.contracts import Message, StopReason
from analysis.training.evaluate import Chance, Judged, reduction


@dataclass(frozen=True)
class Released:
    """How releasing went.

    Attributes:
        boundaries: last frozen blocks in the order in which they were tried.
        recommended: the boundary of the last arm that gained something; None: not even the first did.
        stop: `no_gain` where the gain's interval held 0, `budget` where time or layers ran out, or the next arm diverged.
    """

    boundaries: tuple[int, ...]
    recommended: int | None
    stop: StopReason
    notes: tuple[Message, ...] = ()


def default_step(n_blocks: int) -> int:
    """Layers freed at a time: a tenth of the stack.

    >>> default_step(30), default_step(4)
    (3, 1)
    """
    return max(1, round(n_blocks / 10))


def boundaries_inward(n_blocks: int, step: int, most: int | None = None) -> tuple[int, ...]:
    """Last frozen blocks from the output side inward, until all layers train or `most` of them.

    >>> boundaries_inward(10, 4)
    (5, 1, -1)
    >>> boundaries_inward(10, 4, most=6)
    (5, 3)
    """
    most = n_blocks if most is None else min(most, n_blocks)
    counts = [*range(step, most, step), most]
    return tuple(n_blocks - 1 - count for count in counts)


def run_release(
    boundaries: Sequence[int], original: Judged, train: Callable[[int], Judged | None], chance: Chance, *, n_blocks: int
) -> Released:
    """Trains one boundary after the other until the gain over the one before lies inside its own 95 % interval.

    Args:
        boundaries: to be tried, in this order.
        original: the untouched model on the tuning part.
        train: trains an arm at a boundary and tells how it does on the tuning part; None: it could not be trained to its end.
        chance: how intervals are drawn.
        n_blocks: layers of the stack.
    """
    tried: list[int] = []
    before, recommended = original, None
    for boundary in boundaries:
        after = train(boundary)
        if after is None:
            return Released(tuple(tried), recommended, "budget", _budget_note(n_blocks, recommended))
        tried.append(boundary)
        gain = reduction(before, after, chance)
        if gain.value is None or gain.low is None or gain.low <= 0:
            return Released(tuple(tried), recommended, "no_gain", (_no_gain(n_blocks, boundary, gain.value, gain.low, gain.high),))
        before, recommended = after, boundary
    stop: StopReason = "done" if recommended == -1 else "budget"
    return Released(tuple(tried), recommended, stop, () if stop == "done" else _budget_note(n_blocks, recommended))


def _no_gain(n_blocks: int, boundary: int, value: float | None, low: float | None, high: float | None) -> Message:
    if value is None or low is None or high is None:
        return Message(
            id="Releasing stopped at {n} trained layers: the tuning part is too small to tell whether they gain anything.",
            values={"n": n_blocks - 1 - boundary},
        )
    return Message(
        id="Releasing stopped at {n} trained layers: on the tuning part they gain {gain} nats over the step before, and the interval "
        "({low} to {high}) holds 0.",
        values={"n": n_blocks - 1 - boundary, "gain": f"{value:.3f}", "low": f"{low:.3f}", "high": f"{high:.3f}"},
    )


def _budget_note(n_blocks: int, recommended: int | None) -> tuple[Message, ...]:
    trained = 0 if recommended is None else n_blocks - 1 - recommended
    return (
        Message(
            id="Releasing ended before freeing layers stopped paying, because no further arm could be trained. Trained layers so far: {n}.",
            values={"n": trained},
        ),
    )
