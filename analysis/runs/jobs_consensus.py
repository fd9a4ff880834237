"""The jobs of consensus: rank layers by many voters, heal what was cut, and test how well it bears disturbed input."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

from analysis.contracts import HealRequest, Ranking, RankingRequest, RobustnessRequest
from analysis.home import home
from analysis.runs.context import JobContext, Outcome, seen_by_worker
from analysis.runs.jobs_trained import known_here
from analysis.runs.keys import heal_key, judged_on, robustness_key
from analysis.runs.store import Store, this_host


def ranking_job(context: JobContext) -> Outcome:
    """Ranks all units step by step; every step is stored when it is done, and a stopped ranking goes on after its last one."""
    from analysis.search.ranking_run import run_ranking

    request, again = RankingRequest.model_validate(context.job.payload["request"]), bool(context.job.payload.get("force"))
    found = run_ranking(
        seen_by_worker(request),
        load=partial(context.slot.load, on_progress=context.say),
        on_progress=context.report,
        should_stop=context.should_stop,
        known=(lambda _key: None) if again else context.store.rankings.measured,
        keep=partial(keep_so_far, context.store),
    )
    return Outcome(context.store.keep_ranking(request, found), found.notes)


def heal_job(context: JobContext) -> Outcome:
    """Heals a plan by training and stores what came of it with the plan; a cancelled or killed one goes on from its checkpoints."""
    from analysis.training.heal import run_heal

    request, again = HealRequest.model_validate(context.job.payload["request"]), bool(context.job.payload.get("force"))
    seen = seen_by_worker(request)
    key = heal_key(seen, **known_here(context, judged_on(seen), seen.settings.device), host=this_host())
    if not again and (answer := context.store.healing_answer(key)):
        return Outcome(answer)
    folder = heal_folder(key, again=again)
    found = run_heal(
        seen,
        load=partial(context.slot.load, on_progress=context.say),
        on_progress=context.report,
        should_stop=context.should_stop,
        folder=folder,
    )
    healing_id = context.store.keep_healing(request, found)
    shutil.rmtree(folder, ignore_errors=True)
    return Outcome(healing_id, found.notes)


def robustness_job(context: JobContext) -> Outcome:
    """Disturbs what original and plan read, and stores what came of it with the plan."""
    from analysis.verification.robustness import run_robustness

    request, again = RobustnessRequest.model_validate(context.job.payload["request"]), bool(context.job.payload.get("force"))
    seen = seen_by_worker(request)
    key = robustness_key(seen, **known_here(context, judged_on(seen), seen.settings.device), host=this_host())
    if not again and (answer := context.store.robustness.answer(key)):
        return Outcome(answer)
    found = run_robustness(
        seen,
        load=partial(context.slot.load, on_progress=context.say),
        on_progress=context.report,
        should_stop=context.should_stop,
    )
    return Outcome(context.store.keep_robustness(request, found), found.notes)


def keep_so_far(store: Store, ranking: Ranking) -> None:
    """Stores a ranking as far as it is; it answers no request yet."""
    store.rankings.keep(ranking)


def heal_folder(key: str, *, again: bool = False) -> Path:
    """Where a healing's checkpoints lie until it is stored: the same for the same healing, so that it can be taken up again."""
    return home() / "checkpoints" / f"heal-{key[:24]}{'-again' if again else ''}"
