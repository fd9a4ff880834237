"""From sums to scores: means, matrices, intervals and ranks, with undefined values as None."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from analysis.contracts import ExampleScore, Intervals1D, Matrix, RankStability, ScoreIntervals, Scores, Series
from analysis.profiling.accumulators import CkaSums, ExampleTable, ScoreSums
from analysis.profiling.bootstrap import Floats, intervals, rank_stability, ranks
from analysis.profiling.features import Features
from analysis.similarity.cka import cka_from_hsic
from analysis.workload import EncodedExample

DIGITS = 7


def series(values: Floats) -> Series:
    """Numbers for JSON: 7 significant digits, None where undefined."""
    return tuple(float(f"{value:.{DIGITS}g}") if np.isfinite(value) else None for value in values.tolist())


def matrix(values: Floats) -> Matrix:
    """A matrix for JSON."""
    return tuple(series(row) for row in values)


class ScoreBook:
    """Reads finished sums. `defined` says which sub-blocks could be seen: [3, L] for block, attention, MLP."""

    def __init__(self, scores: ScoreSums, cka: CkaSums, defined: Floats) -> None:
        self.features: Features = scores.features
        self.scores = {name: tensor.cpu().numpy() for name, tensor in scores.state().items()}
        self.cka = {name: tensor.cpu() for name, tensor in cka.state().items()}
        self.groups, self.cka_groups, self.defined = scores.groups, cka.groups, defined

    def of(self, name: str) -> Scores:
        """The scores of one group of tokens."""
        row, f = self.groups.index(name), self.features
        tokens = self.scores["tokens"][row]
        with np.errstate(invalid="ignore", divide="ignore"):
            means = self.scores["sums"][row] / self.scores["weights"][row]
            last = self.scores["last_sums"][row] / self.scores["last_weights"][row]
        block, attention, mlp = self._influences(means[f.influence])
        overall = name == "overall"
        return Scores(
            n_tokens=round(float(tokens)),
            n_examples=round(float(self.scores["examples"][row])),
            block_influence=series(block),
            attention_influence=series(attention),
            mlp_influence=series(mlp),
            relative_contribution=series(means[f.contribution]),
            norms=series(means[f.norms]),
            cosine_similarity=matrix(self._square(means[f.cosines], 1.0)),
            angular_distance=matrix(self._square(means[f.angles], 0.0)),
            angular_distance_last_token=matrix(self._square(last, 0.0)) if np.isfinite(last).all() else None,
            linear_cka=self._cka(name),
            cka_minibatches=round(float(self.cka["minibatches"][self.cka_groups.index(name)])) if name in self.cka_groups else 0,
            intervals=self._intervals(row, overall) if tokens else None,
        )

    def _influences(self, cosines: Floats) -> Floats:
        """[..., 3 L] mean cosines -> [3, ..., L] influences."""
        split = np.stack(np.split(1 - cosines, 3, axis=-1))
        shape = (3, *([1] * (split.ndim - 2)), self.features.n_blocks)
        return np.where(self.defined.reshape(shape), split, np.nan)

    def _square(self, upper: Floats, diagonal: float) -> Floats:
        p = self.features.n_positions
        square = np.zeros((*upper.shape[:-1], p, p))
        rows, columns = np.triu_indices(p, 1)
        square[..., rows, columns] = upper
        square[..., columns, rows] = upper
        square[..., range(p), range(p)] = diagonal if np.isfinite(upper).any() else np.nan
        return square

    def _cka(self, name: str) -> Matrix | None:
        if name not in self.cka_groups or not self.cka["minibatches"][self.cka_groups.index(name)]:
            return None
        return matrix(cka_from_hsic(self.cka["hsic"][self.cka_groups.index(name)]).numpy())

    def _intervals(self, row: int, overall: bool) -> ScoreIntervals:
        with np.errstate(invalid="ignore", divide="ignore"):
            replicates = self.scores["replicate_sums"][row] / self.scores["replicate_weights"][row][:, None]
        influence = self._influences(replicates)
        score, rank = [_intervals(part) for part in influence], [_intervals(ranks(part)) for part in influence]
        return ScoreIntervals(
            replicates=len(replicates),
            block_influence=score[0],
            attention_influence=score[1],
            mlp_influence=score[2],
            block_rank=rank[0],
            attention_rank=rank[1],
            mlp_rank=rank[2],
            linear_cka=self._cka_intervals() if overall else None,
            **(self._rest_intervals() if overall else {}),
        )

    def _rest_intervals(self) -> dict[str, Any]:
        """Intervals of everything beside the influences, over the default tokens."""
        f, start = self.features, self.features.influence.stop
        with np.errstate(invalid="ignore", divide="ignore"):
            replicates = self.scores["replicate_rest"] / self.scores["replicate_weights"][0][:, None]

        def part(columns: slice) -> Floats:
            columns_found: Floats = replicates[:, columns.start - start : columns.stop - start]
            return columns_found

        return {
            "relative_contribution": _intervals(part(f.contribution)),
            "norms": _intervals(part(f.norms)),
            "cosine_similarity": _matrix_intervals(self._square(part(f.cosines), 1.0)),
            "angular_distance": _matrix_intervals(self._square(part(f.angles), 0.0)),
        }

    def _cka_intervals(self) -> tuple[Intervals1D, ...] | None:
        if self.cka["minibatches"][0] < 2:
            return None
        return _matrix_intervals(cka_from_hsic(self.cka["replicate_hsic"]).numpy())


def _intervals(replicates: Floats) -> Intervals1D:
    return tuple(None if pair is None else (_short(pair[0]), _short(pair[1])) for pair in intervals(replicates))


def _matrix_intervals(replicates: Floats) -> tuple[Intervals1D, ...]:
    n = replicates.shape[-1]
    flat = _intervals(replicates.reshape(len(replicates), -1))
    return tuple(flat[row * n : (row + 1) * n] for row in range(n))


def _short(value: float) -> float:
    return float(f"{value:.5g}")


def example_scores(table: ExampleTable, examples: Sequence[EncodedExample], *, excerpts: bool) -> tuple[ExampleScore, ...]:
    """Each kept prompt's own Block Influence."""
    influence, counts = _own_influence(table)
    return tuple(
        ExampleScore(
            example_id=example.example_id,
            slice=example.slice,
            n_tokens=round(count),
            critical=example.critical,
            block_influence=tuple(None if value is None else float(f"{value:.5g}") for value in series(row)),
            excerpt=example.excerpt if excerpts else "",
        )
        for example, row, count in zip(examples, influence, counts.tolist(), strict=False)
    )


def stability(table: ExampleTable, examples: Sequence[EncodedExample]) -> tuple[RankStability, ...]:
    """How many prompts are enough for the order of the blocks."""
    influence, counts = _own_influence(table)
    weights = np.array([example.weight for example in examples[: len(counts)]])
    return rank_stability(influence, counts * weights)


def _own_influence(table: ExampleTable) -> tuple[Floats, Floats]:
    cosines, counts = (table.state()[name].cpu().numpy() for name in ("cosines", "counts"))
    with np.errstate(invalid="ignore", divide="ignore"):
        return 1 - cosines / counts[:, None], counts


def defined_units(layouts: Sequence[str], n_blocks: int) -> Floats:
    """[3, L] which influences exist: blocks always, halves where the structure was proved."""
    halves = np.array([layout != "unknown" for layout in layouts])
    return torch.tensor(np.stack([np.ones(n_blocks, dtype=bool), halves, halves])).numpy()
