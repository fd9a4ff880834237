"""The stored cases and stages: what follows from the stored trial and verification, every input traced, nothing faked."""

from __future__ import annotations

import gzip
import importlib.util
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from analysis.contracts import BusinessCase, Plan, Rollout, Trial, Verification
from analysis.economics.defaults import default_assumptions, unsourced
from analysis.economics.evidence import evidence_of
from analysis.economics.names import FIGURES
from analysis.economics.stages import check_rollout, default_rollout
from analysis.i18n import LANGUAGES
from analysis.runs.case_check import differences, worked_out_again
from analysis.runs.documents import parse_document
from analysis.runs.samples import EXAMPLE
from analysis.runs.store import open_store

DATA = Path(__file__).parents[2] / "sample_data"
SCRIPT = DATA.parent / "scripts" / "make_sample.py"


def _read(path: str) -> Any:
    return parse_document((DATA / path).read_bytes(), path)


def _case(name: str) -> BusinessCase:
    found = _read(f"sample_cases/{name}.json.gz")
    assert isinstance(found, BusinessCase)
    return found


@pytest.mark.parametrize("name", ["freeze", "block"])
def test_a_stored_case_follows_from_its_own_evidence_and_assumptions(name: str) -> None:
    case = _case(name)
    again = worked_out_again(case)
    assert again is not None
    assert list(differences(case, again)) == []
    assert case.result.model_dump_json() == again.model_dump_json()


def test_the_evidence_of_the_case_that_holds_is_the_stored_trials() -> None:
    case, trial = _case("freeze"), _read("sample_trials/freeze.json.gz")
    assert isinstance(trial, Trial)
    assert case.evidence == evidence_of(_read("sample_plans/freeze.json.gz"), None, trial)
    assert (case.standing, case.evidence.trial_id, case.evidence.origin) == ("measured", trial.id, "measured")
    own, full = trial.own, trial.arm("full")
    assert own is not None
    assert full is not None
    assert own.kept_at_tokens is not None
    training = case.evidence.training
    assert training is not None
    assert training.kept_gain is not None
    assert training.kept_gain.value == own.kept_at_tokens.value
    assert 0 < training.hours.plan < training.hours.today
    assert case.evidence.device_name == trial.machine.device_name


def test_the_evidence_of_the_case_outside_its_limits_is_the_stored_verifications() -> None:
    case, verification = _case("block"), _read("sample_verifications/block.json.gz")
    plan = _read("sample_plans/block.json.gz")
    assert isinstance(verification, Verification)
    assert isinstance(plan, Plan)
    assert case.evidence.model_dump_json() == evidence_of(plan, verification).model_dump_json()
    assert (case.standing, case.evidence.verdict, case.rollout) == ("outside", "outside", None)


@pytest.mark.parametrize(("name", "bill"), [("freeze", "bill_training_per_month"), ("block", "bill_serving_per_month")])
def test_every_assumption_is_a_starting_value_or_measured_and_the_bill_is_marked_as_an_example(name: str, bill: str) -> None:
    case = _case(name)
    given, tested = case.assumptions, _read(f"sample_{'trials' if name == 'freeze' else 'verifications'}/{name}.json.gz")
    begun = default_assumptions(case.evidence, tested.workload, today=date.fromisoformat(case.evidence.measured_at[:10]))
    assert given == begun.model_copy(update={"basis": "bill", "values": {**begun.values, bill: given.values[bill]}})
    example = given.values[bill]
    assert (example.value, example.currency, example.origin, example.sourced) == (1_200_000, "JPY", "assumed", False)
    assert example.source == EXAMPLE
    assert bill in unsourced(given, case.evidence)
    for figure, one in given.values.items():
        assert figure in FIGURES
        assert one.source is not None, figure
        assert one.origin == "measured" or one.value == FIGURES[figure].default or figure == bill


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_stored_stages_are_the_ones_to_begin_with_and_nothing_is_done_yet(language: str) -> None:
    case = _case("freeze")
    rollout = _read(f"sample_rollouts/{'' if language == 'en' else language + '/'}freeze.json.gz")
    assert isinstance(rollout, Rollout)
    made = date.fromisoformat(case.evidence.measured_at[:10])
    proposed = default_rollout(case.evidence, case.assumptions, today=made, language=language)  # type: ignore[arg-type]
    assert rollout == proposed.model_copy(update={"case_id": case.id})
    assert (rollout.events, rollout.monitoring, rollout.actuals, rollout.rehearsal) == ((), (), (), None)
    assert {stage.state for stage in rollout.stages} == {"planned"}
    assert not any(item.done for item in rollout.checklist)
    assert check_rollout(rollout, case.evidence) == ()
    if language == "en":
        assert case.rollout == rollout.model_copy(update={"case_id": None})


def test_a_fresh_store_lists_both_cases_last_and_opens_the_stages_in_either_language(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STRATA_HOME", str(tmp_path))
    store = open_store()
    found = {case.standing: case for case in store.cases.cases()}
    assert set(found) == {"measured", "outside"}
    assert all(case.is_sample for case in found.values())
    plan_id = found["measured"].plan_id
    english, japanese = (store.rollouts.rollout(plan_id, language) for language in LANGUAGES)
    assert english is not None
    assert japanese is not None
    assert english.stages[0].stop_rule != japanese.stages[0].stop_rule
    assert store.evidence(plan_id) == _case("freeze").evidence
    store.rollouts.save(japanese, seen=japanese)
    assert store.rollouts.rollout(plan_id) == japanese.model_copy(update={"is_sample": False})
    store.database.close()


def test_the_script_makes_the_very_same_files_from_the_stored_documents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = importlib.util.spec_from_file_location("make_sample_business", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "make_sample_business", module)
    spec.loader.exec_module(module)
    for folder in ("sample_plans", "sample_trials", "sample_verifications"):
        (tmp_path / folder).symlink_to(DATA / folder)
    monkeypatch.setattr(module, "DATA", tmp_path)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(sys, "argv", ["make_sample.py", "--only", "business"])
    assert module.main() == 0
    made = sorted(path.relative_to(tmp_path) for kind in ("sample_cases", "sample_rollouts") for path in (tmp_path / kind).rglob("*.gz"))
    kept = sorted(path.relative_to(DATA) for kind in ("sample_cases", "sample_rollouts") for path in (DATA / kind).rglob("*.gz"))
    assert made == kept
    for path in made:
        assert gzip.decompress((tmp_path / path).read_bytes()) == gzip.decompress((DATA / path).read_bytes()), path
