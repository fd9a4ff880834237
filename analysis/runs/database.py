"""Short transactions on the store's database, and its refusals in one sentence."""

from __future__ import annotations

import errno
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, make_url, select
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, NoSuchModuleError, SQLAlchemyError

from analysis.errors import InputError, ResourceError, StrataError
from analysis.home import saying_disk_errors
from analysis.runs.tables import SCHEMA_VERSION, meta, metadata

T = TypeVar("T")
_WRITING = "strata_writing"


class Database:
    """The rows behind the store. First use creates them.

    Args:
        url: any database URL that SQLAlchemy knows; SQLite runs in WAL mode, so that readers never wait for a writer.
        busy_seconds: how long SQLite itself waits for another writer.
        retries: how often a transaction is tried again after that.
    """

    def __init__(self, url: str, *, busy_seconds: float = 2.0, retries: int = 4) -> None:
        self._url = url
        self._retries = retries
        self._engine = _make_engine(url, busy_seconds)
        with saying_disk_errors(self._place):
            if self._file is not None:
                self._file.parent.mkdir(parents=True, exist_ok=True)
        self.write(_create)

    def read(self, work: Callable[[Connection], T]) -> T:
        """What `work` reads in one transaction."""
        return self._in_words(work, writing=False)

    def write(self, work: Callable[[Connection], T]) -> T:
        """What `work` returns, its changes kept whole or not at all.

        Raises:
            ResourceError: locked for too long, disk full, not writable, or damaged.
        """
        return self._in_words(work, writing=True)

    def close(self) -> None:
        """Gives the connections back."""
        self._engine.dispose()

    def _in_words(self, work: Callable[[Connection], T], *, writing: bool) -> T:
        try:
            return self._retried(work, writing=writing)
        except (SQLAlchemyError, sqlite3.Error) as exc:
            raise self._said(exc) from exc

    def _retried(self, work: Callable[[Connection], T], *, writing: bool) -> T:
        for attempt in range(self._retries + 1):
            try:
                with self._engine.connect().execution_options(**{_WRITING: writing}) as connection, connection.begin():
                    return work(connection)
            except (DBAPIError, sqlite3.Error) as exc:
                if attempt == self._retries or not _passing(exc):
                    raise
                time.sleep(0.05 * 2**attempt)
        raise AssertionError("unreachable")

    def _said(self, exc: Exception) -> StrataError:
        text = str(exc).lower()
        store = str(self._place)
        if "locked" in text:
            return ResourceError(
                "The run store {store} is held by another program and did not become free in time. "
                "Close what has it open and try again; nothing stored was lost.",
                store=store,
            )
        if "disk is full" in text or "disk i/o error" in text:
            return self._disk_error(errno.ENOSPC)
        if "readonly" in text or "unable to open" in text:
            return self._disk_error(errno.EACCES)
        if "not a database" in text or "malformed" in text:
            return ResourceError(
                "The run store {store} is damaged. Move this file away and start again: a new one is made, and the profiles and plans "
                "in the folder artifacts beside it can be opened as files.",
                store=store,
            )
        return ResourceError(
            "The run store {store} cannot be used: {problem}. Check STRATA_DATABASE and that the database is running.",
            store=store,
            problem=str(exc).splitlines()[0],
        )

    def _disk_error(self, number: int) -> StrataError:
        try:
            with saying_disk_errors(self._place):
                raise OSError(number, "")
        except StrataError as exc:
            return exc

    @property
    def _file(self) -> Path | None:
        url = self._engine.url
        named = url.get_backend_name() == "sqlite" and url.database and not url.database.startswith((":", "file:"))
        return Path(str(url.database)) if named else None

    @property
    def _place(self) -> Path:
        return self._file or Path(self._engine.url.render_as_string(hide_password=True))


def _passing(exc: Exception) -> bool:
    """Whether the same transaction may succeed a moment later: somebody else was writing the same."""
    return isinstance(exc, IntegrityError) or any(word in str(exc).lower() for word in ("locked", "deadlock", "could not serialize"))


def _make_engine(url: str, busy_seconds: float) -> Engine:
    try:
        sqlite = make_url(url).get_backend_name() == "sqlite"
        engine = create_engine(url, connect_args={"timeout": busy_seconds} if sqlite else {}, pool_pre_ping=not sqlite)
    except (ArgumentError, NoSuchModuleError, ImportError) as exc:
        raise InputError(
            "STRATA_DATABASE is not a database URL that can be used here: {problem}. "
            "Give one like sqlite:////folder/strata.db or postgresql+psycopg://user@host/name, with its driver installed, "
            "or leave it unset.",
            problem=str(exc).splitlines()[0],
        ) from exc
    if sqlite:
        _prepare_sqlite(engine)
    return engine


def _prepare_sqlite(engine: Engine) -> None:
    """WAL, and transactions that take the write lock when they begin, never half-way (which SQLite would refuse at once)."""

    @event.listens_for(engine, "connect")
    def connected(connection: Any, _record: object) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begun(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get(_WRITING) else "BEGIN")


def _create(connection: Connection) -> None:
    metadata.create_all(connection)
    found = connection.execute(select(meta.c.value).where(meta.c.key == "schema_version")).scalar()
    if found is None:
        connection.execute(meta.insert().values(key="schema_version", value=str(SCHEMA_VERSION)))
    elif found != str(SCHEMA_VERSION):
        raise InputError(
            "The run store has version {found}; this Strata reads version {known}. "
            "Use the Strata that made it, or set STRATA_HOME to a new folder.",
            found=found,
            known=SCHEMA_VERSION,
        )
