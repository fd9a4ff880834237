"""The measures a plan can be made by: what each means, where it comes from, which way it points."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from analysis.contracts import Interval, Matrix, ScoreIntervals, Scores, Series, Unit, influence
from analysis.errors import PlanError
from analysis.i18n import N_

ALL_UNITS: tuple[Unit, ...] = ("block", "attention", "mlp")


@dataclass(frozen=True)
class Criterion:
    """One way to choose what is removed. All scores point the same way: the lowest is removed first.

    Attributes:
        name: as it stands in plan.json and on the command line.
        title: short name for a list (English sentence; its own translation key).
        meaning: one sentence on what a low score says.
        source: paper, in words, with its arXiv number.
        units: what it can rank.
        contiguous: whether it removes one unbroken run of layers instead of the lowest ones.
        evidence: the measure shown beside each removed unit; differs from `name` for a baseline that measures nothing.
        notable: a change from here on contradicts "harmless", in the measure's own scale.
    """

    name: str
    title: str
    meaning: str
    source: str
    units: tuple[Unit, ...] = ("block",)
    contiguous: bool = False
    evidence: str = ""
    notable: float = 0.05

    @property
    def measure(self) -> str:
        """Name of the measure behind the scores that are shown."""
        return self.evidence or self.name


_ANGLE_OF_FIVE_PERCENT = 0.1011
"""arccos(1 - 0.05) / pi: the angle at which 1 - cosine reaches 5 %."""

CRITERIA: Mapping[str, Criterion] = {
    criterion.name: criterion
    for criterion in (
        Criterion(
            "block_influence",
            N_("Block Influence, lowest first"),
            N_("Takes out what turns the tokens least on their way through."),
            "ShortGPT (arXiv 2403.03853); attention and MLP: What Matters in Transformers (arXiv 2406.15786)",
            units=ALL_UNITS,
        ),
        Criterion(
            "angular_distance",
            N_("Most similar span, all tokens"),
            N_("Takes out the one run of layers whose entrance and exit point most nearly the same way, over all tokens."),
            "The Unreasonable Ineffectiveness of the Deeper Layers (arXiv 2403.17887), over all tokens",
            contiguous=True,
            notable=_ANGLE_OF_FIVE_PERCENT,
        ),
        Criterion(
            "angular_distance_last_token",
            N_("Most similar span, last token as published"),
            N_("Takes out the one run of layers whose entrance and exit point most nearly the same way, over each prompt's last token."),
            "The Unreasonable Ineffectiveness of the Deeper Layers (arXiv 2403.17887)",
            contiguous=True,
            notable=_ANGLE_OF_FIVE_PERCENT,
        ),
        Criterion(
            "linear_cka",
            N_("CKA across the layer, most alike first"),
            N_("Takes out the layers that leave the arrangement of the tokens most as it was (1 - CKA)."),
            "Similarity of Neural Network Representations Revisited (arXiv 1905.00414), unbiased",
        ),
        Criterion(
            "relative_contribution",
            N_("Relative contribution, lowest first"),
            N_("Takes out the layers that add least to the stream, measured against what leaves them."),
            "Relative magnitude in ShortGPT (arXiv 2403.03853)",
            notable=0.3,
        ),
        Criterion(
            "last_layers",
            N_("Last layers (baseline without measuring)"),
            N_("Takes out the last layers but keeps the very last one; every other criterion should beat this baseline."),
            "Simple variant in arXiv 2403.17887; Reassessing Layer Pruning (arXiv 2411.15558)",
            units=ALL_UNITS,
            evidence="block_influence",
        ),
    )
}


def criterion_named(name: str, unit: Unit) -> Criterion:
    """The criterion of that name, which must be able to rank the unit.

    Raises:
        PlanError: it is unknown, or ranks whole layers only.
    """
    found = CRITERIA.get(name)
    if found is None:
        raise PlanError('The criterion "{name}" is not known. Choose one of: {allowed}.', name=name, allowed=tuple(CRITERIA))
    if unit not in found.units:
        raise PlanError(
            'The criterion "{name}" ranks whole layers only. For attention or MLP choose one of: {allowed}.',
            name=name,
            allowed=criteria_for(unit),
        )
    return found


def criteria_for(unit: Unit) -> tuple[str, ...]:
    """Names of the criteria that can rank a unit, in the order they are offered."""
    return tuple(criterion.name for criterion in CRITERIA.values() if unit in criterion.units)


def unit_scores(scores: Scores, unit: Unit, criterion: Criterion) -> Series | None:
    """[L] how much each unit changes the tokens by the criterion's measure, lowest = least; None: not measured here."""
    if criterion.measure == "block_influence":
        return influence(scores, unit)
    if criterion.measure == "relative_contribution":
        return scores.relative_contribution
    if criterion.measure == "linear_cka":
        return (
            None
            if scores.linear_cka is None
            else tuple(None if alike is None else 1.0 - alike for alike in _next_position(scores.linear_cka))
        )
    distances = span_distances(scores, criterion)
    return None if distances is None else _next_position(distances)


def span_distances(scores: Scores, criterion: Criterion) -> Matrix | None:
    """[P][P] angular distance behind a contiguous criterion: a span (start, n) stands at [start][start + n]."""
    return scores.angular_distance_last_token if criterion.measure == "angular_distance_last_token" else scores.angular_distance


def unit_interval(intervals: ScoreIntervals | None, unit: Unit, criterion: Criterion, block: int) -> Interval | None:
    """The 95 % interval of one unit's score, where the profile has one."""
    if intervals is None:
        return None
    if criterion.measure == "block_influence":
        return {"block": intervals.block_influence, "attention": intervals.attention_influence, "mlp": intervals.mlp_influence}[unit][block]
    if criterion.measure == "angular_distance" and intervals.angular_distance:
        return intervals.angular_distance[block][block + 1]
    if criterion.measure == "linear_cka" and intervals.linear_cka:
        alike = intervals.linear_cka[block][block + 1]
        return None if alike is None else (1.0 - alike[1], 1.0 - alike[0])
    return None


def _next_position(matrix: Matrix) -> Series:
    return tuple(matrix[start][start + 1] for start in range(len(matrix) - 1))
