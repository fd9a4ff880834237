"""What is kept, and that nothing kept is lost."""

from __future__ import annotations

import errno
import gzip
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from analysis.contracts import Plan, Profile
from analysis.errors import DocumentError, InputError, ResourceError
from analysis.home import home
from analysis.runs.artifacts import Artifacts
from analysis.runs.database import Database
from analysis.runs.queue import NewJob, Queue
from analysis.runs.run_library import SAMPLE_RUN_ID
from analysis.runs.store import Store, open_store
from analysis.runs.tables import meta

MakeProfile = Callable[..., Profile]
MakePlan = Callable[..., Plan]


def test_a_run_survives_a_restart_under_its_id(store: Store, make_profile: MakeProfile) -> None:
    run_id = store.runs.add(make_profile())
    again = open_store()
    assert run_id == "0123456789ab"
    assert again.runs.profile(run_id) == make_profile()
    assert again.runs.profile(make_profile().id) == make_profile()
    summary = next(run for run in again.runs.runs() if run.id == run_id)
    assert (summary.name, summary.n_blocks, summary.n_tokens) == ("a run", 2, 8)
    again.database.close()


def test_the_same_run_is_stored_once_and_measured_again_beside_it(store: Store, make_profile: MakeProfile) -> None:
    first = store.runs.add(make_profile())
    assert store.runs.add(make_profile()) == first
    assert store.runs.add(make_profile(speed=50.0), again=True) == f"{first}-2"
    assert store.runs.measured(make_profile().id).timing.tokens_per_second == 50.0  # type: ignore[union-attr]


def test_an_imported_run_never_answers_a_request_made_here(store: Store, make_profile: MakeProfile) -> None:
    imported = store.runs.add(make_profile(), origin="imported")
    assert store.runs.add(make_profile(), origin="imported") == imported
    assert store.runs.measured(make_profile().id) is None
    assert store.runs.add(make_profile(speed=7.0)) == f"{imported}-2"


def test_runs_are_renamed_and_deleted(store: Store, make_profile: MakeProfile) -> None:
    run_id = store.runs.add(make_profile())
    store.runs.remember("k", run_id)
    store.runs.rename(run_id, "  a\nbetter\x00 name ")
    assert store.runs.profile(run_id).name == "a better name"
    with pytest.raises(InputError, match="visible character"):
        store.runs.rename(run_id, " \n ")
    store.runs.delete(run_id)
    assert store.runs.answer("k") is None
    assert list((home() / "artifacts" / "runs").iterdir()) == []
    for ask in (store.runs.profile, store.runs.delete):
        with pytest.raises(InputError, match="There is no run"):
            ask(run_id)


def test_the_bundled_sample_is_listed_without_a_copy_and_deleting_only_hides_it(
    store: Store, make_profile: MakeProfile, tmp_path: Path
) -> None:
    sample = tmp_path / "sample_run.json.gz"
    assert store.runs.runs() == []
    sample.write_bytes(gzip.compress(make_profile(name="sample").model_dump_json().encode()))
    with_sample = open_store(sample=sample)
    (listed,) = with_sample.runs.runs()
    assert (listed.id, listed.is_sample, listed.name) == (SAMPLE_RUN_ID, True, "sample")
    assert with_sample.runs.measured(make_profile().id) is None
    with_sample.runs.rename(SAMPLE_RUN_ID, "mine")
    assert with_sample.runs.runs()[0].name == "mine"
    with_sample.runs.delete(SAMPLE_RUN_ID)
    assert with_sample.runs.runs() == []
    assert sample.exists()
    assert with_sample.runs.profile(SAMPLE_RUN_ID).name == "sample"
    with_sample.database.close()


def test_plans_keep_their_state_when_saved_again(store: Store, make_plan: MakePlan) -> None:
    plan_id = store.plans.save(make_plan(), "first")
    store.plans.set_state(plan_id, "withdrawn")
    assert store.plans.save(make_plan(), "second") == plan_id
    (summary,) = store.plans.plans()
    assert (summary.name, summary.state, summary.operations) == ("second", "withdrawn", "prune block 1")
    assert store.plans.plan(plan_id).name == "second"
    with pytest.raises(InputError, match="cannot be in the state gone"):
        store.plans.set_state(plan_id, "gone")  # type: ignore[arg-type]
    store.plans.delete(plan_id)
    with pytest.raises(InputError, match="There is no plan"):
        store.plans.plan(plan_id)


