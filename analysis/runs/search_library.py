"""Stored searches: every loss that was ever measured, by content key. A search grows and never shrinks."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import RowMapping

from analysis.contracts import MeasuredSet, Search, SearchSettings, SearchSummary
from analysis.errors import DocumentError, InputError
from analysis.runs.answered import answered_by, steering
from analysis.runs.document_library import Origin, answered, iso
from analysis.runs.growing_library import GrowingLibrary, facts_of, sample_facts
from analysis.runs.tables import searches


class SearchLibrary(GrowingLibrary[Search]):
    """Searches by id. What was measured here grows under one id; an imported search is kept beside it and answers nothing."""

    table = searches
    kind = Search
    folder = "searches"

    def keep(self, search: Search, *, asked: SearchSettings | None = None) -> str:
        """Stores what was measured together with what is there already, and returns its id.

        Args:
            asked: the request that this search answers wholly; None: it is still going on.
        """

        def grow(row: RowMapping | None, before: Search | None) -> tuple[Search, dict[str, Any]]:
            grown = search if before is None else joined(before, search)
            standing = {} if row is None or before is None else _still_answered(row["answered"], before, grown)
            return grown, {"answered": {**standing, **(steering(asked) if asked is not None else {})}}

        return self._keep(search, grow)

    def searches(self) -> list[SearchSummary]:
        """All searches, the one that grew last first; the bundled sample comes last."""
        return [*map(_summary, self._rows()), *map(_sample_summary, self._bundled())]

    def search(self, search_id: str) -> Search:
        """The search of an id or a content key.

        Raises:
            InputError: there is no such search.
            DocumentError: its file is gone or damaged.
        """
        return self._by_id(search_id)

    def for_model(self, commit: str, stack: str, workload_hash: str) -> Search | None:
        """The search of a model on a workload: measured here before imported, the newest first, the sample last."""
        stored = map(self._readable, self._of_model(commit, stack, workload_hash))
        fits = (found for found in self._bundled() if self._fits(found, commit, stack, workload_hash))
        return next(filter(None, stored), None) or next(fits, None)

    def answer(self, shaping_key: str, asked: SearchSettings) -> str | None:
        """The id of the stored search that holds all that is asked for; None: something is left to measure."""
        row = answered(self._database, searches, shaping_key)
        return str(row["id"]) if row is not None and answered_by(row["answered"], asked) else None

    def _about(self, document: Search, origin: Origin) -> dict[str, Any]:
        return {"answered": {}, **super()._about(document, origin)}

    def _facts(self, document: Search) -> dict[str, Any]:
        return _facts(document)

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


def _facts(search: Search) -> dict[str, Any]:
    n_measured = len(search.singles) + len(search.pairs) + len(search.sets)
    return {**facts_of(search), "n_measured": n_measured, "strategies": list(search.paths)}


def _summary(row: RowMapping) -> SearchSummary:
    return SearchSummary(id=row["id"], name=row["name"], created_at=iso(row["stored_at"]), **row["summary"])


def _sample_summary(search: Search) -> SearchSummary:
    return SearchSummary(**sample_facts(search), **_facts(search))
