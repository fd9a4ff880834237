"""What pages and terminal may ask of the store and its workers. Free of torch, also in what it imports."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TypeVar

from analysis.contracts import (
    Job,
    JobKind,
    LatencyModel,
    ModelSource,
    Plan,
    ProfileRequest,
    StepModel,
    TrainingShape,
    WorkloadChoice,
    WorkloadPreview,
    content_hash,
)
from analysis.errors import InputError, ModelError, PlanError
from analysis.home import home
from analysis.models.card import ModelCard, read_card
from analysis.models.estimate import longest_prompt
from analysis.planning import check_plan
from analysis.runs.devices import DeviceInfo
from analysis.runs.executor import Executor, make_executor
from analysis.runs.keys import Known
from analysis.runs.queue import NewJob
from analysis.runs.store import Store, artifacts_url, database_url, open_store, this_host
from analysis.runs.stored import StoredThings
from analysis.runs.submitting import LATENCY_POINTS, Submitting
from analysis.runs.uploads import folder_size, save_upload
from analysis.runs.workers import WorkerInfo
from analysis.workload import Encoder, Workload, preview_workload, requested_workload, response_terms

__all__ = ["LATENCY_POINTS", "Client", "open_client"]
T = TypeVar("T")
_REMEMBERED = 4


class Client(Submitting, StoredThings):
    """The pages' one way to jobs and to everything stored. Safe to share between threads."""

    def __init__(self, store: Store, executor: Executor) -> None:
        self._store = store
        self._executor = executor
        self._workloads: dict[str, Workload] = {}
        self._previews: dict[str, WorkloadPreview] = {}

    # Jobs

    def job(self, job_id: str) -> Job | None:
        """A job as it stands now; None: no such job."""
        return self._store.queue.job(job_id)

    def jobs(self) -> list[Job]:
        """Jobs, newest first."""
        return self._store.queue.jobs()

    def cancel(self, job_id: str) -> None:
        """Stops a job within 4 seconds; one that is over stays as it is."""
        self._store.queue.cancel(job_id)
        self._executor.cancel(job_id)

    def again(self, job_id: str) -> Job:
        """Asks once more for what a job that was cancelled or failed was asked for, with the same settings, on the same device.

        Raises:
            InputError: there is no such job any more.
        """
        asked = self._store.queue.asked(job_id)
        if asked is None:
            raise InputError("There is no job {job} any more, so it cannot be started again. Start a new one.", job=job_id)
        return self._queued(asked)

    # Workers

    def devices(self) -> tuple[DeviceInfo, ...]:
        """Devices that jobs can go to; the first is what "auto" means."""
        return self._executor.devices()

    def ensure_worker(self, device: str) -> None:
        """Sees to it that a device's jobs are worked on, also after a crash; pages call it while they wait for a job."""
        if (here := self._here(device)) is not None:
            self._executor.ensure(here)

    def workers(self) -> tuple[WorkerInfo, ...]:
        """Workers that are alive."""
        return self._store.workers.alive()

    def close(self) -> None:
        """Ends the workers this process started; their jobs go back into the queue."""
        self._executor.close()

    def unload(self, device: str) -> None:
        """Has the device's worker give its model's memory back, after the job it is at."""
        if (here := self._here(device)) is not None:
            self._store.workers.ask_to_unload(self._executor.host, here)

    # Times of this machine, and exports

    def latency_model(self, model_commit: str, device_name: str | None = None, *, stack: str | None = None) -> LatencyModel | None:
        """How long a model takes, measured on this machine: on the device of that name, or on any; None: not measured here."""
        return self._store.latencies.model(model_commit, device_name, host=self._machine(), stack=stack)

    def step_model(
        self, model_commit: str, device_name: str | None = None, *, stack: str | None = None, shape: TrainingShape | None = None
    ) -> StepModel | None:
        """How long a training step takes, measured on this machine: the newest on that device, stack and kind of step, None
        of which means any; None: not measured here."""
        return self._store.steps.model(model_commit, device_name, host=self._machine(), stack=stack, shape=shape)

    def export_folder(self, plan: Plan) -> Path:
        """Where a plan's exports go unless another folder is named."""
        words = re.sub(r"[^\w.-]+", "-", plan.name).strip("-.")[:60]
        return home() / "exports" / (f"{plan.id}-{words}" if words else plan.id)

    # Files

    def save_upload(self, filename: str, data: bytes) -> Path:
        """Keeps an uploaded workload and returns its path."""
        return save_upload(filename, data)

    def preview(self, request: ProfileRequest) -> WorkloadPreview | Job:
        """What a request would run; or the job that first has to read the model's card.

        Raises:
            WorkloadError: the workload cannot be read.
            ModelError: the model has no tokenizer.
        """
        card = read_card(request.model)
        if card is None:
            return self.submit_describe(request.model)
        workload, fingerprint = self._workload(request)
        longest = longest_prompt(card.info, request.settings.max_tokens)
        settings = request.settings.model_copy(update={"max_tokens": longest})
        key = content_hash(fingerprint, card.info.commit, settings)
        return _remember(self._previews, key, lambda: preview_workload(workload, _encoder(card), settings))

    def response_terms(self, request: WorkloadChoice) -> tuple[str, ...]:
        """Words that a workload's responses use most, as a domain vocabulary to begin with.

        Raises:
            WorkloadError: the workload cannot be read.
        """
        return response_terms(self._workload(request)[0].examples)

    def storage_folder(self) -> Path:
        """Where everything is kept."""
        return home()

    def sizes(self) -> Mapping[str, int]:
        """Bytes by kind of thing kept: artifacts, models, uploads, checkpoints, logs."""
        return {name: folder_size(home() / name) for name in ("artifacts", "models", "uploads", "checkpoints", "exports", "logs")}

    def _submit(
        self,
        kind: JobKind,
        name: str,
        payload: Mapping[str, object],
        device: str,
        *,
        twin: Sequence[str | None] = (),
        result_id: str | None = None,
    ) -> Job:
        key, placed = content_hash(kind, payload, *twin), self._executor.place(device)
        new = NewJob(kind=kind, host=self._executor.host, device=placed, name=name, payload=dict(payload), twin_key=key)
        return self._queued(new, result_id)

    def _queued(self, new: NewJob, result_id: str | None = None) -> Job:
        job_id = self._store.queue.add(new, result_id=result_id)
        job = self._store.queue.job(job_id)
        assert job is not None
        if job.active:
            self._executor.submit(job_id, job.device)
        return job

    def _here(self, device: str) -> str | None:
        """A device of this client's own; None: it is another machine's, which looks after it itself."""
        if device in {info.id for info in self._executor.devices()}:
            return device
        return self._executor.place(device) if device in ("auto", "cuda") else None

    def _known(self, request: WorkloadChoice, device: str) -> Known | None:
        """What a request's key is made of; None while the model's card is not there: then only the worker can tell."""
        card = read_card(request.model)
        if card is None:
            return None
        placed = self._executor.place(device)
        workload = self._workload(request)[0].info
        return {"commit": card.info.commit, "workload_hash": workload.content_hash, "device": placed}

    def _check_fit(self, plan: Plan, source: ModelSource) -> None:
        """Refuses a plan for another model before a worker has to, where the model's card is there."""
        card = read_card(source)
        if card is not None and (problems := check_plan(plan, card.info)):
            raise PlanError.from_message(problems[0])

    def _machine(self) -> str | None:
        """The machine whose times may be shown; None: a cluster, whose machines are told apart by their devices."""
        return this_host() if self._executor.host == this_host() else None

    def _workload(self, request: WorkloadChoice) -> tuple[Workload, str]:
        """The workload, read again only when its files changed, and its fingerprint."""
        stats = [(path, Path(path).stat()) for path in request.workload_paths if Path(path).exists()]
        files = [(path, stat.st_size, stat.st_mtime_ns) for path, stat in stats]
        key = content_hash(request.workload_paths, files, dict(request.mapping), request.slicing, request.mask_personal_data)
        return _remember(self._workloads, key, lambda: requested_workload(request)), key


def _encoder(card: ModelCard) -> Encoder:
    if card.tokenizer_folder is None:
        raise ModelError(
            "{model} has no tokenizer that could be read, so prompts cannot be run through it. Choose a model with a tokenizer.json.",
            model=card.info.name,
        )
    return Encoder.from_folder(card.tokenizer_folder)


def _remember(store: dict[str, T], key: str, make: Callable[[], T]) -> T:
    """Keeps the last few answers; several threads may ask at once."""
    found = store.get(key)
    if found is None:
        found = store[key] = make()
        for old in list(store)[:-_REMEMBERED]:
            store.pop(old, None)
    return found


def open_client() -> Client:
    """The client of this process for the store that the environment names; the same one every time."""
    return _client(database_url(), artifacts_url(), str(home()), os.environ.get("STRATA_EXECUTOR"))


@cache
def _client(_database: str, _artifacts: str, _home: str, _executor: str | None) -> Client:
    store = open_store()
    return Client(store, make_executor(store))
