"""Searching: what is planted is found, limits are kept, nothing is measured twice, and bad input is refused in words first."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as tf

from analysis.contracts import STRATEGIES, Message, ModelSource, Progress, Search, SearchRequest, SearchSettings, UnitSet
from analysis.errors import Cancelled, ModelError, PlanError, WorkloadError
from analysis.models.load import load_model
from analysis.models.stack import LoadedModel
from analysis.profiling.run import profile_model
from analysis.profiling.stream import Watch
from analysis.search.baselines import unshared_greedy
from analysis.search.beam import Hunter
from analysis.search.losses import Measurer
from analysis.search.paired import student_95
from analysis.search.race import Entrant, race
from analysis.search.result import most_tokens
from analysis.search.room import room_for
from analysis.search.run import run_search, search_model, within_tokens
from analysis.search.scan import ablation_scan, candidates
from analysis.search.steering import Steering, steering_for
from analysis.workload import PROMPT, TEMPLATE, EncodedWorkload
from tests.models.tiny import VOCAB, build, save_tokenizer
from tests.profiling.tiny import encoded, examples, loaded, tiny_llama

STAGE = Message(id="")


def _redundant(*blocks: int, n_blocks: int = 6) -> LoadedModel:
    """A model in which these blocks add nothing, and whose head is sure of itself."""
    model = tiny_llama(n_blocks)
    with torch.no_grad():
        model.lm_head.weight.mul_(4.0)
        for block in blocks:
            model.model.layers[block].self_attn.o_proj.weight.zero_()
            model.model.layers[block].mlp.down_proj.weight.zero_()
    return loaded(model)


@torch.no_grad()
def _own_words(model: LoadedModel, n: int, length: int = 16) -> EncodedWorkload:
    """Texts that the model itself would write: whatever is taken out of it makes them less likely."""
    ids = torch.randint(1, VOCAB, (n, 4), generator=torch.Generator().manual_seed(0))
    while ids.shape[1] < length:
        ids = torch.cat([ids, model.model(ids).logits[:, -1:].argmax(-1)], dim=1)
    kinds = np.array([TEMPLATE] * 4 + [PROMPT] * (length - 4), dtype=np.uint8)
    return encoded([replace(example, input_ids=row.numpy(), kinds=kinds) for example, row in zip(examples(n), ids, strict=True)])


def _steering(model: LoadedModel, limit: str, units: tuple[str, ...] = ("block",)) -> Steering:
    return steering_for(model.info, model.stack().info.name, candidates(model.stack(), units), limit)  # type: ignore[arg-type]


def _search(model: LoadedModel, n: int = 12, **settings: Any) -> Search:
    given = {"units": ("block",), "strategies": ("greedy", "beam"), "limit": "2 layers"} | settings
    return search_model(model, _own_words(model, n), SearchSettings(**given))


@pytest.mark.parametrize("strategy", ["greedy", "beam", "one_shot"])
def test_planted_redundancy_is_removed_at_no_loss(strategy: str) -> None:
    search = _search(_redundant(1, 4), strategies=(strategy,))
    assert search.paths[strategy][-1] == (("block", 1), ("block", 4))
    assert search.measured()[(("block", 1), ("block", 4))].change == pytest.approx(0.0, abs=1e-6)


def test_planted_halves_are_found_among_all_units() -> None:
    model = tiny_llama(4)
    with torch.no_grad():
        model.lm_head.weight.mul_(4.0)
        model.model.layers[2].self_attn.o_proj.weight.zero_()
        model.model.layers[1].mlp.down_proj.weight.zero_()
    search = _search(loaded(model), units=("block", "attention", "mlp"), limit="1 layers")
    free = (("mlp", 1), ("attention", 2))
    assert search.measured()[free].change == pytest.approx(0.0, abs=1e-6)
    assert any(set(free) <= set(removed) for removed in search.paths["greedy"])


def test_greedy_equals_greedy_by_hand() -> None:
    model, work = loaded(tiny_llama(5)), encoded(examples(10))
    settings = SearchSettings(units=("block",), strategies=("greedy",), limit="3 layers")
    search = search_model(model, work, settings)
    by_hand, base = Measurer(model, work, settings, naive=True), ()
    for chosen in search.paths["greedy"]:
        children = [tuple(sorted((*base, ("block", block)))) for block in range(5) if ("block", block) not in base]
        found = by_hand.measure(children, STAGE)  # type: ignore[arg-type]
        base = min(found, key=lambda removed: found[removed].loss)  # type: ignore[assignment]
        assert chosen == base


def test_the_beam_is_never_worse_than_any_other_strategy() -> None:
    model, work = loaded(tiny_llama(6)), encoded(examples(12))
    profile = profile_model(model, work)
    settings = SearchSettings(units=("block",), strategies=STRATEGIES, limit="3 layers")
    search = search_model(model, work, settings, profile=profile)
    found = search.measured()
    assert set(search.paths) == set(STRATEGIES)
    for path in search.paths.values():
        assert path
        for removed in path:
            assert found[search.paths["beam"][len(removed) - 1]].loss <= found[removed].loss
    assert search.paths["last_n"][1] == (("block", 3), ("block", 4))
    assert "beam" in found[search.paths["beam"][0]].found_by


@pytest.mark.parametrize(
    ("limit", "units"), [("2 layers", ("block",)), ("34%flops", ("block", "attention", "mlp")), ("25%params", ("attention", "mlp"))]
)
def test_limits_are_kept(limit: str, units: tuple[str, ...]) -> None:
    model = loaded(tiny_llama(5))
    steering = _steering(model, limit, units)
    search = search_model(
        model,
        encoded(examples(8)),
        SearchSettings(units=units, strategies=("one_shot", "last_n", "random", "greedy", "beam"), limit=limit),  # type: ignore[arg-type]
    )
    for path in search.paths.values():
        assert path
        assert all(steering.allows(removed) for removed in path)
    assert all(steering.allows(found.removed) for found in (*search.pairs, *search.sets))


def test_protected_layers_stay() -> None:
    search = _search(_redundant(1, 4), protect=(1,), limit="3 layers", strategies=("greedy", "beam", "random", "last_n"))
    assert not any(("block", 1) in removed for path in search.paths.values() for removed in path)
    assert (("block", 1),) not in search.measured()


def test_something_of_the_model_always_stays() -> None:
    search = _search(loaded(tiny_llama(3)), limit="100%", strategies=("greedy", "random"))
    assert max(len(removed) for path in search.paths.values() for removed in path) == 2


def test_the_search_resumed_is_the_search_run_straight() -> None:
    model, work = loaded(tiny_llama(5)), encoded(examples(8))
    settings = SearchSettings(units=("block",), strategies=("greedy", "beam", "random"), limit="3 layers", batch_tokens=30)
    straight = search_model(model, work, settings)
    kept: list[Search] = []
    calls = itertools.count()
    with pytest.raises(Cancelled):
        search_model(model, work, settings, watch=Watch(should_stop=lambda: next(calls) > 100), keep=kept.append)
    assert kept
    assert 0 < len(kept[-1].measured()) < len(straight.measured())
    resumed = search_model(model, work, settings, earlier=kept[-1])
    assert resumed.paths == straight.paths
    for removed, found in straight.measured().items():
        assert resumed.measured()[removed].loss == pytest.approx(found.loss, abs=1e-6)


def test_what_is_known_is_not_run_again(monkeypatch: pytest.MonkeyPatch) -> None:
    model, work = loaded(tiny_llama(5)), encoded(examples(8))
    settings = SearchSettings(units=("block",), strategies=("greedy",), limit="3 layers")
    first = search_model(model, work, settings)
    monkeypatch.setattr(Measurer, "run", lambda *_: pytest.fail("something was run"))
    again = search_model(model, work, settings.model_copy(update={"limit": "2 layers"}), earlier=first)
    assert again.paths["greedy"] == first.paths["greedy"][:2]
    assert again.costs["scan"] == first.costs["scan"]


def test_clearly_worse_sets_drop_out_before_they_have_seen_everything() -> None:
    model = _redundant(1, 2, 4)
    measurer = Measurer(model, _own_words(model, 48), SearchSettings(batch_tokens=48))
    steering = _steering(model, "3 layers")
    sets: list[UnitSet] = [(("block", block),) for block in range(6)]
    raced = race(measurer, steering, [Entrant(removed) for removed in sets], STAGE)
    assert raced.done[0][0][1] in (1, 2, 4)
    assert raced.passes == pytest.approx(measurer.tally.head_passes - 1)
    assert measurer.tally.head_passes < 6.5
    assert any(removed not in measurer.found for removed in sets)


def test_greedy_runs_less_than_an_unshared_one_and_counts_both() -> None:
    search = _search(_redundant(2, 5, 7, n_blocks=10), n=36, limit="3 layers", batch_tokens=48, strategies=("greedy",))
    cost = search.costs["greedy"]
    assert (cost.naive_block_calls, cost.naive_head_passes) == (10 * 9 + 9 * 8 + 8 * 7, 27.0)
    assert cost.block_calls < 0.5 * cost.naive_block_calls
    assert cost.head_passes < cost.naive_head_passes
    assert unshared_greedy(_steering(_redundant(n_blocks=10), "1 layers"), [(("block", 0),)]) == (90.0, 10.0)


def test_pairs_are_measured_as_pairs() -> None:
    model = loaded(tiny_llama(4))
    search = _search(model, strategies=("greedy",))
    assert len(search.pairs) == 6
    assert all(len(pair.removed) == 2 for pair in search.pairs)


def test_expected_costs_use_measured_interactions() -> None:
    model = loaded(tiny_llama(4))
    measurer = Measurer(model, encoded(examples(8)), SearchSettings(units=("block",)))
    steering = _steering(model, "2 layers")
    measurer.measure([(), *((ref,) for ref in steering.candidates)], STAGE)
    hunter = Hunter(measurer, steering)
    hunter.pairs(4)
    pair = (("block", 1), ("block", 2))
    expected = hunter._expected(("block", 2), (("block", 1),))
    assert expected == pytest.approx(measurer.found[pair].loss - measurer.found[(("block", 1),)].loss, abs=1e-9)


def test_a_model_without_a_head_is_judged_by_its_states() -> None:
    torch.manual_seed(0)
    config = tf.BertConfig(vocab_size=VOCAB, hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=4)
    search = ablation_scan(loaded(tf.BertModel(config).eval()), encoded(examples(6)), SearchSettings())
    assert search.objective == "state_change"
    assert search.base_loss == pytest.approx(0.0, abs=1e-6)
    assert all(0 < found.loss < 2 for found in search.singles)


def test_the_loss_is_that_of_transformers() -> None:
    model = tiny_llama(3)
    made = examples(5)
    search = ablation_scan(loaded(model), encoded(made), SearchSettings(units=("block",)))
    total = count = weighted = 0.0
    for example in made:
        ids = torch.from_numpy(example.input_ids)[None]
        labels = torch.where(torch.from_numpy(example.kinds)[None] == 2, ids, -100)
        with torch.no_grad():
            total += example.weight * float(model(ids, labels=labels).loss) * int((labels >= 0).sum())
        count += int((labels >= 0).sum())
        weighted += example.weight * int((labels >= 0).sum())
    assert len({example.weight for example in made}) > 1
    assert search.n_tokens == count
    assert search.base_loss == pytest.approx(total / weighted, abs=1e-5)


def test_a_model_left_in_training_mode_is_measured_without_dropout() -> None:
    torch.manual_seed(0)
    model = tf.GPT2LMHeadModel(tf.GPT2Config(vocab_size=VOCAB, n_embd=32, n_layer=3, n_head=4, resid_pdrop=0.5))
    work, settings = encoded(examples(6)), SearchSettings(units=("block",))
    evaluated = ablation_scan(loaded(model.eval()), work, settings)
    trained = loaded(model)
    model.train()
    assert [found.loss for found in ablation_scan(trained, work, settings).singles] == [found.loss for found in evaluated.singles]
    assert all(module.training for module in model.modules())


def test_an_untouched_model_that_overflows_is_refused_in_words() -> None:
    model = tiny_llama(3)
    with torch.no_grad():
        model.model.embed_tokens.weight[:] = float("inf")
    with pytest.raises(ModelError, match="no usable numbers in float32"):
        ablation_scan(loaded(model), encoded(examples(3)), SearchSettings(units=("block",)))


def test_tokens_follow_the_device_unless_somebody_says_how_many() -> None:
    assert most_tokens(SearchSettings(), torch.device("cpu")) < most_tokens(SearchSettings(), torch.device("cuda"))
    assert most_tokens(SearchSettings(max_total_tokens=100), torch.device("cuda")) == 100


def test_stopping_says_that_something_is_kept_only_when_it_is() -> None:
    for keep, sentence in (({}, r"request\.$"), ({"keep": lambda _: None}, "are kept: the same search goes on")):
        calls = itertools.count()
        watch = Watch(should_stop=lambda calls=calls: next(calls) > 40)  # type: ignore[misc]
        with pytest.raises(Cancelled, match=sentence):
            search_model(
                loaded(tiny_llama(5)), encoded(examples(8)), SearchSettings(strategies=("greedy",), limit="3 layers"), watch=watch, **keep
            )


def test_costs_of_a_search_that_starts_from_a_stored_one_count_what_was_paid_before() -> None:
    model, work = loaded(tiny_llama(5)), encoded(examples(8))
    blocks = search_model(model, work, SearchSettings(units=("block",), strategies=("greedy",), limit="2 layers"))
    asked = SearchSettings(units=("block", "attention", "mlp"), strategies=("greedy",), limit="2 layers")
    straight, more = search_model(model, work, asked), search_model(model, work, asked, earlier=blocks)
    for name in ("scan", "greedy"):
        assert more.costs[name].head_passes >= straight.costs[name].head_passes
        assert more.costs[name].naive_head_passes == straight.costs[name].naive_head_passes


def test_tokens_are_taken_evenly_from_all_slices() -> None:
    work = within_tokens(encoded(examples(40, slices=("a", "b", "c"))), 200)
    names = [example.slice for example in work.examples]
    assert sum(len(example.input_ids) for example in work.examples) <= 200
    assert max(map(names.count, "abc")) - min(map(names.count, "abc")) <= 1
    assert work.counts.n_examples == len(names)
    assert "stays within 200 tokens" in work.info.notes[-1].in_english()
    assert [example.example_id for example in work.examples] == sorted(example.example_id for example in work.examples)


def test_progress_knows_speed_and_time_left() -> None:
    told: list[Progress] = []
    ablation_scan(loaded(tiny_llama()), encoded(examples(6)), SearchSettings(), watch=Watch(on_progress=told.append))
    assert told[-1].done == told[-1].total > 0
    assert told[-1].tokens_per_second
    assert told[-1].eta_seconds == 0


def test_calls_on_a_cpu_stay_short_enough_to_stop_between_them() -> None:
    model, settings = loaded(tiny_llama()), SearchSettings()
    info = model.stack().info
    wide = replace(
        model.stack(),
        info=info.model_copy(update={"blocks": tuple(b.model_copy(update={"n_parameters": 200_000_000}) for b in info.blocks)}),
    )
    small, large = room_for(model, model.stack(), settings, 100_000), room_for(model, wide, settings, 100_000)
    assert (small[0].call_tokens, small[1]) == (1024, 1024)
    assert large[0].call_tokens == large[1] == 256


@pytest.mark.parametrize("naive", [False, True])
def test_stopping_is_asked_before_every_block(naive: bool) -> None:
    calls = itertools.count()
    watch = Watch(should_stop=lambda: next(calls) < 0)
    measurer = Measurer(loaded(tiny_llama(5)), encoded(examples(3)), SearchSettings(batch_tokens=1000), watch=watch, naive=naive)
    measurer.measure([()], STAGE)
    assert next(calls) >= 5


def test_student_quantiles_agree_with_tables() -> None:
    tables = {1: 12.706, 3: 3.182, 4: 2.776, 7: 2.365, 20: 2.086, 1000: 1.962}
    assert {n: round(student_95(n), 3) for n in tables} == pytest.approx(tables, abs=0.01)


# -- bad input ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"protect": (0, 1, 2, 3)}, "No layer, attention or MLP is left"),
        ({"protect": (9,)}, "Layer 9 was to be kept"),
        ({"limit": "1%"}, "less than the first removal takes"),
        ({"limit": "a bit"}, "How much to remove was given as"),
        ({"limit": "20%latency"}, "has not been measured yet"),
        ({"strategies": ("block_influence",)}, "starts from a profile"),
    ],
)
def test_what_cannot_be_searched_is_refused_in_words(settings: dict[str, Any], sentence: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Measurer, "run", lambda *_: pytest.fail("something was run"))
    with pytest.raises(PlanError, match=sentence):
        _search(loaded(tiny_llama(4)), **settings)


def test_encoder_decoders_are_refused_in_words() -> None:
    with pytest.raises(ModelError, match="needs a model with a single stack"):
        ablation_scan(loaded(build("t5")), encoded(examples(3)), SearchSettings())


def test_an_unknown_stack_is_refused_in_words() -> None:
    with pytest.raises(ModelError, match="no stack named tower"):
        ablation_scan(loaded(tiny_llama()), encoded(examples(3)), SearchSettings(stack="tower"))


def test_a_workload_without_predictable_tokens_is_refused_in_words() -> None:
    short = [type(e)(e.example_id, e.slice, 1.0, False, e.input_ids[:1], np.ones(1, dtype=np.uint8), 0, "") for e in examples(3)]
    with pytest.raises(WorkloadError, match="two words or more"):
        ablation_scan(loaded(tiny_llama()), encoded(short), SearchSettings())


# -- from a request ----------------------------------------------------------------------------------------------------


@pytest.fixture
def request_of(tmp_path: Path) -> Any:
    folder, workload = tmp_path / "model", tmp_path / "prompts.jsonl"
    tiny_llama(4).save_pretrained(folder)
    save_tokenizer(folder)
    rows = [{"prompt": " ".join("abc"[(i * j) % 3] for j in range(3, 12 + i % 5)), "slice": "ab"[i % 2]} for i in range(80)]
    workload.write_text("\n".join(json.dumps(row | {"prompt": f"{row['prompt']} w{i}"}) for i, row in enumerate(rows)))

    def make(**settings: Any) -> SearchRequest:
        given = {"device": "cpu", "units": ("block",), "strategies": ("greedy",), "limit": "2 layers", "max_total_tokens": 300} | settings
        source = ModelSource(kind="folder", location=str(folder))
        return SearchRequest(model=source, workload_paths=(str(workload),), settings=SearchSettings(**given))

    return make


def test_a_request_is_searched_and_answered_from_the_store_afterwards(request_of: Any) -> None:
    kept: list[Search] = []
    search = run_search(request_of(), keep=kept.append)
    assert kept[-1].id == search.id
    assert search.counts.n_tokens <= 300
    assert Search.model_validate_json(search.model_dump_json()) == search

    def load(*_: object, **__: object) -> LoadedModel:
        raise AssertionError("the model was loaded")

    assert run_search(request_of(), known={search.id: search}.get, load=load) == search
    with pytest.raises(AssertionError, match="was loaded"):
        run_search(request_of(strategies=("greedy", "random")), known={search.id: search}.get, load=load)
    more = run_search(request_of(strategies=("random",), units=("block", "mlp")), known={search.id: search}.get)
    assert more.id == search.id
    assert set(more.paths) == {"greedy", "random"}
    assert set(search.measured()) <= set(more.measured())


def test_what_shapes_a_loss_shapes_the_key(request_of: Any) -> None:
    keys = {
        run_search(request_of(strategies=(), **more)).id
        for more in ({}, {"max_total_tokens": 200}, {"max_tokens": 8}, {"dtype": "bfloat16"})
    }
    assert len(keys) == 4


@pytest.mark.parametrize(
    ("settings", "error", "sentence"),
    [
        ({"slices": ("c",)}, WorkloadError, "no slice 'c'"),
        ({"stack": "tower"}, ModelError, "no stack named tower"),
        ({"protect": (0, 1, 2, 3)}, PlanError, "No layer, attention or MLP is left"),
        ({"limit": "1%"}, PlanError, "less than the first removal takes"),
    ],
)
def test_a_bad_request_is_refused_before_the_model_is_loaded(
    request_of: Any, settings: dict[str, Any], error: type[Exception], sentence: str
) -> None:
    def load(*_: object, **__: object) -> LoadedModel:
        raise AssertionError("the model was loaded")

    with pytest.raises(error, match=sentence):
        run_search(request_of(**settings), load=load)


def test_a_loaded_folder_and_a_request_agree(request_of: Any) -> None:
    request = request_of(strategies=())
    search = run_search(request)
    assert load_model(request.model, device="cpu").info.commit == search.model.commit
    assert len(search.singles) == 4
