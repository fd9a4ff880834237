"""Business cases: several of a plan, listed with the samples, kept when the plan is gone, and travelling inside a plan."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from sqlalchemy import text

from analysis.contracts import BusinessCase, Plan, WorkloadInfo
from analysis.errors import DocumentError, InputError
from analysis.runs.client import Client
from analysis.runs.executor import LocalExecutor
from analysis.runs.plan_evidence import lean
from analysis.runs.store import Store, open_store
from tests.business_builders import make_case, make_evidence, make_rollout
from tests.runs.made import a_freeze_plan, a_trial, a_verification


def of_plan(plan: Plan, **changes: object) -> BusinessCase:
    """A case of that plan."""
    evidence = make_evidence(plan_id=plan.id, model_commit=plan.model.commit)
    return make_case(rollout=False, evidence=evidence, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("case_id", ["", "nothing", "../../etc", "x" * 5000])
def test_a_case_that_is_not_there_is_said_in_words(store: Store, case_id: str) -> None:
    for ask in (store.cases.case, store.cases.delete, lambda id: store.cases.rename(id, "new")):
        with pytest.raises(InputError, match="There is no business case"):
            ask(case_id)


def test_a_name_without_a_visible_character_is_refused_and_changes_nothing(store: Store) -> None:
    store.cases.save(make_case())
    with pytest.raises(InputError, match="at least one visible character"):
        store.cases.rename(make_case().id, " \u200b\n")
    assert [found.name for found in store.cases.cases()] == ["standard"]


def test_a_file_that_is_gone_is_said_and_the_list_still_stands(store: Store, tmp_path: Path) -> None:
    store.cases.save(make_case())
    for file in (tmp_path / "home").rglob("cases/*.json.gz"):
        file.write_bytes(b"{}")
    with pytest.raises(DocumentError):
        store.cases.case(make_case().id)
    assert len(store.cases.cases()) == 1


def test_several_scenarios_of_a_plan_are_listed_newest_first_with_what_decides(store: Store) -> None:
    first, second = make_case(), make_case(id="case000000000002", name="cautious", pays=False)
    store.cases.save(first)
    store.cases.save(second)
    store.cases.save(make_case(id="case000000000003", evidence=make_evidence(plan_id="f" * 12), rollout=False))
    listed = store.cases.cases(first.evidence.plan_id)
    assert [found.name for found in listed] == ["cautious", "standard"]
    assert (listed[1].standing, listed[1].currency) == ("measured", "JPY")
    assert (listed[1].net_per_month, listed[1].npv) == (first.result.net_per_month, first.result.npv)
    assert listed[0].payback_months is None
    assert len(store.cases.cases()) == 3


def test_the_same_case_is_one_case_under_the_name_it_was_given(store: Store) -> None:
    case = make_case()
    assert store.cases.save(case, "board") == store.cases.save(case) == case.id
    (found,) = store.cases.cases()
    assert found.name == "board"
    assert store.cases.case(case.id) == case.model_copy(update={"name": "board", "is_sample": False})
    store.cases.save(case.model_copy(update={"rollout": None}), "later")
    (found,) = store.cases.cases()
    assert (found.name, store.cases.case(case.id).rollout) == ("later", None)


def test_a_case_replaced_or_deleted_leaves_no_file_behind(store: Store, tmp_path: Path) -> None:
    for name in ("one", "two", "three"):
        store.cases.save(make_case(), name)
    assert len(list((tmp_path / "home").rglob("cases/*.json.gz"))) == 1
    store.cases.delete(make_case().id)
    assert list((tmp_path / "home").rglob("cases/*.json.gz")) == []


def test_a_name_that_cannot_be_stores_nothing(store: Store, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at least one visible character"):
        store.cases.save(make_case(), "  ")
    assert store.cases.cases() == []
    assert list((tmp_path / "home").rglob("cases/*.json.gz")) == []


def test_the_same_case_stored_by_two_pages_at_once_is_one_case_with_one_file(store: Store, tmp_path: Path) -> None:
    gate = threading.Barrier(4)

    def page(number: int) -> None:
        own = open_store(sample=tmp_path / "none.json.gz")
        gate.wait()
        own.cases.save(make_case(), f"page {number}")
        own.database.close()

    threads = [threading.Thread(target=page, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found.id for found in store.cases.cases()] == [make_case().id]
    assert store.cases.case(make_case().id).name.startswith("page")
    assert len(list((tmp_path / "home").rglob("cases/*.json.gz"))) == 1


def test_a_case_stays_when_its_plan_is_deleted(store: Store) -> None:
    plan = a_freeze_plan()
    store.plans.save(plan)
    store.cases.save(of_plan(plan))
    store.plans.delete(plan.id)
    assert [found.plan_id for found in store.cases.cases()] == [plan.id]


def test_a_plan_brings_its_case_and_is_itself_kept_without_it(store: Store) -> None:
    plan = a_freeze_plan()
    case = of_plan(plan)
    store.add_plan(plan.model_copy(update={"business_case": case}))
    store.cases.rename(case.id, "as we call it")
    store.add_plan(plan.model_copy(update={"business_case": case}))
    assert [found.name for found in store.cases.cases(plan.id)] == ["as we call it"]
    assert store.plans.plan(plan.id).business_case is None


def test_no_job_is_told_what_a_plan_is_worth() -> None:
    plan = a_freeze_plan()
    assert lean(plan.model_copy(update={"business_case": of_plan(plan)})) == plan


def test_bundled_cases_come_last_are_copied_when_renamed_and_only_hidden(tmp_path: Path, store: Store) -> None:
    folder, case = tmp_path / "bundle", make_case(is_sample=True)
    (folder / "sample_cases").mkdir(parents=True)
    (folder / "sample_cases" / "freeze.json").write_text(case.model_dump_json())
    bundled = open_store(sample=folder / "sample_run.json.gz")
    bundled.cases.save(make_case(id="case000000000002", name="mine"))
    assert [(found.name, found.is_sample) for found in bundled.cases.cases()] == [("mine", False), ("standard", True)]
    assert bundled.cases.case(case.id) == case
    bundled.cases.rename(case.id, "renamed")
    assert {(found.name, found.is_sample) for found in bundled.cases.cases()} == {("renamed", False), ("mine", False)}
    bundled.cases.delete(case.id)
    assert [found.name for found in bundled.cases.cases()] == ["mine"]
    with pytest.raises(InputError, match="There is no business case"):
        bundled.cases.case(case.id)
    bundled.database.close()


def test_a_store_of_the_version_before_opens_and_gains_the_new_tables(store: Store, tmp_path: Path) -> None:
    store.plans.save(a_freeze_plan(), "old")

    def as_it_was(connection):  # type: ignore[no-untyped-def]
        for table in ("cases", "rollouts"):
            connection.execute(text(f"drop table {table}"))

    store.database.write(as_it_was)
    again = open_store(sample=tmp_path / "none.json.gz")
    assert [found.name for found in again.plans.plans()] == ["old"]
    assert (again.cases.cases(), again.rollouts.rollout("abcdef012345")) == ([], None)
    again.cases.save(make_case())
    again.rollouts.save(make_rollout())
    assert len(again.cases.cases()) == 1
    again.database.close()


def test_the_workload_of_a_plan_is_its_runs_else_of_what_it_was_run_by(
    store: Store, executor: LocalExecutor, make_profile, make_plan
) -> None:  # type: ignore[no-untyped-def]
    client, plan = Client(store, executor), make_plan()
    assert client.workload_of(plan) is None
    tested = plan.model_copy(update={"verification": a_verification(plan)})
    found = client.workload_of(tested)
    assert isinstance(found, WorkloadInfo)
    assert found == a_verification(plan).workload
    freeze = a_freeze_plan()
    assert client.workload_of(freeze.model_copy(update={"trial": a_trial(freeze)})) == a_trial(freeze).workload
    store.runs.add(make_profile())
    assert client.workload_of(tested) == make_profile().workload
