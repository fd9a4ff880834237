"""Ranking, healing and robustness as jobs: what a worker is handed, what it stores, and what is answered at once."""

from __future__ import annotations

import json
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from analysis.contracts import (
    Healing,
    HealRequest,
    HealSettings,
    Job,
    ModelSource,
    Plan,
    Prune,
    Ranking,
    RankingRequest,
    RankingSettings,
    Robustness,
    RobustnessRequest,
    RobustnessSettings,
)
from analysis.errors import Cancelled, PlanError
from analysis.home import home
from analysis.models.card import ModelCard
from analysis.runs import client as client_module
from analysis.runs.client import Client
from analysis.runs.context import seen_by_worker
from analysis.runs.keys import judged_on
from analysis.runs.store import Store
from tests.builders import make_model
from tests.consensus_builders import make_healing, make_ranking, make_robustness
from tests.runs import without_worker
from tests.runs.made import a_freeze_plan
from tests.runs.without_worker import CPU, Idle, claim

N_BLOCKS = 8


def work(store: Store, job: Job) -> Job:
    """What a worker does with a job, one that is stopped on the way too."""
    try:
        return without_worker.work(store, job)
    except Cancelled:
        store.queue.finish(job.id, "w", "cancelled")
    stopped = store.queue.job(job.id)
    assert stopped is not None
    return stopped


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
def ranking_request(prompts: str) -> RankingRequest:
    return RankingRequest(model=SOURCE, workload_paths=(prompts,), settings=RankingSettings(device="cpu", amount="3layers"))


