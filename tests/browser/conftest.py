"""A real server in a process of its own and a real Chromium. Without Chromium these tests are skipped and say so."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from analysis.contracts import Plan, Profile, Search, Semantics, Trial, Verification
from analysis.runs.client import open_client

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--no-first-run",
]
PATIENCE_MS = 30_000

playwright_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed: make setup-dev installs it")


@dataclass
class Server:
    """A running app. `home` is its storage folder."""

    url: str
    home: Path
    process: subprocess.Popen[bytes]

    def log(self) -> str:
        return (self.home / "server.log").read_text(encoding="utf-8", errors="replace")


Document = Profile | Search | Plan | Verification | Semantics | Trial
StartServer = Callable[..., Server]


@pytest.fixture(scope="session")
def chromium() -> Iterator[object]:
    """One browser for all tests."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no Chromium on this machine: install the package chromium")
    with playwright_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium: object) -> Iterator[Callable[..., object]]:
    """Opens an address in a browser of its own language, theme and size; page errors fail the test."""
    contexts, errors = [], []

    def opened(url: str, *, locale: str = "en-US", dark: bool = False, size: tuple[int, int] = (1440, 900)) -> object:
        context = chromium.new_context(  # type: ignore[attr-defined]
            locale=locale, color_scheme="dark" if dark else "light", viewport={"width": size[0], "height": size[1]}, accept_downloads=True
        )
        contexts.append(context)
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(url)
        page.locator("h1").first.wait_for()
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not errors, errors


@pytest.fixture(scope="module")
def start_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartServer]:
    """Starts servers, each in a storage folder of its own; documents are put in before the first visit."""
    servers: list[Server] = []

    def started(*documents: Document, sample_model: Path | None = None) -> Server:
        home = tmp_path_factory.mktemp("home")
        _fill(home, documents, sample_model)
        server = _start(home)
        servers.append(server)
        return server

    yield started
    for server in servers:
        server.process.terminate()
        server.process.wait(timeout=20)


def _fill(home: Path, documents: tuple[Document, ...], sample_model: Path | None) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STRATA_HOME", str(home))
        client = open_client()
        for document in documents:
            client.import_document(document.model_dump_json().encode(), f"{document.kind}.json")
        client._store.database.close()
        if sample_model is not None:
            from analysis.models.sample import sample_folder

            sample_folder().parent.mkdir(parents=True, exist_ok=True)
            sample_folder().symlink_to(sample_model.resolve(), target_is_directory=True)


def _start(home: Path) -> Server:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "STRATA_HOME": str(home), "HF_HUB_OFFLINE": "1"}
    with (home / "server.log").open("wb") as log:
        command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(port)]
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT)
    url = f"http://127.0.0.1:{port}"
    for _ in range(300):
        try:
            with urllib.request.urlopen(f"{url}/_stcore/health", timeout=2) as answer:
                if answer.read() == b"ok":
                    return Server(url, home, process)
        except OSError:
            time.sleep(0.1)
    process.kill()
    raise AssertionError("the server did not start: " + (home / "server.log").read_text(errors="replace"))
