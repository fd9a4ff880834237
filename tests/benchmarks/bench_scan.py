"""The ablation scan against the naive one, timed in turn in one run.

    python tests/benchmarks/bench_scan.py --model sample --device cpu --batch 2 --tokens 256
    python tests/benchmarks/bench_scan.py --model FOLDER --device cuda --dtype bfloat16 --batch 4 --tokens 512
    python tests/benchmarks/bench_scan.py --model 7b --device cuda --dtype bfloat16 --batch 1 --tokens 1024

Naive: one whole run of the model for each unit, the unit left out, then the head on the same tokens. Both are run once to
warm up and then in turn; the ratio is that of the medians. The arithmetic floor is what (L + 1) / 2 of the naive scan's
block passes and one head pass for each unit would take at the speed at which the plain model runs them here.
"""

from __future__ import annotations

import argparse
import hashlib
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

from analysis.contracts import MeasuredSet, ModelSource, SearchSettings, TokenCounts, WorkloadInfo
from analysis.models.stack import Identity, LoadedModel, assemble
from analysis.search.losses import Measurer
from analysis.search.result import resolve_settings
from analysis.search.scan import candidates, run_scan
from analysis.search.walk import Walk
from analysis.workload import PROMPT, EncodedExample, EncodedWorkload

_LLAMA = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "vocab_size")
SHAPES = {
    name: dict(zip(_LLAMA, sizes, strict=True))
    for name, sizes in {
        "7b": (4096, 11008, 32, 32, 32, 32000),
        "sample-shape": (576, 1536, 30, 9, 3, 49152),
        "tiny": (64, 128, 6, 4, 2, 512),
    }.items()
}


def main() -> None:
    """Parses the arguments, measures, prints."""
    options = _options()
    loaded = load(options.model, options.device, options.dtype)
    work = random_workload(loaded, options.batch, options.tokens)
    settings = resolve_settings(
        SearchSettings(units=tuple(options.units.split(",")), batch_tokens=options.batch * options.tokens),
        loaded.info,
        loaded.device,
        loaded.dtype,
    )
    walk = Walk(loaded, loaded.stack(None))
    started = time.perf_counter()
    found: dict[bool, list[Measurer]] = {True: [], False: []}
    seconds: dict[bool, list[float]] = {True: [], False: []}
    for repeat in range(options.repeats + 1):
        for naive in (True, False):
            measurer = Measurer(loaded, work, settings, naive=naive, walk=walk)
            taken = timed(lambda measurer=measurer: run_scan(measurer, units(measurer)), loaded.device)
            found[naive] = [measurer]
            if repeat:
                seconds[naive].append(taken)
    print(f"{options.model}, {loaded.device}, {loaded.dtype}, torch {torch.__version__}, {options.batch} x {options.tokens} tokens")
    _report(seconds, found[True][0], found[False][0], loaded)
    print(f"all in all {time.perf_counter() - started:.0f} s")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="sample", help="sample, a folder, or random weights: tiny, sample-shape, 7b")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--tokens", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--units", default="block", help="block,attention,mlp")
    return parser.parse_args()


def load(model: str, device: str, dtype: str) -> LoadedModel:
    """The sample, a folder, or random weights in a known shape, built on the device."""
    if model not in SHAPES:
        from analysis.models.load import load_model

        source = ModelSource(kind="sample") if model == "sample" else ModelSource(kind="folder", location=model)
        return load_model(source, device=device, dtype=dtype)
    from transformers import LlamaConfig, LlamaForCausalLM

    kind = getattr(torch, dtype) if dtype != "auto" else torch.bfloat16 if device.startswith("cuda") else torch.float32
    with torch.device(device):
        torch.set_default_dtype(kind)
        made = LlamaForCausalLM(LlamaConfig(**SHAPES[model])).eval()
        torch.set_default_dtype(torch.float32)
    info, stacks = assemble(made, Identity(model, ModelSource(kind="folder"), "", made.dtype))
    return LoadedModel(made, info, stacks, None, made.device, made.dtype)


