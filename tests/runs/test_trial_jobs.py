"""Traces, trials and training steps as jobs: what is asked twice, what is answered at once, what goes on where it stopped."""

from __future__ import annotations

import json
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from analysis.contracts import (
    EofChoice,
    Message,
    ModelSource,
    Plan,
    Profile,
    ProfileSettings,
    SemanticRequest,
    Semantics,
    SemanticSettings,
    StepModel,
    StepsRequest,
    Trial,
    TrialRequest,
    TrialSettings,
    WorkloadChoice,
    WorkloadRef,
)
from analysis.errors import Cancelled, ModelError, PlanError
from analysis.home import home
from analysis.models.card import ModelCard
from analysis.runs import client as client_module
from analysis.runs.client import Client
from analysis.runs.context import seen_by_worker
from analysis.runs.jobs import JOBS
from analysis.runs.keys import judged_on, methods_fingerprint
from analysis.runs.store import Store, this_host
from tests.builders import make_model, make_profile
from tests.runs.made import N_BLOCKS, a_freeze_plan, a_step_model, a_trial, some_traces
from tests.runs.without_worker import CPU, Idle, claim, work

SOURCE = ModelSource(kind="folder", location="/models/tiny")


@pytest.fixture
def client(store: Store) -> Client:
    return Client(store, Idle())  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def card(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    found = ModelCard(make_model(N_BLOCKS), None)
    monkeypatch.setattr(client_module, "read_card", lambda _source: found)
    _module(monkeypatch, "analysis.models.load", describe_model=lambda _source, **_: found)
    monkeypatch.setattr("analysis.models.device.device_name", lambda _device: CPU)
    return


@pytest.fixture
def prompts(tmp_path: Path) -> str:
    path = tmp_path / "prompts.jsonl"
    path.write_text("".join(json.dumps({"prompt": f"hello world {n}", "response": "yes"}) + "\n" for n in range(12)))
    return str(path)


def _module(monkeypatch: pytest.MonkeyPatch, name: str, **functions: object) -> None:
    module = types.ModuleType(name)
    for function, does in functions.items():
        setattr(module, function, does)
    monkeypatch.setitem(sys.modules, name, module)


@pytest.fixture
def traces_request(prompts: str) -> SemanticRequest:
    return SemanticRequest(model=SOURCE, workload_paths=(prompts,), settings=ProfileSettings(device="cpu"))


def _measured(client: Client, request: WorkloadChoice) -> tuple[Profile, Semantics]:
    workload = client._workload(request)[0].info
    profile = make_profile(N_BLOCKS, model=make_model(N_BLOCKS)).model_copy(update={"workload": workload})
    profile = profile.model_copy(update={"timing": profile.timing.model_copy(update={"device": "cpu"})})
    return profile, some_traces(workload=workload, timing=profile.timing)


def test_traces_are_one_job_that_stores_the_profile_too_and_are_then_answered_at_once(
    client: Client, store: Store, traces_request: SemanticRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders: list[Path] = []

    def run(request: SemanticRequest, *, checkpoint_folder: Path, **_: Any) -> tuple[Profile, Semantics]:
        folders.append(checkpoint_folder)
        return _measured(client, request)

    _module(monkeypatch, "analysis.semantics.run", run_semantics=run)
    first = client.submit_semantics(traces_request)
    assert client.submit_semantics(traces_request).id == first.id
    done = work(store, first)
    assert client.semantics(str(done.result_id)).workload == client._workload(traces_request)[0].info
    (profile,) = [found for found in client.runs() if not found.is_sample]
    traces = client.semantics_for(client.profile(profile.id))
    assert traces == client.semantics(str(done.result_id))
    again = client.submit_semantics(traces_request)
    assert (again.state, again.result_id) == ("done", done.result_id)
    assert client.submit_profile(traces_request).state == "done"
    forced = client.submit_semantics(traces_request, force=True)
    assert work(store, forced).result_id != done.result_id
    assert folders == [home() / "checkpoints", home() / "checkpoints" / forced.id]
    assert len(client.semantics_list()) == 2


@pytest.mark.parametrize("changed", [{"lens_tokens": 7}, {"gradients": False}, {"vocabulary": "words", "words": ("pass", "fail")}])
def test_other_trace_settings_are_measured_and_the_profile_is_kept_once(
    client: Client, store: Store, traces_request: SemanticRequest, monkeypatch: pytest.MonkeyPatch, changed: dict[str, Any]
) -> None:
    _module(monkeypatch, "analysis.semantics.run", run_semantics=lambda request, **_: _measured(client, request))
    work(store, client.submit_semantics(traces_request))
    other = traces_request.model_copy(update={"semantics": SemanticSettings(**changed)})
    job = client.submit_semantics(other)
    assert job.state == "queued"
    work(store, job)
    assert len([found for found in client.runs() if not found.is_sample]) == 1


def test_a_worker_finds_what_was_answered_when_nobody_knew_the_model_yet(
    client: Client, store: Store, traces_request: SemanticRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    _module(monkeypatch, "analysis.semantics.run", run_semantics=lambda request, **_: _measured(client, request))
    done = work(store, client.submit_semantics(traces_request))
    _module(monkeypatch, "analysis.semantics.run", run_semantics=lambda *_, **__: pytest.fail("measured twice"))
    monkeypatch.setattr(client_module, "read_card", lambda _source: None)
    job = client.submit_semantics(traces_request)
    assert job.state == "queued"
    assert work(store, job).result_id == done.result_id


@pytest.fixture
def trial_request(prompts: str) -> TrialRequest:
    return TrialRequest(model=SOURCE, workload_paths=(prompts,), plan=a_freeze_plan(), settings=TrialSettings(device="cpu"))


def _tried(client: Client, request: TrialRequest, **changes: Any) -> Trial:
    found = a_trial(request.plan, workload=client._workload(judged_on(request))[0].info, **changes)
    return found.model_copy(update={"machine": found.machine.model_copy(update={"device": "cpu"})})


def test_a_trial_gets_the_traces_and_times_at_hand_is_kept_with_its_plan_and_answered_here_only(
    client: Client, store: Store, trial_request: TrialRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[dict[str, Any]] = []
    steps = a_step_model(model_commit=trial_request.plan.model.commit, stack=trial_request.plan.model.stack, device_name=CPU)

    def run(request: TrialRequest, **handed: Any) -> Trial:
        given.append(handed)
        handed["folder"].mkdir(parents=True)
        return _tried(client, request, id=f"trial{len(given)}", steps=steps)

    _module(monkeypatch, "analysis.training.trial", run_trial=run)
    job = client.submit_trial(trial_request)
    assert client.submit_trial(trial_request).id == job.id
    done = work(store, job)
    assert (given[0]["semantics"], given[0]["known_steps"]) == (None, None)
    (summary,) = [found for found in client.plans() if not found.is_sample]
    assert (summary.id, summary.state, summary.eof_layer) == (trial_request.plan.id, "verified", 4)
    assert client.trial(str(done.result_id)) == client.plan(summary.id).trial
    assert client.step_model(steps.model_commit, CPU) == steps
    assert list((home() / "checkpoints").iterdir()) == []
    again = client.submit_trial(trial_request)
    assert (again.state, again.result_id) == ("done", done.result_id)
    _, traces = _measured(client, trial_request)
    store.semantics.add(traces)
    forced = work(store, client.submit_trial(trial_request, force=True))
    assert forced.result_id != done.result_id
    assert (given[1]["semantics"], given[1]["known_steps"]) == (traces, steps)
    assert given[1]["folder"] != given[0]["folder"]
    assert [found.id for found in client.trials(summary.id)] == [forced.result_id, done.result_id]
    monkeypatch.setattr(client_module, "this_host", lambda: "another machine")
    assert client.submit_trial(trial_request).state == "queued"
    client._executor.host = "another machine"  # type: ignore[misc]
    assert client.step_model(steps.model_commit, CPU) is None


def test_a_trial_made_before_there_were_traces_is_run_again_and_one_made_with_them_answers_without(
    client: Client, store: Store, trial_request: TrialRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    choice = EofChoice(strategy="gain", eof_layer=4, reason=Message(id="Because."))

    def run(request: TrialRequest, *, semantics: Semantics | None, **_: Any) -> Trial:
        return _tried(client, request, choices=() if semantics is None else (choice,))

    _module(monkeypatch, "analysis.training.trial", run_trial=run)
    without = work(store, client.submit_trial(trial_request))
    assert client.submit_trial(trial_request).result_id == without.result_id
    traces = store.semantics.add(_measured(client, trial_request)[1])
    richer = work(store, client.submit_trial(trial_request))
    assert richer.result_id != without.result_id
    assert client.submit_trial(trial_request).result_id == richer.result_id
    client.delete_semantics(traces)
    assert client.submit_trial(trial_request).result_id == richer.result_id


def test_a_stopped_trial_goes_on_from_its_checkpoints_and_answers_nothing_yet(
    client: Client, store: Store, trial_request: TrialRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders: list[tuple[Path, bool]] = []

    def run(request: TrialRequest, *, folder: Path, **_: Any) -> Trial:
        folders.append((folder, folder.exists()))
        folder.mkdir(parents=True, exist_ok=True)
        if len(folders) == 1:
            raise Cancelled("Stopped.")
        return _tried(client, request)

    _module(monkeypatch, "analysis.training.trial", run_trial=run)
    job = client.submit_trial(trial_request)
    with pytest.raises(Cancelled):
        JOBS["trial"](claim(store, job))
    store.queue.finish(job.id, "w", "cancelled")
    assert client.trials() == []
    work(store, client.submit_trial(trial_request))
    assert folders == [(folders[0][0], False), (folders[0][0], True)]
    assert folders[0][0].parent == home() / "checkpoints"
    assert folders[0][0].name.startswith("trial-")
    assert not folders[0][0].exists()


def test_a_forced_trial_that_was_stopped_goes_on_too_but_not_from_what_others_left(
    client: Client, store: Store, trial_request: TrialRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders: list[Path] = []

    def run(_request: TrialRequest, *, folder: Path, **_: Any) -> Trial:
        folders.append(folder)
        raise Cancelled("Stopped.")

    _module(monkeypatch, "analysis.training.trial", run_trial=run)
    for force in (False, True, True):
        job = client.submit_trial(trial_request, force=force)
        with pytest.raises(Cancelled):
            JOBS["trial"](claim(store, job))
        store.queue.finish(job.id, "w", "cancelled")
    assert folders[0] != folders[1]
    assert folders[1] == folders[2]


def test_a_trial_on_the_plans_own_masked_files_is_the_same_as_one_that_names_them(
    client: Client, store: Store, trial_request: TrialRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = trial_request.model_copy(update={"mask_personal_data": True})
    known = client._workload(named)[0].info
    workload = WorkloadRef(name="w", content_hash=known.content_hash, paths=named.workload_paths, masked=True)
    plan = trial_request.plan.model_copy(update={"workload": workload})
    unnamed = trial_request.model_copy(update={"workload_paths": (), "plan": plan})
    _module(monkeypatch, "analysis.training.trial", run_trial=lambda request, **_: _tried(client, request))
    done = work(store, client.submit_trial(unnamed))
    assert client.submit_trial(unnamed).result_id == done.result_id
    assert client.submit_trial(named.model_copy(update={"plan": plan})).result_id == done.result_id


def test_a_trial_for_another_model_or_on_a_device_that_is_not_there_makes_no_job(client: Client, trial_request: TrialRequest) -> None:
    plan = trial_request.plan
    other = plan.model_copy(update={"model": plan.model.model_copy(update={"commit": "e" * 40})})
    with pytest.raises(PlanError, match="made for version"):
        client.submit_trial(trial_request.model_copy(update={"plan": other}))
    with pytest.raises(ModelError):
        client.submit_trial(trial_request.model_copy(update={"settings": TrialSettings(device="cuda:7")}))
    with pytest.raises(ModelError):
        client.submit_steps(StepsRequest(model=SOURCE, device="cuda:7"))
    assert client.jobs() == []


def test_a_job_is_not_told_what_the_plan_was_run_by_before(client: Client, store: Store, trial_request: TrialRequest) -> None:
    tried = trial_request.plan.model_copy(update={"trial": a_trial(trial_request.plan)})
    client.submit_trial(trial_request.model_copy(update={"plan": tried}))
    claimed = store.queue.claim(this_host(), "cpu", "w", 10)
    assert claimed is not None
    assert Plan.model_validate(claimed.payload["request"]["plan"]).trial is None


def test_training_steps_are_measured_for_this_machine(client: Client, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(request: StepsRequest, **_: Any) -> StepModel:
        return a_step_model(device=request.device, shape=request.shape)

    _module(monkeypatch, "analysis.training.measure_steps", run_steps=run)
    work(store, client.submit_steps(StepsRequest(model=SOURCE, device="cpu")))
    assert client.step_model("c" * 40, shape=StepsRequest(model=SOURCE).shape) == a_step_model()
    assert client.step_model("c" * 40, "another device") is None


@pytest.mark.parametrize("given", ["cuda:3", "cuda", "cpu", "auto"])
def test_a_worker_sees_its_own_device_whatever_its_number(
    given: str, traces_request: SemanticRequest, trial_request: TrialRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = "cuda" if given.startswith("cuda") else given
    assert seen_by_worker(StepsRequest(model=SOURCE, device=given)).device == seen
    for request in (traces_request, trial_request):
        placed = request.model_copy(update={"settings": request.settings.model_copy(update={"device": given})})
        assert seen_by_worker(placed).settings.device == seen


def test_new_documents_made_elsewhere_are_opened_whatever_they_are(client: Client) -> None:
    plan = a_freeze_plan()
    tried = plan.model_copy(update={"trial": a_trial(plan)})
    assert client.import_document(some_traces().model_dump_json().encode(), "semantics.json")[0] == "semantics"
    assert client.import_document(tried.model_dump_json().encode(), "plan.json") == ("plan", plan.id)
    assert [found.plan_id for found in client.trials(plan.id)] == [plan.id]
    kind, found = client.import_document(a_trial(plan).model_dump_json().encode(), "trial.json")
    assert (kind, len(client.trials(plan.id))) == ("trial", 1)
    about = (plan.model.commit, plan.model.stack, a_trial().workload.content_hash)
    known = client.trial_for(*about)
    assert known is not None
    assert known.id == found
    assert client.semantics_of(some_traces().model.commit, some_traces().stack, some_traces().workload.content_hash) == some_traces()
    client.delete_trial(found)
    assert client.plan(plan.id).trial is None


def test_changed_ways_of_training_or_tracing_answer_only_what_they_do_not_touch() -> None:
    found: list[str] = [methods_fingerprint(method) for method in ("profile", "search", "verify", "semantics", "trial")]
    assert len(set(found)) == 5
