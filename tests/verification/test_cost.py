from __future__ import annotations

import gc
from collections.abc import Sequence
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from analysis.contracts import CostPoint, Message, Progress, VerificationSettings
from analysis.contracts.search import UnitRef
from analysis.errors import Cancelled, ModelError, PlanError
from analysis.models.stack import LoadedModel
from analysis.planning.memory import kv_bytes
from analysis.profiling.stream import Watch
from analysis.verification import cost
from analysis.verification.cost import measure_cost
from tests.models.tiny import build
from tests.profiling.tiny import loaded as as_loaded

REMOVED: tuple[UnitRef, ...] = (("block", 1), ("attention", 2))


def ask(**changes: Any) -> VerificationSettings:
    return VerificationSettings(**{"batch_sizes": (2,), "prompt_tokens": (12,), "new_tokens": 2, "repeats": 3, **changes})


def costs(
    model: LoadedModel, removed: Sequence[UnitRef] = REMOVED, settings: VerificationSettings | None = None
) -> tuple[tuple[CostPoint, ...], list[str]]:
    notes: list[Message] = []
    points = measure_cost(model, removed, settings or ask(), watch=Watch(), on_note=notes.append)
    return points, [note.in_english() for note in notes]


def test_a_point_has_every_cost_of_both_models() -> None:
    model = as_loaded(build("llama"))
    (point,), _ = costs(model)
    assert (point.batch_size, point.prompt_tokens, point.new_tokens) == (2, 12, 2)
    assert point.prefill_ms.original.n == point.prefill_ms.plan.n == 3
    assert point.first_token_ms.original.p50 >= point.prefill_ms.original.p50
    assert point.decode_tokens_per_second is not None
    assert point.decode_tokens_per_second.original.p95 <= point.decode_tokens_per_second.original.p50  # the slow tail
    assert point.tokens_per_second_gain_at_double_batch is not None
    assert point.peak_memory_bytes is None  # a processor does not tell


def test_halves_that_ran_are_counted_beside_every_estimate() -> None:
    (point,), _ = costs(as_loaded(build("llama")))
    assert point.layer_calls == (6, 3)


def test_weights_are_told_as_what_is_left_once_pruned() -> None:
    model = as_loaded(build("llama"))
    (point,), _ = costs(model)
    block, attention = model.info.stacks[0].blocks[1], model.info.stacks[0].blocks[2].attention
    assert attention is not None
    total = 4 * model.info.n_parameters
    assert point.weight_bytes == (total, total - 4 * block.n_parameters - 4 * attention.n_parameters)


@pytest.mark.parametrize("name", ["llama", "gpt2", "gemma3", "mistral", "falcon", "deepseek_v3"])
def test_cache_bytes_are_those_of_the_windows_exactly(name: str) -> None:
    model = as_loaded(build(name))
    (point,), _ = costs(model)
    expected = tuple(kv_bytes(model.info, removed, context_tokens=12, batch_size=2) for removed in ((), REMOVED))
    assert point.kv_cache_bytes == expected


def test_an_encoder_is_timed_reading_only_and_says_so() -> None:
    (point,), notes = costs(as_loaded(build("bert")), settings=ask(prompt_tokens=(12,)))
    assert point.decode_tokens_per_second is None
    assert point.kv_cache_bytes is None
    assert point.new_tokens == 0
    assert point.prefill_ms.original.p50 == point.first_token_ms.original.p50
    assert any("only reading the prompt was timed" in note for note in notes)


def test_a_device_without_an_energy_counter_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost, "energy_meter", lambda _device: None)
    (point,), notes = costs(as_loaded(build("llama")))
    assert point.energy_mwh is None
    assert any("does not tell how much energy" in note for note in notes)


