"""The store: rows in a database, documents in files, three views on them."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from analysis.contracts import Profile, ProfileRequest
from analysis.home import home
from analysis.runs.artifacts import Artifacts
from analysis.runs.database import Database
from analysis.runs.keys import request_key
from analysis.runs.queue import Queue
from analysis.runs.run_library import SAMPLE_RUN, RunLibrary
from analysis.runs.shelf import PlanShelf
from analysis.runs.workers import Workers


class Store:
    """Everything that outlives a process.

    Attributes:
        queue: jobs.
        workers: who works on which device.
        runs: stored profiles.
        plans: stored plans.
    """

    def __init__(self, database: Database, artifacts: Artifacts, sample: Path = SAMPLE_RUN) -> None:
        self.database = database
        self.queue = Queue(database)
        self.workers = Workers(database)
        self.runs = RunLibrary(database, artifacts, sample)
        self.plans = PlanShelf(database, artifacts)

    def keep(self, request: ProfileRequest, profile: Profile, *, again: bool = False) -> str:
        """Stores what a request came to, so that the same request is answered at once from now on; returns the run id."""
        run_id = self.runs.add(profile, again=again)
        commit, workload, device = profile.model.commit, profile.workload.content_hash, profile.timing.device
        self.runs.remember(request_key(request, commit=commit, workload_hash=workload, device=device), run_id)
        return run_id


def database_url() -> str:
    """``STRATA_DATABASE``, or an SQLite file under the storage folder."""
    return os.environ.get("STRATA_DATABASE") or f"sqlite:///{home() / 'strata.db'}"


def artifacts_url() -> str:
    """``STRATA_ARTIFACTS`` (any fsspec URL, for a team that shares its runs), or a folder under the storage folder."""
    return os.environ.get("STRATA_ARTIFACTS") or str(home() / "artifacts")


def open_store(sample: Path = SAMPLE_RUN) -> Store:
    """The store of this machine, made on first use.

    Raises:
        ResourceError: it cannot be written, is full, locked or damaged.
        InputError: STRATA_DATABASE names no usable database, or the store is of another version.
    """
    return Store(Database(database_url()), Artifacts(artifacts_url()), sample)


def this_host() -> str:
    """This machine's name, under which it takes jobs."""
    return socket.gethostname()