def test_a_full_disk_is_said_in_one_sentence_and_nothing_stored_is_lost(
    store: Store, make_profile: MakeProfile, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = store.runs.add(make_profile())

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(ResourceError, match="is full"):
            store.runs.add(make_profile("f" * 16))
    assert [run.id for run in store.runs.runs()] == [run_id]
    assert store.runs.profile(run_id) == make_profile()
    assert len(list((home() / "artifacts" / "runs").iterdir())) == 1


def test_a_row_that_cannot_be_written_leaves_no_file_behind(
    store: Store, make_profile: MakeProfile, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_work: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(store.database, "_retried", lambda work, *, writing: refused(work) if writing else None)
    with pytest.raises(ResourceError, match="is full"):
        store.runs.add(make_profile())
    assert list((home() / "artifacts" / "runs").iterdir()) == []


def test_a_folder_or_database_that_cannot_be_written_is_said_in_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Database(f"sqlite:///{tmp_path / 'strata.db'}").close()
    readonly = Database(f"sqlite:///file:{tmp_path / 'strata.db'}?mode=ro&uri=true")
    with pytest.raises(ResourceError, match="cannot be written"):
        Queue(readonly).add(NewJob("profile", "h", "cpu", "n"))
    readonly.close()

    def refused(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "mkdir", refused)
    with pytest.raises(ResourceError, match="cannot be written"):
        Database(f"sqlite:///{tmp_path / 'inside' / 'strata.db'}")


def test_a_locked_database_is_waited_for_and_then_said_in_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "strata.db"
    database = Database(f"sqlite:///{path}", busy_seconds=0.1, retries=2)
    queue = open_queue(database)
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(ResourceError, match="held by another program"):
        queue(NewJob("profile", "h", "cpu", "n"))
    threading.Timer(0.3, lambda: other.execute("ROLLBACK")).start()
    patient = Database(f"sqlite:///{path}", busy_seconds=2.0)
    assert open_queue(patient)(NewJob("profile", "h", "cpu", "n"))
    other.close()
    database.close()
    patient.close()


def open_queue(database: Database) -> Callable[[NewJob], str]:
    return Queue(database).add


def test_a_reader_is_not_held_up_by_a_writer_and_sees_only_whole_changes(store: Store) -> None:
    writing, seen = threading.Event(), threading.Event()

    def slow(connection: object) -> None:
        connection.execute(meta.insert().values(key="half", value="1"))  # type: ignore[attr-defined]
        writing.set()
        seen.wait(60)

    writer = threading.Thread(target=lambda: store.database.write(slow))
    writer.start()
    writing.wait(5)
    assert store.runs.runs() == []
    assert store.queue.jobs() == []
    assert writer.is_alive(), "it was still in the middle of its change"
    seen.set()
    writer.join()


def test_many_writers_at_once_lose_nothing(store: Store) -> None:
    stores = [open_store() for _ in range(4)]
    threads = [
        threading.Thread(target=lambda one=one: [one.queue.add(NewJob("profile", "h", "cpu", "n")) for _ in range(10)]) for one in stores
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store.queue.jobs()) == 40
    for one in stores:
        one.database.close()


def test_a_store_of_another_version_and_a_file_that_is_no_store_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "strata.db"
    Database(f"sqlite:///{path}").close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE meta SET value = '9' WHERE key = 'schema_version'")
    connection.close()
    with pytest.raises(InputError, match="version 9"):
        Database(f"sqlite:///{path}")
    wrong = tmp_path / "wrong.db"
    wrong.write_bytes(b"not a database at all" * 100)
    with pytest.raises(ResourceError, match="damaged"):
        Database(f"sqlite:///{wrong}")


@pytest.mark.parametrize("url", ["nonsense", "nosuchdatabase://host/name"])
def test_a_database_url_that_cannot_be_used_is_refused(url: str) -> None:
    with pytest.raises(InputError, match="STRATA_DATABASE"):
        Database(url)


def test_a_missing_artifact_is_said_in_one_sentence(store: Store, make_profile: MakeProfile) -> None:
    run_id = store.runs.add(make_profile())
    for path in (home() / "artifacts" / "runs").iterdir():
        path.unlink()
    with pytest.raises(DocumentError, match="missing or damaged"):
        store.runs.profile(run_id)
    assert store.runs.add(make_profile()) == f"{run_id}-2"


def test_the_same_work_is_not_queued_twice(store: Store) -> None:
    new = NewJob("profile", "h", "cpu", "n", twin_key="k")
    first = store.queue.add(new)
    assert store.queue.add(new) == first
    store.queue.cancel(first)
    assert store.queue.add(new) != first


def test_artifacts_go_wherever_fsspec_reaches(make_profile: MakeProfile, store: Store) -> None:
    artifacts = Artifacts("memory://strata-test")
    assert artifacts.write("a/b.json.gz", "{}") > 0
    assert artifacts.read("a/b.json.gz") == b"{}"
    artifacts.delete("a/b.json.gz")
    with pytest.raises(DocumentError):
        artifacts.read("a/b.json.gz")


def test_the_client_is_free_of_torch() -> None:
    script = "import sys, analysis.runs.client; print(sorted({'torch', 'transformers', 'ray'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    assert found.stdout.strip() == "[]"
