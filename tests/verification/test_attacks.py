"""Attacks on embeddings: by hand as by the library, within their bounds, only where they may, and honest when they find nothing."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager

import numpy as np
import pytest
import torch
from torch import Tensor

from analysis.contracts.robustness import RobustnessSettings
from analysis.models.stack import LoadedModel
from analysis.surgery.skip import left_out
from analysis.verification.attacks import (
    Attacked,
    Target,
    attack_all,
    attackable,
    chosen_examples,
    embedding_size,
    fgsm,
    only_inputs_get_gradients,
    pgd,
    target_of,
)
from analysis.verification.batches import Runner
from analysis.verification.disturbed import Judged
from analysis.workload import PROMPT, RESPONSE, TEMPLATE, EncodedExample, Example, Turn
from tests.models.tiny import VOCAB, build
from tests.profiling.tiny import loaded
from tests.verification.tiny_verification import tiny_llama

pytest.importorskip("captum")
WRITERS = ("llama", "gemma2", "gemma3", "gpt2", "gpt_neox", "opt", "opt_post_norm", "bloom", "gpt_oss", "mixtral", "deepseek_v3")
SETTINGS = RobustnessSettings(replicates=100, pgd_steps=3)


def example(number: int, *, length: int = 9, critical: bool = False, kind: str = "", vocab: int = 16, asked: int = PROMPT) -> Judged:
    """Two template tokens, some words of the user's, three tokens of a response, one of the template."""
    random = np.random.default_rng(number)
    kinds = np.array([TEMPLATE] * 2 + [asked] * (length - 6) + [RESPONSE] * 3 + [TEMPLATE], dtype=np.uint8)
    ids = random.integers(3, vocab, size=length)
    encoded = EncodedExample(f"{number:064x}", kind, 1.0, critical, ids, kinds, 0, "")
    return Judged(encoded, Example((Turn("user", "x"),), "y"), length - 4, kinds == RESPONSE, {0: 1})


def runner_of(model: LoadedModel) -> Runner:
    return Runner(model, model.stack(None), 2048)


@pytest.fixture(scope="module")
def model() -> LoadedModel:
    return loaded(tiny_llama(planted=(2,)))


@pytest.fixture(scope="module")
def target(model: LoadedModel) -> Target:
    return target_of(runner_of(model), [example(1), example(2, length=12), example(3)], (0, 1, 2))


@pytest.fixture(scope="module")
def attacked(model: LoadedModel) -> Attacked:
    def applied() -> AbstractContextManager[object]:
        return left_out(model.stack(None), (("block", 1),))

    return attack_all(runner_of(model), [example(number, kind="ab"[number % 2]) for number in range(10)], SETTINGS, applied)


def plain_losses(model: LoadedModel, judged: Judged) -> Tensor:
    """Nats of the judged tokens by the model's own forward, one prompt alone."""
    ids = torch.from_numpy(judged.encoded.input_ids)[None]
    with torch.no_grad():
        scores = model.model(input_ids=ids).logits[0].log_softmax(-1)
    places = torch.from_numpy(np.flatnonzero(judged.counts))
    return -scores[places - 1, ids[0, places]]


# -- nothing to attack, nothing to attack with -------------------------------------------------------------------------


def test_without_the_library_it_is_said_and_nothing_is_made_up(model: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "captum.robust", None)
    found = attack_all(runner_of(model), [example(1)], SETTINGS, lambda: left_out(model.stack(None), ()))
    assert found.results == ()
    assert "captum is not installed" in found.notes[0].in_english()


def test_prompts_without_words_of_the_user_are_not_attacked_and_that_is_said(model: LoadedModel) -> None:
    found = attack_all(runner_of(model), [example(1, asked=TEMPLATE)], SETTINGS, lambda: left_out(model.stack(None), ()))
    assert found.results == ()
    assert "no verification prompt has words" in found.notes[0].in_english()


@pytest.mark.parametrize("none", [{"attacks": ()}, {"epsilons": ()}])
def test_attacks_that_were_not_asked_for_are_not_run(model: LoadedModel, none: dict[str, tuple[()]]) -> None:
    assert (
        attack_all(runner_of(model), [example(1)], SETTINGS.model_copy(update=none), lambda: left_out(model.stack(None), ())) == Attacked()
    )


def test_an_attack_that_finds_nothing_says_so_instead_of_calling_the_models_equal() -> None:
    deaf = loaded(tiny_llama(seed=3))
    with torch.no_grad():
        deaf.model.lm_head.weight.zero_()  # every word is always equally likely
    found = attack_all(
        runner_of(deaf), [example(number) for number in range(10)], SETTINGS, lambda: left_out(deaf.stack(None), (("block", 1),))
    )
    assert {(result.comparison, result.found_nothing) for result in found.results} == {("unknown", 10)}
    assert all(result.note is not None and "says nothing" in result.note.in_english() for result in found.results)


