"""How wrong projections are on this machine: parameters, FLOPs, cache, peak memory and latency of random plans, measured.

    python tests/benchmarks/bench_projection.py --model 7b --device cuda --length 1024
    python tests/benchmarks/bench_projection.py --model sample-shape --device cuda --batch 8 --length 1024
    python tests/benchmarks/bench_projection.py --model /path/to/folder --device cuda

The latency model is fitted first, on sets of its own; then every plan is run in turns with the untouched model, and what
was promised stands beside what was measured. Wanted: parameters, FLOPs and cache exact, memory within 3 %, latency within
5 %, and at least 95 % of the promised speed-up. The last plan is carried out for good on a copy (prune). Needs only torch,
transformers and the engine.
"""

from __future__ import annotations

import argparse
import copy
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

from analysis.contracts import CostPoint, Measured, ModelSource, Prune, Skip, VerificationSettings
from analysis.contracts.latency import LatencyModel
from analysis.contracts.search import UnitRef, UnitSet, ordered
from analysis.models.device import device_name
from analysis.models.stack import Identity, LoadedModel, assemble
from analysis.planning.latency import predict_ms
from analysis.planning.memory import peak_memory as projected_peak
from analysis.planning.project_more import projected_costs
from analysis.surgery.prune import prune_model
from analysis.surgery.skip import refusal
from analysis.verification.cost import measure_cost, peak_memory
from analysis.verification.latency_points import measure_latency
from analysis.verification.passes import Laps, Requests
from analysis.verification.timing import Stopwatch, in_turns, measured, undisturbed, warm_up

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
class Row:
    """One plan: what was promised and what was measured."""

    plan: str
    exact: tuple[int, int, int]
    peak: float | None
    prefill: tuple[float, float]
    decode: tuple[float, float] | None
    speed_up: tuple[float, float]
    decode_speed_up: tuple[float, float] | None

    def cells(self) -> list[str]:
        """The row of the table."""
        kept = [f"{got / promised:.1%}" for promised, got in filter(None, (self.speed_up, self.decode_speed_up))]
        return [
            self.plan,
            *("exact" if difference == 0 else f"{difference:+d}" for difference in self.exact),
            "" if self.peak is None else f"{self.peak:+.2%}",
            _error(self.prefill),
            _error(self.decode) if self.decode else "",
            f"{self.speed_up[0]:.2f} / {self.speed_up[1]:.2f}",
            " / ".join(kept),
        ]


