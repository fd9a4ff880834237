"""What the members say about themselves: why they abstain, and what a reader of their values should know."""

from __future__ import annotations

from analysis.contracts import Message
from analysis.similarity.pca import Space

NO_NUMBERS = Message(
    id="The untouched model's features hold values that are not numbers, so nothing can be compared with them."
    " Try another precision (dtype), or check the model."
)
ALL_ALIKE = Message(
    id="The untouched model's features are the same at every token position, so no change can be told. Give prompts that differ."
)
NOTHING_HELD_BACK = Message(
    id="No prompts are held back: the map is fitted and judged on the same token positions, which makes distances look smaller."
)
KEPT_OVER_RESAMPLES = Message(
    id="Over resamples the rotation and the transport of the whole set are kept; means and covariances are drawn anew."
)


def split(n_fit: int, n_test: int, space: Space) -> Message:
    """On what maps are fitted and judged."""
    return Message(
        id="The map is fitted on {n_fit} token positions and judged on {n_test} of other prompts, in {dimension} dimensions"
        " that keep {percent}% of the variance.",
        values={"n_fit": n_fit, "n_test": n_test, "dimension": space.dimension, "percent": round(100 * space.variance_kept)},
    )


def lowered(dimension: int, asked: int) -> Message:
    """Why the space is smaller than asked for."""
    return Message(
        id="Compared in {dimension} dimensions instead of {asked}: there are too few different token positions, ten are needed"
        " for each, or the features vary along no more.",
        values={"dimension": dimension, "asked": asked},
    )


def too_few_judged(n_test: int, needed: int) -> Message:
    """Why fitted members cannot be judged."""
    return Message(
        id="The map must be judged on at least {needed} token positions of prompts it was not fitted on, and there are {n}."
        " Give more prompts, or set the test share to 0.",
        values={"needed": needed, "n": n_test},
    )


def not_numbers(n: int) -> Message:
    """Candidates without a distance, for all members."""
    return Message(
        id="With {n} of the candidates left out the features hold values that are not numbers; their distance is undefined.",
        values={"n": n},
    )


def constant(n: int) -> Message:
    """Candidates without a distance, for all members but Wasserstein."""
    return Message(
        id="With {n} of the candidates left out the features are the same at every token position; their distance is undefined.",
        values={"n": n},
    )


def thin(n: int) -> Message:
    """Singular covariances of candidates."""
    return Message(
        id="With {n} of the candidates left out the features vary along fewer directions than are compared: the smallest"
        " variances were raised before whitening.",
        values={"n": n},
    )


def clouds(n_classes: int) -> Message:
    """What the Gaussian members compare."""
    return Message(id="Means and covariances of {n} classes, over all token positions.", values={"n": n_classes})


def shrunk(n: int, total: int, needed: int) -> Message:
    """Classes with too few positions."""
    return Message(
        id="{n} of {total} classes have fewer than {needed} token positions: their covariances are drawn towards a sphere.",
        values={"n": n, "total": total, "needed": needed},
    )
