from __future__ import annotations

import sys
from collections.abc import Iterable
from types import ModuleType, SimpleNamespace
from typing import Any, cast

import pytest

from analysis.contracts import Freeze, ModelInfo, ModelRef, Plan, ProjectedQuality, Provenance, Prune, Search, Skip
from analysis.contracts.latency import LatencyModel, LatencyShape
from analysis.planning import project
from analysis.planning.memory import peak_memory
from analysis.planning.project_more import counted_flops, enriched, projected_costs, removed_by
from tests.builders import make_model

INFO = make_model(6)
OPERATIONS = (Skip(unit="attention", blocks=(2,)), Prune(unit="block", blocks=(4,)), Freeze(eof_layer=1))


def latency_of(**changes: Any) -> LatencyModel:
    shape = LatencyShape(
        phase="decode",
        batch_size=1,
        context_tokens=256,
        rest_ms=1.0,
        block_ms=(0.5,) * 6,
        attention_ms=(1.0,) * 6,
        mlp_ms=(2.0,) * 6,
    )
    fields: dict[str, Any] = {"model_commit": INFO.commit, "stack": "decoder", "n_blocks": 6, "shapes": (shape,)} | changes
    return LatencyModel(device="cuda", device_name="GPU", dtype="bfloat16", points=(), measured_at="", **fields)


def test_a_projection_gains_memory_and_latency_and_keeps_the_rest() -> None:
    plain = project(INFO, OPERATIONS, 256)
    full = enriched(plain, INFO, OPERATIONS, latency=latency_of())
    assert full.peak_memory_bytes is not None
    assert full.latency[0].ms.before == pytest.approx(22.0)
    assert full.latency[0].ms.after == pytest.approx(22.0 - 1.0 - 3.5)
    assert full.model_copy(update={"peak_memory_bytes": None, "latency": ()}) == plain


def test_pruned_weights_leave_the_memory_and_skipped_ones_stay() -> None:
    removed = (("block", 1), ("block", 3))
    skipped, pruned = (
        enriched(project(INFO, (operation,), 128), INFO, (operation,)).peak_memory_bytes
        for operation in (Skip(blocks=(1, 3)), Prune(blocks=(1, 3)))
    )
    assert skipped is not None
    assert pruned is not None
    assert skipped.before == pruned.before == peak_memory(INFO, (), context_tokens=128)
    assert skipped.after == peak_memory(INFO, removed, context_tokens=128)
    assert skipped.after - pruned.after == 2 * INFO.stacks[0].blocks[1].weight_bytes


@pytest.mark.parametrize("changes", [{"model_commit": "other"}, {"stack": "encoder"}, {"n_blocks": 7}])
def test_times_of_another_model_are_left_aside(changes: dict[str, Any]) -> None:
    assert enriched(project(INFO, OPERATIONS, 256), INFO, OPERATIONS, latency=latency_of(**changes)).latency == ()


def test_quality_comes_from_the_searchs_model(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    answer = ProjectedQuality(loss_change=0.1, interval=(0.0, 0.2), perplexity_ratio=1.1, perplexity_ratio_interval=(1.0, 1.2))

    class Fake:
        @classmethod
        def fit(cls, search: object) -> Fake:
            asked.append(search)
            return cls()

        def predict(self, removed: Iterable[object]) -> ProjectedQuality:
            asked.append(tuple(removed))
            return answer

    module = ModuleType("analysis.planning.quality")
    vars(module)["QualityModel"] = Fake
    monkeypatch.setitem(sys.modules, "analysis.planning.quality", module)
    search = cast(Search, SimpleNamespace(model=INFO, stack="decoder", objective="loss"))
    assert enriched(project(INFO, OPERATIONS, 256), INFO, OPERATIONS, search=search).quality == answer
    assert asked == [search, (("attention", 2), ("block", 4))]
    other = cast(Search, SimpleNamespace(model=make_model(6, commit="other"), stack="decoder", objective="loss"))
    assert enriched(project(INFO, OPERATIONS, 256), INFO, OPERATIONS, search=other).quality is None
    states = cast(Search, SimpleNamespace(model=INFO, stack="decoder", objective="state_change"))
    assert enriched(project(INFO, OPERATIONS, 256), INFO, OPERATIONS, search=states).quality is None  # no words, no perplexity
    nothing = (Freeze(eof_layer=1),)
    assert enriched(project(INFO, nothing, 256), INFO, nothing, search=search).quality is None
    measured = answer.model_copy(update={"loss_change": 0.3, "measured": True})
    known = project(INFO, OPERATIONS, 256).model_copy(update={"quality": measured})
    assert enriched(known, INFO, OPERATIONS, search=search).quality == measured  # what was run is not replaced by what is expected


def test_what_a_verification_should_find_at_one_size() -> None:
    found = projected_costs(INFO, OPERATIONS, context_tokens=64, batch_size=3, width=4)
    exact = project(INFO, OPERATIONS, 64)
    assert found.n_parameters == exact.n_parameters.after
    assert found.weight_bytes == 2 * exact.weight_bytes.after
    assert found.kv_cache_bytes == 3 * 2 * exact.kv_bytes_at_context.after
    assert found.peak_memory_bytes == peak_memory(INFO, removed_by(OPERATIONS), context_tokens=64, batch_size=3, width=4)


def test_a_counter_sees_the_whole_square_where_the_projection_sees_the_triangle() -> None:
    info, length = make_model(6, window=8), 64
    attention = info.stacks[0].blocks[0].attention
    assert attention is not None
    exact = project(info, (Freeze(eof_layer=0),), length).prefill_flops_per_token.after * length
    hidden = 6 * attention.flops_per_token_per_context * (length * length - (8 * 9 // 2 + (length - 8) * 8))
    assert counted_flops(info, context_tokens=length) == exact + hidden


def _with_an_encoder_in_front() -> ModelInfo:
    decoder = INFO.stacks[0]
    encoder = make_model(3, causal=False).stacks[0].model_copy(update={"name": "encoder"})
    return INFO.model_copy(update={"stacks": (encoder, decoder)})


@pytest.mark.parametrize("named_by", ["operation", "plan"])
def test_the_stack_is_the_one_that_the_plan_names(named_by: str) -> None:
    info = _with_an_encoder_in_front()
    operation = Skip(unit="block", blocks=(4,), stack="decoder" if named_by == "operation" else None)
    ref = ModelRef(name=info.name, source=info.source, commit=info.commit, architecture=info.architecture, n_blocks=6, stack="decoder")
    plan = Plan(model=ref, operations=(operation,), provenance=Provenance(criterion="test", amount="1"))
    full = enriched(
        project(info, plan.operations, 256, "decoder"), info, plan if named_by == "plan" else plan.operations, latency=latency_of()
    )
    assert full.latency[0].ms.before == pytest.approx(22.0)
    assert full.latency[0].ms.after == pytest.approx(18.5)
