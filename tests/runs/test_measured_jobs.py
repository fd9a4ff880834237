"""Search, verification, export and latency as jobs: what is asked twice, what is answered at once, what is kept on the way."""

from __future__ import annotations

import json
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from analysis.contracts import (
    ExportReport,
    ExportRequest,
    ModelSource,
    Plan,
    Profile,
    Quantity,
    Search,
    SearchRequest,
    SearchSettings,
    VerificationSettings,
    VerifyRequest,
)
from analysis.errors import Cancelled, InputError, ModelError, PlanError
from analysis.home import home
from analysis.models.card import ModelCard
from analysis.runs import client as client_module
from analysis.runs.client import Client
from analysis.runs.keys import methods_fingerprint
from analysis.runs.slot import ModelSlot
from analysis.runs.store import Store
from tests.runs.made import a_latency_model, a_search, a_verification
from tests.runs.without_worker import Idle, work

SOURCE = ModelSource(kind="folder", location="/models/tiny")


@pytest.fixture
def client(store: Store) -> Client:
    return Client(store, Idle())  # type: ignore[arg-type]


@pytest.fixture
def profile(make_profile: Callable[..., Profile]) -> Profile:
    return make_profile()


@pytest.fixture(autouse=True)
def card(monkeypatch: pytest.MonkeyPatch, profile: Profile) -> Iterator[None]:
    found = ModelCard(profile.model, None)
    monkeypatch.setattr(client_module, "read_card", lambda _source: found)
    load = types.ModuleType("analysis.models.load")
    load.describe_model = lambda _source, **_: found  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "analysis.models.load", load)
    return


@pytest.fixture
def prompts(tmp_path: Path) -> str:
    path = tmp_path / "prompts.jsonl"
    path.write_text("".join(json.dumps({"prompt": f"hello world {n}"}) + "\n" for n in range(12)))
    return str(path)


def _module(monkeypatch: pytest.MonkeyPatch, name: str, **functions: object) -> None:
    module = types.ModuleType(name)
    for function, does in functions.items():
        setattr(module, function, does)
    monkeypatch.setitem(sys.modules, name, module)


@pytest.fixture
def search_request(prompts: str) -> SearchRequest:
    return SearchRequest(model=SOURCE, workload_paths=(prompts,), settings=SearchSettings(device="cpu", strategies=("beam",)))


def _found(client: Client, request: SearchRequest, profile: Profile, **changes: Any) -> Search:
    workload = client._workload(request)[0].info
    empty = {"singles": (), "pairs": (), "sets": (), "paths": {"beam": ()}}
    settings = request.settings.model_copy(update={"device": "cpu", "dtype": "float32"})
    fields = {"model": profile.model, "stack": profile.stack, "workload": workload, "settings": settings, **empty, **changes}
    return a_search().model_copy(update=fields)


def test_a_search_is_one_job_and_then_answered_at_once_for_smaller_limits_too(
    client: Client, store: Store, search_request: SearchRequest, profile: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, Any]] = []

    def run(request: SearchRequest, **given: Any) -> Search:
        asked.append({**given, "known": given["known"](a_search().id)})
        return _found(client, request, profile)

    _module(monkeypatch, "analysis.search.run", run_search=run)
    first = client.submit_search(search_request)
    assert client.submit_search(search_request).id == first.id
    done = work(store, first)
    assert client.search(str(done.result_id)).workload == client._workload(search_request)[0].info
    smaller = search_request.model_copy(update={"settings": search_request.settings.model_copy(update={"limit": "10%"})})
    for again in (search_request, smaller):
        job = client.submit_search(again)
        assert (job.state, job.result_id) == ("done", done.result_id)
    other = search_request.model_copy(update={"settings": search_request.settings.model_copy(update={"strategies": ("greedy",)})})
    waiting = client.submit_search(other)
    assert waiting.state == "queued"
    work(store, waiting)
    forced = client.submit_search(search_request, force=True)
    assert forced.state == "queued"
    work(store, forced)
    assert [found["known"] is None for found in asked] == [True, False, True]
    assert len(client.searches()) == 1


