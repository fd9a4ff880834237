"""Every criterion and every consensus of them: what they remove, what that costs, and how well they foretell a single removal.

    python tests/benchmarks/bench_criteria.py --device cuda --text wikitext-2-valid.txt
    python tests/benchmarks/bench_criteria.py --device cpu --text FILE --draws 1 --windows 8 --report-windows 8 --sizes 3

The text is cut into windows. Each draw ranks on windows of its own; the report part is the same for all and shares no window
with any of them. Tables: perplexity after 3, 6 and 8 removals (lowest first of one ranking, and measured again after every
removal), Spearman of every criterion with the true loss of single removals (and the truth's own split-half Spearman as the
ceiling), weights fitted on a few measured removals beside the plain sum, and what a step runs and takes.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))
sys.path.insert(0, str(Path(__file__).parent))

from bench_scan import load, random_workload, workload_of

from analysis.contracts import (
    CHEAP_VOTERS,
    DEFAULT_VOTERS,
    MEMBERS,
    Message,
    Ranking,
    RankingSettings,
    Rule,
    SearchSettings,
    UnitRef,
    UnitSet,
    Voter,
)
from analysis.contracts.search import ordered
from analysis.models.stack import LoadedModel
from analysis.planning.agreement import spearman
from analysis.planning.consensus import consensus
from analysis.planning.consensus_weights import fit_weights
from analysis.search.losses import Measurer
from analysis.search.ranking_run import rank_model
from analysis.search.ranking_settings import resolve_ranking_settings
from analysis.search.result import resolve_settings
from analysis.workload import EncodedWorkload, Encoder

FAMILIES: Mapping[str, tuple[Voter, ...]] = {
    "final features": MEMBERS,
    "stream": ("block_influence", "angular_distance"),
    "gradients": ("taylor", "gradient_x_activation"),
}
BY_FAMILY: dict[Voter, float] = {voter: 1 / len(members) for members in FAMILIES.values() for voter in members}
"""Every family one voice, however many criteria it has."""
WAYS: tuple[tuple[str, Rule, tuple[Voter, ...], Mapping[Voter, float]], ...] = (
    ("rank sum of the eight (released)", "rank_sum", MEMBERS, {}),
    ("rank sum, without loss", "rank_sum", CHEAP_VOTERS, {}),
    ("one voice a family, without loss", "borda", CHEAP_VOTERS, BY_FAMILY),
    ("median rank, without loss", "median_rank", CHEAP_VOTERS, {}),
    ("unanimity, without loss", "unanimity", CHEAP_VOTERS, {}),
    ("Kemeny, without loss", "kemeny", CHEAP_VOTERS, {}),
    ("rank sum, with loss", "rank_sum", DEFAULT_VOTERS, {}),
    ("one voice a family, with loss", "borda", DEFAULT_VOTERS, BY_FAMILY),
    ("median rank, with loss", "median_rank", DEFAULT_VOTERS, {}),
)
Orders = dict[str, tuple[UnitRef, ...]]


def main() -> None:
    """Parses the arguments, ranks each draw, judges all on the report part, prints tables."""
    options = _options()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # a run that is cut short shows what it has
    loaded = load(options.model, options.device, options.dtype)
    draws, report_part = _parts(options, loaded)
    print(f"\n{loaded.info.name}, {loaded.device}, {loaded.dtype}; {len(draws)} draws of {draws[0].counts.n_tokens} tokens, ", end="")
    print(f"reporting on {report_part.counts.n_tokens} tokens\n")
    settings = resolve_settings(SearchSettings(units=("block",)), loaded.info, loaded.device, loaded.dtype)
    report = Measurer(loaded, report_part, settings)
    singles: list[UnitSet] = [(("block", block),) for block in range(loaded.stack().info.n_blocks)]
    truth = [found.change for found in report.measure(singles, Message(id="")).values()]
    ceiling = _split_half(report, singles)
    orders, foretold = list[Orders](), list[dict[str, float]]()
    for number, draw in enumerate(draws):
        ranked, scores = _ranked(loaded, draw, options, number)
        stepped = {} if options.one_shot else _stepwise(loaded, draw, options, ranked)
        orders.append(_orders(ranked, options) | stepped)
        foretold.append(_foretold(scores, truth))
    if options.out:
        Path(options.out).write_text(json.dumps(orders), encoding="utf-8")
    _perplexity_table(report, orders, [int(size) for size in options.sizes.split(",")])
    _spearman_table(foretold, ceiling)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="sample", help="sample, a folder, or random weights (a check that everything runs): tiny")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--text", nargs="*", default=[], help="text files")
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--windows", type=int, default=32, help="windows of a draw")
    parser.add_argument("--report-windows", type=int, default=96)
    parser.add_argument("--tokens", type=int, default=512, help="tokens in a window")
    parser.add_argument("--sizes", default="3,6,8")
    parser.add_argument("--fit-on", type=int, default=12, help="measured removals that weights are fitted on")
    parser.add_argument("--one-shot", action="store_true", help="nothing step by step")
    parser.add_argument("--feature-tokens", type=int, default=None)
    parser.add_argument("--out", default=None, help="a JSON file for what every way removes, draw by draw")
    return parser.parse_args()


def _parts(options: argparse.Namespace, loaded: LoadedModel) -> tuple[list[EncodedWorkload], EncodedWorkload]:
    """Windows for each draw, spread over the first part of the text, and the report part from its end."""
    if loaded.tokenizer_folder is None:
        drawn = random_workload(loaded, options.draws * options.windows + options.report_windows, options.tokens).examples
        return _divided([example.input_ids for example in drawn], options)
    text = "\n".join(Path(path).read_text(encoding="utf-8") for path in options.text)
    ids = np.array(Encoder.from_folder(loaded.tokenizer_folder).tokenizer.encode(text, add_special_tokens=False).ids)
    windows = [ids[first : first + options.tokens] for first in range(0, len(ids) - options.tokens + 1, options.tokens)]
    return _divided(windows, options)


def _divided(windows: Sequence[np.ndarray], options: argparse.Namespace) -> tuple[list[EncodedWorkload], EncodedWorkload]:
    needed = options.draws * options.windows + options.report_windows
    if needed > len(windows):
        raise SystemExit(f"The text has {len(windows)} windows of {options.tokens} tokens; {needed} were asked for.")
    free = np.random.default_rng(0).permutation(len(windows) - options.report_windows)
    chosen = [free[number * options.windows : (number + 1) * options.windows] for number in range(options.draws)]
    draws = [workload_of([windows[place] for place in places], f"draw {number}") for number, places in enumerate(chosen)]
    return draws, workload_of(windows[-options.report_windows :], "report")


def _settings(loaded: LoadedModel, options: argparse.Namespace, **changes: object) -> RankingSettings:
    asked = RankingSettings(
        max_tokens=options.tokens, max_total_tokens=options.windows * options.tokens, feature_tokens=options.feature_tokens, replicates=0
    )
    return resolve_ranking_settings(asked.model_copy(update=changes), loaded.info, loaded.device, loaded.dtype)


def _ranked(
    loaded: LoadedModel, draw: EncodedWorkload, options: argparse.Namespace, number: int
) -> tuple[Ranking, dict[str, list[float | None]]]:
    """One ranking by all voters, and each criterion's scores, low = replaceable."""
    started = time.perf_counter()
    ranking = rank_model(loaded, draw, _settings(loaded, options, voters=DEFAULT_VOTERS))
    step = ranking.steps[0]
    cost = step.cost
    print(f"draw {number}: one ranking in {time.perf_counter() - started:.1f} s; passes {cost.pass_seconds:.2f} s, ", end="")
    print(f"metrics {cost.metric_seconds:.2f} s; {cost.block_calls:.0f} block calls, {cost.naive_block_calls:.0f} ", end="")
    print(f"with one forward per candidate and member ({cost.block_calls / cost.naive_block_calls:.3f})")
    for vote in step.votes:
        print(f"  {vote.voter:24} {vote.seconds:7.2f} s" + ("" if vote.votes else f"  abstains: {vote.abstained}"))
    scores = {vote.voter: list(vote.values) for vote in step.votes if vote.votes}
    for name, rule, voters, weights in WAYS:
        scores[name] = list(consensus(step.votes, step.candidates, rule=rule, weights=weights, voters=voters).scores)
    scores |= _fitted(ranking, options)
    return ranking, scores  # type: ignore[return-value]  # voters' names are texts


