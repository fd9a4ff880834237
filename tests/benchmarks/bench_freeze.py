"""What freezing saves in a training step on this machine, beside the arithmetic and beside what is projected.

    python tests/benchmarks/bench_freeze.py --model sample --device cuda --dtype bfloat16 --batch 16 --tokens 512 --boundaries 9,19,24,28
    python tests/benchmarks/bench_freeze.py --model 7b --device cuda --dtype bfloat16 --batch 2 --tokens 512 --boundaries 9,19,24,30

Real steps (forward, backward, clipping, AdamW in float32) on random tokens, full fine-tuning and every boundary in turns, with
the frozen prefix computed and with it read from a cache in memory. "floor" is the ratio of FLOPs; "projected" comes from a fit
that never saw the boundary it is held against. Wanted on an H200: <= 60 % of full from 20 frozen layers on, <= 35 % cached from
about 24 on, projections within 5 %. 7b and sample-shape have random weights. Needs only torch, transformers and the engine.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

from analysis.contracts import Message, ModelSource, Progress, StepModel, StepPoint, TrainingShape
from analysis.models.device import device_name
from analysis.models.stack import Identity, LoadedModel, assemble
from analysis.planning.steps import fit_steps, predict_peak, predict_step
from analysis.planning.training_flops import step_flops
from analysis.planning.training_memory import training_bytes
from analysis.profiling.stream import Watch
from analysis.training.measure_steps import measure_points

SHAPES = {
    "7b": {"hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32, "num_attention_heads": 32, "vocab_size": 32000},
    "sample-shape": {
        "hidden_size": 576,
        "intermediate_size": 1536,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "vocab_size": 49152,
        "tie_word_embeddings": True,
    },
}


@dataclass(frozen=True)
class Bench:
    """What was measured, and what it is held against."""

    loaded: LoadedModel
    shape: TrainingShape
    points: dict[tuple[int, bool], StepPoint]
    watts: float | None
    padded: bool = False

    def fitted_without(self, boundary: int | None) -> StepModel | None:
        """A fit to all other boundaries; None: too few are left."""
        points = [point for (eof, _), point in self.points.items() if eof != boundary]
        stack = self.loaded.stack().info
        if len({point.eof_layer for point in points}) < 2:
            return None
        return fit_steps(
            points,
            model_commit=self.loaded.info.commit,
            stack=stack.name,
            device=str(self.loaded.device),
            device_name=device_name(self.loaded.device),
            shape=self.shape,
            n_blocks=stack.n_blocks,
        )

    def row(self, boundary: int, cached: bool) -> list[str]:
        """The cells of one point."""
        point, full = self.points[boundary, cached], self.points.get((-1, False))
        model = self.fitted_without(boundary)
        flops = step_flops(self.loaded.info, boundary, self.shape, cached=cached) / step_flops(self.loaded.info, -1, self.shape)
        cells = ["full" if boundary < 0 else f"{boundary} ({boundary + 1} frozen)", "cached" if cached else ""]
        cells += [f"{point.p50_ms:.2f}", f"{point.p95_ms:.2f}"]
        cells += [f"{point.p50_ms / full.p50_ms:.1%}" if full else "", f"{flops:.1%}"]
        cells += _against(None if model is None else predict_step(model, boundary, cached), point.p50_ms, 1.0)
        peak = point.peak_memory_bytes
        cells += ["" if peak is None else f"{peak / 2**30:.2f}"]
        cells += [f"{peak / full.peak_memory_bytes:.1%}" if peak and full and full.peak_memory_bytes else ""]
        cells += _against(None if model is None or peak is None else predict_peak(model, boundary, cached), peak, 2**30)
        derived = training_bytes(self.loaded.info, boundary, self.shape, padded=self.padded)
        cells += [_error(derived.peak, peak), _error(derived.activations, point.activation_bytes)]
        return cells


def main() -> None:
    """Parses the arguments, measures, prints a table."""
    options = _options()
    started = time.monotonic()
    loaded = _load(options)
    shape = TrainingShape(
        method=options.method,
        batch_size=options.batch,
        sequence_tokens=options.tokens,
        response_tokens=options.response,
        lora_rank=options.rank,
        dtype=options.dtype,
        weight_bits=8 * loaded.dtype.itemsize,
        trained_bits=32,
    )
    boundaries = [eof for eof in options.boundaries if eof <= loaded.stack().info.n_blocks - 2]
    wanted = [(-1, False), *((eof, cached) for cached in (False, True) for eof in boundaries)]
    points, watts = measure_points(
        loaded, shape, wanted, watch=Watch(_show), rounds=options.rounds, steps=options.steps, padded=options.padded
    )
    found = {(point.eof_layer, point.cached): point for point in points}
    bench = Bench(loaded, shape, found, watts, options.padded and options.batch > 1)
    _report(bench, options, time.monotonic() - started)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="sample", help="sample, 7b or sample-shape (random weights), or a folder")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--tokens", type=int, default=512)
    parser.add_argument("--response", type=int, default=None, help="tokens of a sequence whose loss is taken; none given: all")
    parser.add_argument("--boundaries", type=_numbers, default=[9, 19, 24, 28], help="last frozen layers, such as 9,19,24,28")
    parser.add_argument("--method", choices=("full", "lora"), default="full")
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=4, help="timed steps of a point in a round")
    parser.add_argument("--padded", action="store_true", help="attention gets a mask, as with examples of several lengths")
    return parser.parse_args()


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",") if part]


def _load(options: argparse.Namespace) -> LoadedModel:
    if options.model not in SHAPES:
        from analysis.models.load import load_model

        source = ModelSource(kind="sample") if options.model == "sample" else ModelSource(kind="folder", location=options.model)
        return load_model(source, device=options.device, dtype=options.dtype)
    from transformers import LlamaConfig, LlamaForCausalLM

    before = torch.get_default_dtype()
    torch.set_default_dtype(getattr(torch, options.dtype))
    try:
        with torch.device(options.device):
            model = LlamaForCausalLM(LlamaConfig(max_position_embeddings=8192, **SHAPES[options.model])).eval()
    finally:
        torch.set_default_dtype(before)
    info, stacks = assemble(model, Identity(options.model, ModelSource(kind="folder"), options.model, model.dtype))
    return LoadedModel(model, info, stacks, None, model.device, model.dtype)


def _show(progress: Progress) -> None:
    left = "" if progress.eta_seconds is None else f", {progress.eta_seconds:.0f} s left"
    stage = progress.stage if isinstance(progress.stage, Message) else Message(id=str(progress.stage))
    print(f"{stage.in_english()}: {progress.done} of {progress.total}{left}", file=sys.stderr, flush=True)


def _against(projected: float | None, measured: float | None, unit: float) -> list[str]:
    if projected is None or measured is None:
        return ["", ""]
    return [f"{projected / unit:.2f}", _error(projected, measured)]


def _error(projected: float | None, measured: float | None) -> str:
    return "" if projected is None or not measured else f"{projected / measured - 1:+.1%}"


def _report(bench: Bench, options: argparse.Namespace, seconds: float) -> None:
    shape = bench.shape
    print(
        f"\n{options.model}, {device_name(bench.loaded.device)}, torch {torch.__version__}, {shape.method}, computed in {shape.dtype}, "
        f"weights that train in float32, batch {shape.batch_size} x {shape.sequence_tokens} tokens"
        f"{', with a mask' if options.padded else ''}, loss of {shape.response_tokens or 'all'} tokens; {seconds:.0f} s in all"
        + ("" if bench.watts is None else f"; {bench.watts:.0f} W")
    )
    missing = {(eof, cached) for cached in (False, True) for eof in options.boundaries} - bench.points.keys()
    if (-1, False) not in bench.points:
        print("Full fine-tuning does not fit the memory at this size: no ratios. Give a smaller --batch or --tokens.")
    if missing:
        print(f"Not measured (memory, or no such layer): {sorted(missing)}")
    whole = bench.fitted_without(None)
    if whole is not None:
        print(
            f"all points fitted: fixed {whole.fixed_ms:.3f} ms, frozen layer {whole.frozen_block_ms:.4f}, trained layer "
            f"{whole.trained_block_ms:.4f}, reading the cache {whole.cached_ms:.3f}"
        )
    heads = ["last frozen", "", "p50 ms", "p95", "of full", "floor (FLOPs)", "projected ms", "error", "peak GiB", "of full"]
    heads += ["projected GiB", "error", "peak by formula", "activations by formula"]
    print("\n| " + " | ".join(heads) + " |\n|" + "---|" * len(heads))
    for boundary, cached in _order(bench.points.keys()):
        print("| " + " | ".join(bench.row(boundary, cached)) + " |")


def _order(points: Sequence[tuple[int, bool]] | object) -> list[tuple[int, bool]]:
    return sorted(points, key=lambda point: (point[1], point[0]))  # type: ignore[call-overload,no-any-return]


if __name__ == "__main__":
    main()
