"""What pages may ask."""

from __future__ import annotations

import json
import sys
import threading
import types
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers

from analysis.contracts import Job, ModelSource, Plan, Profile, ProfileRequest, ProfileSettings, WorkloadPreview
from analysis.errors import DocumentError, InputError, ModelError, WorkloadError
from analysis.home import home
from analysis.models.card import ModelCard
from analysis.runs import client as client_module
from analysis.runs import slot as slot_module
from analysis.runs.client import Client, open_client
from analysis.runs.devices import DeviceInfo, choose_device, find_devices, worker_environment
from analysis.runs.jobs import JobContext, profile_job
from analysis.runs.keys import request_key
from analysis.runs.queue import NewJob
from analysis.runs.slot import ModelSlot
from analysis.runs.store import Store
from analysis.runs.uploads import safe_name

SOURCE = ModelSource(kind="folder", location="/models/tiny")


class Recorder:
    """An executor that does nothing but remember."""

    host = "here"

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    def devices(self) -> tuple[DeviceInfo, ...]:
        return (DeviceInfo("cpu", "a processor"),)

    def place(self, device: str) -> str:
        return choose_device(device, self.devices(), {})

    def submit(self, job_id: str, device: str) -> None:
        self.asked.append(("submit", device))

    def ensure(self, device: str) -> None:
        self.asked.append(("ensure", device))

    def cancel(self, job_id: str) -> None:
        self.asked.append(("cancel", job_id))

    def close(self) -> None:
        self.asked.append(("close", ""))


@pytest.fixture
def executor() -> Recorder:
    return Recorder()


@pytest.fixture
def client(store: Store, executor: Recorder) -> Client:
    return Client(store, executor)


