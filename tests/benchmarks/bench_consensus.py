"""The eight members with resamples against plain float64 scipy, timed in one run.

    python tests/benchmarks/bench_consensus.py --device cpu
    python tests/benchmarks/bench_consensus.py --device cuda --dtype bfloat16 --width 4096 --positions 8192 --prompts 512 --candidates 32

Plain: the definitions written out (tests/similarity/oracle.py), one candidate and one resample after the other, positions
repeated as often as they are drawn. Only `--plain` (candidate, draw) pairs are run that way; its time is for all of them at that
speed. Features are random with a falling spectrum, and the candidates further and further away; `--features FILE` takes real
ones instead: a torch file of (base [N, q], ablated [M, N, q], prompts [N]).
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

from analysis.contracts import MEMBERS
from analysis.similarity import FeatureBank, MemberScores, member_scores
from tests.similarity import oracle


def main() -> None:
    """Parses the arguments, measures, prints."""
    options = _options()
    bank = bank_of(options)
    draws = torch.poisson(torch.ones(options.resamples, bank.n_prompts), generator=torch.Generator().manual_seed(1))
    member_scores(bank, MEMBERS, dimension=options.dimension, weights=draws[:2])  # warm up
    started = time.perf_counter()
    scores = member_scores(bank, MEMBERS, dimension=options.dimension, weights=draws)
    total = time.perf_counter() - started
    n, q = bank.base.shape
    print(f"{options.device}, torch {torch.__version__}, {torch.get_num_threads()} threads, {bank.base.dtype}")
    print(f"{bank.n_candidates} candidates x {options.resamples} resamples, {n} positions of {bank.n_prompts} prompts, width {q}")
    print(f"all members together {total:.2f} s, dimension {scores.dimension}", flush=True)
    report(bank, scores, draws, options.plain)


def bank_of(options: argparse.Namespace) -> FeatureBank:
    """Random features, or those of a file, in eight classes."""
    if options.features:
        base, ablated, prompts = torch.load(options.features)
    else:
        generator = torch.Generator().manual_seed(0)
        n, q = options.positions, options.width
        mix = torch.randn(q, q, generator=generator) * torch.logspace(0, -2, q)[:, None]
        base = torch.randn(n, q, generator=generator) @ mix
        noise = torch.randn(n, q, generator=generator) @ mix
        ablated = torch.stack([base + float(share) * noise for share in torch.linspace(0.05, 1, options.candidates)])
        prompts = torch.arange(n) * options.prompts // n
    n_prompts = int(prompts.max()) + 1
    dtype = getattr(torch, options.dtype)
    return FeatureBank(
        base.to(options.device, dtype),
        ablated.to(options.device, dtype),
        prompts.to(options.device),
        (torch.arange(n_prompts) % 5 == 0).to(options.device),
        (prompts % 8).to(options.device),
    )


def report(bank: FeatureBank, scores: MemberScores, draws: torch.Tensor, plain: int) -> None:
    """A line for each member: its seconds, the plain way's, their ratio, and how far the values are apart."""
    base, ablated = bank.base.double().cpu().numpy(), bank.ablated.double().cpu().numpy()
    prompts, judged = bank.prompts.cpu().numpy(), bank.judged.cpu().numpy()
    space = oracle.principal(base[~judged], scores.dimension)
    labels = prompts % 8
    pairs = len(ablated) * (1 + len(draws))
    print(f"{'':12} {'here s':>9} {'plain s':>10} {'ratio':>8}   largest difference of the values, relative")
    for member in MEMBERS:
        seconds, differences = 0.0, [0.0]
        for number in range(plain):
            place, drawn = number % len(ablated), None if number < len(ablated) else draws[number - len(ablated)].numpy().astype(int)
            times = np.ones(len(base), dtype=int) if drawn is None else drawn[prompts]
            parts = [np.repeat(part, times, axis=0) for part in (base, ablated[place])]
            started = time.perf_counter()
            value = plainly(member, parts, space, np.repeat(judged, times), np.repeat(labels, times))
            seconds += time.perf_counter() - started
            if drawn is None:
                differences.append(abs(float(scores.values[member][place]) - value) / max(abs(value), 1e-12))
        whole = seconds / plain * pairs
        print(
            f"{member:12} {scores.seconds[member]:9.2f} {whole:10.1f} {whole / scores.seconds[member]:7.0f}x   {max(differences):.1e}",
            flush=True,
        )


def plainly(member: str, whole: list[np.ndarray], space: tuple[np.ndarray, np.ndarray], judged: np.ndarray, labels: np.ndarray) -> float:
    """One member's distance by its definition."""
    if member in ("cka", "wasserstein"):
        return oracle.cka(*whole) if member == "cka" else oracle.wasserstein(*whole)
    x, y = ((part - space[0]) @ space[1] for part in whole)
    fit, seen = (x[~judged], y[~judged]), (x[judged], y[judged])
    if member == "permutation":
        return oracle.permutation(*fit, *seen)
    if member in ("procrustes", "cca"):
        return oracle.linear(*fit, 0.0 if member == "cca" else 1.0, *seen)
    return oracle.gaussian(*oracle.clouds(x, labels), *oracle.clouds(y, labels), float(member[-1]), most=1000)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--features", default="", help="a file of real features instead of random ones")
    parser.add_argument("--width", type=int, default=576)
    parser.add_argument("--positions", type=int, default=2048)
    parser.add_argument("--prompts", type=int, default=160)
    parser.add_argument("--candidates", type=int, default=30)
    parser.add_argument("--resamples", type=int, default=200)
    parser.add_argument("--dimension", type=int, default=64)
    parser.add_argument("--plain", type=int, default=2, help="(candidate, draw) pairs that the plain way is timed on")
    return parser.parse_args()


if __name__ == "__main__":
    main()
