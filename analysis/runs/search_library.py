"""Stored searches: every loss that was ever measured, by content key. A search grows and never shrinks."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, select, update

from analysis.contracts import MeasuredSet, Profile, Search, SearchSettings, SearchSummary
from analysis.errors import DocumentError, InputError
from analysis.runs.answered import answered_by, steering
from analysis.runs.document_library import NAME_LIMIT, DocumentLibrary, Origin, answered, clipped, free_id, iso, note_answer, stem_of
from analysis.runs.tables import searches


class SearchLibrary(DocumentLibrary[Search]):
    """Searches by id. What was measured here grows under one id; an imported search is kept beside it and answers nothing."""

    table = searches
    kind = Search
    folder = "searches"

    def keep(self, search: Search, *, asked: SearchSettings | None = None) -> str:
        """Stores what was measured together with what is there already, and returns its id.

        Args:
            asked: the request that this search answers wholly; None: it is still going on.
        """
        written = list[str]()

        def work(connection: Connection) -> tuple[str, str | None]:
            mine = (searches.c.content_key == search.id) & (searches.c.origin == "measured")
            known = connection.execute(select(searches).where(mine).with_for_update()).mappings().first()
            before = None if known is None else self._readable(known)
            grown = search if before is None else joined(before, search)
            written.append(artifact := self._write(grown))
            standing = {} if known is None or before is None else _still_answered(known["answered"], before, grown)
            noted = {**standing, **(steering(asked) if asked is not None else {})}
            changing = {"artifact": artifact, "summary": _facts(grown), "answered": noted, "stored_at": time.time()}
            if known is not None:
                connection.execute(update(searches).where(searches.c.id == known["id"]).values(**changing))
                return known["id"], known["artifact"]
            search_id = free_id(connection, searches.c.id, stem_of(grown.id))
            connection.execute(searches.insert().values(id=search_id, **_about(grown, "measured"), **changing))
            return search_id, None

        try:
            search_id, old = self._database.write(work)
        except BaseException:
            self._forget(written)
            raise
        self._forget([*written[:-1], *filter(None, (old,))])
        return search_id

    def add_imported(self, search: Search) -> str:
        """Stores a search made elsewhere; the same document is not stored twice."""
        rows = self._rows(searches.c.content_key == search.id)
        if known := next((row["id"] for row in rows if self._readable(row) == search), None):
            return str(known)
        values = {"summary": _facts(search), "answered": {}, **_about(search, "imported")}
        return self._insert(search, stem_of(search.id), values)

    def searches(self) -> list[SearchSummary]:
        """All searches, the one that grew last first; the bundled sample comes last."""
        return [*map(_summary, self._rows()), *map(_sample_summary, self._bundled())]

    def search(self, search_id: str) -> Search:
        """The search of an id or a content key.

        Raises:
            InputError: there is no such search.
            DocumentError: its file is gone or damaged.
        """
        found = self._find((searches.c.id == search_id) | (searches.c.content_key == search_id))
        if found is not None:
            return found
        if (sample := self._samples.search()) and search_id == sample.id:
            return sample
        raise self._not_here(search_id)

    def measured(self, content_key: str) -> Search | None:
        """What was measured here under a content key, to go on from; None: nothing, or its file is gone."""
        with suppress(DocumentError):
            return self._find((searches.c.content_key == content_key) & (searches.c.origin == "measured"))
        return None

    def for_model(self, commit: str, stack: str, workload_hash: str) -> Search | None:
        """The search of a model on a workload: measured here before imported, the newest first, the sample last."""
        stored = map(self._readable, self._of_model(commit, stack, workload_hash))
        wanted = (commit, stack, workload_hash)
        fits = (found for found in self._bundled() if (found.model.commit, found.stack, found.workload.content_hash) == wanted)
        return next(filter(None, stored), None) or next(fits, None)

    def for_profile(self, profile: Profile) -> Search | None:
        """The search over the same model and workload as a profile's."""
        return self.for_model(profile.model.commit, profile.stack, profile.workload.content_hash)

    def answer(self, shaping_key: str, asked: SearchSettings) -> str | None:
        """The id of the stored search that holds all that is asked for; None: something is left to measure."""
        row = answered(self._database, searches, shaping_key)
        return str(row["id"]) if row is not None and answered_by(row["answered"], asked) else None

    def remember(self, shaping_key: str, search_id: str) -> None:
        """Notes which search holds the losses of a way of measuring."""
        note_answer(self._database, shaping_key, search_id)

    def delete(self, search_id: str) -> None:
        """Takes a search out of the store; the sample is only hidden."""
        self._remove(search_id)

    def _find(self, where: ColumnElement[bool]) -> Search | None:
        """Reads twice at most: a search that grows between finding its file and reading it has a new file."""
        for last in (False, True):
            rows = self._rows(where)
            if not rows:
                return None
            try:
                return self._open(rows[0])
            except DocumentError:
                if last:
                    raise
        return None

    def _bundled(self) -> Sequence[Search]:
        sample = self._samples.search()
        return () if sample is None else (sample,)

    def _not_here(self, document_id: str) -> InputError:
        return InputError(
            "There is no search {search} in this store. Choose one from the list of searches; it may have been deleted.",
            search=document_id[:80],
        )

    def _not_mine(self, file: str) -> DocumentError:
        return DocumentError("{file} holds no search. Put it back from a backup, or delete its entry and search again.", file=file)


