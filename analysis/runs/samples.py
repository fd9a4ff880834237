"""What comes with Strata beside the sample run: search, ranking, traces, plans with their evidence, cases, rollouts. Only ever hidden."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection, delete, select

from analysis.contracts import (
    BusinessCase,
    Healing,
    Message,
    Plan,
    Ranking,
    Robustness,
    Rollout,
    Search,
    Semantics,
    Trial,
    Verification,
)
from analysis.i18n import Language
from analysis.runs.database import Database
from analysis.runs.documents import Document, parse_document
from analysis.runs.plan_evidence import Evidence, field_of, travelling
from analysis.runs.tables import meta

EXAMPLE = Message(id="an example for the sample; type your own bill")
"""Where the bill of a bundled case comes from."""
_HIDDEN = "hidden_samples"
S = TypeVar("S", BusinessCase, Plan, Rollout, Search, Semantics, Trial, Verification, Ranking, Healing, Robustness)
Bundled = BusinessCase | Plan | Rollout | Search | Semantics | Trial | Verification | Ranking | Healing | Robustness


class Samples:
    """The bundled documents in a folder; any of them may be missing.

    Args:
        folder: holds sample_search.json.gz, sample_semantics.json.gz, sample_ranking.json.gz, sample_plans/, sample_verifications/,
            sample_trials/, sample_healings/, sample_robustness/, sample_cases/ and sample_rollouts/ (with a folder for another language).
    """

    def __init__(self, database: Database, folder: Path) -> None:
        self._database = database
        self._folder = folder

    def search(self) -> Search | None:
        """The sample search; None: there is none, or it is hidden."""
        return next(iter(self._shown(Search, "sample_search.json*")), None)

    def semantics(self) -> Semantics | None:
        """The sample run's traces; None: there are none, or they are hidden."""
        return next(iter(self._shown(Semantics, "sample_semantics.json*")), None)

    def ranking(self) -> Ranking | None:
        """The sample run's ranking of its layers by many voters; None: there is none, or it is hidden."""
        return next(iter(self._shown(Ranking, "sample_ranking.json*")), None)

    def verifications(self) -> list[Verification]:
        """Verifications of the sample plans."""
        return self._shown(Verification, "sample_verifications/*.json*")

    def trials(self) -> list[Trial]:
        """Trials of the sample plans that freeze."""
        return self._shown(Trial, "sample_trials/*.json*")

    def healings(self) -> list[Healing]:
        """Healings of the sample plans that cut."""
        return self._shown(Healing, "sample_healings/*.json*")

    def robustness_tests(self) -> list[Robustness]:
        """Robustness tests of the sample plans that cut."""
        return self._shown(Robustness, "sample_robustness/*.json*")

    def cases(self) -> list[BusinessCase]:
        """Business cases of the sample plans."""
        return self._shown(BusinessCase, "sample_cases/*.json*")

    def rollouts(self, language: Language = "en") -> list[Rollout]:
        """Rollouts of the sample plans, with nothing done yet, in that language where they are bundled in it."""
        own = {found.plan_id: found for found in self._shown(Rollout, f"sample_rollouts/{language}/*.json*")}
        return [*own.values(), *(found for found in self._shown(Rollout, "sample_rollouts/*.json*") if found.plan_id not in own)]

    def plans(self) -> list[Plan]:
        """The sample plans, each with what it was run by."""
        plans = self._shown(Plan, "sample_plans/*.json*")
        if not plans:
            return []
        found: list[Evidence] = [*self.verifications(), *self.trials(), *self.healings(), *self.robustness_tests()]
        return [_with_evidence(plan, found) for plan in plans]

    def hide(self, document_id: str) -> bool:
        """Leaves a sample out of every list from now on; always True, so that a caller can note that there was one."""
        hidden = json.dumps(sorted({*self._hidden(), document_id}))

        def work(connection: Connection) -> None:
            connection.execute(delete(meta).where(meta.c.key == _HIDDEN))
            connection.execute(meta.insert().values(key=_HIDDEN, value=hidden))

        self._database.write(work)
        return True

    def _hidden(self) -> set[str]:
        query = select(meta.c.value).where(meta.c.key == _HIDDEN)
        return set(json.loads(self._database.read(lambda connection: connection.execute(query).scalar()) or "[]"))

    def _shown(self, kind: type[S], pattern: str) -> list[S]:
        """What is bundled of a kind and not hidden."""
        paths = sorted(self._folder.glob(pattern))
        if not paths:
            return []
        found, hidden = [_document(path, path.stat().st_mtime_ns) for path in paths], self._hidden()
        return [item for item in found if isinstance(item, kind) and shown_id(item) not in hidden]


def shown_id(item: Bundled) -> str:
    """What a bundled document is hidden by."""
    return f"rollout-{item.plan_id}" if isinstance(item, Rollout) else item.id


def _with_evidence(plan: Plan, found: Sequence[Evidence]) -> Plan:
    """The first of each kind that is about this plan."""
    mine: dict[str, Evidence] = {field_of(one): travelling(one) for one in reversed(found) if one.plan_id == plan.id}
    return plan.model_copy(update=mine)


@lru_cache(maxsize=64)
def _document(path: Path, _modified: int) -> Document:
    return parse_document(path.read_bytes(), path.name)