def _fitted(ranking: Ranking, options: argparse.Namespace) -> dict[Voter, list[float | None]]:
    """Weights of the voters without loss, fitted on the calibration loss of a few removals; the others are foretold."""
    step, random = ranking.steps[0], np.random.default_rng(0)
    loss = step.vote("ablation_loss")
    assert loss is not None
    known = set(map(int, random.choice(len(step.candidates), options.fit_on, replace=False)))
    truth = tuple(value if place in known else None for place, value in enumerate(loss.values))
    if options.fit_on < 10:
        return {}  # too few to fit to
    fitted = fit_weights([vote for vote in step.votes if vote.voter in CHEAP_VOTERS], truth, seed=0)
    kept = {voter: round(weight, 2) for voter, weight in fitted.weights.items() if weight > 0}
    print(f"  fitted on {fitted.n}: {kept}; cross-validated Spearman {fitted.cv_spearman:.3f}, plain sum {fitted.unweighted_spearman:.3f}")
    found = consensus(step.votes, step.candidates, rule="borda", weights=fitted.weights, voters=CHEAP_VOTERS)
    return {f"borda, fitted on {options.fit_on} removals": list(found.scores)}  # type: ignore[dict-item]


def _orders(ranking: Ranking, options: argparse.Namespace) -> Orders:
    """What each way takes out of one ranking, lowest first."""
    step = ranking.steps[0]
    orders: Orders = {}
    for vote in step.votes:
        if vote.votes:
            orders[vote.voter] = consensus(step.votes, step.candidates, voters=(vote.voter,)).order
    for name, rule, voters, weights in WAYS:
        orders[name] = consensus(step.votes, step.candidates, rule=rule, weights=weights, voters=voters).order
    return orders