def test_a_cancelled_search_leaves_what_it_measured_and_answers_nothing_yet(
    client: Client, store: Store, search_request: SearchRequest, profile: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(request: SearchRequest, **given: Any) -> Search:
        given["keep"](_found(client, request, profile))
        raise Cancelled("Stopped.")

    _module(monkeypatch, "analysis.search.run", run_search=run)
    job = client.submit_search(search_request)
    with pytest.raises(Cancelled):
        work(store, job)
    client.cancel(job.id)
    assert len(client.searches()) == 1
    store.queue.finish(job.id, "w", "cancelled")
    assert client.submit_search(search_request).state == "queued"


def test_a_strategy_that_chooses_by_a_profile_gets_the_stored_one_or_has_it_measured(
    client: Client, store: Store, search_request: SearchRequest, profile: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    got: list[Profile | None] = []

    def run(request: SearchRequest, **given: Any) -> Search:
        got.append(given["profile"])
        return _found(client, request, profile)

    measured = profile.model_copy(update={"workload": client._workload(search_request)[0].info})
    _module(monkeypatch, "analysis.search.run", run_search=run)
    _module(monkeypatch, "analysis.profiling.run", run_profile=lambda _request, **_: measured)
    work(store, client.submit_search(search_request))
    settings = search_request.settings.model_copy(update={"strategies": ("block_influence",)})
    work(store, client.submit_search(search_request.model_copy(update={"settings": settings})))
    assert got == [None, measured]
    assert len([run for run in client.runs() if not run.is_sample]) == 1
    work(store, client.submit_search(search_request.model_copy(update={"settings": settings}), force=True))
    assert got[2] == measured.model_copy(update={"name": got[2].name})  # type: ignore[union-attr]


def test_a_limit_nobody_can_read_and_a_device_that_is_not_there_make_no_job(client: Client, search_request: SearchRequest) -> None:
    for changed, error in (({"limit": "a lot"}, PlanError), ({"device": "cuda:7"}, ModelError)):
        with pytest.raises(error):
            client.submit_search(search_request.model_copy(update={"settings": search_request.settings.model_copy(update=changed)}))
    assert client.jobs() == []


@pytest.fixture
def verify_request(prompts: str, make_plan: Callable[..., Plan]) -> VerifyRequest:
    settings = VerificationSettings(device="cpu")
    return VerifyRequest(model=SOURCE, workload_paths=(prompts,), plan=make_plan(), settings=settings, guardrails=("perplexity<=1.05x",))


def test_a_verification_is_stored_with_its_plan_and_the_same_test_is_answered_here_but_on_no_other_machine(
    client: Client, store: Store, verify_request: VerifyRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, workload = verify_request.plan, client._workload(verify_request)[0].info
    found = a_verification(plan, verdict="outside", workload=workload)
    found = found.model_copy(update={"machine": found.machine.model_copy(update={"device": "cpu"})})
    _module(monkeypatch, "analysis.verification.run", run_verification=lambda _request, **_: found)
    job = client.submit_verify(verify_request)
    assert client.submit_verify(verify_request).id == job.id
    done = work(store, job)
    assert client.verification(str(done.result_id)).generations
    (summary,) = [plan for plan in client.plans() if not plan.is_sample]
    assert (summary.id, summary.state, summary.verdict) == (plan.id, "verified", "outside")
    assert client.submit_verify(verify_request).result_id == done.result_id
    assert client.submit_verify(verify_request, force=True).state == "queued"
    monkeypatch.setattr(client_module, "this_host", lambda: "another machine")
    assert client.submit_verify(verify_request.model_copy(update={"guardrails": ()})).state == "queued"
    assert client.submit_verify(verify_request).state == "queued"


def test_a_plan_for_another_model_or_a_limit_that_cannot_be_read_is_refused_before_a_job_is_made(
    client: Client, verify_request: VerifyRequest
) -> None:
    plan = verify_request.plan
    other = plan.model_copy(update={"model": plan.model.model_copy(update={"commit": "e" * 40})})
    with pytest.raises(PlanError, match="made for version"):
        client.submit_verify(verify_request.model_copy(update={"plan": other}))
    with pytest.raises(PlanError, match="made for version"):
        client.submit_export(ExportRequest(plan=other, model=SOURCE, folder="/tmp/x"))
    with pytest.raises(PlanError, match="limit"):
        client.submit_verify(verify_request.model_copy(update={"guardrails": ("beauty<=3",)}))
    assert client.jobs() == []


def test_an_export_goes_to_its_own_folder_unless_one_is_named_and_its_report_is_found(
    client: Client, store: Store, make_plan: Callable[..., Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = make_plan(name="Mail / first: half")
    asked: list[ExportRequest] = []

    def run(request: ExportRequest, **_: Any) -> ExportReport:
        asked.append(request)
        return ExportReport(
            plan_id=request.plan.id, model_name="m", model_commit="c", folder=request.folder, files={},
            n_blocks=Quantity(before=2, after=1),
            n_parameters=Quantity(before=2, after=1), method="reloaded", max_logit_difference=0.0, n_random_tokens=1, n_real_tokens=1,
        )  # fmt: skip

    _module(monkeypatch, "analysis.surgery.export", run_export=run)
    done = work(store, client.submit_export(ExportRequest(plan=plan, model=SOURCE, folder="")))
    assert Path(asked[0].folder) == client.export_folder(plan)
    assert Path(asked[0].folder).parent == home() / "exports"
    assert client.export_report(str(done.result_id)).plan_id == plan.id
    assert [found for found, _ in client.exports(plan.id)] == [done.result_id]
    work(store, client.submit_export(ExportRequest(plan=plan, model=SOURCE, folder="named")))
    assert asked[1].folder == str(Path("named").absolute())


def test_times_are_measured_for_this_machine(client: Client, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    _module(monkeypatch, "analysis.verification.latency_points", measure_latency=lambda _loaded, **_: a_latency_model())
    monkeypatch.setattr(ModelSlot, "load", lambda *_: None)
    with pytest.raises(InputError, match="start at 1"):
        client.submit_latency(SOURCE, batch_sizes=(0,))
    work(store, client.submit_latency(SOURCE, "cpu"))
    assert client.latency_model("c" * 40) == a_latency_model()
    assert client.latency_model("c" * 40, "another device") is None


def test_documents_made_elsewhere_are_opened_whatever_they_are(client: Client, make_plan: Callable[..., Plan]) -> None:
    plan = make_plan()
    verified = plan.model_copy(update={"verification": a_verification(plan).without_texts()})
    assert client.import_document(a_search().model_dump_json().encode(), "search.json")[0] == "search"
    assert client.import_document(verified.model_dump_json().encode(), "plan.json") == ("plan", plan.id)
    assert [found.plan_id for found in client.verifications(plan.id)] == [plan.id]
    (summary,) = [plan for plan in client.plans() if not plan.is_sample]
    assert summary.state == "verified"
    kind, found = client.import_document(a_verification(plan).model_dump_json().encode(), "verification.json")
    assert (kind, len(client.verifications(plan.id))) == ("verification", 1)
    client.delete_verification(found)
    assert client.plan(plan.id).verification is None


def test_changed_methods_answer_only_what_they_do_not_touch() -> None:
    assert len({methods_fingerprint("profile"), methods_fingerprint("search"), methods_fingerprint("verify")}) == 3
