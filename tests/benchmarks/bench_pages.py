"""What a page of the dashboard costs with the bundled sample: its first visit, a rerun (any click), and the ratio of the two.

    python tests/benchmarks/bench_pages.py
    python tests/benchmarks/bench_pages.py --pages similarity consensus --repeat 9

Wanted: a rerun in 0.3 s at most. The ratio, rerun / first visit in the same process, tells what a rerun does again and does not
depend on how busy the machine is. Last, what a moved weight of the consensus waits for beside the drawing, as a share of the
slowest rerun. No browser takes part.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from streamlit.testing.v1 import AppTest

from analysis.planning import membership
from analysis.runs.client import open_client

ROOT = Path(__file__).parents[2]
PAGES = tuple(sorted(path.stem for path in (ROOT / "pages").glob("[a-z]*.py")))


def main() -> None:
    """Visits every page, and runs it again."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", nargs="+", choices=PAGES, default=PAGES)
    parser.add_argument("--repeat", type=int, default=5, help="the best of so many reruns")
    given = parser.parse_args()
    os.environ["STRATA_HOME"] = tempfile.mkdtemp(prefix="strata-bench-")
    slowest = 0.0
    print(f"{'page':<28}{'first visit':>14}{'rerun':>12}{'ratio':>8}")
    for page in given.pages:
        first, rerun = timed_page(page, given.repeat)
        slowest = max(slowest, rerun)
        print(f"{page:<28}{1000 * first:>11.0f} ms{1000 * rerun:>9.0f} ms{rerun / first:>8.2f}")
    for name, work in behind_a_click().items():
        work()
        took = best(work, given.repeat)
        print(f"{name:<28}{'':>14}{1000 * took:>9.0f} ms{took / slowest:>8.2f}")


def timed_page(page: str, repeat: int) -> tuple[float, float]:
    """Seconds of the page's first visit and of its fastest rerun."""
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=120)
    app.context = {"locale": "en-US", "theme": "light"}
    app.run()

    def visit() -> None:
        app.switch_page(f"pages/{page}.py")
        app.run()
        assert not app.exception, app.exception[0].stack_trace

    first = best(visit, 1)
    return first, best(app.run, repeat)


def behind_a_click() -> dict[str, Callable[[], object]]:
    """The resamples of the sample's ranking, counted under two rules of voting."""
    client = open_client()
    ranking = client.ranking(client.rankings()[0].id)
    return {f"resamples under {rule}": partial(membership, ranking, 6, rule=rule) for rule in ("rank_sum", "kemeny")}


def best(work: Callable[[], object], repeat: int) -> float:
    """Seconds of the fastest of so many."""

    def once() -> float:
        started = time.perf_counter()
        work()
        return time.perf_counter() - started

    return min(once() for _ in range(repeat))


if __name__ == "__main__":
    main()
