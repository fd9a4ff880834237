"""A full step of the consensus against one whole run for every candidate and member, timed in turn in one run.

    python tests/benchmarks/bench_ranking.py --model sample --device cpu --batch 4 --tokens 256
    python tests/benchmarks/bench_ranking.py --model sample --device cuda --dtype bfloat16 --batch 32 --tokens 512
    python tests/benchmarks/bench_ranking.py --model 7b --device cuda --dtype bfloat16 --batch 8 --tokens 512

The step walks once and asks all voters that are named; passes, gradients and the voters' arithmetic are told apart. Naive: one
whole run of the model for each candidate, the candidate left out, to the final states at the same positions; what that takes
is multiplied by the number of members, because each would run its own. Members' arithmetic is the same in both and left
out of the naive side, which favours it. All is run once to warm up and then in turn; ratios are of medians.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[2]))
sys.path.insert(0, str(Path(__file__).parent))

from bench_scan import load, random_workload, timed

from analysis.contracts import DEFAULT_VOTERS, MEMBERS, Ranking, RankingSettings, UnitRef
from analysis.models.stack import LoadedModel
from analysis.search.batches import cut_batches
from analysis.search.positions import Positions, draw_positions
from analysis.search.ranking_run import rank_model
from analysis.search.walk import Walk
from analysis.surgery.skip import left_out
from analysis.workload import EncodedWorkload


def main() -> None:
    """Parses the arguments, measures, prints."""
    options = _options()
    loaded = load(options.model, options.device, options.dtype)
    work = random_workload(loaded, options.batch, options.tokens)
    settings = RankingSettings(
        voters=MEMBERS
        if options.voters == "members"
        else DEFAULT_VOTERS
        if options.voters == "default"
        else tuple(options.voters.split(",")),
        unit=options.unit,
        max_tokens=options.tokens,
        max_total_tokens=options.batch * options.tokens,
        feature_tokens=options.positions,
        batch_tokens=options.batch_tokens,
        replicates=options.replicates,
        device=options.device,
    )
    steps, naive, rankings = [], [], []
    for repeat in range(options.repeats + 1):
        whole: list[Ranking] = []
        taken = timed(lambda whole=whole: whole.append(rank_model(loaded, work, settings)), loaded.device)
        positions = draw_positions(work.examples, options.positions)
        refs = whole[0].steps[0].candidates
        slow = timed(lambda refs=refs, at=positions: _naive(loaded, work, refs, at, options.batch_tokens), loaded.device)
        if repeat or not options.repeats:
            steps.append(taken)
            naive.append(slow)
            rankings.append(whole[0])
    print(f"{options.model}, {loaded.device}, {loaded.dtype}, torch {torch.__version__}, {options.batch} x {options.tokens} tokens")
    _report(rankings, steps, naive)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="sample", help="sample, a folder, or random weights: tiny, sample-shape, 7b")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--batch", type=int, default=8, help="sequences")
    parser.add_argument("--tokens", type=int, default=256, help="in each sequence")
    parser.add_argument("--batch-tokens", type=int, default=1024, help="tokens of one stream that are run together")
    parser.add_argument("--positions", type=int, default=2048)
    parser.add_argument("--replicates", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--unit", default="block")
    parser.add_argument("--voters", default="default", help="default, members, or names")
    return parser.parse_args()


@torch.no_grad()
def _naive(loaded: LoadedModel, work: EncodedWorkload, refs: tuple[UnitRef, ...], positions: Positions, batch_tokens: int) -> None:
    """Final states at the positions, one whole run of the model for each candidate: what one member alone would run."""
    stack = loaded.stack()
    walk = Walk(loaded, stack)
    batches = cut_batches(work.examples, batch_tokens, causal=stack.info.causal)
    rows = [torch.from_numpy(positions.of_batch(batch)[1]).to(loaded.device) for batch in batches]
    for ref in refs:
        with left_out(stack, (ref,)):
            for batch, chosen in zip(batches, rows, strict=True):
                walk.forward(batch).flatten(0, 1).index_select(0, chosen)


def _report(rankings: list[Ranking], steps: list[float], naive: list[float]) -> None:
    cost, step = rankings[-1].steps[0].cost, rankings[-1].steps[0]
    n_members = sum(vote.voter in MEMBERS for vote in step.votes)
    print(f"{'block calls':24} {cost.block_calls:.1f} of {cost.naive_block_calls:.0f} = {cost.block_calls / cost.naive_block_calls:.4f}")
    print(f"{'head passes':24} {cost.head_passes:.1f}; gradient voters' passes {cost.backward_passes:.2f}")
    for name in ("pass_seconds", "metric_seconds"):
        times = [getattr(ranking.steps[0].cost, name) for ranking in rankings]
        print(f"{name:24} {statistics.median(times):.3f} (min {min(times):.3f})")
    whole, slow = statistics.median(steps), max(1, n_members) * statistics.median(naive)
    print(f"{'step, everything':24} {whole:.3f} s (min {min(steps):.3f})")
    print(f"{'naive passes':24} {slow:.3f} s = {max(1, n_members)} members x {statistics.median(naive):.3f} s")
    passes = statistics.median([ranking.steps[0].cost.pass_seconds for ranking in rankings])
    print(f"{'RATIO':24} passes {passes / slow:.4f}, everything {whole / slow:.4f}")
    for vote in step.votes:
        said = "" if vote.abstained is None else f"  abstained: {vote.abstained.in_english()}"
        print(f"  {vote.voter:22} {vote.seconds:.3f} s{said}")
    if rankings[-1].features is not None:
        print(rankings[-1].features)


if __name__ == "__main__":
    started = time.perf_counter()
    main()
    print(f"all in all {time.perf_counter() - started:.0f} s")
