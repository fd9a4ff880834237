"""Traces: what is kept and what they answer."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from analysis.contracts import Profile
from analysis.errors import InputError
from analysis.home import home
from analysis.runs.semantics_library import small_enough
from analysis.runs.store import Store
from tests.runs.made import some_traces


def test_traces_are_kept_once_unless_they_are_measured_again(store: Store) -> None:
    first = store.semantics.add(some_traces())
    assert store.semantics.add(some_traces()) == first
    again = store.semantics.add(some_traces(name="again"), again=True)
    assert again != first
    assert [found.id for found in store.semantics.semantics_list()] == [again, first]
    assert store.semantics.semantics(first) == some_traces()
    assert store.semantics.semantics(some_traces().id).name == "again"
    store.semantics.delete(again)
    assert len(list((home() / "artifacts" / "semantics").iterdir())) == 1
    with pytest.raises(InputError, match="There are no traces"):
        store.semantics.delete(again)


def test_imported_traces_stand_behind_measured_ones_and_answer_no_request(store: Store) -> None:
    own, brought = some_traces(name="own"), some_traces(name="brought")
    kept = store.semantics.add(own)
    imported = store.semantics.add(brought, origin="imported")
    assert imported != kept
    assert store.semantics.add(brought, origin="imported") == imported
    assert store.semantics.for_model(own.model.commit, own.stack, own.workload.content_hash) == own
    assert store.semantics.answer("a request") is None
    store.semantics.remember("a request", kept)
    assert store.semantics.answer("a request") == kept
    store.semantics.delete(kept)
    assert store.semantics.answer("a request") is None


def test_traces_that_were_deleted_by_hand_are_measured_again(store: Store) -> None:
    first = store.semantics.add(some_traces())
    for file in (home() / "artifacts" / "semantics").iterdir():
        file.unlink()
    assert store.semantics.add(some_traces()) != first
    assert store.semantics.for_model(*_about()) is not None


def _about() -> tuple[str, str, str]:
    found = some_traces()
    return found.model.commit, found.stack, found.workload.content_hash


def test_a_profile_finds_the_traces_of_its_model_and_workload(store: Store, make_profile: Callable[..., Profile]) -> None:
    store.semantics.add(some_traces())
    profile = make_profile()
    assert store.semantics.for_profile(profile) is None
    found = some_traces()
    fitting = profile.model_copy(update={"model": found.model, "stack": found.stack, "workload": found.workload})
    assert store.semantics.for_profile(fitting) == found


def test_traces_too_large_for_a_document_keep_fewer_prompts_token_by_token_and_say_so() -> None:
    found = some_traces()
    size = len(found.model_dump_json())
    assert small_enough(found, size) == found
    short = small_enough(found, size - 1)
    assert len(short.traces) == 1
    assert (short.notes[-1].values["n"], short.notes[-1].values["kept"]) == (2, 1)
    assert small_enough(found, 10).traces == ()
    assert len(small_enough(found, 10).notes) == 1
