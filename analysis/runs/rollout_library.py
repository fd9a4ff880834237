"""Stored rollouts: one of a plan, kept when the plan is deleted. What was decided, rehearsed or observed is never lost by a save."""

from __future__ import annotations

import time
from typing import Any

from sqlalchemy import Connection, delete, select

from analysis.contracts import Rollout
from analysis.errors import InputError, PlanError
from analysis.i18n import Language
from analysis.runs.database import Database
from analysis.runs.rollout_history import losses
from analysis.runs.samples import Samples, shown_id
from analysis.runs.tables import rollouts


class RolloutLibrary:
    """Rollouts by plan. A bundled one is the start of a stored copy, made when something is changed."""

    def __init__(self, database: Database, samples: Samples) -> None:
        self._database = database
        self._samples = samples

    def rollout(self, plan_id: str, language: Language = "en") -> Rollout | None:
        """A plan's rollout, a bundled one in that language; None: nobody has begun one."""
        return self._database.read(lambda connection: _stored(connection, plan_id)) or self._sample(plan_id, language)

    def save(self, rollout: Rollout, seen: Rollout | None = None) -> None:
        """Stores a rollout, if all that is stored of its past is in it.

        Args:
            seen: what was read before the change; given, anything stored since is a reason to refuse, a changed date too.

        Raises:
            PlanError: an event, a day, a month, an approval or a rehearsal that is stored is not in it.
        """
        stored = rollout.model_copy(update={"is_sample": False})
        sample = self._sample(rollout.plan_id)

        def work(connection: Connection) -> None:
            before = _stored(connection, rollout.plan_id)
            _check(before or sample, stored, seen if before is not None else None)
            connection.execute(delete(rollouts).where(rollouts.c.plan_id == rollout.plan_id))
            values = {"plan_id": rollout.plan_id, "document": stored.model_dump(mode="json"), "stored_at": time.time()}
            connection.execute(rollouts.insert().values(**values))

        self._database.write(work)

    def delete(self, plan_id: str) -> None:
        """Takes a plan's rollout with all its past out of the store; a bundled one is hidden. InputError: there is none."""
        gone = delete(rollouts).where(rollouts.c.plan_id == plan_id)
        sample = self._sample(plan_id)
        found = self._database.write(lambda connection: connection.execute(gone).rowcount)
        if sample is not None:
            self._samples.hide(shown_id(sample))
        elif not found:
            raise InputError("There is no rollout of the plan {plan} in this store; it may have been deleted.", plan=plan_id[:80])

    def _sample(self, plan_id: str, language: Language = "en") -> Rollout | None:
        return next((rollout for rollout in self._samples.rollouts(language) if rollout.plan_id == plan_id), None)


def _stored(connection: Connection, plan_id: str) -> Rollout | None:
    """With a lock where the database has row locks: what is compared is what is replaced."""
    query = select(rollouts.c.document).where(rollouts.c.plan_id == plan_id).with_for_update()
    found: Any = connection.execute(query).scalar()
    return None if found is None else Rollout.model_validate(found)


def _check(before: Rollout | None, then: Rollout, seen: Rollout | None) -> None:
    if before is None:
        return
    if seen is not None and _plain(before) != _plain(seen):
        raise PlanError(
            "This rollout was changed on another page or by someone else since it was opened here. "
            "Reload the page and enter the change again; nothing stored was lost."
        )
    if lost := next(losses(before, then), ""):
        raise PlanError(
            "This rollout would lose something that is stored ({what}): it was changed on another page, or by someone else, since it was "
            "opened here. Reload it and enter the change again; nothing stored was lost.",
            what=lost,
        )


def _plain(rollout: Rollout) -> Rollout:
    return rollout.model_copy(update={"is_sample": False})
