"""Rankings: what is planted is found by everyone, limits are kept, a stopped ranking goes on, and bad input is refused in words."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from analysis.contracts import MEMBERS, Message, ModelSource, Progress, Ranking, RankingRequest, RankingSettings, Voter
from analysis.errors import Cancelled, ModelError, PlanError, WorkloadError
from analysis.models.stack import LoadedModel
from analysis.profiling.stream import Watch
from analysis.search import ranking_step, ranking_votes
from analysis.search.counterfactual import Counterfactual, look_at_sets
from analysis.search.losses import Measurer
from analysis.search.ranking_run import rank_model, run_ranking
from analysis.search.ranking_settings import ranking_key, resolve_ranking_settings, running_settings
from analysis.search.run import within_tokens
from analysis.search.token_texts import encoder_of
from analysis.similarity.members import member_scores
from analysis.workload import PROMPT, EncodedWorkload, encode_workload, sample_workload
from tests.models.tiny import VOCAB, build, save_tokenizer
from tests.profiling.tiny import encoded, examples, loaded, tiny_llama

QUICK: tuple[Voter, ...] = ("cka", "procrustes", "wasserstein", "block_influence", "ablation_loss")


def _work(n: int = 16) -> EncodedWorkload:
    """Every token of these prompts is judged."""
    made = examples(n, longest=24)
    for example in made:
        example.kinds[:] = PROMPT
    return encoded(made)


def _ranked(model: LoadedModel, work: EncodedWorkload | None = None, **settings: Any) -> Ranking:
    given = {"voters": QUICK, "replicates": 0, "dimension": 4, "feature_tokens": 200} | settings
    return rank_model(model, work or _work(), RankingSettings(**given))


def _redundant(*blocks: int, n_blocks: int = 5) -> LoadedModel:
    """A model in which these blocks add nothing."""
    model = tiny_llama(n_blocks)
    with torch.no_grad():
        for block in blocks:
            model.model.layers[block].self_attn.o_proj.weight.zero_()
            model.model.layers[block].mlp.down_proj.weight.zero_()
    return loaded(model)


def test_a_planted_idle_layer_is_the_most_replaceable_to_every_voter() -> None:
    ranking = _ranked(_redundant(2), _work(40), voters=RankingSettings().voters, amount="1 layers")
    step = ranking.steps[0]
    for vote in step.votes:
        assert vote.votes, vote.abstained
        if vote.voter == "ablation_loss":  # others may do good by being left out of a random model
            assert vote.values[2] == pytest.approx(0.0, abs=1e-6)
            continue
        assert vote.ranks[2] == 1, vote.voter
        assert vote.values[2] == pytest.approx(0.0, abs=1e-3), vote.voter
    assert step.chosen == (("block", 2),)
    assert step.change == pytest.approx(0.0, abs=1e-6)
    assert ranking.features is not None
    assert ranking.features.n_fit + ranking.features.n_test == ranking.features.n_positions


def test_votes_scores_and_costs_fit_together() -> None:
    ranking = _ranked(loaded(tiny_llama(5)), amount="2 layers", replicates=30)
    first, second = ranking.steps
    assert ranking.complete
    assert first.removed == ()
    assert second.removed == first.chosen
    assert [len(step.candidates) for step in ranking.steps] == [5, 4]
    for step in ranking.steps:
        assert tuple(vote.voter for vote in step.votes) == QUICK
        ranks = np.array([vote.ranks for vote in step.votes], dtype=float)
        assert ranks.sum(axis=0).tolist() == pytest.approx(list(step.scores))
        assert step.chosen == (step.candidates[int(np.argmin(ranks.sum(axis=0)))],)
        assert step.loss == pytest.approx(ranking.base_loss + (step.change or 0.0))
    assert first.cost.block_calls == pytest.approx(5 * 6 / 2)
    assert first.cost.naive_block_calls == 3 * 5 * 4
    assert second.cost.block_calls == pytest.approx(4 * 5 / 2)
    assert second.cost.naive_block_calls == 3 * 4 * 3
    assert all(len(vote.intervals) == 5 for vote in first.votes)
    assert all(vote.intervals == () for vote in second.votes)
    assert np.array(ranking.replicate_ranks).shape == (30, len(QUICK), 5)
    assert sorted(ranking.replicate_ranks[7][3]) == [1, 2, 3, 4, 5]
    assert [lost.removed for lost in ranking.lost] == [(ref,) for ref in first.candidates]
    assert [len(lost.removed) for lost in ranking.lost_together] == [1, 2]
    assert ranking.lost_together[1].change.value == pytest.approx(second.change)
    loss = first.vote("ablation_loss")
    assert loss is not None
    assert list(loss.intervals) == [(lost.change.low, lost.change.high) for lost in ranking.lost]
    assert [step.interval for step in ranking.steps] == [(lost.change.low, lost.change.high) for lost in ranking.lost_together]
    assert Ranking.model_validate_json(ranking.model_dump_json()) == ranking


def test_the_first_steps_losses_are_a_scans() -> None:
    model, work = loaded(tiny_llama(4)), _work()
    ranking = _ranked(model, work)
    vote = ranking.steps[0].vote("ablation_loss")
    measurer = Measurer(model, work, running_settings(ranking.settings), naive=True)
    found = measurer.measure([(), *((ref,) for ref in ranking.steps[0].candidates)], Message(id=""))
    assert vote is not None
    assert list(vote.values) == pytest.approx([found[(ref,)].change for ref in ranking.steps[0].candidates], abs=1e-5)
    assert ranking.base_loss == pytest.approx(found[()].loss, abs=1e-5)


def test_without_an_amount_nothing_is_taken_out() -> None:
    ranking = _ranked(loaded(tiny_llama()))
    assert len(ranking.steps) == 1
    assert ranking.taken == ()
    assert ranking.steps[0].loss is None
    assert ranking.lost_together == ()


def test_protected_layers_are_measured_and_stay() -> None:
    ranking = _ranked(_redundant(1, 2), protect=(1, 2), amount="3 layers")
    assert ("block", 1) in ranking.steps[0].candidates
    assert not {("block", 1), ("block", 2)} & set(ranking.taken)
    assert len(ranking.taken) == 3


def test_one_layer_always_stays() -> None:
    ranking = _ranked(loaded(tiny_llama(3)), amount="100%")
    assert len(ranking.taken) == 2


def test_several_units_a_step_are_measured_together() -> None:
    model, work = loaded(tiny_llama(6)), _work()
    ranking = _ranked(model, work, amount="4 layers", per_step=3)
    assert [len(step.chosen) for step in ranking.steps] == [3, 1]
    measurer = Measurer(model, work, running_settings(ranking.settings), naive=True)
    for number, step in enumerate(ranking.steps):
        removed = tuple(sorted((*step.removed, *step.chosen)))
        found = measurer.measure([removed], Message(id=""))[removed]
        assert step.change == pytest.approx(found.change, abs=1e-5)
        assert ranking.lost_together[number].change.value == pytest.approx(found.change, abs=1e-5)
        assert step.interval == pytest.approx(found.interval, abs=1e-4)


def test_units_that_overflow_only_together_are_not_taken_together(monkeypatch: pytest.MonkeyPatch) -> None:
    def spoiled(*args: Any) -> Counterfactual:
        seen = look_at_sets(*args)
        losses = np.where([[len(removed) > 1] for removed in seen.losses.sets], np.nan, seen.losses.losses)
        return replace(seen, losses=replace(seen.losses, losses=losses))

    monkeypatch.setattr(ranking_step, "look_at_sets", spoiled)
    ranking = _ranked(loaded(tiny_llama(5)), amount="2 layers", per_step=2)
    assert len(ranking.steps[0].chosen) == 1
    assert any("no usable numbers" in note.in_english() for note in ranking.notes)


@pytest.mark.parametrize("per_step", [1, 3])
def test_removal_stops_before_the_perplexity_rises_too_far(per_step: int) -> None:
    model = loaded(tiny_llama(5))
    work = _own_words(model)
    free = [step.change or 0.0 for step in _ranked(model, work, amount="4 layers").steps]
    assert free == sorted(free)
    limit = math.exp((free[1] + free[2]) / 2)
    ranking = _ranked(model, work, amount="4 layers", most_perplexity=limit, per_step=per_step)
    assert all((step.change or 0.0) <= math.log(limit) for step in ranking.steps)
    assert 0 < len(ranking.taken) < 4
    assert "the perplexity would be more than" in ranking.notes[-1].in_english()
    assert ranking.complete


@torch.no_grad()
def _own_words(model: LoadedModel) -> EncodedWorkload:
    """Texts that the model itself would write: whatever is taken out of it makes them less likely."""
    model.model.lm_head.weight.mul_(4.0)
    work = _work(10)
    for example in work.examples:
        for place in range(3, len(example.input_ids)):
            example.input_ids[place] = int(model.model(torch.from_numpy(example.input_ids[None, :place])).logits[0, -1].argmax())
    return work


@pytest.mark.parametrize("unit", ["attention", "mlp"])
def test_halves_are_ranked_as_well(unit: str) -> None:
    model = tiny_llama(4)
    with torch.no_grad():
        half = model.model.layers[2].self_attn.o_proj if unit == "attention" else model.model.layers[2].mlp.down_proj
        half.weight.zero_()
    ranking = _ranked(loaded(model), unit=unit, amount="2 layers")
    assert ranking.steps[0].chosen == ((unit, 2),)
    assert len(ranking.taken) == 2
    assert ranking.steps[0].cost.naive_block_calls == 3 * 4 * 3.5


@pytest.mark.parametrize("name", ["gemma3", "gpt2", "gpt_neox", "mixtral", "bloom", "bert", "modernbert", "opt"])
def test_every_kind_of_model_is_ranked(name: str) -> None:
    ranking = _ranked(loaded(build(name)), _work(24), voters=(*QUICK, "cca", "gaussian_1", "permutation"), amount="1 layers")
    assert len(ranking.taken) == 1
    assert all(vote.votes for vote in ranking.steps[0].votes), [vote.abstained for vote in ranking.steps[0].votes]


def test_a_model_without_a_head_is_ranked_by_its_states() -> None:
    ranking = _ranked(loaded(build("llama").model), amount="1 layers")
    assert ranking.objective == "state_change"
    assert ranking.base_loss == pytest.approx(0.0, abs=1e-6)
    with pytest.raises(PlanError, match="no perplexity to stop at"):
        _ranked(loaded(build("llama").model), amount="1 layers", most_perplexity=2.0)


# -- stopping and going on ---------------------------------------------------------------------------------------------


def _plain(ranking: Ranking) -> Any:
    """Without times, and numbers as far as the order of sums leaves them."""

    def rounded(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: rounded(one) for name, one in value.items() if "seconds" not in name and name not in ("created_at", "complete")}
        return [rounded(one) for one in value] if isinstance(value, list) else round(value, 4) if isinstance(value, float) else value

    return rounded(json.loads(ranking.model_dump_json()))


@pytest.mark.parametrize("stop_after", [1, 2])
def test_a_stopped_ranking_goes_on_and_ends_as_if_never_stopped(stop_after: int) -> None:
    model, work, kept = loaded(tiny_llama(5)), _work(), list[Ranking]()
    settings = RankingSettings(voters=QUICK, replicates=10, dimension=4, amount="3 layers")
    whole = rank_model(model, work, settings, keep=kept.append)
    assert [len(ranking.steps) for ranking in kept] == [1, 2, 3]
    assert [ranking.complete for ranking in kept] == [False, False, True]
    assert kept[-1].id == whole.id
    seen: list[Ranking] = []
    resumed = rank_model(model, work, settings, earlier=kept[stop_after - 1], keep=seen.append)
    assert len(seen) == 3 - stop_after
    assert _plain(resumed) == _plain(whole)


def test_stopping_keeps_the_finished_steps() -> None:
    kept: list[Ranking] = []
    with pytest.raises(Cancelled):
        rank_model(
            loaded(tiny_llama(5)),
            _work(),
            RankingSettings(voters=QUICK, replicates=0, amount="3 layers"),
            watch=Watch(should_stop=lambda: bool(kept)),
            keep=kept.append,
        )
    assert len(kept) == 1
    assert not kept[0].complete


def test_progress_covers_all_steps_and_never_goes_back() -> None:
    told: list[Progress] = []
    rank_model(
        loaded(tiny_llama(5)), _work(), RankingSettings(voters=QUICK, replicates=0, amount="3 layers"), watch=Watch(on_progress=told.append)
    )
    walked = [progress for progress in told if progress.total]
    assert len({progress.total for progress in walked}) == 1
    done = [progress.done for progress in walked]
    assert done == sorted(done)
    assert done[-1] == walked[-1].total
    assert any("Step 2 of 3" in progress.stage.in_english() for progress in told)


# -- voters that fail --------------------------------------------------------------------------------------------------


def test_a_voter_that_fails_abstains_and_the_vote_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any, **__: Any) -> Any:
        raise torch.OutOfMemoryError("out of memory on the device")

    monkeypatch.setattr(ranking_votes, "member_scores", fails)
    ranking = _ranked(loaded(tiny_llama()), amount="1 layers")
    for vote in ranking.steps[0].votes:
        if vote.voter in MEMBERS:
            assert vote.abstained is not None
            assert "out of memory" in vote.abstained.in_english()
            assert set(vote.values) == {None}
        else:
            assert vote.votes
    assert len(ranking.taken) == 1
    with pytest.raises(PlanError, match="all that were asked abstained"):
        _ranked(loaded(tiny_llama()), voters=("cka", "procrustes"))


def test_a_member_that_fails_does_not_silence_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(bank: Any, members: Any, **more: Any) -> Any:
        if "procrustes" in members:
            raise torch.linalg.LinAlgError("the algorithm failed to converge")
        return member_scores(bank, members, **more)

    whole = _ranked(loaded(tiny_llama()))
    monkeypatch.setattr(ranking_votes, "member_scores", fails)
    ranking = _ranked(loaded(tiny_llama()))
    assert [vote.voter for vote in ranking.steps[0].votes if not vote.votes] == ["procrustes"]
    for name in ("cka", "wasserstein"):
        one, other = whole.steps[0].vote(name), ranking.steps[0].vote(name)
        assert one is not None
        assert other is not None
        assert one.values == other.values


def test_too_few_positions_silence_the_fitted_members_only() -> None:
    ranking = _ranked(loaded(tiny_llama()), encoded(examples(2, longest=9)))
    by_voter = {vote.voter: vote for vote in ranking.steps[0].votes}
    assert not by_voter["procrustes"].votes
    assert by_voter["procrustes"].abstained is not None
    assert by_voter["block_influence"].votes


def test_not_a_number_in_a_layer_is_said() -> None:
    model = tiny_llama()
    with torch.no_grad():
        model.model.layers[2].mlp.up_proj.weight[0, 0] = torch.nan
    with pytest.raises(ModelError, match="no usable numbers"):
        _ranked(loaded(model))


# -- requests ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def request_of(tmp_path: Path) -> Any:
    """A request for a small stored model and a workload of two slices."""
    folder = tmp_path / "model"
    model = tiny_llama(4)
    model.config.vocab_size = VOCAB
    model.save_pretrained(folder)
    save_tokenizer(folder)
    rows = [
        {"prompt": " ".join("abc"[(number * step) % 3] for step in range(1, 8 + number % 5)), "slice": "xy"[number % 2]}
        for number in range(60)
    ]
    rows = list({row["prompt"] + row["slice"]: row for row in rows}.values())
    (tmp_path / "work.jsonl").write_text(
        "\n".join(json.dumps(row | {"prompt": f"{row['prompt']} {n * 'a '}"}) for n, row in enumerate(rows))
    )

    def request(**settings: Any) -> RankingRequest:
        given = {"device": "cpu", "voters": QUICK, "replicates": 5, "dimension": 2} | settings
        return RankingRequest(
            model=ModelSource(kind="folder", location=str(folder)),
            workload_paths=(str(tmp_path / "work.jsonl"),),
            settings=RankingSettings(**given),
        )

    return request


def _no_model(*_: object, **__: object) -> LoadedModel:
    raise AssertionError("the model was loaded")


def test_a_request_is_ranked_and_answered_from_the_store_afterwards(request_of: Any) -> None:
    ranking = run_ranking(request_of(amount="1 layers"))
    assert run_ranking(request_of(amount="1 layers"), known={ranking.id: ranking}.get, load=_no_model) == ranking
    assert ranking.lost[0].kinds
    with pytest.raises(AssertionError, match="was loaded"):
        run_ranking(request_of(amount="2 layers"), known={ranking.id: ranking}.get, load=_no_model)


def test_a_stored_half_is_gone_on_from(request_of: Any) -> None:
    kept: list[Ranking] = []
    whole = run_ranking(request_of(amount="2 layers"), keep=kept.append)
    again: list[Ranking] = []
    resumed = run_ranking(request_of(amount="2 layers"), known={kept[0].id: kept[0]}.get, keep=again.append)
    assert len(again) == 1
    assert _plain(resumed) == _plain(whole)


def test_slices_that_are_held_out_are_not_looked_at(request_of: Any) -> None:
    ranking = run_ranking(request_of(held_out=("y",)))
    assert set(ranking.lost[0].slices) == {"x"}
    assert ranking.settings.held_out == ("y",)
    assert ranking.n_examples < run_ranking(request_of()).n_examples


def test_what_shapes_the_numbers_shapes_the_key_and_speed_does_not() -> None:
    info = loaded(tiny_llama()).info
    resolved = resolve_ranking_settings(RankingSettings(), info, torch.device("cpu"), torch.float32)

    def key(**changes: Any) -> str:
        return ranking_key(info, None, "hash", resolved.model_copy(update=changes))

    assert key(batch_tokens=7, memory_bytes=8, device="cuda:1") == key()
    shaping = ({"unit": "mlp"}, {"held_out": ("a",)}, {"voters": ("cka",)}, {"rule": "borda"}, {"amount": "20%"}, {"seed": 1})
    assert len({key(), *(key(**change) for change in shaping)}) == 1 + len(shaping)


@pytest.mark.parametrize(
    ("settings", "error", "sentence"),
    [
        ({"held_out": ("z",)}, WorkloadError, "no slice 'z'"),
        ({"held_out": ("x", "y")}, WorkloadError, "All slices are to be held out"),
        ({"slices": ("c",)}, WorkloadError, "no slice 'c'"),
        ({"stack": "tower"}, ModelError, "no stack named tower"),
        ({"protect": (9,)}, PlanError, "Layer 9 was to be kept"),
        ({"protect": (0, 1, 2, 3), "amount": "1 layers"}, PlanError, "All layers that could be taken out are protected"),
        ({"amount": "1%"}, PlanError, "less than the first removal takes"),
        ({"amount": "many"}, PlanError, "many"),
        ({"voters": ()}, PlanError, "No measure was asked"),
    ],
)
def test_a_bad_request_is_refused_before_the_model_is_loaded(
    request_of: Any, settings: dict[str, Any], error: type[Exception], sentence: str
) -> None:
    with pytest.raises(error, match=sentence):
        run_ranking(request_of(**settings), load=_no_model)


def test_a_model_of_one_layer_has_nothing_to_compare() -> None:
    with pytest.raises(PlanError, match="at least two layers that can be left out; of this model's 1 it is 1"):
        _ranked(loaded(tiny_llama(1)))


def test_weights_change_the_order_by_borda() -> None:
    model = loaded(tiny_llama(5))
    by_loss = _ranked(model, rule="borda", weights=dict.fromkeys(QUICK, 0.0) | {"ablation_loss": 1.0}, amount="1 layers")
    values = by_loss.steps[0].vote("ablation_loss")
    assert values is not None
    assert by_loss.steps[0].chosen == (by_loss.steps[0].candidates[int(np.argmin(values.values))],)  # type: ignore[arg-type]


@pytest.mark.sample_model
def test_the_sample_models_first_and_last_layers_are_needed(sample_model: LoadedModel) -> None:
    encoder = encoder_of(sample_model)
    assert encoder is not None
    work = within_tokens(encode_workload(sample_workload(), encoder, max_tokens=48, chat_template=True), 260)
    ranking = rank_model(sample_model, work, RankingSettings(voters=("ablation_loss", "block_influence", "cka"), replicates=20))
    (step,) = ranking.steps
    loss = step.vote("ablation_loss")
    assert loss is not None
    assert [ref for ref, rank in zip(step.candidates, loss.ranks, strict=True) if rank == 30] == [("block", 0)]
    worst = sorted(step.candidates, key=lambda ref: loss.values[ref[1]] or 0.0)[-5:]
    assert {("block", 0), ("block", 1)} <= set(worst)
    assert step.cost.block_calls == pytest.approx(30 * 31 / 2)
    assert ranking.lost[0].kinds["latin"].change.value is not None
    assert ranking.lost[0].prompts[0].excerpt