# -- one attack --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WRITERS)
def test_an_untouched_embedding_gives_the_models_own_losses(name: str) -> None:
    writer = loaded(build(name))
    judged = [example(1, vocab=VOCAB), example(2, length=12, vocab=VOCAB)]
    told = target_of(runner_of(writer), judged, (0, 1))
    for mine, one in zip(told.told(told.clean), judged, strict=True):
        np.testing.assert_allclose(mine.losses, plain_losses(writer, one).numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", WRITERS)
def test_one_step_is_the_sign_of_the_gradient_taken_by_hand(name: str) -> None:
    writer = loaded(build(name))
    attack = target_of(runner_of(writer), [example(1, vocab=VOCAB), example(2, length=12, vocab=VOCAB)], (0, 1))
    inputs = attack.clean.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(attack.losses(inputs).sum(), inputs)
    torch.testing.assert_close(fgsm(attack, 0.01), attack.clean + 0.01 * gradient.sign() * attack.mask)


def test_tiny_gradients_count_as_well(model: LoadedModel, target: Target) -> None:
    """The library leaves numbers with gradients up to 1e-6 as they are, unless told otherwise."""
    sharp = loaded(tiny_llama(seed=5))
    with torch.no_grad():
        sharp.model.lm_head.weight.mul_(1e-6)
    attack = target_of(runner_of(sharp), [example(1)], (0,))
    assert ((fgsm(attack, 0.5) - attack.clean).abs() > 0.4).sum() == attack.mask.sum() * attack.clean.shape[-1]


@pytest.mark.parametrize("make", [lambda target: fgsm(target, 0.05), lambda target: pgd(target, 0.05, 4)], ids=["fgsm", "pgd"])
def test_only_the_users_words_before_the_judged_ones_change_and_no_number_by_more_than_epsilon(target: Target, make) -> None:  # type: ignore[no-untyped-def]
    change = (make(target) - target.clean).abs()
    assert float(change.max()) <= 0.05 + 1e-6
    assert (change * (1 - target.mask)).max() == 0
    assert change.amax(-1)[target.mask[..., 0] == 1].min() > 0
    assert target.mask.sum() == 3 + 6 + 3


def test_the_best_iterate_is_the_one_with_the_largest_loss(target: Target) -> None:
    with torch.no_grad():
        clean, once, often = (target.losses(embedded) for embedded in (target.clean, fgsm(target, 0.05 * 2.5 / 4), pgd(target, 0.05, 4)))
    assert (often >= torch.maximum(clean, once) - 1e-5).all()


def test_the_size_of_the_vocabulary_is_that_which_the_first_layer_sees() -> None:
    plain = loaded(build("llama"))
    weight = plain.model.get_input_embeddings().weight.detach()
    assert embedding_size(runner_of(plain)) == pytest.approx(float(weight.square().mean().sqrt()), rel=1e-5)
    scaled = loaded(build("gemma3"))
    weight = scaled.model.get_input_embeddings().weight.detach()
    assert embedding_size(runner_of(scaled)) == pytest.approx(float(weight.square().mean().sqrt()) * 32**0.5, rel=1e-2)


# -- all of them -------------------------------------------------------------------------------------------------------


def test_every_attack_has_its_figures_at_every_strength(attacked: Attacked) -> None:
    assert [(result.kind, result.level) for result in attacked.results] == [
        (kind, at) for kind in ("fgsm", "pgd") for at in (0.05, 0.1, 0.2)
    ]
    assert all(result.touched is None and result.n_examples == 10 and result.n_tokens == 30 for result in attacked.results)
    assert all(set(result.slices) == {"a", "b"} for result in attacked.results)


@pytest.mark.parametrize("which", ["rise_original", "rise_plan"])
def test_many_steps_are_never_weaker_than_one_and_never_fall_as_epsilon_grows(attacked: Attacked, which: str) -> None:
    rises = {(result.kind, result.level): getattr(result, which).value for result in attacked.results}
    assert all(rises["pgd", at] >= rises["fgsm", at] for at in (0.05, 0.1, 0.2))
    assert 0 <= rises["pgd", 0.05] <= rises["pgd", 0.1] <= rises["pgd", 0.2]


def test_a_plan_that_takes_out_a_layer_which_does_nothing_is_as_sensitive_to_the_last_digit(model: LoadedModel) -> None:
    found = attack_all(
        runner_of(model), [example(number) for number in range(10)], SETTINGS, lambda: left_out(model.stack(None), (("block", 2),))
    )
    assert {(result.difference.value, result.difference.low, result.comparison) for result in found.results} == {
        (0.0, 0.0, "no_difference")
    }


def test_batches_change_nothing_but_rounding(model: LoadedModel, attacked: Attacked) -> None:
    alone = attack_all(
        Runner(model, model.stack(None), 240),  # three prompts at a time
        [example(number, kind="ab"[number % 2]) for number in range(10)],
        SETTINGS,
        lambda: left_out(model.stack(None), (("block", 1),)),
    )
    for one, other in zip(alone.results, attacked.results, strict=True):
        assert one.rise_plan.value == pytest.approx(other.rise_plan.value, abs=2e-2)


def test_the_model_is_left_as_it_was(model: LoadedModel, attacked: Attacked) -> None:
    assert all(parameter.grad is None and parameter.requires_grad for parameter in model.model.parameters())
    assert not model.model.get_input_embeddings()._forward_hooks


def test_weights_ask_for_gradients_again_even_after_a_failure(model: LoadedModel) -> None:
    def fail() -> None:
        with only_inputs_get_gradients(model.model):
            assert not any(parameter.requires_grad for parameter in model.model.parameters())
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert all(parameter.requires_grad for parameter in model.model.parameters())


def test_slices_take_turns_and_critical_prompts_come_first_in_each() -> None:
    examples = [example(number, kind="abc"[min(number // 4, 2)], critical=number in (3, 9)) for number in range(12)]
    chosen = chosen_examples(examples, 5)
    assert [(one.encoded.slice, int(one.encoded.example_id, 16)) for one in chosen] == [("a", 3), ("b", 4), ("c", 9), ("a", 0), ("b", 5)]
    assert len(chosen_examples(examples, 100)) == 12
    assert chosen_examples([], 3) == []


def test_what_may_be_attacked_ends_before_the_judged_words() -> None:
    half = example(1)
    half.encoded.kinds[half.counts] = PROMPT  # a prompt whose later half is judged
    assert attackable(half).tolist() == [False, False, True, True, True, False, False, False, False]
