"""Stored profiles, and the requests they answer."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, RowMapping, delete, select, update

from analysis.contracts import ModelInfo, Profile, RunSummary
from analysis.errors import DocumentError, InputError
from analysis.runs.artifacts import Artifacts
from analysis.runs.database import Database
from analysis.runs.document_library import NAME_LIMIT, Origin, answered, clipped, free_id, iso, note_answer, stem_of
from analysis.runs.documents import parse_document
from analysis.runs.tables import meta, requests, runs

SAMPLE_RUN = Path(__file__).parents[2] / "sample_data" / "sample_run.json.gz"
SAMPLE_RUN_ID = "sample"
_LOOKED_THROUGH = 20


class RunLibrary:
    """Profiles by run id.

    A run's id is the start of its content key (with a number when it was measured again), so it stays the same in a
    link. The bundled sample run is listed beside them without being copied; deleting it only hides it.
    """

    def __init__(self, database: Database, artifacts: Artifacts, sample: Path = SAMPLE_RUN) -> None:
        self._database = database
        self._artifacts = artifacts
        self._sample = sample

    def add(self, profile: Profile, *, origin: Origin = "measured", again: bool = False) -> str:
        """Stores a profile and returns its run id; one that is there already is not stored twice, except `again`."""
        if not again and (known := self._known(profile, origin)):
            return known
        stem = stem_of(profile.id)
        artifact = f"runs/{stem}-{uuid.uuid4().hex[:8]}.json.gz"
        size = self._artifacts.write(artifact, profile.model_dump_json())
        described = {
            "content_key": profile.id,
            "artifact": artifact,
            "origin": origin,
            "name": clipped(profile.name, fallback=profile.model.name),
        }

        def work(connection: Connection) -> str:
            run_id = free_id(connection, runs.c.id, stem)
            connection.execute(runs.insert().values(id=run_id, **described, stored_at=time.time(), summary=_facts(profile, size)))
            return run_id

        try:
            return self._database.write(work)
        except BaseException:
            self._artifacts.delete(artifact)
            raise

    def runs(self) -> list[RunSummary]:
        """All runs, newest first; the sample comes last."""
        rows = self._database.read(lambda connection: connection.execute(select(runs).order_by(runs.c.stored_at.desc())).mappings().all())
        sample = self._sample_summary()
        return [*map(_summary, rows), *([sample] if sample else [])]

    def profile(self, run_id: str) -> Profile:
        """The profile of a run, by its run id or its content key.

        Raises:
            InputError: there is no such run.
            DocumentError: its file is gone or damaged.
        """
        found = self._find((runs.c.id == run_id) | (runs.c.content_key == run_id))
        if found is not None:
            profile = self._open(found)
            return profile.model_copy(update={"name": found["name"]})
        if (sample := self._sample_profile()) and run_id in (SAMPLE_RUN_ID, sample.id):
            return sample
        raise _no_run(run_id)

    def measured(self, content_key: str) -> Profile | None:
        """The profile measured here under a content key; None when there is none, or its file is gone."""
        found = self._find((runs.c.content_key == content_key) & (runs.c.origin == "measured"))
        try:
            return self._open(found) if found is not None else None
        except DocumentError:
            return None

    def for_model(self, model: ModelInfo, stack: str, workload_hash: str, slices: tuple[str, ...] = ()) -> Profile | None:
        """The newest profile of a model's stack on a workload over the same slices, measured here before imported, the sample last."""
        rows = self._database.read(lambda connection: connection.execute(select(runs).order_by(runs.c.stored_at.desc())).mappings().all())
        named = [row for row in rows if row["summary"]["model_name"] == model.name[:NAME_LIMIT]][:_LOOKED_THROUGH]
        stored = (self._openable(row) for row in sorted(named, key=lambda row: row["origin"] != "measured"))
        wanted = (model.commit, stack, workload_hash, slices)
        for profile in chain(stored, (self._sample_profile(),)):
            if profile is not None and wanted == (
                profile.model.commit,
                profile.stack,
                profile.workload.content_hash,
                profile.settings.slices,
            ):
                return profile
        return None

    def rename(self, run_id: str, name: str) -> None:
        """Gives a run another name."""
        if run_id == SAMPLE_RUN_ID:
            self._set("sample_name", clipped(name))
            return
        changed = update(runs).where(runs.c.id == run_id).values(name=clipped(name))
        if not self._database.write(lambda connection: connection.execute(changed).rowcount):
            raise _no_run(run_id)

    def delete(self, run_id: str) -> None:
        """Takes a run out of the store; the sample is only hidden. Plans made from it stay."""
        if run_id == SAMPLE_RUN_ID:
            self._set("sample_hidden", "1")
            return

        def work(connection: Connection) -> str | None:
            artifact = connection.execute(select(runs.c.artifact).where(runs.c.id == run_id)).scalar()
            connection.execute(delete(requests).where(requests.c.run_id == run_id))
            connection.execute(delete(runs).where(runs.c.id == run_id))
            return artifact

        artifact = self._database.write(work)
        if artifact is None:
            raise _no_run(run_id)
        self._artifacts.delete(artifact)

    def answer(self, request_key: str) -> str | None:
        """The id of the run that answered this request before."""
        row = answered(self._database, runs, request_key)
        return None if row is None else str(row["id"])

    def remember(self, request_key: str, run_id: str) -> None:
        """Notes which run answers a request from now on."""
        note_answer(self._database, request_key, run_id)

    def _find(self, where: Any) -> RowMapping | None:
        query = select(runs).where(where).order_by(runs.c.stored_at.desc()).limit(1)
        return self._database.read(lambda connection: connection.execute(query).mappings().first())

    def _open(self, row: RowMapping) -> Profile:
        return _parsed(self._artifacts.read(row["artifact"]), row["artifact"])

    def _openable(self, row: RowMapping) -> Profile | None:
        with suppress(DocumentError):
            return self._open(row)
        return None

    def _known(self, profile: Profile, origin: Origin) -> str | None:
        """A measured run answers its key; an import is known only when it is the same document."""
        key = runs.c.content_key == profile.id
        if origin == "measured":
            found = self._find(key & (runs.c.origin == "measured"))
            return found["id"] if found is not None and self.measured(profile.id) else None
        rows = self._database.read(lambda connection: connection.execute(select(runs).where(key)).mappings().all())
        if profile == self._sample_profile():
            self._set("sample_hidden", "")
            return SAMPLE_RUN_ID
        return next((row["id"] for row in rows if self._open(row) == profile), None)

    def _sample_profile(self) -> Profile | None:
        if not self._sample.exists():
            return None
        return _sample_at(self._sample, self._sample.stat().st_mtime_ns)

    def _sample_summary(self) -> RunSummary | None:
        said = self._said()
        profile = None if said.get("sample_hidden") else self._sample_profile()
        if profile is None:
            return None
        facts = _facts(profile, self._sample.stat().st_size)
        name = said.get("sample_name") or profile.name
        return RunSummary(id=SAMPLE_RUN_ID, name=name, created_at=profile.timing.started_at, is_sample=True, **facts)

    def _said(self) -> Mapping[str, str]:
        query = select(meta.c.key, meta.c.value).where(meta.c.key.in_(("sample_hidden", "sample_name")))
        return {row.key: row.value for row in self._database.read(lambda connection: connection.execute(query).all())}

    def _set(self, key: str, value: str) -> None:
        def work(connection: Connection) -> None:
            connection.execute(delete(meta).where(meta.c.key == key))
            connection.execute(meta.insert().values(key=key, value=value))

        self._database.write(work)


@lru_cache(maxsize=1)
def _sample_at(path: Path, _modified: int) -> Profile:
    return _parsed(path.read_bytes(), path.name)


@lru_cache(maxsize=8)
def _parsed(data: bytes, name: str) -> Profile:
    document = parse_document(data, name)
    if not isinstance(document, Profile):
        raise DocumentError("{file} holds no profile. Put it back from a backup, or delete its entry and measure again.", file=name)
    return document


def _facts(profile: Profile, size: int) -> dict[str, Any]:
    return {
        "model_name": profile.model.name[:NAME_LIMIT],
        "n_blocks": profile.n_blocks,
        "workload_name": profile.workload.name[:NAME_LIMIT],
        "n_examples": profile.counts.n_examples,
        "n_tokens": profile.counts.n_tokens,
        "device_name": profile.timing.device_name[:NAME_LIMIT],
        "size_bytes": size,
    }


def _summary(row: RowMapping) -> RunSummary:
    return RunSummary(id=row["id"], name=row["name"], created_at=iso(row["stored_at"]), **row["summary"])


def _no_run(run_id: str) -> InputError:
    return InputError("There is no run {run} in this store. Choose one from the list of runs; it may have been deleted.", run=run_id[:80])
