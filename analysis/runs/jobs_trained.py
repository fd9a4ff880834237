"""The jobs behind freezing: measure traces, try a plan by training, and measure what a training step takes."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

from analysis.contracts import SemanticRequest, StepModel, StepsRequest, TrialRequest, WorkloadChoice
from analysis.home import home
from analysis.runs.context import JobContext, Outcome, seen_by_worker
from analysis.runs.keys import Known, judged_on, semantics_key, stack_of, trial_key
from analysis.runs.store import Store, this_host


def semantics_job(context: JobContext) -> Outcome:
    """Measures traces and a profile in one pass, or finds that they were measured before; a killed one goes on from its checkpoint."""
    from analysis.profiling import checkpoint
    from analysis.semantics.run import run_semantics

    request, again = SemanticRequest.model_validate(context.job.payload["request"]), bool(context.job.payload.get("force"))
    seen = seen_by_worker(request)
    if not again and (known := context.store.semantics.answer(semantics_key(seen, **known_here(context, seen, seen.settings.device)))):
        return Outcome(known)
    folder = home() / "checkpoints"  # a run begun in the terminal goes on here, and the other way round
    mine = folder / context.job.id if again else folder
    profile, found = run_semantics(
        seen,
        load=partial(context.slot.load, on_progress=context.say),
        on_progress=context.report,
        should_stop=context.should_stop,
        checkpoint_folder=mine,
    )
    semantics_id = context.store.keep_semantics(request, profile, found, again=again)
    for key in (profile.id, found.id):
        checkpoint.forget(mine, key)
    if again:
        shutil.rmtree(mine, ignore_errors=True)
    return Outcome(semantics_id, found.notes)


def trial_job(context: JobContext) -> Outcome:
    """Trains a plan's arms and stores what came of them with the plan; a cancelled or killed trial goes on from its checkpoints."""
    from analysis.training.trial import run_trial

    request, again = TrialRequest.model_validate(context.job.payload["request"]), bool(context.job.payload.get("force"))
    seen = seen_by_worker(request)
    known = known_here(context, judged_on(seen), seen.settings.device)
    if not again and (answer := context.store.trial_answer(seen, known, this_host())):
        return Outcome(answer)
    folder = trial_folder(trial_key(seen, **known, host=this_host()), again=again)
    found = run_trial(
        seen,
        load=partial(context.slot.load, on_progress=context.say),
        on_progress=context.report,
        should_stop=context.should_stop,
        semantics=context.store.semantics.for_model(known["commit"], stack_of(request), known["workload_hash"]),
        known_steps=steps_for(context.store, request, known["commit"], known["device"]),
        folder=folder,
    )
    trial_id = context.store.keep_trial(request, found)
    shutil.rmtree(folder, ignore_errors=True)
    return Outcome(trial_id, found.notes)


def steps_job(context: JobContext) -> Outcome:
    """Measures what a training step takes on this device and stores it for projections on this machine."""
    from analysis.training.measure_steps import run_steps

    request = seen_by_worker(StepsRequest.model_validate(context.job.payload["request"]))
    found = run_steps(
        request,
        load=partial(context.slot.load, on_progress=context.say),
        on_progress=context.report,
        should_stop=context.should_stop,
    )
    return Outcome(context.store.steps.keep(found, this_host()))


def trial_folder(key: str, *, again: bool = False) -> Path:
    """Where a trial's checkpoints lie until it is stored: the same for the same trial, so that it can be taken up again.

    Args:
        again: a trial that is run again beside one that is stored or half done; it too goes on where it was stopped.
    """
    return home() / "checkpoints" / f"trial-{key[:24]}{'-again' if again else ''}"


def known_here(context: JobContext, request: WorkloadChoice, device: str) -> Known:
    """What a request's key is made of, told where the model is."""
    from analysis.models.device import resolve_device
    from analysis.models.load import describe_model
    from analysis.workload import requested_workload

    info = describe_model(request.model, on_progress=context.say).info
    workload = requested_workload(request).info.content_hash
    return {"commit": info.commit, "workload_hash": workload, "device": str(resolve_device(device))}


def steps_for(store: Store, request: TrialRequest, commit: str, device: str) -> StepModel | None:
    """What a training step takes on this very device, as last measured: a trial uses it only if it is of its own shape."""
    import torch

    from analysis.models.device import device_name

    return store.steps.model(commit, device_name(torch.device(device)), host=this_host(), stack=stack_of(request))
