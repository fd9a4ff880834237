"""What a healing learns: next-token loss and forward KL as they are written on paper, from the uncut model's own states."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from analysis.contracts.healing import HealObjective
from analysis.contracts.search import UnitSet
from analysis.errors import ResourceError
from analysis.models.stack import LoadedModel
from analysis.profiling.stream import Watch
from analysis.surgery.skip import left_out
from analysis.training import heal_loss, prefix_cache
from analysis.training.callbacks import inputs_of
from analysis.training.heal_data import HealSet
from analysis.training.heal_loss import Blend, HealTrainee, forward_kl
from analysis.training.teacher import Teacher, taught
from tests.models.tiny import VOCAB
from tests.training.tiny_heal import QUICK, example
from tests.training.tiny_training import model_named

EXAMPLES = tuple(example(n, 5 + n, answered=2, weight=1.0 + n % 2) for n in range(4))


@pytest.fixture(scope="module")
def model() -> LoadedModel:
    return model_named("llama")


@pytest.fixture
def teacher(model: LoadedModel) -> Iterator[Teacher]:
    with taught(model, model.stack(), EXAMPLES, 16, None, Watch()) as found:
        yield found


def loss_of(model: LoadedModel, objective: HealObjective, removed: UnitSet, teacher: Teacher | None, blend: Blend | None = None) -> float:
    data = HealSet(EXAMPLES, objective, "cpu")
    trainee = HealTrainee(model, model.stack(), removed, blend or Blend.of(objective, QUICK), teacher).eval()
    with torch.no_grad():
        return sum(float(trainee(**inputs_of(batch, weights, model.device))) for batch, weights in data.micro_batches(range(4), 2))


def log_probabilities(model: LoadedModel, number: int, removed: UnitSet = ()) -> torch.Tensor:
    with torch.no_grad(), left_out(model.stack(), removed):
        found: torch.Tensor = model.model(input_ids=torch.from_numpy(EXAMPLES[number].input_ids)[None]).logits[0].double().log_softmax(-1)
    return found


def test_states_that_fit_neither_memory_nor_disk_are_refused_before_anything_trains(
    model: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prefix_cache, "available_bytes", lambda _: 100)
    refused = pytest.raises(ResourceError, match=r"26 training tokens takes .* GiB to keep.*--objective next_token")
    with refused, taught(model, model.stack(), EXAMPLES, 16, None, Watch()):
        pytest.fail("there is no room")


def test_where_memory_is_too_small_the_states_wait_on_disk(
    model: LoadedModel, teacher: Teacher, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(prefix_cache, "available_bytes", lambda _: 100)
    with taught(model, model.stack(), EXAMPLES, 16, tmp_path, Watch()) as found:
        assert found.kept.kind == "disk"
        assert torch.equal(found.states([2, 0]), teacher.states([2, 0]))
    assert not list(tmp_path.iterdir())


def test_the_teachers_states_are_those_of_the_model_run_as_a_whole(model: LoadedModel, teacher: Teacher) -> None:
    for number, one in enumerate(EXAMPLES):
        with torch.no_grad():
            whole = model.stack().root(input_ids=torch.from_numpy(one.input_ids)[None])[0]
        assert torch.allclose(teacher.states([number]), whole, atol=1e-5)


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_forward_kl_is_the_sum_on_paper(temperature: float) -> None:
    draw = torch.Generator().manual_seed(0)
    teacher, student = torch.randn(3, 7, generator=draw, dtype=torch.float64), torch.randn(3, 7, generator=draw, dtype=torch.float64)
    p, q = (np.exp(one.numpy() / temperature) for one in (teacher, student))
    p, q = p / p.sum(1, keepdims=True), q / q.sum(1, keepdims=True)
    wanted = (p * np.log(p / q)).sum(1) * temperature**2
    assert forward_kl(teacher, student, temperature).numpy() == pytest.approx(wanted)


def test_forward_kl_has_the_gradient_of_the_difference_of_probabilities() -> None:
    teacher, student = torch.tensor([[2.0, 0.0, -1.0]]), torch.tensor([[0.5, 0.0, 0.3]], requires_grad=True)
    forward_kl(teacher, student).sum().backward()
    assert student.grad is not None
    assert torch.allclose(student.grad, student.detach().softmax(-1) - teacher.softmax(-1), atol=1e-6)


def test_the_uncut_model_has_nothing_to_learn_from_itself(model: LoadedModel, teacher: Teacher) -> None:
    assert loss_of(model, "distillation", (), teacher) == pytest.approx(0.0, abs=1e-6)
    assert loss_of(model, "distillation", (("block", 0),), teacher) > 1e-3


def test_next_token_loss_counts_responses_by_the_weight_of_their_prompt(model: LoadedModel) -> None:
    removed: UnitSet = (("block", 1),)
    total = weights = 0.0
    for number, one in enumerate(EXAMPLES):
        log_p = log_probabilities(model, number, removed)
        for place in np.flatnonzero(one.kinds == 2):
            total -= one.weight * float(log_p[place - 1, one.input_ids[place]])
            weights += one.weight
    assert loss_of(model, "next_token", removed, None) == pytest.approx(total / weights, rel=1e-5)


def test_distillation_counts_every_token_after_the_first(model: LoadedModel, teacher: Teacher) -> None:
    removed: UnitSet = (("block", 1),)
    total = weights = 0.0
    for number, one in enumerate(EXAMPLES):
        log_p, log_q = log_probabilities(model, number), log_probabilities(model, number, removed)
        total += one.weight * float((log_p.exp() * (log_p - log_q))[:-1].sum())
        weights += one.weight * (len(one.input_ids) - 1)
    assert loss_of(model, "distillation", removed, teacher) == pytest.approx(total / weights, rel=1e-4)


def test_both_is_the_weighted_mean_of_the_two(model: LoadedModel, teacher: Teacher) -> None:
    removed: UnitSet = (("mlp", 0),)
    text, taught_loss = loss_of(model, "next_token", removed, None), loss_of(model, "distillation", removed, teacher)
    both = loss_of(model, "both", removed, teacher, Blend(0.25))
    assert both == pytest.approx(0.75 * text + 0.25 * taught_loss, rel=1e-5)


@pytest.mark.parametrize("objective", ["next_token", "both"])
def test_loss_and_gradients_are_the_same_however_few_word_scores_are_held_at_once(
    objective: HealObjective, model: LoadedModel, teacher: Teacher, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gradients() -> tuple[float, list[torch.Tensor]]:
        data = HealSet(EXAMPLES, objective, "cpu")
        trainee = HealTrainee(
            model, model.stack(), (("block", 1),), Blend.of(objective, QUICK.model_copy(update={"hidden_weight": 0.5})), teacher
        )
        ((batch, weights),) = data.micro_batches(range(4), 4)
        loss = trainee(**inputs_of(batch, weights, model.device))
        loss.backward()
        found = [parameter.grad.clone() for parameter in model.stack().blocks[0].parameters() if parameter.grad is not None]
        model.model.zero_grad(set_to_none=True)
        return float(loss.detach()), found

    whole, wanted = gradients()
    monkeypatch.setattr(heal_loss, "_SCORES", {"cpu": 5 * VOCAB})
    parts, got = gradients()
    assert parts == pytest.approx(whole, rel=1e-5)
    assert wanted
    assert all(torch.allclose(one, other, atol=1e-6) for one, other in zip(wanted, got, strict=True))


def test_the_term_on_final_states_is_zero_for_the_same_states_only(model: LoadedModel, teacher: Teacher) -> None:
    hidden = Blend(1.0, hidden=2.0)
    assert loss_of(model, "distillation", (), teacher, hidden) == pytest.approx(0.0, abs=1e-5)
    with_it, without = (loss_of(model, "distillation", (("block", 0),), teacher, blend) for blend in (hidden, Blend(1.0)))
    assert with_it > without + 1e-4


def test_next_token_training_asks_no_teacher_whatever_the_weight_of_states() -> None:
    assert not Blend.of("next_token", QUICK.model_copy(update={"hidden_weight": 1.0})).needs_teacher
    assert Blend.of("both", QUICK.model_copy(update={"distillation_weight": 0.0, "hidden_weight": 1.0})).needs_teacher
