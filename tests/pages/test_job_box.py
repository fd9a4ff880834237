"""What a page says of a job when it begins, and when it is over without a result."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from analysis.contracts import Job, JobKind
from analysis.runs.client import Client
from tests.builders import make_profile
from tests.consensus_builders import make_ranking

Visit = Callable[..., AppTest]
StoreProfile = Callable[..., str]
TOP = "It is on its way: the progress is at the top of this page."


def job_of(kind: JobKind, state: Any, job_id: str = "j1") -> Job:
    return Job(id=job_id, kind=kind, state=state, device="cpu", name="x", created_at="2026")


def test_a_job_that_begins_far_below_its_bar_says_where_the_bar_is(
    visit: Visit, client: Client, store_profile: StoreProfile, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_profile()
    client.import_document(make_ranking().model_copy(update={"model": make_profile().model}).model_dump_json().encode(), "ranking.json")
    monkeypatch.setattr(Client, "submit_ranking", lambda self, request, force=False: job_of("ranking", "running"))
    monkeypatch.setattr(Client, "job", lambda self, job_id: job_of("ranking", "running"))
    monkeypatch.setattr(Client, "ensure_worker", lambda self, device: None)
    app = visit("consensus")
    assert not app.toast
    app.button(key="rank").click().run()
    assert [toast.value for toast in app.toast] == [TOP]
    app.run()
    assert not app.toast  # once only


def test_an_answer_from_the_store_is_not_said_to_be_on_its_way(
    visit: Visit, store_profile: StoreProfile, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_profile()
    done = job_of("ranking", "done")
    monkeypatch.setattr(Client, "submit_ranking", lambda self, request, force=False: done)
    monkeypatch.setattr(Client, "job", lambda self, job_id: done)
    app = visit("consensus")
    app.button(key="rank").click().run()
    assert not app.toast


@pytest.mark.parametrize(
    ("kind", "label", "sentence"),
    [
        ("ranking", "Go on with it", "The run was cancelled. Start it again and it goes on from what it had finished."),
        ("robustness", "Start it again", "The run was cancelled, and nothing of it was kept. Started again, it runs from its beginning."),
    ],
)
def test_a_cancelled_job_is_started_again_as_it_was_whatever_the_form_says(
    kind: JobKind, label: str, sentence: str, visit: Visit, store_profile: StoreProfile, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_profile()
    asked: list[str] = []

    def again(self: Client, job_id: str) -> Job:
        asked.append(job_id)
        return job_of(kind, "running", "j2")

    monkeypatch.setattr(Client, "again", again)
    monkeypatch.setattr(Client, "job", lambda self, job_id: job_of(kind, "cancelled" if job_id == "j1" else "running", job_id))
    monkeypatch.setattr(Client, "ensure_worker", lambda self, device: None)
    app = visit("consensus", ranking_job="j1")
    assert sentence in [info.value for info in app.info]
    assert app.button(key="again_ranking_job").label == label
    app.button(key="again_ranking_job").click().run()
    assert asked == ["j1"]
    assert app.progress
    assert "again_ranking_job" not in [button.key for button in app.button]


def test_a_job_that_is_gone_cannot_be_started_again_and_says_so(
    visit: Visit, store_profile: StoreProfile, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_profile()
    monkeypatch.setattr(Client, "job", lambda self, job_id: job_of("ranking", "cancelled"))
    app = visit("consensus", ranking_job="j1")
    app.button(key="again_ranking_job").click().run()
    assert any("There is no job j1 any more" in error.value.replace("\\", "") for error in app.error)
