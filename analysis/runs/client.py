"""What pages and terminal may ask of the store and its workers. Free of torch, also in what it imports."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Literal, TypeVar

from analysis.contracts import (
    Job,
    JobKind,
    ModelSource,
    Plan,
    PlanState,
    PlanSummary,
    Profile,
    ProfileRequest,
    RunSummary,
    WorkloadPreview,
    content_hash,
)
from analysis.errors import ModelError
from analysis.home import home
from analysis.models.card import ModelCard, read_card
from analysis.models.estimate import longest_prompt
from analysis.models.source import source_label
from analysis.runs.devices import DeviceInfo
from analysis.runs.documents import parse_document
from analysis.runs.executor import Executor, make_executor
from analysis.runs.keys import request_key
from analysis.runs.queue import NewJob
from analysis.runs.store import Store, artifacts_url, database_url, open_store
from analysis.runs.uploads import folder_size, safe_name, save_upload
from analysis.runs.workers import WorkerInfo
from analysis.workload import Encoder, Workload, preview_workload, requested_workload

T = TypeVar("T")
_REMEMBERED = 4


class Client:
    """The pages' one way to jobs, runs and plans. Safe to share between threads."""

    def __init__(self, store: Store, executor: Executor) -> None:
        self._store = store
        self._executor = executor
        self._workloads: dict[str, Workload] = {}
        self._previews: dict[str, WorkloadPreview] = {}

    # Jobs

    def submit_profile(self, request: ProfileRequest, *, force: bool = False) -> Job:
        """Asks for a profile. The same inputs as before are answered from the store at once, unless `force` measures again.

        Raises:
            ModelError: there is no such device.
            WorkloadError: the workload cannot be read.
        """
        key = self._request_key(request)
        answer = None if force or key is None else self._store.runs.answer(key)
        payload = {"request": request.model_dump(mode="json"), "force": force}
        name = request.name or source_label(request.model)
        return self._submit("profile", name, payload, request.settings.device, twin=(key,), result_id=answer)

    def submit_describe(self, source: ModelSource) -> Job:
        """Asks for a model's card: anatomy, tokenizer, identity."""
        return self._submit("describe", source_label(source), {"source": source.model_dump(mode="json")}, "cpu")

    def submit_sample_model(self) -> Job:
        """Asks for the sample model to be prepared."""
        return self._submit("sample_model", "sample", {}, "cpu")

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

    # Runs and plans

    def runs(self) -> list[RunSummary]:
        """Stored runs, newest first; the bundled sample comes last."""
        return self._store.runs.runs()

    def profile(self, run_id: str) -> Profile:
        """The profile of a run, by run id or content key. InputError: no such run."""
        return self._store.runs.profile(run_id)

    def rename_run(self, run_id: str, name: str) -> None:
        """Gives a run another name."""
        self._store.runs.rename(run_id, name)

    def delete_run(self, run_id: str) -> None:
        """Takes a run out of the store (the sample is only hidden)."""
        self._store.runs.delete(run_id)

    def plans(self) -> list[PlanSummary]:
        """Stored plans, newest first."""
        return self._store.plans.plans()

    def plan(self, plan_id: str) -> Plan:
        """A stored plan. InputError: no such plan."""
        return self._store.plans.plan(plan_id)

    def save_plan(self, plan: Plan, name: str | None = None) -> str:
        """Stores a plan and returns its id."""
        return self._store.plans.save(plan, name)

    def rename_plan(self, plan_id: str, name: str) -> None:
        """Gives a plan another name."""
        self._store.plans.rename(plan_id, name)

    def delete_plan(self, plan_id: str) -> None:
        """Takes a plan out of the store."""
        self._store.plans.delete(plan_id)

    def set_plan_state(self, plan_id: str, state: PlanState) -> None:
        """Moves a plan to another state."""
        self._store.plans.set_state(plan_id, state)

    def import_document(self, data: bytes, filename: str) -> tuple[Literal["profile", "plan"], str]:
        """Opens a profile.json or plan.json made elsewhere and returns what it is and its id here.

        Raises:
            DocumentError: it is not one, or it is damaged.
        """
        document = parse_document(data, safe_name(filename))
        if isinstance(document, Profile):
            return "profile", self._store.runs.add(document, origin="imported")
        return "plan", self._store.plans.save(document)

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

    def storage_folder(self) -> Path:
        """Where everything is kept."""
        return home()

    def sizes(self) -> Mapping[str, int]:
        """Bytes by kind of thing kept: artifacts, models, uploads, checkpoints, logs."""
        return {name: folder_size(home() / name) for name in ("artifacts", "models", "uploads", "checkpoints", "logs")}

    def _submit(
        self,
        kind: JobKind,
        name: str,
        payload: dict[str, object],
        device: str,
        *,
        twin: Sequence[str | None] = (),
        result_id: str | None = None,
    ) -> Job:
        key, placed = content_hash(kind, payload, *twin), self._executor.place(device)
        new = NewJob(kind=kind, host=self._executor.host, device=placed, name=name, payload=payload, twin_key=key)
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

    def _request_key(self, request: ProfileRequest) -> str | None:
        """None while the model's card is not there: then only the worker can tell."""
        card = read_card(request.model)
        if card is None:
            return None
        device = self._executor.place(request.settings.device)
        workload = self._workload(request)[0].info
        return request_key(request, commit=card.info.commit, workload_hash=workload.content_hash, device=device)

    def _workload(self, request: ProfileRequest) -> tuple[Workload, str]:
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
