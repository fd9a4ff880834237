"""The app in a store of its own, with profiles from tests/builders.py put in the way any file comes in."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from analysis.contracts import Profile
from analysis.runs import document_library, documents, run_library, samples, shelf
from analysis.runs.client import Client, open_client

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from builders import make_profile  # noqa: E402

Visit = Callable[..., AppTest]


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """A client of an empty store, without the bundled sample run; what a page sends waits in the queue, and no worker starts."""
    monkeypatch.setenv("STRATA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("STRATA_EXECUTOR", "none")
    for name in ("STRATA_DATABASE", "STRATA_ARTIFACTS"):
        monkeypatch.delenv(name, raising=False)
    st.cache_resource.clear()
    st.cache_data.clear()
    client = open_client()
    client.delete_run("sample")
    yield client
    client._store.database.close()
    st.cache_resource.clear()
    st.cache_data.clear()


@pytest.fixture
def store_profile(client: Client) -> Callable[..., str]:
    """Puts a made-up profile into the store and returns its run id."""

    def stored(profile: Profile | None = None, **changes: object) -> str:
        document = profile or make_profile(**changes)  # type: ignore[arg-type]
        return client.import_document(document.model_dump_json().encode(), "profile.json")[1]

    return stored


@pytest.fixture
def visit(client: Client) -> Visit:
    """Opens a page of the app as a browser would."""

    def opened(page: str = "overview", locale: str = "en-US", theme: str = "light", **query: str) -> AppTest:
        app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=30)
        app.context = {"locale": locale, "theme": theme}
        for name, value in query.items():
            app.query_params[name] = value
        app.run()
        if page != "overview":
            app.switch_page(f"pages/{page}.py")
            for name, value in query.items():
                app.query_params[name] = value
            app.run()
        assert not app.exception, app.exception[0].stack_trace
        return app

    return opened


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the stored documents that are parsed from now on: parsing is what a rerun of a page must not do again."""
    names: list[str] = []

    def noted(data: bytes, filename: str) -> documents.Document:
        names.append(filename)
        return documents.parse_document(data, filename)

    for room in (document_library, run_library, samples, shelf):
        monkeypatch.setattr(room, "parse_document", noted)
    for remembered in (document_library._parsed, run_library._parsed, samples._document):
        remembered.cache_clear()
    return names