def random_workload(loaded: LoadedModel, sequences: int, length: int) -> EncodedWorkload:
    """Sequences of one length, of random tokens."""
    generator = np.random.default_rng(0)
    return workload_of([generator.integers(5, loaded.info.vocab_size, length) for _ in range(sequences)], "random")


def workload_of(sequences: list[np.ndarray], name: str) -> EncodedWorkload:
    """Token sequences as an encoded workload; every token counts."""
    examples = tuple(
        EncodedExample(
            example_id=hashlib.sha256(f"{name} {number}".encode()).hexdigest(),
            slice=name,
            weight=1.0,
            critical=False,
            input_ids=np.asarray(ids, dtype=np.int64),
            kinds=np.full(len(ids), PROMPT, dtype=np.uint8),
            n_cut=0,
            excerpt="",
        )
        for number, ids in enumerate(sequences)
    )
    tokens, n = sum(len(ids) for ids in sequences), len(sequences)
    info = WorkloadInfo(
        name=name, content_hash=name, files=(), n_examples=n, n_calibration=n, n_verification=0, n_with_response=0, slices=()
    )
    counts = TokenCounts(n_examples=n, n_tokens=tokens, n_prompt=tokens, n_response=0, n_template=0)
    return EncodedWorkload(info, examples, counts, {})


def units(measurer: Measurer) -> tuple[tuple[str, int], ...]:
    """What the scan leaves out."""
    return candidates(measurer.stack, measurer.settings.units)


def timed(run: Callable[[], object], device: torch.device) -> float:
    """Seconds, with the device's queue empty before and after."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    started = time.perf_counter()
    run()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def _report(seconds: dict[bool, list[float]], naive: Measurer, scan: Measurer, loaded: LoadedModel) -> None:
    slow, fast = statistics.median(seconds[True]), statistics.median(seconds[False])
    for name, times, measurer in (("naive scan", seconds[True], naive), ("scan", seconds[False], scan)):
        calls, heads = measurer.tally.block_calls, measurer.tally.head_passes
        print(f"{name:10} {statistics.median(times):.3f} s (min {min(times):.3f}), block calls {calls:.1f}, heads {heads:.1f}")
    print(f"RATIO      {fast / slow:.3f}   (of the fastest: {min(seconds[False]) / min(seconds[True]):.3f})")
    floor = _floor(scan, loaded)
    print(f"floor      {floor:.3f} s = {floor / slow:.3f} of naive; scan / floor {fast / floor:.3f}")
    pairs = [(scan.found[removed], naive.found[removed]) for removed in naive.found if removed]
    print(f"largest |loss difference| over {len(pairs)} candidates: {max(abs(a.loss - b.loss) for a, b in pairs):.2e}")
    print(f"Spearman of the changes: {_spearman([pair[0] for pair in pairs], [pair[1] for pair in pairs]):.4f}; proved: {scan.walk.proved}")


@torch.no_grad()
def _floor(measurer: Measurer, loaded: LoadedModel) -> float:
    """Seconds of the least arithmetic, at the speed of the plain model: its blocks, and its head on the judged tokens."""
    batch, n_blocks = measurer.batches[0], len(measurer.stack.blocks)
    final = measurer.walk.forward(batch)
    judge = measurer._judge(batch)
    rows = final.flatten(0, 1).index_select(0, judge.rows)[None]
    judge.losses(rows)
    stack = statistics.median(timed(lambda: measurer.walk.forward(batch), loaded.device) for _ in range(3))
    head = statistics.median(timed(lambda: judge.losses(rows), loaded.device) for _ in range(3))
    heads = measurer.tally.head_passes
    calls = n_blocks * (n_blocks + 1) / 2 if measurer.settings.units == ("block",) else measurer.tally.block_calls
    print(f"plain stack {stack:.4f} s, head {head:.4f} s a batch")
    return calls * stack / n_blocks + heads * head


def _spearman(one: list[MeasuredSet], other: list[MeasuredSet]) -> float:
    ranks = [np.argsort(np.argsort([found.change for found in sets])) for sets in (one, other)]
    return float(np.corrcoef(*ranks)[0, 1])


if __name__ == "__main__":
    main()
