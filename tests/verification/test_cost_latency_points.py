from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from analysis.contracts import Progress
from analysis.errors import Cancelled, InputError, ModelError, ResourceError
from analysis.planning.latency import points_to_check, points_to_fit, predict_ms
from analysis.profiling.stream import Watch
from analysis.verification import latency_points
from analysis.verification.latency_points import measure_latency
from analysis.verification.passes import Laps, Requests
from tests.models.tiny import build
from tests.profiling.tiny import loaded, tiny_llama


def test_both_phases_are_fitted_to_sets_left_out_and_checked_on_others() -> None:
    model = loaded(tiny_llama(6))
    ids = torch.arange(9)[None]
    with torch.no_grad():
        before = model.model(input_ids=ids).logits
        found = measure_latency(model, batch_sizes=(1, 2), prompt_tokens=(8,), repeats=2)
        assert torch.equal(model.model(input_ids=ids).logits, before)
    assert [(s.phase, s.batch_size, s.context_tokens) for s in found.shapes] == [
        ("prefill", 1, 8),
        ("decode", 1, 8),
        ("prefill", 2, 8),
        ("decode", 2, 8),
    ]
    assert all(shape.error_share is not None for shape in found.shapes)
    assert (found.model_commit, found.stack, found.n_blocks, found.dtype) == ("c0ffee", "decoder", 6, "float32")
    sets = {*points_to_fit(model.info.stacks[0]), *points_to_check(model.info.stacks[0])}
    assert {point.removed for point in found.points} == sets
    assert type(found).model_validate_json(found.model_dump_json()) == found


def test_the_fit_is_that_of_what_really_ran(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a clock that ticks for every half that runs, the times come out exactly."""
    model = loaded(tiny_llama(6))
    monkeypatch.setattr(Requests, "serve", ticking(model))
    found = measure_latency(model, prompt_tokens=(8,), repeats=2)
    shape = found.shapes[0]
    assert shape.attention_ms == pytest.approx((3.0,) * 6)
    assert shape.mlp_ms == pytest.approx((5.0,) * 6)
    assert shape.rest_ms == pytest.approx(7.0)
    assert shape.error_share == pytest.approx(0.0, abs=1e-9)
    assert predict_ms(shape, (("block", 2),)) == pytest.approx(7.0 + 5 * 8.0)


def ticking(model: Any) -> Callable[..., Laps]:
    from analysis.surgery.calls import counting

    def serve(requests: Requests, ids: torch.Tensor, _steps: int, _watch: object) -> Laps:
        with counting(model.stack()) as calls:
            requests.read(ids)
        ms = 7.0 + 3.0 * calls.attentions + 5.0 * calls.mlps
        return Laps(ms, ms, 8 * ms)

    return serve


def test_an_encoder_has_no_decode() -> None:
    found = measure_latency(loaded(build("bert")), prompt_tokens=(8,), repeats=2)
    assert {shape.phase for shape in found.shapes} == {"prefill"}


def test_a_prompt_beyond_the_context_is_cut() -> None:
    found = measure_latency(loaded(build("gpt2")), prompt_tokens=(500,), repeats=2)
    assert {shape.context_tokens for shape in found.shapes} == {64 - latency_points.DECODE_STEPS}


@pytest.mark.parametrize(("batches", "lengths"), [((0,), (8,)), ((1,), (0,)), ((), (8,)), ((1,), ())])
def test_a_size_of_nothing_is_refused_in_words(batches: tuple[int, ...], lengths: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="Give at least one of each, all 1 or more"):
        measure_latency(loaded(tiny_llama()), batch_sizes=batches, prompt_tokens=lengths)


def test_a_model_that_reads_no_text_is_refused() -> None:
    with pytest.raises(ModelError, match="reads pixel_values"):
        measure_latency(loaded(build("vit")))


def test_sizes_that_do_not_fit_are_missing_and_none_at_all_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    prompt = Requests.prompt

    def too_much(self: Requests, batch_size: int, prompt_tokens: int) -> torch.Tensor:
        if batch_size > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return prompt(self, batch_size, prompt_tokens)

    monkeypatch.setattr(Requests, "prompt", too_much)
    model = loaded(tiny_llama())
    assert {shape.batch_size for shape in measure_latency(model, batch_sizes=(4, 1), prompt_tokens=(8,), repeats=2).shapes} == {1}
    with pytest.raises(ResourceError, match="none of the sizes asked for fits"):
        measure_latency(model, batch_sizes=(4,), prompt_tokens=(8,), repeats=2)


def test_it_says_how_far_it_is_and_stops_when_asked() -> None:
    told: list[Progress] = []
    with pytest.raises(Cancelled):
        measure_latency(loaded(tiny_llama()), prompt_tokens=(8,), watch=Watch(on_progress=told.append, should_stop=lambda: len(told) == 5))
    assert [progress.done for progress in told] == [0, 1, 2, 3, 4]
