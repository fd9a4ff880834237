"""What every test stands on: no network, a home folder of the session's own, and the sample model converted once.

The converted sample model is kept across runs in ``STRATA_TEST_CACHE`` (or the user's cache folder) and linked into
the session's home before the first test marked ``sample_model``.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from analysis.models.stack import LoadedModel

os.environ["HF_HUB_OFFLINE"] = "1"  # before huggingface_hub is imported, which reads it once
_CACHE = Path(os.environ.get("STRATA_TEST_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "strata-tests")
_home: Path | None = None


def pytest_configure(config: pytest.Config) -> None:
    global _home
    _home = Path(tempfile.mkdtemp(prefix="strata-tests-"))
    os.environ["STRATA_HOME"] = str(_home)


def pytest_unconfigure(config: pytest.Config) -> None:
    if _home is not None:
        shutil.rmtree(_home, ignore_errors=True)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("sample_model") is not None:
        _link_sample()


@pytest.fixture(scope="session")
def sample_folder() -> Path:
    """The folder of the converted sample model."""
    return _link_sample()


@pytest.fixture(scope="session")
def sample_model(sample_folder: Path) -> LoadedModel:
    """The sample model, loaded on the CPU in float32."""
    from analysis.contracts import ModelSource
    from analysis.models.load import load_model

    with _home_at(_home):
        return load_model(ModelSource(kind="sample"), device="cpu")


def _link_sample() -> Path:
    """The sample model in the session's home: converted into the cache when it is not there yet."""
    from analysis.models.sample import prepare_sample
    from analysis.models.sample import sample_folder as folder

    with _home_at(_home):
        link = folder()
    if not link.exists():
        with _home_at(_CACHE):
            made = prepare_sample()
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(made, target_is_directory=True)
    return link


@contextmanager
def _home_at(folder: Path | None) -> Iterator[None]:
    assert folder is not None
    before = os.environ["STRATA_HOME"]
    os.environ["STRATA_HOME"] = str(folder)
    try:
        yield
    finally:
        os.environ["STRATA_HOME"] = before
