"""What a business case costs to work out on this machine: the simulation, the tornado, break-even, a whole case; ratios in one run.

    python tests/benchmarks/bench_roi.py
    python tests/benchmarks/bench_roi.py --draws 10000 --repeat 5

Wanted: 10,000 draws in under a second, whatever the case rests on. The ratio beside it, the simulation / as many single
evaluations one after the other, tells what working on all draws at once is worth, and does not depend on how busy the machine is.
Needs only numpy and the engine.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from analysis.contracts import Assumptions, CaseEvidence, ExchangeRate
from analysis.economics.break_even import break_even
from analysis.economics.case import result_of
from analysis.economics.catalogue import DEVICES, price_assumption
from analysis.economics.check import check_assumptions
from analysis.economics.defaults import answer, default_assumptions
from analysis.economics.figures import base_figures
from analysis.economics.outcome import outcome
from analysis.economics.simulate import simulate
from analysis.economics.tornado import tornado
from tests.business_builders import EvidenceKind, make_evidence

Case = tuple[str, Assumptions, CaseEvidence]


def main() -> None:
    """Times every way in which a case can be priced."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=10_000)
    parser.add_argument("--repeat", type=int, default=5, help="the best of so many counts")
    given = parser.parse_args()
    print(f"{'case':<24}{'simulation':>12}{'draws/s':>12}{'/ singles':>11}{'tornado':>10}{'break-even':>12}{'whole case':>12}{'/ sim.':>8}")
    for name, assumptions, evidence in cases():
        assert not check_assumptions(assumptions, evidence), name
        print(row(name, assumptions, evidence, given.draws, given.repeat))


def row(name: str, assumptions: Assumptions, evidence: CaseEvidence, draws: int, repeat: int) -> str:
    """One case, every part of it in turns."""
    figures = base_figures(assumptions, evidence)
    simulated = best(lambda: simulate(assumptions, evidence, draws=draws), repeat)
    single = best(lambda: [outcome(assumptions, evidence, figures) for _ in range(20)], repeat) / 20
    swings = best(lambda: tornado(assumptions, evidence), repeat)
    even = best(lambda: break_even(assumptions, evidence), repeat)
    whole = best(lambda: result_of(evidence, assumptions, draws=draws), repeat)
    return (
        f"{name:<24}{1000 * simulated:>9.0f} ms{draws / simulated:>12,.0f}{simulated / (draws * single):>11.4f}"
        f"{1000 * swings:>7.1f} ms{1000 * even:>9.1f} ms{1000 * whole:>9.0f} ms{whole / simulated:>8.2f}"
    )


def best(work: Callable[[], object], repeat: int) -> float:
    """Seconds of the fastest of several runs."""
    times = []
    for _ in range(repeat):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times)


def cases() -> Iterator[Case]:
    """A bill for fine-tuning and one for requests; requests by volume in the cloud, on leased machines, on own ones, after tax."""
    kinds: tuple[tuple[EvidenceKind, str], ...] = (("training", "bill_training_per_month"), ("serving", "bill_serving_per_month"))
    for kind, name in kinds:
        evidence = make_evidence(kind)
        begin = default_assumptions(evidence, today=date(2026, 11, 22))
        yield f"bill, {kind}", answer(begin, name, 1_200_000, low=900_000, high=1_500_000), evidence
    evidence = make_evidence("serving")
    volume = _by_volume(default_assumptions(evidence, today=date(2026, 11, 22)))
    yield "requests, cloud", volume, evidence
    yield "requests, leased", volume.model_copy(update={"place": "reserved", "contract_ends_on": "2027-06-30"}), evidence
    own = answer(volume.model_copy(update={"place": "own"}), "purchase_price", 5e6, low=4e6, high=7e6)
    yield "requests, own machines", own, evidence
    yield "the same, after tax", answer(own.model_copy(update={"after_tax": True}), "tax_rate_percent", 30), evidence


def _by_volume(begin: Assumptions) -> Assumptions:
    price = price_assumption(DEVICES["h200"].prices[0])
    slices = tuple(one.model_copy(update={"requests_per_month": 5e7}) for one in begin.slices)
    rate = ExchangeRate(currency="USD", per_unit=155, as_of="2026-11-20", source="for this benchmark only")
    values = {**begin.values, "gpu_price_per_hour": price}
    return begin.model_copy(update={"basis": "volume", "slices": slices, "rates": (rate,), "values": values})


if __name__ == "__main__":
    main()