def test_energy_of_both_models_where_the_device_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter(range(0, 10**9, 3600))
    monkeypatch.setattr(cost, "energy_meter", lambda _device: lambda: float(next(ticks)))
    monkeypatch.setattr(cost, "energy_mwh", lambda run, meter: (run(), -meter() + meter())[1] / 3600.0)
    (point,), _ = costs(as_loaded(build("llama")))
    assert point.energy_mwh == (1.0, 1.0)


def test_prompts_longer_than_the_context_are_cut_and_each_size_is_measured_once() -> None:
    points, notes = costs(as_loaded(build("gpt2")), settings=ask(prompt_tokens=(100, 200), new_tokens=4))
    assert [point.prompt_tokens for point in points] == [60]
    assert any("Prompts of 100 tokens do not fit this model's context of 64" in note for note in notes)


def test_a_size_that_does_not_fit_is_told_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    model, prompt = as_loaded(build("llama")), cost.Requests.prompt

    def too_much(self: cost.Requests, batch_size: int, prompt_tokens: int) -> torch.Tensor:
        if batch_size == 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return prompt(self, batch_size, prompt_tokens)

    monkeypatch.setattr(cost.Requests, "prompt", too_much)
    points, notes = costs(model, settings=ask(batch_sizes=(3, 1)))
    assert [point.batch_size for point in points] == [1]
    assert any("3 prompts of 12 tokens at once do not fit" in note for note in notes)


def test_another_failure_is_not_taken_for_lack_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> torch.Tensor:
        raise RuntimeError("shape mismatch")

    monkeypatch.setattr(cost.Requests, "prompt", broken)
    with pytest.raises(RuntimeError, match="shape mismatch"):
        costs(as_loaded(build("llama")))


def test_units_that_cannot_be_left_out_are_refused_before_anything_runs() -> None:
    with pytest.raises(PlanError, match="Layer 7 is not in this model"):
        costs(as_loaded(build("llama")), removed=(("block", 7),))


def test_a_model_that_reads_no_text_is_refused() -> None:
    with pytest.raises(ModelError, match="reads pixel_values, not text"):
        costs(as_loaded(build("vit")), removed=())


@pytest.mark.parametrize("wrong", [{"batch_sizes": (0,)}, {"prompt_tokens": (0,)}, {"repeats": 2}])
def test_sizes_that_are_none_are_refused_by_the_settings(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ask(**wrong)


def test_it_stops_between_runs_leaves_the_model_whole_and_garbage_collection_on() -> None:
    model, asked = as_loaded(build("llama")), [0]
    ids = torch.arange(5)[None]

    def stop() -> bool:
        asked[0] += 1
        return asked[0] > 3

    with torch.no_grad():
        before = model.model(input_ids=ids).logits
        with pytest.raises(Cancelled):
            measure_cost(model, REMOVED, ask(), watch=Watch(should_stop=stop))
        assert torch.equal(model.model(input_ids=ids).logits, before)
    assert gc.isenabled()


def test_progress_rises_to_its_total() -> None:
    told: list[Progress] = []
    measure_cost(as_loaded(build("llama")), (), ask(batch_sizes=(1, 2)), watch=Watch(on_progress=told.append))
    done = [progress.done for progress in told]
    assert done == sorted(done)
    assert 0 < told[-1].done <= told[-1].total
    assert told[-1].eta_seconds is not None


def test_models_are_timed_in_turns_turning_round(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    left_out, serve = cost.left_out, cost.Requests.serve
    now = ["o"]

    @contextmanager
    def noted(stack: Any, removed: Any) -> Any:
        now[0] = "p" if removed else "o"
        with left_out(stack, removed):
            yield

    def noting(self: Any, ids: Any, new_tokens: int, watch: Any) -> Any:
        if new_tokens:
            order.append(now[0])
        return serve(self, ids, new_tokens, watch)

    monkeypatch.setattr(cost, "left_out", noted)
    monkeypatch.setattr(cost.Requests, "serve", noting)
    costs(as_loaded(build("llama")), settings=ask(repeats=4))
    assert "".join(order[-8:]) == "oppooppo"
