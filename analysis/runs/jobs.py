"""What a worker can do. Each job function imports what it needs when it runs: torch is loaded here and nowhere above."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import partial

from analysis.contracts import Message, ModelSource, ProfileRequest
from analysis.home import home
from analysis.models.source import source_label
from analysis.runs.context import JobContext, JobFunction, Outcome, seen_by_worker
from analysis.runs.jobs_consensus import heal_job, ranking_job, robustness_job
from analysis.runs.jobs_measured import export_job, latency_job, search_job, verify_job
from analysis.runs.jobs_trained import semantics_job, steps_job, trial_job

__all__ = ["JOBS", "JobContext", "JobFunction", "Outcome", "discard_old_checkpoints"]


def profile_job(context: JobContext) -> Outcome:
    """Measures a model on a workload, or finds that it was measured before; a killed one goes on from its checkpoint."""
    from analysis.profiling import checkpoint
    from analysis.profiling.run import run_profile

    request = ProfileRequest.model_validate(context.job.payload["request"])
    again = bool(context.job.payload.get("force"))
    shared = home() / "checkpoints"  # a run begun in the terminal goes on here, and the other way round
    checkpoints = shared / context.job.id if again else shared
    profile = run_profile(
        seen_by_worker(request),
        load=partial(context.slot.load, on_progress=context.say),
        on_progress=context.report,
        should_stop=context.should_stop,
        checkpoint_folder=checkpoints,
        known=(lambda _key: None) if again else context.store.runs.measured,
    )
    run_id = context.store.keep(request, profile, again=again)
    checkpoint.forget(checkpoints, profile.id)
    if again:
        shutil.rmtree(checkpoints, ignore_errors=True)
    return Outcome(run_id, profile.notes)


def describe_job(context: JobContext) -> Outcome:
    """Reads a model's anatomy and tokenizer without its weights and keeps them as a card."""
    from analysis.models.load import describe_model

    source = ModelSource.model_validate(context.job.payload["source"])
    context.say(Message(id="Reading the description of {model}", values={"model": source_label(source)}))
    return Outcome(notes=describe_model(source, on_progress=context.say).info.notes)


def sample_model_job(context: JobContext) -> Outcome:
    """Prepares the sample model."""
    from analysis.models.sample import prepare_sample

    prepare_sample(context.say)
    return Outcome()


JOBS: Mapping[str, JobFunction] = {
    "profile": profile_job,
    "describe": describe_job,
    "sample_model": sample_model_job,
    "search": search_job,
    "verify": verify_job,
    "export": export_job,
    "latency": latency_job,
    "semantics": semantics_job,
    "trial": trial_job,
    "steps": steps_job,
    "ranking": ranking_job,
    "heal": heal_job,
    "robustness": robustness_job,
}


def discard_old_checkpoints(days: float = 14) -> None:
    """Takes away checkpoints that nobody came back for."""
    for path in (home() / "checkpoints").glob("*"):
        with suppress(FileNotFoundError):  # a run that is going on replaces and removes its own
            if path.stat().st_mtime < time.time() - days * 86400:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
