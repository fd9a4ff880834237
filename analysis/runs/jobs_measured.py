"""The jobs of a plan: search for it, verify it, export it, and measure how long its model takes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from analysis.contracts import (
    ExportRequest,
    LatencyModel,
    ModelInfo,
    ModelSource,
    Profile,
    ProfileRequest,
    ProfileSettings,
    Progress,
    Projection,
    Search,
    SearchRequest,
    VerificationSettings,
    VerifyRequest,
)
from analysis.home import home
from analysis.runs.context import JobContext, Outcome, seen_by_worker
from analysis.runs.machine import latency_here, limits_latency, measure_here
from analysis.runs.store import Store

if TYPE_CHECKING:
    from analysis.models.stack import LoadedModel

PROFILE_STRATEGIES = frozenset({"block_influence", "angular_run"})
"""Strategies that choose by a profile's measures."""


def search_job(context: JobContext) -> Outcome:
    """Measures what leaving units out costs; goes on from what is stored, and stores what it finds while it runs."""
    from analysis.search.run import run_search

    payload, store = context.job.payload, context.store
    request = SearchRequest.model_validate(payload["request"])
    seen = seen_by_worker(request)
    again = bool(payload.get("force"))
    found = run_search(
        seen,
        load=partial(context.slot.load, on_progress=context.say),
        on_progress=context.report,
        should_stop=context.should_stop,
        known=(lambda _key: None) if again else store.searches.measured,
        keep=partial(_keep_so_far, store),
        profile=_profile_for(context, seen),
        latency=_latency_for(context, seen),
    )
    return Outcome(store.keep_search(request, found), found.notes)


def verify_job(context: JobContext) -> Outcome:
    """Runs a plan beside the untouched model and stores what came of it with the plan."""
    from analysis.verification.run import run_verification

    request = VerifyRequest.model_validate(context.job.payload["request"])
    seen = seen_by_worker(request)
    found = run_verification(
        seen,
        load=partial(context.slot.load, on_progress=context.say),
        on_progress=context.report,
        should_stop=context.should_stop,
        projection=projection_here(context.store, seen),
        store_texts=True,
    )
    return Outcome(context.store.keep_verification(request, found), found.notes)


def export_job(context: JobContext) -> Outcome:
    """Writes a plan's model as a folder of its own and proves that it is the same model."""
    from analysis.surgery.export import run_export

    request = ExportRequest.model_validate(context.job.payload["request"])
    report = run_export(
        request.model_copy(update={"device": "cuda" if request.device.startswith("cuda") else request.device}),
        load=partial(context.slot.fresh, on_progress=context.say),
        on_progress=context.report,
        should_stop=context.should_stop,
    )
    return Outcome(context.store.exports.add(report), report.notes)


def latency_job(context: JobContext) -> Outcome:
    """Measures how long a model takes on this device and stores it for projections on this machine."""
    payload = context.job.payload
    source = ModelSource.model_validate(payload["source"])
    device, dtype = str(payload["device"]), payload["dtype"]
    loaded = context.slot.load(source, "cuda" if device.startswith("cuda") else device, dtype, context.say)
    _, key = measure_here(
        context.store,
        loaded,
        None,
        batch_sizes=payload["batch_sizes"],
        prompt_tokens=payload["prompt_tokens"],
        on_progress=context.report,
        should_stop=context.should_stop,
    )
    return Outcome(key)


def projection_here(store: Store, request: VerifyRequest) -> Projection | None:
    """What the plan should save and cost by everything that was measured on this machine; None: a plan that removes nothing."""
    from analysis.models.load import describe_model
    from analysis.planning.project_more import enriched

    plan, info = request.plan, describe_model(request.model).info
    if plan.projection is None or info.commit != plan.model.commit:  # the verification itself says what does not fit
        return plan.projection
    workload = plan.workload.content_hash if plan.workload is not None else ""
    search = store.searches.for_model(plan.model.commit, plan.model.stack, workload)
    latency = latency_here(store, info, request.settings.device, request.settings.dtype, plan.model.stack)
    found: Projection = enriched(plan.projection, info, plan.operations, search=search, latency=latency, stack=plan.model.stack)
    return found


def profile_at_hand(store: Store, request: SearchRequest, info: ModelInfo, workload_hash: str) -> Profile | None:
    """The stored profile of a search's model and workload, if there is one over the same slices."""
    stack = info.stack(request.settings.stack).name
    return store.runs.for_model(info, stack, workload_hash, request.settings.slices)


def profile_request(request: SearchRequest) -> ProfileRequest:
    """The profile that a search's strategies choose by."""
    settings = request.settings
    return ProfileRequest(
        **request.model_dump(include={"model", "workload_paths", "mapping", "slicing", "mask_personal_data"}),
        settings=ProfileSettings(
            stack=settings.stack,
            device=settings.device,
            dtype=settings.dtype,
            batch_tokens=settings.batch_tokens,
            chat_template=settings.chat_template,
            slices=settings.slices,
        ),
    )


def measured_profile(
    store: Store,
    request: ProfileRequest,
    *,
    load: Callable[..., LoadedModel],
    on_progress: Callable[[Progress], None],
    should_stop: Callable[[], bool],
) -> Profile:
    """Measures a profile and stores it."""
    from analysis.profiling import checkpoint
    from analysis.profiling.run import run_profile

    folder = home() / "checkpoints"
    profile = run_profile(
        request,
        load=load,
        on_progress=on_progress,
        should_stop=should_stop,
        checkpoint_folder=folder,
        known=store.runs.measured,
    )
    store.keep(request, profile)
    checkpoint.forget(folder, profile.id)
    return profile


def _profile_for(context: JobContext, request: SearchRequest) -> Profile | None:
    """The profile a search may choose by; measured first when a strategy needs one and none is stored."""
    from analysis.models.load import describe_model
    from analysis.workload import requested_workload

    info = describe_model(request.model, on_progress=context.say).info
    found = profile_at_hand(context.store, request, info, requested_workload(request).info.content_hash)
    if found is not None or not PROFILE_STRATEGIES & set(request.settings.strategies):
        return found
    return measured_profile(
        context.store,
        profile_request(request),
        load=partial(context.slot.load, on_progress=context.say),
        on_progress=context.report,
        should_stop=context.should_stop,
    )


def _latency_for(context: JobContext, request: SearchRequest) -> LatencyModel | None:
    """Measured times for a limit in time; measured first when none of this machine are stored."""
    from analysis.models.load import describe_model

    if not limits_latency(request):
        return None
    settings, info = request.settings, describe_model(request.model, on_progress=context.say).info
    stack = info.stack(settings.stack).name
    if (known := latency_here(context.store, info, settings.device, settings.dtype, stack)) is not None:
        return known
    sizes = VerificationSettings()
    loaded = context.slot.load(request.model, settings.device, settings.dtype, context.say)
    return measure_here(
        context.store,
        loaded,
        stack,
        batch_sizes=sizes.batch_sizes,
        prompt_tokens=sizes.prompt_tokens,
        on_progress=context.report,
        should_stop=context.should_stop,
    )[0]


def _keep_so_far(store: Store, search: Search) -> None:
    store.searches.keep(search)
