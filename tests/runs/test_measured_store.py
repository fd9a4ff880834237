"""Searches, verifications, latency models and exports: what is kept, what answers, and that nothing kept is lost."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text

from analysis.contracts import Plan, Profile, Quantity, SearchSettings
from analysis.contracts.plan import ExportReport
from analysis.errors import InputError
from analysis.home import home
from analysis.runs.answered import answered_by, steering
from analysis.runs.store import Store, open_store
from tests.runs.made import a_latency_model, a_search, a_verification


def test_a_store_from_before_opens_and_gains_the_new_tables(store: Store, make_plan: Callable[..., Plan], tmp_path: Path) -> None:
    store.plans.save(make_plan(), "old")

    def as_it_was(connection):  # type: ignore[no-untyped-def]
        for table in ("searches", "verifications", "latencies", "exports", "plan_events"):
            connection.execute(text(f"drop table {table}"))

    store.database.write(as_it_was)
    again = open_store(sample=tmp_path / "none.json.gz")
    assert [plan.name for plan in again.plans.plans()] == ["old"]
    assert again.searches.searches() == []
    again.searches.keep(a_search())
    assert len(again.searches.searches()) == 1
    again.database.close()


def test_a_search_grows_under_one_id_and_nothing_measured_is_lost(store: Store) -> None:
    whole = a_search()
    first = whole.model_copy(update={"singles": whole.singles[:4], "pairs": (), "sets": (), "paths": {"greedy": whole.paths["greedy"]}})
    search_id = store.searches.keep(first)
    later = whole.model_copy(update={"singles": whole.singles[4:], "paths": {"beam": whole.paths["beam"]}})
    assert store.searches.keep(later) == search_id
    grown = store.searches.search(search_id)
    assert set(grown.measured()) == set(whole.measured())
    assert set(grown.paths) == {"greedy", "beam"}
    assert store.searches.search(whole.id) == grown == store.searches.measured(whole.id)
    (summary,) = store.searches.searches()
    assert summary.n_measured == len(grown.measured())
    assert len(list((home() / "artifacts" / "searches").iterdir())) == 1


def test_two_that_grow_a_search_at_once_lose_nothing(store: Store) -> None:
    whole = a_search()
    parts = [whole.model_copy(update={"singles": whole.singles[place::4], "pairs": (), "sets": ()}) for place in range(4)]
    threads = [threading.Thread(target=store.searches.keep, args=(part,)) for part in parts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {found.removed for found in store.searches.search(whole.id).singles} == {found.removed for found in whole.singles}
    assert len(store.searches.searches()) == 1


def test_an_imported_search_is_kept_beside_and_answers_nothing(store: Store) -> None:
    imported = store.searches.add_imported(a_search())
    assert store.searches.add_imported(a_search()) == imported
    assert store.searches.measured(a_search().id) is None
    own = store.searches.keep(a_search(name="own"))
    assert own != imported
    assert store.searches.search(a_search().id) is not None
    store.searches.delete(imported)
    assert [search.id for search in store.searches.searches()] == [own]
    with pytest.raises(InputError, match="There is no search"):
        store.searches.search(imported)
    with pytest.raises(InputError, match="There is no search"):
        store.searches.delete("gone")


def test_a_profile_finds_the_search_of_its_model_and_workload(store: Store, make_profile: Callable[..., Profile]) -> None:
    profile = make_profile()
    assert store.searches.for_profile(profile) is None
    fitting = a_search().model_copy(update={"stack": profile.stack, "workload": profile.workload, "model": profile.model, **_empty()})
    store.searches.keep(fitting)
    assert store.searches.for_profile(profile) == fitting
    other = profile.model_copy(update={"workload": profile.workload.model_copy(update={"content_hash": "e" * 64})})
    assert store.searches.for_profile(other) is None


def _empty() -> dict[str, object]:
    return {"singles": (), "pairs": (), "sets": (), "paths": {}}


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ({}, True),
        ({"limit": "10%"}, True),
        ({"limit": "30%"}, False),
        ({"limit": "10%params"}, False),
        ({"strategies": ("greedy", "beam")}, False),
        ({"strategies": ()}, True),
        ({"protect": (0,)}, False),
        ({"units": ("block",)}, False),
        ({"units": ("block",), "strategies": ()}, True),
        ({"limit": "nonsense"}, False),
        ({"device": "cuda:1", "batch_tokens": 7}, True),
    ],
)
def test_a_search_answers_what_it_holds_and_smaller_limits(asked: dict[str, object], answered: bool) -> None:
    noted = steering(SearchSettings(strategies=("beam",), limit="20%"))
    assert answered_by(noted, SearchSettings(**{"strategies": ("beam",), "limit": "20%", **asked})) is answered  # type: ignore[arg-type]


def test_verifications_are_listed_by_plan_and_texts_stay_in_the_store(store: Store, make_plan: Callable[..., Plan]) -> None:
    one, other = make_plan(), make_plan(blocks=(0,))
    for plan in (one, other):
        store.plans.save(plan)
        store.add_verification(a_verification(plan))
    assert len(store.verifications.verifications()) == 2
    (summary,) = store.verifications.verifications(one.id)
    assert store.verifications.verification(summary.id).generations
    plan_file = store.plans.plan(one.id)
    assert "bearings" not in plan_file.model_dump_json()
    assert store.add_verification(a_verification(one)) == summary.id
    with pytest.raises(InputError, match="There is no verification"):
        store.verifications.verification("gone")
    with pytest.raises(InputError, match="There is no verification"):
        store.delete_verification("gone")


def test_calibration_tells_the_errors_of_what_was_run_here_only(store: Store, make_plan: Callable[..., Plan]) -> None:
    store.add_verification(a_verification(make_plan()))
    assert store.verifications.calibration() == []
    store.verifications.add(a_verification(make_plan()))
    ((summary, errors),) = store.verifications.calibration()
    assert summary.device_name == "CPU, 2 cores"
    assert {error.quantity for error in errors} >= {"parameters", "prefill_ms", "perplexity_ratio"}


def test_a_time_measured_on_another_machine_answers_nothing(store: Store) -> None:
    store.latencies.keep(a_latency_model(), "there")
    assert store.latencies.model("c" * 40, host="here") is None
    store.latencies.keep(a_latency_model(), "here")
    newer = a_latency_model(measured_at="2026-02-02T00:00:00+00:00")
    store.latencies.keep(newer, "here")
    assert store.latencies.model("c" * 40, host="here") == newer
    assert store.latencies.model("c" * 40, "a processor", host="here", dtype="float32", stack="decoder") == newer
    for other in ({"device_name": "another"}, {"dtype": "bfloat16"}, {"stack": "encoder"}):
        assert store.latencies.model("c" * 40, host="here", **other) is None
    assert store.latencies.model("d" * 40, host="here") is None


def test_an_export_report_is_found_by_its_id(store: Store) -> None:
    report = ExportReport(
        plan_id="p", model_name="m", model_commit="c", folder="/x", files={"a": 1}, n_blocks=Quantity(before=2, after=1),
        n_parameters=Quantity(before=2, after=1), method="reloaded", max_logit_difference=0.0, n_random_tokens=1, n_real_tokens=1,
    )  # fmt: skip
    export_id = store.exports.add(report)
    assert store.exports.report(export_id) == report
    assert store.exports.of_plan("p") == [(export_id, report)]
    with pytest.raises(InputError, match="There is no export"):
        store.exports.report("gone")
