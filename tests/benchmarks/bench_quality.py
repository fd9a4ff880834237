"""How good the projected loss of a plan is: a search, then random plans whose measured losses the projection never saw.

    python tests/benchmarks/bench_quality.py --model sample --device cpu --tokens 2048
    python tests/benchmarks/bench_quality.py --model FOLDER --device cuda --dtype bfloat16 --tokens 16384 --plans 60

Plans mix layers, attentions and MLPs, 2 to 10 units each (a single unit is always measured). "any": drawn from all units
alike; "likely": from the two thirds that cost least alone, as plans do. Each is projected from the ablation scan alone,
from the search without its random sets, and from the whole search. Wanted: Spearman >= 0.9 and 90 % intervals that hold
>= 85 % of the plans.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

from analysis.contracts import MeasuredSet, Message, ModelSource, Search, SearchRequest, SearchSettings, UnitRef, UnitSet
from analysis.contracts.search import ordered
from analysis.models.load import describe_model, load_model
from analysis.planning.quality import QualityModel
from analysis.search.losses import Measurer
from analysis.search.run import search_model, within_tokens
from analysis.workload import Encoder, encode_workload, requested_workload

SIZES = range(2, 11)


def main() -> None:
    """Parses the arguments, searches, measures, prints."""
    options = _options()
    source = ModelSource(kind="sample") if options.model == "sample" else ModelSource(kind="folder", location=options.model)
    settings = SearchSettings(
        device=options.device,
        dtype=options.dtype,
        max_total_tokens=options.tokens,
        strategies=("one_shot", "last_n", "random", "greedy", "beam"),
        limit=options.limit,
        seed=options.seed,
    )
    workload = requested_workload(SearchRequest(model=source, workload_paths=tuple(options.workload), settings=settings))
    folder = describe_model(source).tokenizer_folder
    assert folder is not None
    encoded = within_tokens(
        encode_workload(workload, Encoder.from_folder(folder), max_tokens=settings.max_tokens, chat_template=True), options.tokens
    )
    loaded = load_model(source, device=options.device, dtype=options.dtype)
    started = time.perf_counter()
    search = search_model(loaded, encoded, settings)
    sizes = f"{len(search.singles)} singles, {len(search.pairs)} pairs, {len(search.sets)} larger sets"
    print(f"{options.model}, {search.device_name}, {loaded.dtype}, torch {torch.__version__}, {search.n_tokens} tokens that count")
    print(f"search: {sizes} in {time.perf_counter() - started:.1f} s; base loss {search.base_loss:.4f}; limit {options.limit}")
    measurer = Measurer(loaded, encoded, search.settings)
    for kind in ("any", "likely"):
        plans = random_plans(search, kind, options.plans, options.seed + 1)
        truth = measurer.measure(plans, Message(id="Running the untouched model"))
        print(f"{len(plans)} random plans, {kind}:")
        for name, known in parts(search).items():
            report(name, QualityModel.fit(known), truth)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="sample", help="sample, or a folder")
    parser.add_argument("--workload", nargs="*", default=[], help="workload files; none: the sample workload")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--tokens", type=int, default=4096, help="calibration tokens at most")
    parser.add_argument("--plans", type=int, default=60)
    parser.add_argument("--limit", default="25%", help="how much the search removes at most")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def parts(search: Search) -> Mapping[str, Search]:
    """The whole search, and the same with less of it known."""
    drawn = {
        found.removed for found in search.sets if not found.found_by and not any(found.removed in path for path in search.paths.values())
    }
    answers = tuple(found for found in search.sets if found.removed not in drawn)
    return {
        "scan alone": search.model_copy(update={"pairs": (), "sets": ()}),
        "answers of the strategies only": search.model_copy(update={"sets": answers}),
        "whole search": search,
    }


def random_plans(search: Search, kind: str, n: int, seed: int) -> list[UnitSet]:
    """Sets of all sizes alike that the search did not measure."""
    generator, known = np.random.default_rng((seed, len(kind))), search.measured()
    cost: dict[UnitRef, float] = {found.removed[0]: found.change for found in search.singles}
    units = sorted(cost, key=lambda ref: (cost[ref], ref))
    pool = units if kind == "any" else units[: 2 * len(units) // 3]
    plans: list[UnitSet] = []
    for attempt in range(50 * n):
        if len(plans) == n:
            break
        size = min(SIZES[attempt % len(SIZES)], len(pool) // 2)
        drawn = ordered(tuple(pool[place] for place in generator.choice(len(pool), size=size, replace=False)))
        if len(drawn) == size and drawn not in known and drawn not in plans:
            plans.append(drawn)
    return plans


def report(name: str, model: QualityModel, truth: Mapping[UnitSet, MeasuredSet]) -> None:
    """Rank correlation, share inside the interval, errors, and the plain sum of the single changes beside them."""
    projected = [model.predict(removed) for removed in truth]
    assert not any(one.measured for one in projected)
    measured = np.array([found.change for found in truth.values()])
    values = np.array([one.loss_change for one in projected])
    inside = [one.interval[0] <= change <= one.interval[1] for one, change in zip(projected, measured, strict=True)]
    below = np.mean([change < one.interval[0] for one, change in zip(projected, measured, strict=True)])
    sums = np.array([sum(model.singles[ref] for ref in removed) for removed in truth])
    width = np.median([one.interval[1] - one.interval[0] for one in projected])
    print(
        f"  {name:32} Spearman {spearman(values, measured):.3f}  90% interval holds {np.mean(inside):.0%} ({below:.0%} fall below)  "
        f"median |error| {np.median(np.abs(values - measured)):.3f} of {np.median(measured):.3f} nats, interval {width:.3f} wide  "
        f"[sum alone: {spearman(sums, measured):.3f}, {np.median(np.abs(sums - measured)):.3f}]"
    )


def spearman(one: Sequence[float] | np.ndarray, other: Sequence[float] | np.ndarray) -> float:
    """Rank correlation; ties are rare here."""
    ranks = [np.argsort(np.argsort(values)) for values in (one, other)]
    return float(np.corrcoef(*ranks)[0, 1])


if __name__ == "__main__":
    main()