def main() -> None:
    """Parses the arguments, measures, prints a table."""
    options = _options()
    started = time.monotonic()
    loaded = _load(options)
    latency = measure_latency(loaded, batch_sizes=(options.batch,), prompt_tokens=(options.length,), repeats=options.repeats)
    rows = [_skipped(loaded, latency, removed, options) for removed in ((), *_plans(loaded, options.plans, options.seed))]
    if not options.no_prune:
        rows.append(_pruned(loaded, latency, options))
    _report(options, loaded, latency, rows, time.monotonic() - started)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="sample-shape", help="7b or sample-shape (random weights), sample, or a folder")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--length", type=int, default=512)
    parser.add_argument("--new-tokens", type=int, default=16)
    parser.add_argument("--plans", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--blocks", type=int, default=0, help="blocks of the random-weight shapes; 0: all")
    parser.add_argument("--no-prune", action="store_true", help="leave out the plan that is carried out for good on a copy")
    return parser.parse_args()


def _load(options: argparse.Namespace) -> LoadedModel:
    if options.model not in SHAPES:
        from analysis.models.load import load_model

        source = ModelSource(kind="sample") if options.model == "sample" else ModelSource(kind="folder", location=options.model)
        return load_model(source, device=options.device, dtype=options.dtype)
    from transformers import LlamaConfig, LlamaForCausalLM

    shape = SHAPES[options.model] | ({"num_hidden_layers": options.blocks} if options.blocks else {})
    before = torch.get_default_dtype()
    torch.set_default_dtype(getattr(torch, options.dtype))
    try:
        with torch.device(options.device):
            model = LlamaForCausalLM(LlamaConfig(max_position_embeddings=8192, **shape)).eval()
    finally:
        torch.set_default_dtype(before)
    info, stacks = assemble(model, Identity(options.model, ModelSource(kind="folder"), options.model, model.dtype))
    return LoadedModel(model, info, stacks, None, model.device, model.dtype)


def _plans(loaded: LoadedModel, n: int, seed: int) -> Iterator[UnitSet]:
    """Random sets: blocks only, attentions only, MLPs only, and mixed, of a tenth to two fifths of the layers."""
    random, stack = Random(seed), loaded.stack()
    kinds: Sequence[tuple[str, ...]] = (("block",), ("attention",), ("mlp",), ("block", "attention", "mlp"))
    for number in range(n):
        count = max(1, round(random.uniform(0.1, 0.4) * stack.info.n_blocks))
        blocks = random.sample(range(stack.info.n_blocks), count)
        removed = ordered(tuple((random.choice(kinds[number % len(kinds)]), block) for block in blocks))  # type: ignore[misc]
        if refusal(stack, removed) is None:
            yield removed


def _skipped(loaded: LoadedModel, latency: LatencyModel, removed: UnitSet, options: argparse.Namespace) -> Row:
    settings = VerificationSettings(
        batch_sizes=(options.batch,), prompt_tokens=(options.length,), new_tokens=options.new_tokens, repeats=options.repeats
    )
    points = measure_cost(loaded, removed, settings, on_note=lambda note: print("note:", note.in_english(), file=sys.stderr))
    if not points:
        sys.exit("This size does not fit the memory: give a smaller --batch or --length.")
    return _row(loaded, latency, removed, points[0])


def _row(loaded: LoadedModel, latency: LatencyModel, removed: UnitSet, point: CostPoint) -> Row:
    width, size = loaded.dtype.itemsize, {"context_tokens": point.prompt_tokens, "batch_size": point.batch_size}
    ran = projected_costs(loaded.info, _operations(removed, Skip), width=width, **size)
    cut = projected_costs(loaded.info, _operations(removed, Prune), width=width, **size)
    decode = point.decode_tokens_per_second
    step = None if decode is None else (1e3 * point.batch_size / decode.original.p50, 1e3 * point.batch_size / decode.plan.p50)
    return Row(
        plan=_said(removed),
        exact=(
            cut.weight_bytes - point.weight_bytes[1],
            ran.prefill_flops - (point.prefill_flops[1] if point.prefill_flops else -1),
            ran.kv_cache_bytes - (point.kv_cache_bytes[1] if point.kv_cache_bytes else 0),
        ),
        peak=None if point.peak_memory_bytes is None else ran.peak_memory_bytes / point.peak_memory_bytes[1] - 1,
        **_times(latency, removed, point.prefill_ms, step),
    )


def _times(latency: LatencyModel, removed: UnitSet, prefill: Measured, step: tuple[float, float] | None) -> dict[str, object]:
    """Promised and measured milliseconds and speed-ups."""
    shapes = {shape.phase: shape for shape in latency.shapes}
    before, after = (predict_ms(shapes["prefill"], gone) for gone in ((), removed))
    found: dict[str, object] = {
        "prefill": (after, prefill.plan.p50),
        "speed_up": (before / after, prefill.original.p50 / prefill.plan.p50),
        "decode": None,
        "decode_speed_up": None,
    }
    if step is not None and "decode" in shapes:
        before, after = (predict_ms(shapes["decode"], gone) for gone in ((), removed))
        found |= {"decode": (after, step[1]), "decode_speed_up": (before / after, step[0] / step[1])}
    return found


def _pruned(loaded: LoadedModel, latency: LatencyModel, options: argparse.Namespace) -> Row:
    """Every fourth block taken out of a copy for good, which runs in turns with the original."""
    removed: UnitSet = tuple(("block", block) for block in range(1, loaded.stack().info.n_blocks - 1, 4))
    shorter = prune_model(copy.deepcopy(loaded), removed)
    original, plan = (_laps(model, options) for model in (loaded, shorter))
    with undisturbed():
        for run in (original, plan):
            warm_up(lambda run=run: run().prefill_ms)
        timed = in_turns([original, plan], options.repeats)
    prefill = measured(*([lap.prefill_ms for lap in laps] for laps in timed))
    answers = measured(*([(lap.decode_ms or 0.0) / options.new_tokens for lap in laps] for laps in timed))
    requests = Requests(shorter, shorter.stack())
    ids = requests.prompt(options.batch, options.length)
    size = {"context_tokens": options.length, "batch_size": options.batch, "width": loaded.dtype.itemsize}
    weights = sum(p.numel() * p.element_size() for p in shorter.model.parameters())
    peak = None
    if loaded.device.type == "cuda":
        found = peak_memory(lambda: requests.read(ids), shorter.model, requests.devices)
        peak = projected_peak(loaded.info, removed, pruned=True, **size) / found - 1
    return Row(
        plan=f"pruned: {_said(removed)}",
        exact=(projected_costs(loaded.info, _operations(removed, Prune), **size).weight_bytes - weights, 0, 0),
        peak=peak,
        **_times(latency, removed, prefill, (answers.original.p50, answers.plan.p50) if requests.answers else None),
    )


def _laps(loaded: LoadedModel, options: argparse.Namespace) -> Callable[[], Laps]:
    requests = Requests(loaded, loaded.stack())
    ids, stopwatch = requests.prompt(options.batch, options.length), Stopwatch(requests.devices)
    return lambda: requests.serve(ids, options.new_tokens, stopwatch)


def _operations(removed: Sequence[UnitRef], kind: type[Prune] | type[Skip]) -> tuple[Prune | Skip, ...]:
    units = {unit: tuple(block for one, block in removed if one == unit) for unit, _ in removed}
    return tuple(kind(unit=unit, blocks=blocks) for unit, blocks in units.items())


def _said(removed: UnitSet) -> str:
    counts = {unit: sum(one == unit for one, _ in removed) for unit in ("block", "attention", "mlp")}
    return ", ".join(f"{count} {unit}" for unit, count in counts.items() if count) or "nothing"


def _error(pair: tuple[float, float]) -> str:
    return f"{pair[0]:.2f} for {pair[1]:.2f} ms ({pair[0] / pair[1] - 1:+.1%})"


def _report(options: argparse.Namespace, loaded: LoadedModel, latency: LatencyModel, rows: Sequence[Row], seconds: float) -> None:
    print(
        f"\n{options.model}, {device_name(loaded.device)}, torch {torch.__version__}, {options.dtype}, batch {options.batch}, "
        f"{options.length} tokens, {options.new_tokens} new ones, {seconds:.0f} s in all"
    )
    for shape in latency.shapes:
        print(
            f"{shape.phase}: rest {shape.rest_ms:.3f} ms; first block {shape.block_ms[0]:.4f} + attention {shape.attention_ms[0]:.4f} "
            f"+ MLP {shape.mlp_ms[0]:.4f} ms; error on sets not fitted {shape.error_share or 0:.1%}"
        )
    heads = ["left out", "weights", "FLOPs", "cache", "peak memory", "prefill, promised", "decode, promised"]
    heads += ["speed-up promised / measured", "kept of it"]
    print("\n| " + " | ".join(heads) + " |\n|" + "---|" * len(heads))
    for row in rows:
        print("| " + " | ".join(row.cells()) + " |")
    worst = [max(abs(p / m - 1) for p, m in filter(None, (getattr(row, name) for row in rows))) for name in ("prefill",)]
    decode = [abs(row.decode[0] / row.decode[1] - 1) for row in rows if row.decode]
    kept = [got / promised for row in rows for promised, got in filter(None, (row.speed_up, row.decode_speed_up))]
    peaks = [abs(row.peak) for row in rows if row.peak is not None]
    exact = all(difference == 0 for row in rows for difference in row.exact)
    cells = ["worst", "all exact" if exact else "NOT exact", "", "", f"{max(peaks):.2%}" if peaks else "not told"]
    cells += [f"{worst[0]:.1%}", f"{max(decode):.1%}" if decode else "", "", f"{min(kept):.1%}"]
    print("| " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
