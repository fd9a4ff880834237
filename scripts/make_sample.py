"""Makes everything that is bundled under sample_data beside the workload, with the product's own commands.

Run it from the project's folder whenever a measure, the workload or a document's format changes:

    python scripts/make_sample.py
    python scripts/make_sample.py --device cuda --keep-profile    # elsewhere, and without another profile
    python scripts/make_sample.py --only freezing                 # traces, the freeze plan and its trial; the rest stays
    python scripts/make_sample.py --only consensus --device cuda  # ranking, its plan, and that healed and disturbed; the rest stays
    python scripts/make_sample.py --only business                 # cases and rollouts from what is there, in seconds

It works in a storage folder of its own, so that nothing is answered from an earlier run, and takes some minutes on a
laptop (the trial longer). It ends with an error when the block plan is not outside its limits or the attention plan not
within them: then other amounts have to be chosen below.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from analysis.contracts import Assumption, CaseEvidence, Contract, Plan, Trial, Verification, WorkloadInfo  # noqa: E402
from analysis.economics.case import make_case  # noqa: E402
from analysis.economics.defaults import default_assumptions  # noqa: E402
from analysis.economics.evidence import evidence_of  # noqa: E402
from analysis.economics.stages import default_rollout  # noqa: E402
from analysis.i18n import LANGUAGES  # noqa: E402
from analysis.runs.documents import parse_document  # noqa: E402
from analysis.runs.samples import EXAMPLE  # noqa: E402

DATA = ROOT / "sample_data"
LIMITS = ("perplexity<=+5%",)
STRATEGIES = ("beam", "greedy", "one_shot", "block_influence", "angular_run", "last_n", "random")
OUTSIDE = 3


@dataclass(frozen=True)
class SamplePlan:
    """One bundled plan: what may go, how much of it, and the exit code its verification must come to."""

    name: str
    unit: str
    amount: str
    op: str
    expected: int


PLANS = (
    SamplePlan("Three layers fewer", "block", "3layers", "prune", OUTSIDE),
    SamplePlan("Two attentions fewer", "attention", "2layers", "skip", 0),
)


@dataclass(frozen=True)
class SampleCase:
    """One bundled business case: the plan by its file, the bill it starts from, and what it must stand on."""

    plan: str
    bill: str
    amount: float
    standing: str
    staged: bool = False


CASES = (
    SampleCase("freeze", "bill_training_per_month", 1_200_000, "measured", staged=True),
    SampleCase("block", "bill_serving_per_month", 1_200_000, "outside"),
)

BOUNDARIES = "4,9,14,19,24,28"
"""Last frozen layers that the bundled trial sets beside the one that the default rule chooses."""
REMOVED = "6layers"
"""What the bundled ranking takes out step by step, and its plan with it."""
UNKNOWN_WORK = "summaries"
"""The slice that the bundled ranking holds out, so that its plan can be judged on work that it was not chosen by."""
TRAINING = ("--epochs", "3", "--batch-size", "8", "--seed", "0", "--compare", "full", "--compare", "lora")


def main() -> int:
    """Profile, searches, ranking, plans and what they were run by, traces, cases: each as a file in sample_data."""
    asked, wrong = _asked(), list[str]()
    if asked.only == "business":
        return _business()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        os.environ["STRATA_HOME"] = str(work / "home")
        if asked.only in (None, "consensus"):
            _consensus(asked.device, work)
        if asked.only in (None, "freezing"):
            _freezing(asked.device, work)
        if asked.only is None:
            wrong = _removals(asked.device, work)
            if not asked.keep_profile:
                _bundle(work / "profile.json", DATA / "sample_run.json.gz")
    print("\n".join(f"{name}: its verification did not come out as it should; choose another amount." for name in wrong))
    return 1 if wrong or (asked.only is None and _business()) else 0


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Makes the sample's profile, traces, search, plans, verifications and trial.")
    parser.add_argument("--device", default="cpu", help="device of every command (cpu)")
    parser.add_argument("--keep-profile", action="store_true", help="leave sample_run.json.gz as it is")
    parser.add_argument(
        "--only",
        choices=("freezing", "consensus", "business"),
        help="freezing: only the traces, the freeze plan and its trial; consensus: only the ranking, its plan, and that healed and "
        "disturbed; business: only cases",
    )
    return parser.parse_args()


def _freezing(device: str, work: Path) -> None:
    """Traces with their profile in one pass, a sweep over several boundaries, and the plan that it recommends, tried beside them."""
    traces, plan, trial = work / "semantics.json", work / "freeze.json", work / "trial.json"
    about = ("--model", "sample", "--device", device, "--dtype", "float32")  # the number format of the bundled profile
    _strata("profile", *about, "--semantics", "--semantics-out", traces, "--out", work / "profile.json")
    planned = ("plan", "--op", "freeze", "--semantics", traces, "--name", "Freeze for the next fine-tune", "--out", plan)
    swept = ("sweep", "--plan", plan, "--device", device, "--boundaries", BOUNDARIES, *TRAINING, "--out", trial)
    _strata(*planned)
    _strata(*swept)
    if _read(trial)["recommended"] != _read(trial)["eof_layer"]:
        _strata(*planned, "--strategy", "sweep", "--trial", trial)
        _strata(*swept)
    _bundle(traces, DATA / "sample_semantics.json.gz")
    _bundle(plan, DATA / "sample_plans" / "freeze.json.gz")
    _bundle(trial, DATA / "sample_trials" / "freeze.json.gz")


def _consensus(device: str, work: Path) -> None:
    """All default measures vote, six layers go step by step; that plan healed by every objective, and tested with disturbed input."""
    ranking, plan, healing, robustness = (work / f"consensus-{name}.json" for name in ("ranking", "plan", "healing", "robustness"))
    about = ("--device", device, "--dtype", "float32")  # as the bundled profile
    ranked = ("rank", "--model", "sample", *about, "--steps", REMOVED, "--held-out", UNKNOWN_WORK, "--out", ranking)
    _strata(*ranked)
    chosen = ("--criterion", "consensus", "--ranking", ranking, "--budget", REMOVED, "--name", "Six layers fewer, by consensus")
    _strata("plan", "--op", "prune", *chosen, "--out", plan)
    compared = ("--objective", "both", "--compare", "next_token", "--compare", "distillation")
    _strata("heal", "--plan", plan, *about, *compared, "--out", healing)
    _strata("robustness", "--plan", plan, *about, "--country", "JPN", "--watts", "65", "--out", robustness)
    _bundle(ranking, DATA / "sample_ranking.json.gz")
    for file, kind in ((plan, "plans"), (healing, "healings"), (robustness, "robustness")):
        _bundle(file, DATA / f"sample_{kind}" / "consensus.json.gz")


def _business() -> int:
    """The cases, and the stages of the plan that holds, from the documents that are there: the same files whenever these are the same."""
    wrong = [sample.plan for sample in CASES if not _priced(sample)]
    print("\n".join(f"{name}: its case does not stand on what it should; make its evidence again." for name in wrong))
    return 1 if wrong else 0


def _priced(sample: SampleCase) -> bool:
    """Starting values, the example's bill, and stages to begin with; dated by the measurement, so that no file changes by itself."""
    evidence, workload = _known(sample.plan)
    made = date.fromisoformat(evidence.measured_at[:10])
    begun = default_assumptions(evidence, workload, today=made)
    values = {**begun.values, sample.bill: Assumption(value=sample.amount, currency="JPY", source=EXAMPLE)}
    assumptions = begun.model_copy(update={"basis": "bill", "values": values})
    spoken = {language: default_rollout(evidence, assumptions, today=made, language=language) for language in LANGUAGES}
    case = make_case(evidence, assumptions, name=evidence.plan_name, rollout=spoken["en"] if sample.staged else None)
    for language, rollout in spoken.items() if sample.staged else ():
        folder = DATA / "sample_rollouts" if language == "en" else DATA / "sample_rollouts" / language
        _keep(rollout.model_copy(update={"case_id": case.id}), folder / f"{sample.plan}.json.gz")
    _keep(case.model_copy(update={"created_at": evidence.measured_at}), DATA / "sample_cases" / f"{sample.plan}.json.gz")
    return case.standing == sample.standing


