"""Every strategy at 3, 6 and 8 removed blocks: perplexity on text it was not chosen on, and what the search ran.

    python tests/benchmarks/bench_search.py --model sample --device cuda --text wikitext-2-valid.txt
    python tests/benchmarks/bench_search.py --model FOLDER --device cuda --text FILE --windows 64 --workload

The text is cut into windows; the first part chooses, the last part reports, and they share no window. Greedy ablation
without any sharing or dropping out is run as well (with the same engine, so that its sets can be compared; its cost is
what it would be one whole run at a time). Then blocks against plans with attentions and MLPs at equal FLOPs saved.
`--workload` does the same with the sample workload's calibration half, reported on its verification half, without the
plans of attentions and MLPs unless `--mixed all` asks for them. All is printed as it comes.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
sys.path.insert(0, str(Path(__file__).parent))

from bench_scan import load, random_workload, workload_of

from analysis.contracts import STRATEGIES, Message, Profile, ProfileSettings, Search, SearchSettings, UnitSet
from analysis.models.stack import LoadedModel
from analysis.planning.spending import savings_of
from analysis.profiling.run import profile_model
from analysis.search.losses import Measurer
from analysis.search.result import resolve_settings
from analysis.search.run import search_model, within_tokens
from analysis.search.scan import candidates
from analysis.search.steering import Steering, steering_for
from analysis.workload import EncodedWorkload, Encoder, encode_workload, sample_workload


def main() -> None:
    """Parses the arguments, searches, prints tables."""
    options = _options()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # a run that is cut short shows what it has
    loaded = load(options.model, options.device, options.dtype)
    works: list[tuple[str, EncodedWorkload, EncodedWorkload]] = []
    if options.text or loaded.tokenizer_folder is None:
        works.append(("text", *_halves(options, loaded)))
    if options.workload:
        works.append(("sample workload", *_sample(options, loaded)))
    for name, choosing, reporting in works:
        print(f"\n## {name}: {loaded.info.name}, {loaded.device}, {loaded.dtype}")
        print(f"choosing on {choosing.counts.n_tokens} tokens, reporting on {reporting.counts.n_tokens} tokens\n")
        _one(options, loaded, choosing, reporting, mixed=options.mixed == "all" or options.mixed == name)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="sample", help="sample, a folder, or random weights: tiny, sample-shape")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--text", nargs="*", default=[], help="text files")
    parser.add_argument("--windows", type=int, default=96, help="windows to choose on, and as many to report on")
    parser.add_argument("--tokens", type=int, default=512, help="tokens in a window")
    parser.add_argument("--workload", action="store_true", help="the sample workload too")
    parser.add_argument("--sizes", default="3,6,8")
    parser.add_argument("--width", type=int, default=3)
    parser.add_argument("--batch", type=int, default=None)
    parser.add_argument("--no-greedy", action="store_true", help="leave the unshared greedy out")
    parser.add_argument(
        "--mixed", default="text", choices=("none", "text", "all"), help="where plans with attentions and MLPs are searched"
    )
    return parser.parse_args()


def _halves(options: argparse.Namespace, loaded: LoadedModel) -> tuple[EncodedWorkload, EncodedWorkload]:
    """The first windows and the last windows of the text."""
    if loaded.tokenizer_folder is None:  # random weights: a check that everything runs
        drawn = random_workload(loaded, 2 * options.windows, options.tokens).examples
        return tuple(workload_of([e.input_ids for e in drawn[start::2]], name) for start, name in enumerate(("choosing", "reporting")))
    text = "\n".join(Path(path).read_text(encoding="utf-8") for path in options.text)
    ids = Encoder.from_folder(loaded.tokenizer_folder).tokenizer.encode(text, add_special_tokens=False).ids
    windows = [ids[first : first + options.tokens] for first in range(0, len(ids) - options.tokens + 1, options.tokens)]
    n = min(options.windows, len(windows) // 2)
    return workload_of(windows[:n], "choosing"), workload_of(windows[-n:], "reporting")


def _sample(options: argparse.Namespace, loaded: LoadedModel) -> tuple[EncodedWorkload, EncodedWorkload]:
    assert loaded.tokenizer_folder is not None
    encoder, work = Encoder.from_folder(loaded.tokenizer_folder), sample_workload()
    most = options.windows * options.tokens
    made = [
        within_tokens(encode_workload(work, encoder, max_tokens=options.tokens, chat_template=True, part=part), most)
        for part in ("calibration", "verification")
    ]
    return made[0], made[1]


def _one(options: argparse.Namespace, loaded: LoadedModel, choosing: EncodedWorkload, reporting: EncodedWorkload, *, mixed: bool) -> None:
    sizes = [int(size) for size in options.sizes.split(",")]
    profile = profile_model(loaded, choosing, ProfileSettings(replicates=1))
    settings = SearchSettings(
        strategies=STRATEGIES, units=("block",), limit=f"{max(sizes)} layers", beam_width=options.width, batch_tokens=options.batch
    )
    settings = resolve_settings(settings, loaded.info, loaded.device, loaded.dtype)
    started = time.perf_counter()
    blocks = search_model(loaded, choosing, settings, profile=profile)
    print(f"block search: {time.perf_counter() - started:.0f} s, {len(blocks.measured())} sets measured\n")
    report = Measurer(loaded, reporting, settings)
    paths = {name: dict(enumerate(path, start=1)) for name, path in blocks.paths.items()}
    here = {removed: found.loss for removed, found in blocks.measured().items()}
    if not options.no_greedy:
        paths["greedy, unshared"], losses = _full_greedy(loaded, choosing, settings, max(sizes))
        here = losses | here
    _strategy_table(report, blocks.base_loss, here, paths, sizes)
    _cost_table(loaded, choosing, settings, here, paths, sizes)
    if mixed:
        _mixed(loaded, choosing, report, settings, profile, blocks, sizes)


def _steering(loaded: LoadedModel, settings: SearchSettings) -> Steering:
    stack = loaded.stack(settings.stack)
    return steering_for(loaded.info, stack.info.name, candidates(stack, settings.units, settings.protect), settings.limit)


def _full_greedy(
    loaded: LoadedModel, choosing: EncodedWorkload, settings: SearchSettings, steps: int
) -> tuple[dict[int, UnitSet], dict[UnitSet, float]]:
    """Greedy ablation over all candidates at every step, on all tokens: its sets by size, and every loss it saw."""
    measurer, steering = Measurer(loaded, choosing, settings), _steering(loaded, settings)
    path: dict[int, UnitSet] = {}
    base: UnitSet = ()
    started = time.perf_counter()
    for step in range(1, steps + 1):
        found = measurer.measure(steering.children(base), Message(id=""))
        base = min(found, key=lambda removed: (found[removed].loss, removed))
        path[step] = base
    print(f"unshared greedy's sets: {time.perf_counter() - started:.0f} s\n")
    return path, {removed: found.loss for removed, found in measurer.found.items()}


def _perplexities(report: Measurer, sets: Sequence[UnitSet]) -> dict[UnitSet, float]:
    return {removed: math.exp(found.loss) for removed, found in report.measure(sets, Message(id="")).items()}


def _strategy_table(
    report: Measurer, base_loss: float, here: dict[UnitSet, float], paths: dict[str, dict[int, UnitSet]], sizes: list[int]
) -> None:
    wanted = [path[size] for path in paths.values() for size in sizes if size in path]
    there = _perplexities(report, [(), *wanted])
    print(f"untouched: {there[()]:.2f} (reporting), {math.exp(base_loss):.2f} (choosing)\n")
    print("| strategy | " + " | ".join(f"{size} removed" for size in sizes) + " | sets |")
    print("|---|" + "---|" * (len(sizes) + 1))
    for name, path in paths.items():
        cells = []
        for size in sizes:
            chosen = path.get(size)
            cells.append("-" if chosen is None else f"{there[chosen]:.2f} ({math.exp(here[chosen]):.2f})")
        named = "; ".join(",".join(str(block) for _, block in path[size]) for size in sizes if size in path)
        print(f"| {name} | " + " | ".join(cells) + f" | {named} |")
    print("\nperplexity on the reporting part (in brackets: on the choosing part)\n")


def _cost_table(
    loaded: LoadedModel,
    choosing: EncodedWorkload,
    settings: SearchSettings,
    here: dict[UnitSet, float],
    paths: dict[str, dict[int, UnitSet]],
    sizes: list[int],
) -> None:
    """A search of its own up to each size: what it runs, beside greedy ablation one whole run at a time."""
    heads = (
        "up to",
        "unshared greedy: block calls",
        "head passes",
        "greedy: block calls",
        "head passes",
        "beam: block calls",
        "head passes",
    )
    print("| " + " | ".join((*heads, "seconds")) + " |")
    print("|---|---|---|---|---|---|---|---|")
    notes = []
    for size in sizes:
        asked = settings.model_copy(update={"limit": f"{size} layers", "strategies": ("greedy", "beam")})
        found = search_model(loaded, choosing, asked)
        greedy, beam = found.costs["greedy"], found.costs["beam"]
        cells = [f"{greedy.naive_block_calls:.0f}", f"{greedy.naive_head_passes:.0f}"]
        for cost in (greedy, beam):
            cells.append(f"{cost.block_calls:.0f} ({cost.block_calls / cost.naive_block_calls:.2f})")
            cells.append(f"{cost.head_passes:.1f} ({cost.head_passes / cost.naive_head_passes:.2f})")
        print(f"| {size} | " + " | ".join(cells) + f" | {greedy.seconds:.1f}, {beam.seconds:.1f} |")
        if "greedy, unshared" in paths and size <= len(found.paths["greedy"]):
            losses, full = found.measured(), paths["greedy, unshared"][size]
            mine = {name: found.paths[name][size - 1] for name in ("greedy", "beam")}
            same = "the same set as" if full == mine["greedy"] else "another set than"
            notes.append(
                f"{size} removed, loss on the choosing part: greedy {losses[mine['greedy']].loss:.5f}, "
                f"beam {losses[mine['beam']].loss:.5f}, unshared greedy {here[full]:.5f} ({same} greedy's)"
            )
    print("\n" + "\n".join(notes) + "\n")


def _mixed(
    loaded: LoadedModel,
    choosing: EncodedWorkload,
    report: Measurer,
    settings: SearchSettings,
    profile: Profile,
    blocks: Search,
    sizes: list[int],
) -> None:
    """The best plan of whole blocks and the best of any units that saves as many FLOPs."""
    savings = savings_of(loaded.info, stack=blocks.stack)
    targets = {size: blocks.paths["beam"][size - 1] for size in sizes if size <= len(blocks.paths["beam"])}
    most = max(savings.share(removed) for removed in targets.values())
    mixed_settings = settings.model_copy(
        update={
            "units": ("block", "attention", "mlp"),
            "limit": f"{100 * most + 0.01:.2f}%flops",
            "strategies": ("one_shot", "greedy", "beam"),
        }
    )
    started = time.perf_counter()
    mixed = search_model(loaded, choosing, mixed_settings, profile=profile, earlier=blocks)
    print(f"search with attentions and MLPs: {time.perf_counter() - started:.0f} s, {len(mixed.measured())} sets measured\n")
    print("| blocks | FLOPs saved | perplexity | any units | FLOPs saved | perplexity | units |")
    print("|---|---|---|---|---|---|---|")
    for size, removed in targets.items():
        needed = savings.share(removed)
        fitting = [found for found in mixed.measured().values() if savings.share(found.removed) >= needed - 1e-4]
        best = min(fitting, key=lambda found: found.loss)
        there = _perplexities(report, [removed, best.removed])
        kinds = ", ".join(f"{sum(unit == kind for unit, _ in best.removed)} {kind}" for kind in ("block", "attention", "mlp"))
        named = " ".join(f"{unit[0]}{block}" for unit, block in best.removed)
        print(
            f"| {size} | {needed:.2%} | {there[removed]:.2f} | {kinds} | {savings.share(best.removed):.2%} "
            f"| {there[best.removed]:.2f} | {named} |"
        )
    for name in ("greedy", "beam"):
        cost = mixed.costs[name]
        calls = f"{cost.block_calls:.0f} block calls ({cost.naive_block_calls:.0f} unshared)"
        print(f"\n{name} over all units: {calls}, {cost.head_passes:.0f} head passes ({cost.naive_head_passes:.0f} unshared)")


if __name__ == "__main__":
    main()