@pytest.fixture
def run_ranking(client: Client, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Three steps, each kept; stopped after the step that stands in "stop"."""
    calls: list[dict[str, Any]] = []

    def run(request: RankingRequest, *, known: Callable[[str], Ranking | None], keep: Callable[[Ranking], None], **handed: Any) -> Ranking:
        workload = client._workload(request)[0].info
        whole = make_ranking(N_BLOCKS, n_taken=3, id="0b" * 8, model=make_model(N_BLOCKS), workload=workload, settings=_resolved(request))
        before = known(whole.id)
        calls.append({**handed, "request": request, "before": before})
        for n in range(0 if before is None else len(before.steps), 3):
            keep(whole.model_copy(update={"steps": whole.steps[: n + 1], "lost_together": (), "complete": False}))
            if len(calls) == 1:
                raise Cancelled("Stopped.")
        return whole

    _module(monkeypatch, "analysis.search.ranking_run", run_ranking=run)
    return calls


def _resolved(request: RankingRequest) -> RankingSettings:
    return request.settings.model_copy(update={"dtype": "float32"})


def test_a_stopped_ranking_goes_on_from_its_last_step_and_is_then_answered_at_once(
    client: Client, store: Store, ranking_request: RankingRequest, run_ranking: list[dict[str, Any]]
) -> None:
    job = client.submit_ranking(ranking_request)
    assert client.submit_ranking(ranking_request).id == job.id
    assert work(store, job).state == "cancelled"
    (half,) = client.rankings()
    assert (half.complete, half.n_taken) == (False, 1)
    assert client.submit_ranking(ranking_request).state == "queued"
    done = work(store, client.submit_ranking(ranking_request))
    assert done.state == "done"
    before = run_ranking[1]["before"]
    assert before is not None
    assert len(before.steps) == 1
    (whole,) = client.rankings()
    assert (whole.id, whole.complete, whole.n_taken) == (half.id, True, 3)
    assert client.ranking(str(done.result_id)).taken == client.ranking(whole.id).taken
    again = client.submit_ranking(ranking_request)
    assert (again.state, again.result_id) == ("done", done.result_id)
    client.delete_ranking(whole.id)
    assert client.submit_ranking(ranking_request).state == "queued"


def test_force_ranks_from_the_beginning_and_keeps_the_old_one_until_then(
    client: Client, store: Store, ranking_request: RankingRequest, run_ranking: list[dict[str, Any]]
) -> None:
    for _ in range(2):
        work(store, client.submit_ranking(ranking_request))
    work(store, client.submit_ranking(ranking_request, force=True))
    assert run_ranking[2]["before"] is None
    assert [one.complete for one in client.rankings()] == [True]


@pytest.mark.parametrize("changed", [{"voters": ("cka", "taylor")}, {"held_out": ("mail",)}, {"amount": "2layers"}, {"rule": "kemeny"}])
def test_another_vote_is_another_ranking(
    client: Client, store: Store, ranking_request: RankingRequest, run_ranking: list[dict[str, Any]], changed: dict[str, Any]
) -> None:
    for _ in range(2):
        work(store, client.submit_ranking(ranking_request))
    other = ranking_request.model_copy(update={"settings": ranking_request.settings.model_copy(update=changed)})
    assert client.submit_ranking(other).state == "queued"


def test_an_amount_that_cannot_be_read_is_refused_before_anything_is_queued(client: Client, ranking_request: RankingRequest) -> None:
    with pytest.raises(PlanError):
        client.submit_ranking(ranking_request.model_copy(update={"settings": RankingSettings(amount="some")}))
    assert client.jobs() == []


def test_a_worker_sees_its_own_gpu_as_the_first(ranking_request: RankingRequest, heal_request: HealRequest) -> None:
    asked = ranking_request.model_copy(update={"settings": RankingSettings(device="cuda:1")})
    assert seen_by_worker(asked).settings.device == "cuda"
    assert seen_by_worker(heal_request).settings.device == "cpu"


def a_cut(**changes: Any) -> Plan:
    """A plan that takes two layers out of the tests' model."""
    return a_freeze_plan(operations=(Prune(blocks=(3, 5)),), **changes)


@pytest.fixture
def heal_request(prompts: str) -> HealRequest:
    return HealRequest(model=SOURCE, workload_paths=(prompts,), plan=a_cut(), settings=HealSettings(device="cpu"))


def test_a_healing_is_kept_with_its_plan_and_answered_while_its_model_is_there(
    client: Client, store: Store, heal_request: HealRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folders: list[Path] = []

    def run(request: HealRequest, *, folder: Path, **_: Any) -> Healing:
        folders.append(folder)
        folder.mkdir(parents=True)
        workload = client._workload(judged_on(request))[0].info
        return make_healing(request.plan, id=f"healing{len(folders)}", workload=workload, folder=request.save_folder)

    _module(monkeypatch, "analysis.training.heal", run_heal=run)
    saved = tmp_path / "healed"
    saved.mkdir()
    asked = heal_request.model_copy(update={"save_folder": str(saved)})
    job = client.submit_heal(asked)
    assert client.submit_heal(asked).id == job.id
    done = work(store, job)
    assert done.state == "done", done.error
    attached = client.plan(asked.plan.id).healing
    assert attached == client.healing(str(done.result_id))
    assert list((home() / "checkpoints").iterdir()) == []
    assert client.submit_heal(asked).result_id == done.result_id
    other = client.submit_heal(heal_request)
    assert other.state == "queued"
    client.cancel(other.id)
    forced = work(store, client.submit_heal(asked, force=True))
    assert forced.result_id != done.result_id
    assert folders[0] != folders[1]
    saved.rmdir()
    assert client.submit_heal(asked).state == "queued"
    monkeypatch.setattr(client_module, "read_card", lambda _source: None)
    unknown = client.submit_heal(heal_request)  # only the worker can tell
    assert unknown.state == "queued"
    client.delete_healing(str(forced.result_id))
    assert [one.id for one in client.healings(asked.plan.id)] == [done.result_id]


def test_a_cancelled_healing_goes_on_where_it_was_stopped(
    client: Client, store: Store, heal_request: HealRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[str]] = []

    def run(request: HealRequest, *, folder: Path, **_: Any) -> Healing:
        folder.mkdir(parents=True, exist_ok=True)
        seen.append([path.name for path in folder.iterdir()])
        (folder / "step-25").touch()
        if len(seen) == 1:
            raise Cancelled("Stopped.")
        return make_healing(request.plan)

    _module(monkeypatch, "analysis.training.heal", run_heal=run)
    assert work(store, client.submit_heal(heal_request)).state == "cancelled"
    assert work(store, client.submit_heal(heal_request)).state == "done"
    assert seen == [[], ["step-25"]]


def test_what_a_plan_was_run_by_before_is_not_told_to_the_worker(client: Client, store: Store, heal_request: HealRequest) -> None:
    plan = a_cut()
    full = plan.model_copy(update={"healing": make_healing(plan), "robustness": make_robustness(plan)})
    told = claim(store, client.submit_heal(heal_request.model_copy(update={"plan": full}))).job.payload["request"]["plan"]
    assert (told["healing"], told["robustness"]) == (None, None)


def test_a_plan_that_takes_nothing_out_is_neither_healed_nor_disturbed(client: Client, heal_request: HealRequest) -> None:
    frozen = a_freeze_plan(name="frozen")
    with pytest.raises(PlanError, match="takes nothing out"):
        client.submit_heal(heal_request.model_copy(update={"plan": frozen}))
    about = {"model": SOURCE, "workload_paths": heal_request.workload_paths}
    with pytest.raises(PlanError, match="takes nothing out"):
        client.submit_robustness(RobustnessRequest(plan=frozen, **about))  # type: ignore[arg-type]
    assert client.jobs() == []


def test_a_plan_of_another_model_is_refused(client: Client, heal_request: HealRequest) -> None:
    plan = a_cut()
    other = plan.model_copy(update={"model": plan.model.model_copy(update={"commit": "another"})})
    with pytest.raises(PlanError):
        client.submit_heal(heal_request.model_copy(update={"plan": other}))


def test_a_robustness_test_is_kept_with_its_plan_and_answered_here(
    client: Client, store: Store, prompts: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[RobustnessRequest] = []

    def run(request: RobustnessRequest, **_: Any) -> Robustness:
        runs.append(request)
        workload = client._workload(judged_on(request))[0].info
        return make_robustness(request.plan, id=f"robustness{len(runs)}", workload=workload)

    _module(monkeypatch, "analysis.verification.robustness", run_robustness=run)
    request = RobustnessRequest(model=SOURCE, workload_paths=(prompts,), plan=a_cut(), settings=RobustnessSettings(device="cpu"))
    done = work(store, client.submit_robustness(request))
    assert done.state == "done", done.error
    assert client.plan(request.plan.id).robustness == client.robustness(str(done.result_id))
    assert client.submit_robustness(request).result_id == done.result_id
    again = request.model_copy(update={"settings": request.settings.model_copy(update={"country": "JPN"})})
    assert client.submit_robustness(again).state == "queued"
    monkeypatch.setattr(client_module, "read_card", lambda _source: None)
    unknown = client.submit_robustness(request)
    assert unknown.state == "queued"


def test_the_client_neither_loads_torch_nor_scipy() -> None:
    import subprocess

    code = "import sys, analysis.runs.client; print([name for name in ('torch', 'scipy', 'transformers') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
