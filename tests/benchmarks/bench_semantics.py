"""What the traces cost beside a profile: time as a ratio in one run, one-off work on its own, and memory.

    python tests/benchmarks/bench_semantics.py --model sample --device cpu --lens 256
    python tests/benchmarks/bench_semantics.py --model 7b --device cuda --dtype bfloat16 --length 1024 --sequences 64 --responses 0.5

The same units run in turn without and with the traces, several times; the ratio is that of the medians. Making the
bases and the backward pass happen once a job, whatever its size, so they are timed by themselves. Needs only torch,
transformers and the engine.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

from analysis.contracts import ProfileSettings, SemanticSettings
from analysis.models.stack import LoadedModel
from analysis.profiling.run import ProfileJob, resolve_settings
from analysis.semantics.gradients import gradient_norms
from analysis.semantics.run import _TraceJob
from analysis.semantics.scores import TraceBook
from analysis.semantics.sums import TraceSums
from analysis.semantics.tokens import plan_tokens
from analysis.workload import RESPONSE, EncodedWorkload
from tests.benchmarks.bench_profile import _encoded, _load

MIB = 2**20
T = TypeVar("T")


def main() -> None:
    """Parses the arguments, measures, prints a table."""
    options = _options()
    loaded = _load(options)
    encoded = _answered(_encoded(options, loaded), options.responses) if options.length else _encoded(options, loaded)
    asked = ProfileSettings(unit_tokens=options.unit, batch_tokens=options.batch, cka_minibatch=options.minibatch)
    settings = resolve_settings(asked, loaded.info, loaded.device, loaded.dtype)
    semantic = SemanticSettings(lens_tokens=options.lens, gradient_tokens=options.gradient_tokens, gradients=False)

    def job() -> ProfileJob:
        return ProfileJob(loaded, encoded, settings)

    plan = plan_tokens(encoded, semantic, None)
    bases_seconds, sums = _timed(lambda: _TraceJob(job(), semantic, plan, None, None)._sums(), loaded)
    plain, traced = _interleave(job, sums, options.repeats, loaded)
    _report(options, loaded, encoded, sums, bases_seconds, plain, traced)
    seconds, norms = _timed(lambda: gradient_norms(loaded, loaded.stack(), encoded, tokens=options.gradient_tokens), loaded)
    print(f"backward pass  {seconds:8.3f} s once, over {norms.n_examples} prompts, {norms.n_tokens} response tokens{_peak(loaded)}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="sample", help="sample, sample-shape (random weights), 7b (random weights)")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--length", type=int, default=0, help="tokens in each sequence; 0: the sample workload itself")
    parser.add_argument("--sequences", type=int, default=32)
    parser.add_argument("--responses", type=float, default=0.5, help="share of each sequence that is response, with --length")
    parser.add_argument("--slices", type=int, default=1)
    parser.add_argument("--unit", type=int, default=None)
    parser.add_argument("--batch", type=int, default=None)
    parser.add_argument("--minibatch", type=int, default=128)
    parser.add_argument("--lens", type=int, default=2048, help="response tokens that go through the head at every position; 0: none")
    parser.add_argument("--gradient-tokens", type=int, default=4096)
    parser.add_argument("--repeats", type=int, default=5)
    return parser.parse_args()


def _answered(encoded: EncodedWorkload, share: float) -> EncodedWorkload:
    """The same sequences with their last part as the response."""
    examples = []
    for example in encoded.examples:
        kinds = example.kinds.copy()
        kinds[len(kinds) - max(1, round(share * len(kinds))) :] = RESPONSE
        examples.append(replace(example, kinds=kinds))
    return replace(encoded, examples=tuple(examples))


def _timed(work: Callable[[], T], loaded: LoadedModel) -> tuple[float, T]:
    if loaded.device.type == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    started = time.perf_counter()
    found = work()
    if loaded.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started, found


def _pass(job: ProfileJob, sums: TraceSums | None) -> None:
    if sums is not None:
        for tensor in sums.state().values():
            tensor.zero_()
        job.accumulators = (sums,)
    job.stream(job.units()).run()


def _interleave(
    job: Callable[[], ProfileJob], sums: TraceSums, repeats: int, loaded: LoadedModel
) -> tuple[list[tuple[float, int]], list[tuple[float, int]]]:
    """[(seconds, peak bytes)] of each repetition, without and with the traces, in turn; one of each to warm up."""
    found: tuple[list[tuple[float, int]], list[tuple[float, int]]] = ([], [])
    for repeat in range(repeats + 1):
        for into, what in zip(found, (None, sums), strict=True):
            ready = job()
            seconds, _ = _timed(lambda ready=ready, what=what: _pass(ready, what), loaded)
            peak = torch.cuda.max_memory_allocated() if loaded.device.type == "cuda" else 0
            if repeat:
                into.append((seconds, peak))
    return found


def _report(
    options: argparse.Namespace,
    loaded: LoadedModel,
    encoded: EncodedWorkload,
    sums: TraceSums,
    bases_seconds: float,
    plain: list[tuple[float, int]],
    traced: list[tuple[float, int]],
) -> None:
    tokens = sum(len(example.input_ids) for example in encoded.examples)
    overall = TraceBook(sums).of("overall")
    lens = overall.lens.n_tokens if overall.lens else 0
    bases = sums.tracer.bases
    print(f"\n{options.model}, {loaded.device}, {loaded.dtype}, torch {torch.__version__}")
    print(
        f"{len(encoded.examples)} examples, {tokens} tokens, {overall.n_tokens} of them traced, {lens} through the head at every position"
    )
    for name, runs in (("profile", plain), ("with traces", traced)):
        seconds = [one for one, _ in runs]
        median = statistics.median(seconds)
        print(f"{name:14} {median:8.3f} s {tokens / median:>12,.0f} tokens/s (min {min(seconds):.3f}, max {max(seconds):.3f})")
    medians = [statistics.median([one for one, _ in runs]) for runs in (plain, traced)]
    fastest = [min(one for one, _ in runs) for runs in (plain, traced)]
    print(f"ratio          {medians[1] / medians[0]:8.3f}   (of the fastest: {fastest[1] / fastest[0]:.3f})")
    print(f"by its own clock {sums.own_seconds:.3f} s in the last run")
    print(f"bases          {bases_seconds:8.3f} s once, {bases.n_words} words, condition number {bases.condition_number:,.0f}")
    if loaded.device.type == "cuda":
        peaks = [max(peak for _, peak in runs) / MIB for runs in (plain, traced)]
        print(f"peak memory    profile {peaks[0]:,.0f} MiB, with traces {peaks[1]:,.0f} MiB (+{peaks[1] - peaks[0]:,.0f})")


def _peak(loaded: LoadedModel) -> str:
    return f", peak {torch.cuda.max_memory_allocated() / MIB:,.0f} MiB" if loaded.device.type == "cuda" else ""


if __name__ == "__main__":
    main()
