"""A store in a folder of its own, and workers whose jobs are fakes."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from analysis.contracts import (
    BlockInfo,
    Message,
    ModelInfo,
    ModelRef,
    ModelSource,
    Plan,
    Profile,
    ProfileSettings,
    Provenance,
    Prune,
    Scores,
    StackInfo,
    Timing,
    TokenCounts,
    WorkloadInfo,
)
from analysis.runs.executor import LocalExecutor
from analysis.runs.queue import NewJob
from analysis.runs.store import Store, open_store, this_host

FAKE_WORKER = Path(__file__).parent / "fake_worker.py"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setenv("STRATA_HOME", str(tmp_path / "home"))
    for name in ("STRATA_DATABASE", "STRATA_ARTIFACTS", "STRATA_EXECUTOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    opened = open_store(sample=tmp_path / "no_sample.json.gz")
    yield opened
    opened.database.close()


@pytest.fixture
def executor(store: Store) -> Iterator[LocalExecutor]:
    made = LocalExecutor(store, command=lambda device: [sys.executable, str(FAKE_WORKER), device])
    yield made
    made.close()


@pytest.fixture
def add(store: Store) -> Callable[..., str]:
    """Queues a fake job and returns its id."""

    def queued(kind: str = "profile", device: str = "cpu", **payload: object) -> str:
        return store.queue.add(NewJob(kind=kind, host=this_host(), device=device, name="a job", payload=payload))  # type: ignore[arg-type]

    return queued


def wait_until(condition: Callable[[], object], seconds: float = 90.0) -> None:
    """Waits for something to come true: long, because the machine may be busy with other things."""
    given_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < given_up, "it never came true"
        time.sleep(0.03)


@pytest.fixture
def until() -> Callable[..., None]:
    return wait_until


def a_profile(content_key: str = "0123456789abcdef", name: str = "a run", n_blocks: int = 2, speed: float = 100.0) -> Profile:
    """The smallest profile that agrees with itself."""
    blocks = tuple(BlockInfo(index=index, n_parameters=10, weight_bytes=40) for index in range(n_blocks))
    stack = StackInfo(name="decoder", path="model.layers", layout="pre_norm", causal=True, blocks=blocks)
    model = ModelInfo(
        name="tiny", source=ModelSource(kind="folder", location="/models/tiny"), commit="c" * 40, architecture="TinyForCausalLM",
        hidden_size=4, dtype="float32", n_parameters=30, weight_bytes=120, stacks=(stack,),
    )  # fmt: skip
    workload = WorkloadInfo(
        name="prompts", content_hash="d" * 64, files=(), n_examples=2, n_calibration=1, n_verification=1, n_with_response=0, slices=()
    )
    series, positions = (0.25,) * n_blocks, (1.0,) * (n_blocks + 1)
    scores = Scores(
        n_tokens=8, n_examples=1, block_influence=series, attention_influence=series, mlp_influence=series, relative_contribution=series,
        norms=positions, cosine_similarity=(positions,) * (n_blocks + 1), angular_distance=(positions,) * (n_blocks + 1),
    )  # fmt: skip
    timing = Timing(
        device="cpu", device_name="a processor", dtype="float32", started_at="2026-01-01T00:00:00+00:00", load_seconds=1.0,
        profile_seconds=1.0, tokens_per_second=speed, batch_tokens=64, unit_tokens=64,
    )  # fmt: skip
    counts = TokenCounts(n_examples=1, n_tokens=8, n_prompt=8, n_response=0, n_template=0)
    return Profile(
        id=content_key, name=name, model=model, stack="decoder", workload=workload, counts=counts, settings=ProfileSettings(), methods={},
        overall=scores, slices={}, examples=(), rank_stability=(), timing=timing, versions={},
        notes=(Message(id="One {n}.", values={"n": 1}),),
    )  # fmt: skip


def a_plan(name: str = "a plan", blocks: tuple[int, ...] = (1,)) -> Plan:
    """A plan for that profile's model."""
    source = ModelSource(kind="folder", location="/models/tiny")
    model = ModelRef(name="tiny", source=source, commit="c" * 40, architecture="TinyForCausalLM", n_blocks=2, stack="decoder")
    provenance = Provenance(profile_id="0123456789abcdef", criterion="block_influence", amount="1 layer")
    return Plan(name=name, model=model, operations=(Prune(blocks=blocks),), provenance=provenance)


@pytest.fixture
def make_profile() -> Callable[..., Profile]:
    return a_profile


@pytest.fixture
def make_plan() -> Callable[..., Plan]:
    return a_plan