@pytest.fixture
def request_(tmp_path: Path) -> ProfileRequest:
    path = tmp_path / "prompts.jsonl"
    path.write_text("".join(json.dumps({"prompt": f"hello world {n}", "slice": "mail"}) + "\n" for n in range(12)))
    return ProfileRequest(model=SOURCE, workload_paths=(str(path),), settings=ProfileSettings(device="cpu", chat_template=False))


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch, make_profile: Callable[..., Profile], tmp_path: Path) -> ModelCard:
    tokenizer = Tokenizer(models.WordLevel({"hello": 0, "world": 1, "?": 2}, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    made = ModelCard(make_profile().model, tmp_path)
    monkeypatch.setattr(client_module, "read_card", lambda _source: made)
    return made


def _fake_run_profile(monkeypatch: pytest.MonkeyPatch, run: Callable[..., Profile]) -> None:
    module = types.ModuleType("analysis.profiling.run")
    module.run_profile = run  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "analysis.profiling.run", module)


def _work(store: Store, job: Job) -> None:
    """What a worker does with a profile job, without a worker."""
    claimed = store.queue.claim("here", "cpu", "w", 10)
    assert claimed is not None
    assert claimed.id == job.id
    outcome = profile_job(JobContext(claimed, store, ModelSlot(), lambda _progress: None, lambda: False))
    store.queue.finish(job.id, "w", "done", result_id=outcome.result_id, notes=outcome.notes)


def test_the_same_inputs_are_answered_at_once_and_force_measures_again(
    client: Client,
    store: Store,
    executor: Recorder,
    request_: ProfileRequest,
    card: ModelCard,
    make_profile: Callable[..., Profile],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    workload = client._workload(request_)[0].info

    def run(request: ProfileRequest, *, known: Callable[[str], Profile | None], **_: Any) -> Profile:
        fresh = make_profile().model_copy(update={"workload": workload, "model": card.info})
        return known(fresh.id) or fresh

    _fake_run_profile(monkeypatch, run)
    first = client.submit_profile(request_)
    assert (first.state, first.kind, executor.asked) == ("queued", "profile", [("submit", "cpu")])
    assert client.submit_profile(request_).id == first.id
    _work(store, first)
    again = client.submit_profile(request_)
    assert (again.state, again.result_id) == ("done", client.job(first.id).result_id)  # type: ignore[union-attr]
    assert client.job(again.id) == again
    forced = client.submit_profile(request_, force=True)
    assert forced.state == "queued"
    _work(store, forced)
    assert client.job(forced.id).result_id == f"{again.result_id}-2"  # type: ignore[union-attr]
    Path(request_.workload_paths[0]).write_text(json.dumps({"prompt": "another"}) + "\n")
    assert client.submit_profile(request_).state == "queued"
    assert [note.id for note in client.job(first.id).notes] == ["One {n}."]  # type: ignore[union-attr]


def test_a_deleted_run_no_longer_answers(
    client: Client, store: Store, request_: ProfileRequest, card: ModelCard, make_profile: Callable[..., Profile]
) -> None:
    run_id = store.runs.add(make_profile())
    known = client._known(request_, "cpu")
    assert known is not None
    store.runs.remember(request_key(request_, **known), run_id)
    assert client.submit_profile(request_).result_id == run_id
    client.delete_run(run_id)
    assert client.submit_profile(request_).state == "queued"


def test_a_preview_needs_the_card_first_and_then_counts(
    client: Client, request_: ProfileRequest, card: ModelCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    preview = client.preview(request_)
    assert isinstance(preview, WorkloadPreview)
    assert preview.counts.n_tokens == 3 * preview.counts.n_examples
    assert client.preview(request_) is preview
    monkeypatch.setattr(client_module, "read_card", lambda _source: None)
    job = client.preview(request_)
    assert isinstance(job, Job)
    assert (job.kind, job.device) == ("describe", "cpu")
    assert client.preview(request_).id == job.id  # type: ignore[union-attr]


def test_bad_inputs_are_refused_before_a_job_is_made(client: Client, request_: ProfileRequest, card: ModelCard) -> None:
    with pytest.raises(ModelError, match="cuda:7 is not on this machine"):
        client.submit_profile(request_.model_copy(update={"settings": ProfileSettings(device="cuda:7")}))
    with pytest.raises(WorkloadError):
        client.submit_profile(request_.model_copy(update={"workload_paths": ("/nowhere.jsonl",)}))
    assert client.jobs() == []


def test_cancel_and_upkeep_reach_the_executor(client: Client, executor: Recorder) -> None:
    job = client.submit_sample_model()
    client.cancel(job.id)
    assert client.job(job.id).state == "cancelled"  # type: ignore[union-attr]
    client.ensure_worker("auto")
    client.ensure_worker("cuda:5")  # another machine's
    assert executor.asked == [("submit", "cpu"), ("cancel", job.id), ("ensure", "cpu")]


def test_a_cancelled_job_is_asked_for_once_more_with_all_that_it_was_asked_for(
    client: Client, store: Store, executor: Recorder, request_: ProfileRequest, card: ModelCard
) -> None:
    first = client.submit_profile(request_, force=True)
    client.cancel(first.id)
    again = client.again(first.id)
    assert (again.state, again.kind, again.name, again.device) == ("queued", first.kind, first.name, first.device)
    assert again.id != first.id
    assert executor.asked[-1] == ("submit", "cpu")
    claimed = store.queue.claim("here", "cpu", "w", 10)
    assert claimed is not None
    assert claimed.payload == {"request": request_.model_dump(mode="json"), "force": True}
    assert client.again(first.id).id == again.id  # it runs already
    with pytest.raises(InputError, match="There is no job gone any more"):
        client.again("gone")


def test_documents_are_opened_once(client: Client, make_profile: Callable[..., Profile], make_plan: Callable[..., Plan]) -> None:
    kind, run_id = client.import_document(make_profile().model_dump_json().encode(), "profile.json")
    assert (kind, client.profile(run_id)) == ("profile", make_profile())
    assert client.import_document(make_profile().model_dump_json().encode(), "copy.json") == ("profile", run_id)
    assert client.import_document(make_plan().model_dump_json().encode(), "plan.json") == ("plan", make_plan().id)
    with pytest.raises(DocumentError, match=r"^passwd is not JSON"):
        client.import_document(b"?", "../../etc/passwd")
    assert (len(client.runs()), len(client.plans())) == (1, 1)
    client.rename_plan(make_plan().id, "better")
    assert client.plan(make_plan().id).name == "better"
    client.delete_plan(make_plan().id)
    assert client.plans() == []


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd",
        "..\\..\\windows\\system.ini",
        "/abs/olute.csv",
        "..",
        "",
        "a\x00b.csv",
        "con.csv",
        "データ.csv",
        "x" * 400 + ".jsonl",
        "\u202egpj.csv",
    ],
)
def test_an_upload_stays_in_its_folder_whatever_its_name(client: Client, name: str) -> None:
    path = client.save_upload(name, b"prompt\nhello\n")
    assert path.resolve().is_relative_to((home() / "uploads").resolve())
    assert path.read_bytes() == b"prompt\nhello\n"
    assert client.save_upload(name, b"prompt\nhello\n") == path
    assert client.sizes()["uploads"] > 0


@given(st.text(max_size=300))
def test_a_safe_name_is_one_short_part_of_a_path(name: str) -> None:
    safe = safe_name(name)
    assert Path(safe).name == safe
    assert safe not in ("", ".", "..")
    assert len(safe.encode()) <= 136


def test_an_empty_upload_is_refused(client: Client) -> None:
    with pytest.raises(WorkloadError, match="is empty"):
        client.save_upload("a.csv", b"")


def test_this_machine_has_a_processor_and_auto_takes_the_least_busy_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_devices()[-1].id == "cpu"
    devices = (DeviceInfo("cuda:0", "a", visible="GPU-a"), DeviceInfo("cuda:1", "b", visible="GPU-b"), DeviceInfo("cpu", "c"))
    assert choose_device("auto", devices, {"cuda:0": 2, "cuda:1": 1}) == "cuda:1"
    assert choose_device("cuda", devices, {}) == "cuda:0"
    assert worker_environment("cuda:1", devices)["CUDA_VISIBLE_DEVICES"] == "GPU-b"
    assert worker_environment("cpu", devices)["CUDA_VISIBLE_DEVICES"] == ""
    with pytest.raises(ModelError, match="tpu is not on this machine; it has cuda:0, cuda:1, cpu"):
        choose_device("tpu", devices, {})


def test_gpus_are_found_by_nvidia_smi_and_hidden_ones_stay_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho '0, GPU-aa, 1024, NVIDIA X, big'\necho '1, GPU-bb, 2048, NVIDIA Y'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    for visible, expected in ((None, ["GPU-aa", "GPU-bb"]), ("1", ["GPU-bb"]), ("GPU-aa", ["GPU-aa"]), ("", [])):
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        if visible is not None:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        find_devices.cache_clear()
        assert [device.visible for device in find_devices() if device.id.startswith("cuda")] == expected
    find_devices.cache_clear()


def test_the_executor_is_chosen_by_its_variable(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    assert open_client() is open_client()
    from analysis.runs.executor import make_executor

    monkeypatch.setenv("STRATA_EXECUTOR", "none")
    waiting = make_executor(store)
    waiting.submit(store.queue.add(NewJob("describe", waiting.host, "cpu", "n")), "cpu")
    assert [job.state for job in store.queue.jobs()] == ["queued"]
    assert store.workers.alive() == ()
    monkeypatch.setenv("STRATA_EXECUTOR", "slurm")
    with pytest.raises(InputError, match="STRATA_EXECUTOR is slurm"):
        make_executor(store)
    monkeypatch.setenv("STRATA_EXECUTOR", "ray")
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match="Ray is not installed"):
        make_executor(store)


class _Loaded:
    """As much of a loaded model as the slot looks at."""

    def __init__(self, info: Any) -> None:
        self.info = info


def test_the_old_model_is_gone_before_the_new_one_is_loaded(make_profile: Callable[..., Profile], monkeypatch: pytest.MonkeyPatch) -> None:
    info = make_profile().model
    held: list[weakref.ref[_Loaded]] = []
    still_there: list[bool] = []

    def load(_source: ModelSource, _device: str, _dtype: str, _say: object) -> Any:
        still_there.extend(model() is not None for model in held)
        loaded = _Loaded(info)
        held.append(weakref.ref(loaded))
        return loaded

    monkeypatch.setattr(slot_module, "read_card", lambda _source: ModelCard(info, None))
    slot = ModelSlot(load)
    assert slot.load(SOURCE, "cpu", "float32") is slot.load(SOURCE, "cpu", "float32")
    slot.load(SOURCE, "cpu", "bfloat16")
    assert (len(held), still_there) == (2, [False])
    monkeypatch.setattr(slot_module, "read_card", lambda _source: None)  # its files changed
    slot.load(SOURCE, "cpu", "bfloat16")
    assert len(held) == 3
    slot.unload()
    assert held[-1]() is None
    assert slot.model_name is None


def test_a_worker_unloads_when_asked_and_when_idle(store: Store, make_profile: Callable[..., Profile], until: Callable[..., None]) -> None:
    from analysis.runs.jobs import Outcome
    from analysis.runs.pulse import Timings
    from analysis.runs.worker import Worker

    info = make_profile().model

    def use(context: JobContext) -> Outcome:
        context.slot.load(SOURCE, "cpu", "float32")
        return Outcome()

    def model() -> str | None:
        return next((worker.model for worker in store.workers.alive()), None)

    for patience, asked in ((3600.0, True), (3.0, False)):
        timings = Timings(tick=0.05, heartbeat=0.1, idle_poll=0.05, idle_unload=patience)
        worker = Worker("cpu", store, jobs={"describe": use}, load=lambda *_: _Loaded(info), timings=timings, host="here")  # type: ignore[arg-type,return-value]
        thread = threading.Thread(target=worker.run)
        thread.start()
        store.queue.add(NewJob("describe", "here", "cpu", "n"))
        until(lambda: model() == "tiny")
        if asked:
            store.workers.ask_to_unload("here", "cpu")
        until(lambda: model() is None)
        worker._pulse.ending.set()
        thread.join(60)
        assert store.workers.alive() == ()