def _stepwise(loaded: LoadedModel, draw: EncodedWorkload, options: argparse.Namespace, ranking: Ranking) -> Orders:
    """The same ways, measured again after every removal."""
    most = max(int(size) for size in options.sizes.split(","))
    found: Orders = {}
    for name, rule, voters, weights in WAYS:
        if "Kemeny" in name or "unanimity" in name:
            continue
        started = time.perf_counter()
        asked = _settings(loaded, options, voters=voters, rule=rule, weights=dict(weights), amount=f"{most} layers")
        found[f"{name}, step by step"] = rank_model(loaded, draw, asked).taken
        print(f"  {name}, {most} steps: {time.perf_counter() - started:.1f} s")
    greedy = _settings(loaded, options, voters=("ablation_loss",), amount=f"{most} layers")
    found["ablation_loss, step by step"] = rank_model(loaded, draw, greedy).taken
    return found


def _split_half(report: Measurer, singles: Sequence[UnitSet]) -> float:
    """Spearman between the truth on even and on odd windows: what no criterion can be expected to beat on half of the text."""
    halves = [slice(start, None, 2) for start in (0, 1)]
    base = report.sums[()]
    found = [[float((report.sums[removed] - base)[half].sum()) for removed in singles] for half in halves]
    return spearman(found[0], found[1])


def _foretold(scores: Mapping[str, Sequence[float | None]], truth: Sequence[float]) -> dict[str, float]:
    """Spearman of each criterion with the true change in loss, over candidates that it ranks."""
    found = {}
    for name, values in scores.items():
        known = [place for place, value in enumerate(values) if value is not None]
        found[name] = spearman([values[place] for place in known], [truth[place] for place in known])
    return found


def _perplexity_table(report: Measurer, draws: Sequence[Orders], sizes: Sequence[int]) -> None:
    names = list(draws[0])
    sets = {ordered(orders[name][:size]) for orders in draws for name in names for size in sizes if len(orders[name]) >= size}
    there = report.measure([(), *sets], Message(id=""))
    print(f"\nPerplexity on the report part after so many removals (untouched {math.exp(there[()].loss):.2f}); one figure a draw\n")
    print("| criterion | " + " | ".join(f"{size} removed" for size in sizes) + " | removed by the first draw |")
    print("|---|" + "---|" * (len(sizes) + 1))
    for name in names:
        cells = []
        for size in sizes:
            found = [math.exp(there[ordered(orders[name][:size])].loss) for orders in draws if len(orders[name]) >= size]
            cells.append(" / ".join(f"{value:.1f}" for value in found) + f" (mean {math.exp(np.log(found).mean()):.1f})")
        print(f"| {name} | " + " | ".join(cells) + " | " + ",".join(str(block) for _, block in draws[0][name][: max(sizes)]) + " |")


def _spearman_table(draws: Sequence[Mapping[str, float]], ceiling: float) -> None:
    print(f"\nSpearman with the true loss of single removals; the truth's own split-half Spearman (ceiling): {ceiling:.3f}\n")
    print("| criterion | draws | mean | share of the ceiling |")
    print("|---|---|---|---|")
    means = {name: float(np.mean([found[name] for found in draws])) for name in draws[0]}
    for name in sorted(means, key=lambda each: -means[each]):
        told = " / ".join(f"{found[name]:.3f}" for found in draws)
        print(f"| {name} | {told} | {means[name]:.3f} | {means[name] / ceiling:.3f} |")


if __name__ == "__main__":
    main()
