"""Traces, steps and a trial of a tiny model, really run as jobs: what is stored can be opened, answers, and feeds what comes next."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.contracts import ModelSource, ProfileSettings, SemanticRequest, SemanticSettings, StepsRequest, TrainingShape
from analysis.home import home
from analysis.models.load import describe_model
from analysis.runs.client import Client
from analysis.runs.store import Store
from tests.runs.without_worker import Idle, work
from tests.training.tiny_trial import plan_for, request, rows, write
from tests.verification.tiny_verification import save, tiny_llama


@pytest.fixture
def source(tmp_path: Path) -> ModelSource:
    return save(tiny_llama(), tmp_path / "model")


def test_traces_then_a_trial_with_them_then_both_answered_at_once(store: Store, source: ModelSource, tmp_path: Path) -> None:
    client = Client(store, Idle())  # type: ignore[arg-type]
    path, info = write(tmp_path, rows()), describe_model(source).info
    asked = SemanticRequest(
        model=source,
        workload_paths=(path,),
        settings=ProfileSettings(device="cpu", replicates=50),
        semantics=SemanticSettings(lens_tokens=64, traces=2),
    )
    traced = client.semantics(str(work(store, client.submit_semantics(asked)).result_id))
    assert client.semantics_for(client.profile(client.runs()[0].id)) == traced
    assert client.submit_semantics(asked).state == "done"
    tried = request(plan_for(info), path, compare=("full",), boundaries=(0,))
    done = work(store, client.submit_trial(tried))
    trial = client.trial(str(done.result_id))
    assert trial.is_sweep
    assert {choice.strategy for choice in trial.choices if choice.eof_layer is not None} >= {"gain"}
    assert client.trial_for(trial.model_commit, trial.stack, trial.workload.content_hash) == trial
    assert client.plan(tried.plan.id).trial == trial
    assert client.step_model(info.commit) == trial.steps
    assert client.submit_trial(tried).result_id == done.result_id
    assert list((home() / "checkpoints").iterdir()) == []


def test_steps_are_measured_and_found_again(store: Store, source: ModelSource) -> None:
    client = Client(store, Idle())  # type: ignore[arg-type]
    shape = TrainingShape(batch_size=2, sequence_tokens=16, dtype="float32")
    work(store, client.submit_steps(StepsRequest(model=source, device="cpu", shape=shape)))
    found = client.step_model(describe_model(source).info.commit, shape=shape)
    assert found is not None
    assert found.shape == shape
