"""The small parts of the pages: text of others made harmless, columns as people write them, what is said of a job."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from builders import make_preview, make_profile
from hypothesis import given
from hypothesis import strategies as some
from streamlit.testing.v1 import AppTest

from analysis.contracts import Job, Message, Progress, WorkloadPreview
from analysis.errors import ModelError, WorkloadError
from analysis.i18n import translator
from analysis.models.card import ModelCard, write_card
from analysis.models.source import parse_source
from analysis.runs.client import Client
from pages.ui.glossary import TERMS
from pages.ui.language import plain
from pages.ui.workload_form import read_mapping

WORDS = Path(__file__).parents[2] / "pages" / "ui" / "glossary.py"
Visit = Callable[..., AppTest]


@given(some.text(max_size=60))
def test_text_of_others_keeps_its_letters_and_loses_its_markdown(text: str) -> None:
    safe = plain(text)
    assert safe.replace("\\", "") == " ".join(text.split()).replace("\\", "")
    bare = safe
    for sign in "\\`*_{}[]()<>#+!|$:~":
        bare = bare.replace("\\" + sign, "")
    assert not set(bare) & set("`*_[]<>|$:~")


@given(
    some.dictionaries(some.sampled_from(["prompt", "response", "slice"]), some.text("abcあ 列", min_size=1).filter(str.strip), max_size=3)
)
def test_columns_are_read_as_they_are_written(mapping: dict[str, str]) -> None:
    wanted = {field: column.strip() for field, column in mapping.items()}
    assert read_mapping(", ".join(f"{field} = {column}" for field, column in mapping.items())) == wanted


@pytest.mark.parametrize("text", ["prompt", "prompt=", "=text", "a=b, c"])
def test_columns_that_say_nothing_are_refused_with_an_example(text: str) -> None:
    with pytest.raises(WorkloadError, match="prompt=text"):
        read_mapping(text)


def test_a_model_name_longer_than_the_file_system_allows_is_refused_in_words() -> None:
    with pytest.raises(ModelError, match="not a model that can be found") as refused:
        parse_source("x" * 300)
    assert len(str(refused.value)) < 300


def test_every_term_has_its_sentence_in_both_languages() -> None:
    japanese = translator("ja")
    assert len(TERMS) == 61
    for name, sentence in TERMS.items():
        assert sentence.endswith(".")
        assert japanese(sentence) != sentence, name


@pytest.fixture
def with_preview(monkeypatch: pytest.MonkeyPatch, client: Client) -> WorkloadPreview:
    """A preview that needs no model."""
    preview = make_preview()
    monkeypatch.setattr(Client, "preview", lambda self, request: preview)
    return preview


def with_job(monkeypatch: pytest.MonkeyPatch, **changes: Any) -> None:
    fields: dict[str, Any] = {
        "id": "j1",
        "kind": "profile",
        "state": "running",
        "device": "cpu",
        "name": "a <b>job</b>",
        "created_at": "2026",
    }
    job = Job(**(fields | changes))
    monkeypatch.setattr(Client, "job", lambda self, job_id: job if job_id == "j1" else None)
    monkeypatch.setattr(Client, "ensure_worker", lambda self, device: None)


def labels(app: AppTest) -> list[str]:
    return [button.label for button in app.button]


def test_before_the_first_run_the_duration_is_not_guessed(visit: Visit, with_preview: WorkloadPreview) -> None:
    app = visit("workload")
    assert "not known yet" in app.title[0].value
    assert any("not known before the first run" in caption.value for caption in app.caption)


def test_after_a_run_the_duration_comes_from_its_speed(
    visit: Visit, with_preview: WorkloadPreview, store_profile: Callable[..., str]
) -> None:
    profile = make_profile()
    store_profile(profile)
    write_card(profile.model.source, ModelCard(profile.model, None), [])
    assert "about 33 s on CPU, 2 cores" in visit("workload").title[0].value


def test_a_running_job_shows_rate_and_time_left_and_can_be_cancelled(
    visit: Visit, with_preview: WorkloadPreview, monkeypatch: pytest.MonkeyPatch
) -> None:
    progress = Progress(stage=Message(id="Loading the model"), done=50, total=200, tokens_per_second=300.4, eta_seconds=42)
    with_job(monkeypatch, progress=progress)
    app = visit("workload", job="j1")
    assert app.progress[0].value == 25
    assert "300 tokens/s" in app.progress[0].text
    assert "42 s left" in app.progress[0].text
    cancelled: list[str] = []
    monkeypatch.setattr(Client, "cancel", lambda self, job_id: cancelled.append(job_id))
    app.button(key="cancel_j1").click().run()
    assert cancelled == ["j1"]
    assert app.button(key="cancel_j1").disabled


def test_a_waiting_job_says_its_place(visit: Visit, with_preview: WorkloadPreview, monkeypatch: pytest.MonkeyPatch) -> None:
    with_job(monkeypatch, state="queued", place=3)
    assert "3 jobs go first" in visit("workload", job="j1").progress[0].text


def test_a_finished_job_leads_to_its_result(visit: Visit, with_preview: WorkloadPreview, monkeypatch: pytest.MonkeyPatch) -> None:
    with_job(monkeypatch, state="done", result_id="r1")
    app = visit("workload", job="j1")
    assert "See the similarity" in labels(app)
    assert [button.label for button in app.button if button.proto.type == "primary"] == ["See the similarity"]


def test_a_failed_job_says_why_in_one_sentence(visit: Visit, with_preview: WorkloadPreview, monkeypatch: pytest.MonkeyPatch) -> None:
    with_job(monkeypatch, state="failed", error=Message(id="The disk that holds {folder} is full.", values={"folder": "/x_y_z"}))
    app = visit("workload", job="j1")
    assert [error.value.replace("\\", "") for error in app.error] == ["The disk that holds /x_y_z is full."]


def test_a_job_that_is_not_known_is_said_and_put_away(visit: Visit, with_preview: WorkloadPreview, monkeypatch: pytest.MonkeyPatch) -> None:
    with_job(monkeypatch)
    app = visit("workload", job="nobody")
    assert "There is no job" in app.warning[0].value
    assert "job" not in app.query_params


def test_a_name_of_a_model_that_is_none_is_refused_and_nothing_can_be_started(visit: Visit, client: Client) -> None:
    app = visit("workload")
    app.selectbox(key="model_kind").set_value("other").run()
    app.text_input(key="model_text").set_value("../../etc/passwd; rm -rf").run()
    assert len(app.error) == 1
    assert app.button(key="profile").disabled


def test_a_run_and_the_reading_of_another_model_are_watched_side_by_side(visit: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    fields: dict[str, Any] = {"state": "running", "device": "cpu", "name": "x", "created_at": "2026"}
    describing = Job(id="j2", kind="describe", **fields)
    jobs = {"j1": Job(id="j1", kind="profile", **fields), "j2": describing}
    monkeypatch.setattr(Client, "job", lambda self, job_id: jobs[job_id])
    monkeypatch.setattr(Client, "ensure_worker", lambda self, device: None)
    monkeypatch.setattr(Client, "preview", lambda self, request: describing)
    app = visit("workload", job="j1")
    assert len(app.progress) == 2


def test_a_description_that_fails_says_why(visit: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = Job(
        id="j2", kind="describe", state="failed", device="cpu", name="x", created_at="2026", error=Message(id="This model has no layers.")
    )
    monkeypatch.setattr(Client, "job", lambda self, job_id: failed)
    monkeypatch.setattr(Client, "preview", lambda self, request: failed)
    app = visit("workload")
    assert [error.value for error in app.error] == ["This model has no layers."]
    assert app.button(key="profile").disabled
