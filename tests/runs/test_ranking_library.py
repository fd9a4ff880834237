"""Rankings in the store: they grow step by step under one id, and only a complete one answers a request."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from analysis.contracts import ModelSource, Profile, Ranking, RankingRequest, RankingSettings
from analysis.errors import DocumentError, InputError
from analysis.runs.keys import ranking_key
from analysis.runs.store import Store, open_store
from tests.builders import make_model, make_profile
from tests.consensus_builders import make_ranking

KEY = "ab12cd" + "0" * 10


def a_ranking(n_taken: int = 3, **changes: Any) -> Ranking:
    return make_ranking(8, **({"n_taken": n_taken, "id": KEY} | changes))


def _part(whole: Ranking, n: int) -> Ranking:
    return whole.model_copy(update={"steps": whole.steps[:n], "lost_together": whole.lost_together[:n], "complete": False})


def test_a_store_of_the_version_before_opens_and_gains_the_new_tables(store: Store, tmp_path: Path) -> None:
    store.database.write(lambda connection: [connection.execute(text(f"drop table {name}")) for name in _NEW])
    again = open_store(sample=tmp_path / "none.json.gz")
    assert (again.rankings.rankings(), again.healings.healings(), again.robustness.robustness_tests()) == ([], [], [])
    again.rankings.keep(a_ranking())
    assert len(again.rankings.rankings()) == 1
    again.database.close()


_NEW = ("rankings", "healings", "robustness_tests")


def test_a_ranking_grows_under_one_id_and_leaves_one_file(store: Store, tmp_path: Path) -> None:
    whole = a_ranking()
    ids = {store.rankings.keep(part) for part in (_part(whole, 1), _part(whole, 2), whole)}
    assert ids == {"ab12cd000000"}
    assert store.rankings.measured(KEY) == whole
    assert store.rankings.ranking("ab12cd000000") == store.rankings.ranking(KEY) == whole
    (listed,) = store.rankings.rankings()
    assert (listed.n_taken, listed.complete, listed.unit, listed.n_voters) == (3, True, "block", len(whole.steps[0].votes) - 1)
    assert len(list((tmp_path / "home" / "artifacts" / "rankings").glob("*"))) == 1


def test_one_that_is_measured_again_replaces_the_old_one_only_when_it_is_through(store: Store) -> None:
    old, new = a_ranking(), a_ranking(seed=1, id=KEY)
    store.rankings.keep(old)
    store.rankings.keep(_part(new, 1))
    assert store.rankings.measured(KEY) == old
    store.rankings.keep(new)
    assert store.rankings.measured(KEY) == new


def test_only_a_complete_ranking_answers_its_request(store: Store) -> None:
    whole = a_ranking()
    request = RankingRequest(model=ModelSource(kind="sample"), workload_paths=(), settings=RankingSettings(device="cpu"))
    key = ranking_key(request, commit=whole.model.commit, workload_hash=whole.workload.content_hash, device="cpu")
    store.keep_ranking(request, _part(whole, 1))
    assert store.rankings.answer(key) is None
    found = store.keep_ranking(request, whole)
    assert store.rankings.answer(key) == found
    store.rankings.delete(found)
    assert store.rankings.answer(key) is None
    with pytest.raises(InputError, match="There is no ranking"):
        store.rankings.ranking(found)


def test_requests_that_rank_alike_share_a_key_and_others_do_not() -> None:
    about = {"commit": "c" * 40, "workload_hash": "w" * 64, "device": "cpu"}

    def key(**changes: Any) -> str:
        settings = RankingSettings(**changes)
        return ranking_key(RankingRequest(model=ModelSource(kind="sample"), workload_paths=(), settings=settings), **about)  # type: ignore[arg-type]

    assert key() == key(batch_tokens=64, memory_bytes=1, device="cpu")
    different = (
        {"voters": ("cka",)},
        {"amount": "6layers"},
        {"held_out": ("mail",)},
        {"replicates": 0},
        {"most_perplexity": 1.5},
        {"seed": 1},
    )
    assert len({key(), *(key(**changes) for changes in different)}) == len(different) + 1


def test_an_imported_one_is_kept_beside_it_once_and_answers_nothing(store: Store) -> None:
    whole = a_ranking()
    first = store.rankings.add_imported(whole)
    assert store.rankings.add_imported(whole) == first
    assert store.rankings.measured(KEY) is None
    mine = store.rankings.keep(whole)
    assert mine != first
    assert [one.id for one in store.rankings.all_of(whole.model.commit, whole.stack, whole.workload.content_hash)] == [mine, first]


def test_the_one_to_plan_by_is_complete_of_the_right_unit_and_the_newest(store: Store) -> None:
    old, half, attention = (
        a_ranking(),
        _part(a_ranking(id="cc12cd" + "0" * 10), 1),
        a_ranking(0, id="aa12cd" + "0" * 10, settings=RankingSettings(unit="attention")),
    )
    for ranking in (old, half, attention):
        store.rankings.keep(ranking)
    about = (old.model.commit, old.stack, old.workload.content_hash)
    assert store.rankings.for_model(*about) == attention
    assert store.rankings.for_model(*about, "block") == old
    assert store.rankings.for_model(*about, "mlp") is None
    assert store.rankings.for_model("another", *about[1:]) is None
    store.rankings.delete("ab12cd000000")
    assert store.rankings.for_model(*about, "block") == half


def test_a_profile_finds_the_ranking_of_its_model_and_prompts(store: Store) -> None:
    profile: Profile = make_profile(8, model=make_model(8))
    store.rankings.keep(a_ranking(model=profile.model, stack=profile.stack, workload=profile.workload))
    assert store.rankings.for_profile(profile) is not None
    other = profile.model_copy(update={"workload": profile.workload.model_copy(update={"content_hash": "0" * 64})})
    assert store.rankings.for_profile(other) is None


def test_a_damaged_file_is_said_and_the_same_ranking_is_measured_anew(store: Store, tmp_path: Path) -> None:
    found = store.rankings.keep(a_ranking())
    (file,) = (tmp_path / "home" / "artifacts" / "rankings").glob("*")
    file.write_bytes(b"{")
    with pytest.raises(DocumentError):
        store.rankings.ranking(found)
    assert store.rankings.measured(KEY) is None
    assert store.rankings.keep(_part(a_ranking(), 1)) == found
    assert len(store.rankings.ranking(found).steps) == 1


def test_the_bundled_sample_comes_last_and_is_only_hidden(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "sample"
    folder.mkdir()
    sample = a_ranking(id="the sample", name="sample")
    (folder / "sample_ranking.json.gz").write_bytes(gzip.compress(sample.model_dump_json().encode()))
    bundled = open_store(sample=folder / "sample_run.json.gz")
    bundled.rankings.keep(a_ranking())
    assert [(one.id, one.is_sample) for one in bundled.rankings.rankings()] == [("ab12cd000000", False), ("the sample", True)]
    assert bundled.rankings.ranking("the sample") == sample
    bundled.rankings.delete("ab12cd000000")
    assert bundled.rankings.for_model(sample.model.commit, sample.stack, sample.workload.content_hash) == sample
    bundled.rankings.delete("the sample")
    assert bundled.rankings.rankings() == []
    bundled.database.close()
