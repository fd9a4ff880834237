"""How often the advice of a stage is what the plan deserves: stages of four weeks at half of a limit, at it, and at twice it.

    python tests/benchmarks/bench_stages.py
    python tests/benchmarks/bench_stages.py --stages 1000

Thirty answers are checked a day, five of them critical; perplexity scatters by 3 % from day to day, the answer time by 5 %.
"Go" beside a plan at its limit or beyond is a plan let through; "back" or "stop" beside one at half of it is a false alarm.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.economics.stage_chance import LIMITS, tally


def main() -> None:
    """Counts every kind of limit at every true rate."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stages", type=int, default=1000)
    n = parser.parse_args().stages
    print(f"{'limit':<20} {'true/limit':>10} {'go':>7} {'hold':>7} {'back':>7} {'stop':>7}   of {n} stages")
    begun = time.perf_counter()
    for kind, limit in LIMITS.items():
        for times in (0.5, 1.0, 2.0):
            found = tally(kind, times, n)
            shares = (f"{100 * found[advice] / n:6.1f}%" for advice in ("go", "hold", "roll_back", "stop"))
            print(f"{limit:<20} {times:>10} " + " ".join(shares))
    print(f"{1000 * (time.perf_counter() - begun) / (3 * len(LIMITS) * n):.1f} ms an advice")


if __name__ == "__main__":
    main()