def _still_answered(noted: dict[str, Any], before: Search, after: Search) -> dict[str, Any]:
    """What was noted as answered and still is: a strategy whose answers were replaced has to be asked again."""
    return {what: how for what, how in noted.items() if before.paths.get(what) == after.paths.get(what)}


def joined(known: Search, found: Search) -> Search:
    """Both searches of one content key in one: the newer figures where both measured the same, and nothing lost."""
    if known.n_tokens != found.n_tokens or not math.isclose(known.base_loss, found.base_loss, rel_tol=1e-5):
        return found  # another machine's last digits, or another version's way of counting: figures of one run belong together
    return found.model_copy(
        update={
            "singles": _union(known.singles, found.singles),
            "pairs": _union(known.pairs, found.pairs),
            "sets": _union(known.sets, found.sets),
            "paths": {**known.paths, **found.paths},
            "costs": {**known.costs, **found.costs},
        }
    )


def _union(known: Iterable[MeasuredSet], found: Iterable[MeasuredSet]) -> tuple[MeasuredSet, ...]:
    """Over more tokens beats over fewer; else the newer one counts."""
    kept = {measured.removed: measured for measured in known}
    for measured in found:
        before = kept.get(measured.removed)
        if before is None or before.n_tokens <= measured.n_tokens:
            found_by = tuple(dict.fromkeys((*(before.found_by if before is not None else ()), *measured.found_by)))
            kept[measured.removed] = measured.model_copy(update={"found_by": found_by})
    return tuple(kept.values())


def _about(search: Search, origin: Origin) -> dict[str, Any]:
    about = {"model_commit": search.model.commit, "stack": search.stack, "workload_hash": search.workload.content_hash}
    return {"content_key": search.id, "origin": origin, "name": clipped(search.name, fallback=search.model.name), **about}


def _facts(search: Search) -> dict[str, Any]:
    return {
        "model_name": search.model.name[:NAME_LIMIT],
        "model_commit": search.model.commit,
        "stack": search.stack[:NAME_LIMIT],
        "workload_name": search.workload.name[:NAME_LIMIT],
        "workload_hash": search.workload.content_hash,
        "n_measured": len(search.singles) + len(search.pairs) + len(search.sets),
        "strategies": list(search.paths),
        "device_name": search.device_name[:NAME_LIMIT],
    }


def _summary(row: RowMapping) -> SearchSummary:
    return SearchSummary(id=row["id"], name=row["name"], created_at=iso(row["stored_at"]), **row["summary"])


def _sample_summary(search: Search) -> SearchSummary:
    name = clipped(search.name, fallback=search.model.name)
    return SearchSummary(id=search.id, name=name, created_at=search.created_at, is_sample=True, **_facts(search))
