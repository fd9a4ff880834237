"""From sums to the traces' contract: means, gains, intervals, and which basis is worth most."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from analysis.contracts import CurveName, DeviationCurve, ExampleTrace, Fidelity, Interval, LensScores, Message, TraceScores
from analysis.profiling.bootstrap import Floats, intervals
from analysis.profiling.scores import series
from analysis.semantics.lens import LENS_COLUMNS
from analysis.semantics.sums import TraceSums
from analysis.semantics.tokens import TokenPlan
from analysis.workload import EncodedExample

LENS: CurveName = "lens"
MANY_SINKS = 0.01
"""Share of the response tokens from which it matters that their predicting states are sinks."""


class TraceBook:
    """Reads finished sums."""

    def __init__(self, sums: TraceSums) -> None:
        self.sums = {name: tensor.cpu().numpy() for name, tensor in sums.state().items()}
        self.layout, self.groups, self.curves = sums.layout, sums.groups, sums.tracer.curves
        self.fidelity = self._fidelity()
        judged = [one for one in self.fidelity if one.curve != LENS]
        self.default: CurveName = max(judged, key=lambda one: one.right).curve if judged else self.curves[0]

    def of(self, name: str) -> TraceScores:
        """The traces of one group."""
        row = self.groups.index(name)
        curves: dict[CurveName, DeviationCurve] = {curve: self._curve(row, curve) for curve in self.curves}
        lens = self._lens(row)
        if lens is not None:
            curves[LENS] = _deviation_curve(
                self._lens_means(row)[0], self.sums["replicate_losses"][row], self.sums["replicate_lens_weights"][row]
            )
        return TraceScores(
            n_tokens=round(float(self.sums["tokens"][row])),
            n_examples=round(float(self.sums["examples"][row])),
            curves=curves,
            alignment=series(self._alignments(row)[self.curves.index(self.default)]),
            lens=lens,
        )

    def measured(self) -> list[str]:
        """Slices with a token."""
        return [name for row, name in enumerate(self.groups) if row and self.sums["tokens"][row] > 0]

    def _means(self, row: int) -> Floats:
        return _divided(self.sums["sums"][row], self.sums["weights"][row])

    def _alignments(self, row: int) -> Floats:
        return self._means(row)[self.layout.deviations.stop :].reshape(self.layout.n_curves, -1)

    def _curve(self, row: int, curve: CurveName) -> DeviationCurve:
        columns = self._columns(curve)
        return _deviation_curve(
            self._means(row)[columns], self.sums["replicate_sums"][row][:, columns], self.sums["replicate_weights"][row]
        )

    def _columns(self, curve: CurveName) -> slice:
        start = self.curves.index(curve) * self.layout.n_positions
        return slice(start, start + self.layout.n_positions)

    def _lens_means(self, row: int) -> Floats:
        means = _divided(self.sums["lens_sums"][row], self.sums["lens_weights"][row])
        return means[: self.layout.rights.start].reshape(len(LENS_COLUMNS), -1)

    def _lens(self, row: int) -> LensScores | None:
        n = round(float(self.sums["lens_tokens"][row]))
        if not n:
            return None
        loss, top1, rank, entropy = (series(values) for values in self._lens_means(row))
        return LensScores(n_tokens=n, loss=loss, top1=top1, reciprocal_rank=rank, entropy=entropy)

    def _fidelity(self) -> tuple[Fidelity, ...]:
        n = round(float(self.sums["lens_tokens"][0]))
        if not n:
            return ()
        means = _divided(self.sums["lens_sums"][0], self.sums["lens_weights"][0])
        right = [*means[self.layout.rights], means[2 * self.layout.n_positions - 1]]
        found = intervals(_divided(self.sums["replicate_rights"], self.sums["replicate_lens_weights"][0][:, None]))
        return tuple(
            Fidelity(curve=curve, n_tokens=n, right=_short(value), interval=_pair(pair))
            for curve, value, pair in zip((*self.curves, LENS), right, found, strict=True)
        )

    def examples(self, plan: TokenPlan, examples: Sequence[EncodedExample], *, excerpts: bool) -> tuple[ExampleTrace, ...]:
        """The kept examples' own means."""
        deviations = _divided(self.sums["example_sums"][:, self._columns(self.default)], self.sums["example_counts"][:, None])
        losses = _divided(self.sums["example_losses"], self.sums["example_lens_counts"][:, None])
        return tuple(
            ExampleTrace(
                example_id=example.example_id,
                slice=example.slice,
                critical=example.critical,
                weight=example.weight,
                n_tokens=round(float(self.sums["example_counts"][traced.row])),
                deviation=_five(deviations[traced.row]),
                lens_loss=_five(losses[traced.row]) if self.sums["example_lens_counts"][traced.row] else None,
                excerpt=example.excerpt if excerpts else "",
            )
            for example, traced in zip(examples, plan.examples, strict=True)
            if traced.row >= 0 and self.sums["example_counts"][traced.row] > 0
        )

    def notes(self) -> list[Message]:
        """What the curves do not hold, and what they hold that a profile's scores leave out."""
        invalid, sinks = (round(float(self.sums[name][0])) for name in ("invalid", "sinks"))
        notes = []
        if invalid:
            notes.append(
                Message(
                    id="Response tokens left out of the traces because the model's numbers overflowed there: {n}. Use bfloat16 or float32.",
                    values={"n": invalid},
                )
            )
        if sinks > MANY_SINKS * self.sums["tokens"][0]:
            notes.append(
                Message(
                    id=(
                        "Response tokens that follow a sink token, whose state is unlike all others: {n}. They are counted in the traces, "
                        "because something has to predict them."
                    ),
                    values={"n": sinks},
                )
            )
        return notes


def _deviation_curve(mean: Floats, replicate_sums: Floats, replicate_weights: Floats) -> DeviationCurve:
    replicates = _divided(replicate_sums, replicate_weights[:, None])
    return DeviationCurve(
        mean=series(mean),
        intervals=tuple(_pair(pair) for pair in intervals(replicates)),
        gain=series(mean[:-1] - mean[1:]),
        gain_intervals=tuple(_pair(pair) for pair in intervals(replicates[:, :-1] - replicates[:, 1:])),
    )


def _divided(sums: Floats, weights: Floats) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        return sums / weights


def _short(value: float) -> float:
    return float(f"{value:.5g}")


def _pair(pair: Interval | None) -> Interval | None:
    return None if pair is None else (_short(pair[0]), _short(pair[1]))


def _five(values: Floats) -> tuple[float | None, ...]:
    return tuple(None if value is None else _short(value) for value in series(values))
