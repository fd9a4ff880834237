"""Stored rankings, complete or stopped on the way: every one is stored anew after each of its steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import RowMapping

from analysis.contracts import Ranking, RankingSummary, Unit
from analysis.errors import DocumentError, InputError
from analysis.runs.document_library import answered, iso
from analysis.runs.growing_library import GrowingLibrary, facts_of, sample_facts
from analysis.runs.tables import rankings


class RankingLibrary(GrowingLibrary[Ranking]):
    """Rankings by id. What was measured here grows step by step under one id until it is complete; an imported one answers nothing."""

    table = rankings
    kind = Ranking
    folder = "rankings"

    def keep(self, ranking: Ranking) -> str:
        """Stores a ranking as far as it is, and returns its id. A complete one is replaced only by another complete one."""

        def grow(_row: RowMapping | None, before: Ranking | None) -> tuple[Ranking, dict[str, Any]]:
            again = before is not None and before.complete and not ranking.complete  # measured again, and not through yet
            return (before if again and before is not None else ranking), {}

        return self._keep(ranking, grow)

    def rankings(self) -> list[RankingSummary]:
        """All rankings, the one that grew last first; the bundled sample comes last."""
        return [*map(_summary, self._rows()), *map(_sample_summary, self._bundled())]

    def ranking(self, ranking_id: str) -> Ranking:
        """The ranking of an id or a content key.

        Raises:
            InputError: there is no such ranking.
            DocumentError: its file is gone or damaged.
        """
        return self._by_id(ranking_id)

    def all_of(self, commit: str, stack: str, workload_hash: str) -> list[RankingSummary]:
        """The rankings of a model on a workload: measured here before imported, the newest first, the sample last."""
        samples = [found for found in self._bundled() if self._fits(found, commit, stack, workload_hash)]
        return [*map(_summary, self._of_model(commit, stack, workload_hash)), *map(_sample_summary, samples)]

    def for_model(self, commit: str, stack: str, workload_hash: str, unit: Unit | None = None) -> Ranking | None:
        """The one to plan by: complete before stopped on the way, else in the order of `all_of`.

        Args:
            unit: only rankings of this kind of unit; None: of any.
        """
        fit = [row for row in self._of_model(commit, stack, workload_hash) if unit in (None, row["summary"]["unit"])]
        rows = sorted(fit, key=lambda row: not row["summary"]["complete"])
        stored = next(filter(None, map(self._readable, rows)), None)
        if stored is not None and stored.complete:
            return stored
        samples = (found for found in self._bundled() if self._fits(found, commit, stack, workload_hash))
        return next((found for found in samples if unit in (None, found.settings.unit)), stored)

    def answer(self, request_key: str) -> str | None:
        """The id of the complete ranking that answered this request before."""
        row = answered(self._database, rankings, request_key)
        return str(row["id"]) if row is not None and row["summary"]["complete"] else None

    def _facts(self, document: Ranking) -> dict[str, Any]:
        return _facts(document)

    def _bundled(self) -> Sequence[Ranking]:
        sample = self._samples.ranking()
        return () if sample is None else (sample,)

    def _not_here(self, document_id: str) -> InputError:
        return InputError(
            "There is no ranking {ranking} in this store. Choose one from the list of rankings; it may have been deleted.",
            ranking=document_id[:80],
        )

    def _not_mine(self, file: str) -> DocumentError:
        return DocumentError("{file} holds no ranking. Put it back from a backup, or delete its entry and rank again.", file=file)


def _facts(ranking: Ranking) -> dict[str, Any]:
    voting = sum(vote.votes for vote in ranking.steps[0].votes)
    told = {"unit": ranking.settings.unit, "n_voters": voting, "n_taken": len(ranking.taken), "complete": ranking.complete}
    return {**facts_of(ranking), **told}


def _summary(row: RowMapping) -> RankingSummary:
    return RankingSummary(id=row["id"], name=row["name"], created_at=iso(row["stored_at"]), **row["summary"])


def _sample_summary(ranking: Ranking) -> RankingSummary:
    return RankingSummary(**sample_facts(ranking), **_facts(ranking))