def _known(plan: str) -> tuple[CaseEvidence, WorkloadInfo]:
    """What the bundled test and trial of a plan say of it, and the workload they were run on."""
    found = {
        kind: parse_document(path.read_bytes(), path.name)
        for kind in ("plans", "verifications", "trials")
        if (path := DATA / f"sample_{kind}" / f"{plan}.json.gz").exists()
    }
    chosen, tested, tried = (found.get(kind) for kind in ("plans", "verifications", "trials"))
    assert isinstance(chosen, Plan)
    assert isinstance(tested, Verification | None)
    assert isinstance(tried, Trial | None)
    run_by = tested or tried
    assert run_by is not None
    return evidence_of(chosen, tested, tried), run_by.workload


def _removals(device: str, work: Path) -> list[str]:
    """The search and the plans that take layers out; returns the plans whose verification came out otherwise than it must."""
    wrong = [plan.name for plan in PLANS if not _made(plan, device, work)]
    steered = [part for name in STRATEGIES for part in ("--strategy", name)]
    about = ("--model", "sample", "--device", device, "--budget", "30%")
    _strata("search", *about, *steered, "--search-out", work / "search.json")
    _bundle(work / "search.json", DATA / "sample_search.json.gz")
    return wrong


def _made(plan: SamplePlan, device: str, work: Path) -> bool:
    """Searches with one kind of unit, plans, verifies, and bundles both; says whether the verdict is the one expected."""
    file, found = work / f"{plan.unit}.json", work / f"{plan.unit}-verification.json"
    about = ("--unit", plan.unit, "--strategy", "beam", "--budget", plan.amount, "--op", plan.op, "--name", plan.name)
    _strata("search", "--model", "sample", "--device", device, *about, "--out", file)
    limits = [part for limit in LIMITS for part in ("--guardrail", limit)]
    code = _strata("verify", "--plan", file, "--device", device, *limits, "--texts", "--out", found, allowed=(0, OUTSIDE))
    if code == plan.expected == OUTSIDE:  # too little data exits with the same code: the verdict itself has to be "outside"
        code = OUTSIDE if _read(found)["verdict"] == "outside" else -1
    _bundle(file, DATA / "sample_plans" / f"{plan.unit}.json.gz")
    _bundle(found, DATA / "sample_verifications" / f"{plan.unit}.json.gz")
    return code == plan.expected


def _strata(*args: str | Path, allowed: tuple[int, ...] = (0,)) -> int:
    command = [sys.executable, "-m", "analysis", *map(str, args)]
    print("$", *command[1:], flush=True)
    code = subprocess.run(command, cwd=ROOT, check=False).returncode
    if code not in allowed:
        raise SystemExit(code)
    return code


def _read(path: Path) -> dict[str, Any]:
    """A document that a command wrote."""
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _bundle(source: Path, target: Path) -> None:
    """The same bytes whenever the document is the same."""
    _pack(source.read_bytes(), target)


def _keep(document: Contract, target: Path) -> None:
    _pack(f"{document.model_dump_json(indent=2)}\n".encode(), target)
    print("$ made", target.relative_to(ROOT), flush=True)


def _pack(data: bytes, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(gzip.compress(data, mtime=0))


if __name__ == "__main__":
    sys.exit(main())
