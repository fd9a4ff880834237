"""What comes with Strata beside the sample run: a search, plans and their verifications. Never copied, never changed, only hidden."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

from sqlalchemy import Connection, delete, select

from analysis.contracts import Plan, Search, Verification
from analysis.runs.database import Database
from analysis.runs.documents import Document, parse_document
from analysis.runs.tables import meta

_HIDDEN = "hidden_samples"


class Samples:
    """The bundled documents in a folder; any of them may be missing.

    Args:
        folder: holds sample_search.json.gz, sample_plans/ and sample_verifications/.
    """

    def __init__(self, database: Database, folder: Path) -> None:
        self._database = database
        self._folder = folder

    def search(self) -> Search | None:
        """The sample search; None: there is none, or it is hidden."""
        found = [item for item in self._opened(self._folder, "sample_search.json*") if isinstance(item, Search)]
        return next((search for search in found if search.id not in self._hidden()), None)

    def verifications(self) -> list[Verification]:
        """Verifications of the sample plans."""
        found = self._opened(self._folder / "sample_verifications", "*.json*")
        hidden = self._hidden()
        return [item for item in found if isinstance(item, Verification) and item.id not in hidden]

    def plans(self) -> list[Plan]:
        """The sample plans, each with its verification."""
        found = self._opened(self._folder / "sample_plans", "*.json*")
        hidden = self._hidden()
        return [self._verified(item) for item in found if isinstance(item, Plan) and item.id not in hidden]

    def hide(self, document_id: str) -> bool:
        """Leaves a sample out of every list from now on; always True, so that a caller can note that there was one."""
        hidden = json.dumps(sorted({*self._hidden(), document_id}))

        def work(connection: Connection) -> None:
            connection.execute(delete(meta).where(meta.c.key == _HIDDEN))
            connection.execute(meta.insert().values(key=_HIDDEN, value=hidden))

        self._database.write(work)
        return True

    def _verified(self, plan: Plan) -> Plan:
        own = next((found for found in self.verifications() if found.plan_id == plan.id), None)
        return plan if own is None else plan.model_copy(update={"verification": own.without_texts()})

    def _hidden(self) -> set[str]:
        query = select(meta.c.value).where(meta.c.key == _HIDDEN)
        return set(json.loads(self._database.read(lambda connection: connection.execute(query).scalar()) or "[]"))

    @staticmethod
    def _opened(folder: Path, pattern: str) -> list[Document]:
        return [_document(path, path.stat().st_mtime_ns) for path in sorted(folder.glob(pattern))]


@lru_cache(maxsize=16)
def _document(path: Path, _modified: int) -> Document:
    return parse_document(path.read_bytes(), path.name)
