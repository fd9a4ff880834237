"""The eight members together: agreement with the definitions, planted units, resamples, and everything that is undefined."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

from analysis.contracts import MEMBERS
from analysis.similarity import FeatureBank, MemberScores, member_scores
from tests.similarity import oracle

P, EACH, WIDTH, D = 60, 12, 20, 8
NOISES = (0.05, 0.4, 0.0, 2.0)  # the third is an exact copy: a unit that does nothing


def bank(seed: int = 0, dtype: torch.dtype = torch.float64, noises: tuple[float, ...] = NOISES, uneven: bool = False) -> FeatureBank:
    generator = torch.Generator().manual_seed(seed)
    prompts = torch.arange(P).repeat_interleave(EACH)
    if uneven:
        prompts = prompts[torch.rand(len(prompts), generator=generator) < 0.8]
    n = len(prompts)
    mix = torch.randn(WIDTH, WIDTH, generator=generator, dtype=torch.float64) * torch.logspace(0.5, -1, WIDTH, dtype=torch.float64)[:, None]
    own = torch.randn(P, WIDTH, generator=generator, dtype=torch.float64)[prompts]
    base = (torch.randn(n, WIDTH, generator=generator, dtype=torch.float64) + own) @ mix + 2
    noise = torch.randn(len(noises), n, WIDTH, generator=generator, dtype=torch.float64) @ mix
    ablated = base + torch.tensor(noises, dtype=torch.float64)[:, None, None] * noise
    return FeatureBank(base.to(dtype), ablated.to(dtype), prompts, torch.arange(P) % 5 == 0, prompts % 3)


def ask(made: FeatureBank, resamples: int = 0, **more: object) -> MemberScores:
    weights = torch.poisson(torch.ones(resamples, P), generator=torch.Generator().manual_seed(9)) if resamples else None
    return member_scores(made, MEMBERS, dimension=D, weights=weights, **more)  # type: ignore[arg-type]


def by_definition(
    made: FeatureBank, space: tuple[np.ndarray, np.ndarray], drawn: np.ndarray | None = None, alphas: tuple[int, ...] = (0, 1, 2)
) -> dict[str, list[float]]:
    """Every member's distances by the oracle (the Gaussian ones of the given alphas), positions repeated as often as they are drawn."""
    times = np.ones(len(made.prompts), dtype=int) if drawn is None else drawn[made.prompts.numpy()].astype(int)
    judged = np.repeat(made.judged.numpy(), times)
    labels = np.repeat(made.classes.numpy(), times)
    found: dict[str, list[float]] = {member: [] for member in MEMBERS}
    x_whole = np.repeat(made.base.double().numpy(), times, axis=0)
    for one in made.ablated.double().numpy():
        y_whole = np.repeat(one, times, axis=0)
        x, y = ((part - space[0]) @ space[1] for part in (x_whole, y_whole))
        split = (x[~judged], y[~judged])
        found["cka"].append(oracle.cka(x_whole, y_whole))
        found["wasserstein"].append(oracle.wasserstein(x_whole, y_whole))
        found["procrustes"].append(oracle.linear(*split, 1.0, x[judged], y[judged]))
        found["cca"].append(oracle.linear(*split, 0.0, x[judged], y[judged]))
        found["permutation"].append(oracle.permutation(*split, x[judged], y[judged]))
        for alpha in alphas:
            found[f"gaussian_{alpha}"].append(oracle.gaussian(*oracle.clouds(x, labels), *oracle.clouds(y, labels), float(alpha)))
    return found


def space_of(made: FeatureBank) -> tuple[np.ndarray, np.ndarray]:
    return oracle.principal(made.base[~made.judged].double().numpy(), D)


@pytest.mark.parametrize(("dtype", "copy"), [(torch.float64, 1e-6), (torch.float32, 1e-3)])
def test_every_member_agrees_with_its_definition_within_1e_4(dtype, copy):
    made = bank(dtype=dtype, uneven=True)
    scores, wanted = ask(made), by_definition(made, space_of(made))
    for member in MEMBERS:
        assert scores.values[member].dtype == torch.float64
        assert scores.values[member].tolist() == pytest.approx(wanted[member], abs=1e-4, rel=1e-4), member
        assert 0 <= float(scores.values[member][2]) <= copy, member
    assert scores.n_fit + scores.n_test == len(made.prompts)
    assert scores.dimension == D
    assert 0.5 < scores.variance_kept < 1
    assert not scores.abstained


def test_a_unit_that_does_nothing_is_the_most_replaceable_for_every_member_and_noise_orders_the_rest():
    scores = ask(bank(3))
    for member in MEMBERS:
        assert scores.values[member].argsort().tolist() == [2, 0, 1, 3], member


def test_resamples_are_what_the_drawn_prompts_give():
    made = bank(uneven=True)
    scores = ask(made, resamples=4)
    draws = torch.poisson(torch.ones(4, P), generator=torch.Generator().manual_seed(9)).numpy()
    exact = {"cka": 1e-6, "procrustes": 1e-6, "cca": 1e-6, "permutation": 1e-6, "gaussian_2": 1e-5, "wasserstein": 0.05}
    for number, drawn in enumerate(draws):
        wanted = by_definition(made, space_of(made), drawn, alphas=(2,))
        for member, tolerance in exact.items():  # of the first order only: gaussian_0 and gaussian_1, tested with their clouds
            assert scores.replicates[member][number].tolist() == pytest.approx(wanted[member], rel=tolerance, abs=1e-6), member


def test_summed_wasserstein_resamples_are_exact_to_a_percent():
    made = bank(noises=(0.4, 2.0))
    draws = torch.poisson(torch.ones(5, P), generator=torch.Generator().manual_seed(2))
    scores = member_scores(made, ["wasserstein"], weights=draws)
    for number, drawn in enumerate(draws.numpy().astype(int)):
        times = drawn[made.prompts.numpy()]
        x, *others = (np.repeat(part.numpy(), times, axis=0) for part in (made.base, *made.ablated))
        assert scores.replicates["wasserstein"][number].tolist() == pytest.approx([oracle.wasserstein(x, y) for y in others], rel=0.01)


def test_the_values_do_not_depend_on_whether_there_are_resamples():
    alone, with_resamples = ask(bank()), ask(bank(), resamples=3)
    for member in MEMBERS:
        assert alone.replicates[member].shape == (0, len(NOISES))
        assert with_resamples.replicates[member].shape == (3, len(NOISES))
        assert alone.values[member].tolist() == pytest.approx(with_resamples.values[member].tolist(), abs=1e-9)


def test_positions_in_any_order_give_the_same():
    made = bank(uneven=True)
    order = torch.randperm(len(made.prompts), generator=torch.Generator().manual_seed(1))
    assert made.classes is not None
    mixed = FeatureBank(made.base[order], made.ablated[:, order], made.prompts[order], made.test, made.classes[order])
    one, other = ask(made, resamples=2), ask(mixed, resamples=2)
    for member in MEMBERS:
        assert one.values[member].tolist() == pytest.approx(other.values[member].tolist(), rel=1e-6, abs=1e-6)
        assert one.replicates[member][1].tolist() == pytest.approx(other.replicates[member][1].tolist(), rel=1e-6, abs=1e-6)


def test_a_prompt_that_is_drawn_nowhere_in_the_test_part_leaves_fitted_members_undefined_there():
    made = bank()
    weights = torch.ones(2, P)
    weights[0, made.test] = 0
    scores = member_scores(made, MEMBERS, dimension=D, weights=weights)
    assert scores.replicates["cca"][0].isnan().all()
    assert scores.replicates["cca"][1].isfinite().all()
    assert scores.replicates["cka"][0].isfinite().all()


# -- undefined is never 0 -----------------------------------------------------------------------------------------------


def test_a_candidate_with_a_value_that_is_no_number_is_undefined_for_all_and_the_others_are_as_before():
    made, wanted = bank(), ask(bank(), resamples=2)
    made.ablated[1, 7, 3] = torch.nan
    scores = ask(made, resamples=2)
    for member in MEMBERS:
        assert math.isnan(scores.values[member][1])
        assert scores.replicates[member][:, 1].isnan().all()
        kept = [0, 2, 3]
        assert scores.values[member][kept].tolist() == pytest.approx(wanted.values[member][kept].tolist(), abs=1e-9)
        assert any("not numbers" in note.in_english() for note in scores.notes[member])


def test_a_candidate_that_overflowed_is_undefined():
    made = bank()
    made.ablated[0, 0, 0] = torch.inf
    scores = ask(made)
    assert all(math.isnan(scores.values[member][0]) for member in MEMBERS)


def test_a_candidate_whose_features_are_all_alike_is_undefined_or_far_never_near():
    made = bank()
    made.ablated[1] = made.ablated[1, 0]
    scores = ask(made, resamples=2)
    for member in set(MEMBERS) - {"wasserstein"}:
        assert math.isnan(scores.values[member][1])
        assert any("same at every token position" in note.in_english() for note in scores.notes[member])
    assert float(scores.values["wasserstein"][1]) > float(scores.values["wasserstein"][0])


def test_when_every_candidate_is_undefined_nothing_breaks():
    made = bank()
    made.ablated[:, 0] = torch.nan
    scores = ask(made, resamples=2)
    assert all(scores.values[member].isnan().all() for member in MEMBERS)


@pytest.mark.parametrize("spoil", ["nan", "alike"])
def test_an_untouched_model_whose_features_say_nothing_makes_all_abstain(spoil):
    made = bank()
    if spoil == "nan":
        made.base[0, 0] = torch.nan
    else:
        made.base[:] = made.base[0].clone()
        made.ablated[:] = made.base[0].clone()
    scores = ask(made, resamples=2)
    assert set(scores.abstained) == set(MEMBERS)
    assert all(scores.values[member].isnan().all() and scores.replicates[member].isnan().all() for member in MEMBERS)


def test_too_few_positions_lower_the_dimension_and_then_silence_the_members_that_need_a_space():
    made = bank()
    lowered = ask(cut(made, 7 * EACH))  # two of seven prompts are held back: 60 positions to fit on
    assert lowered.dimension == 6
    assert any("6 dimensions instead of 8" in note.in_english() for note in lowered.notes["cca"])
    silent = ask(cut(made, 2 * EACH))
    assert set(silent.abstained) == set(MEMBERS) - {"cka", "wasserstein"}
    assert "at least 20 different token positions" in silent.abstained["procrustes"].in_english()
    assert silent.dimension == 0
    assert silent.values["cka"].isfinite().all()


def test_identical_prompts_do_not_count_twice():
    made = bank()
    same = made.base[:EACH].repeat(P, 1)
    repeated = dataclasses.replace(made, base=same, ablated=torch.stack([made.ablated[1, :EACH].repeat(P, 1)]))
    scores = ask(repeated)
    assert "there are 12" in scores.abstained["cca"].in_english()  # with 576 positions a map of 8 dimensions would fit anything
    assert math.isnan(scores.values["cca"][0])


def test_features_along_one_direction_have_no_space():
    made = bank()
    line = torch.linspace(0, 1, len(made.prompts), dtype=torch.float64)[:, None] * torch.ones(WIDTH, dtype=torch.float64)
    scores = ask(dataclasses.replace(made, base=line))
    assert "fewer than two directions" in scores.abstained["permutation"].in_english()
    assert "cka" not in scores.abstained


def test_without_classes_only_the_gaussian_members_abstain():
    scores = ask(dataclasses.replace(bank(), classes=None))
    assert set(scores.abstained) == {"gaussian_0", "gaussian_1", "gaussian_2"}


def test_small_classes_are_shrunk_and_it_is_said():
    made = bank()
    small = torch.where(made.prompts == 0, 3, made.prompts % 3)
    scores = ask(dataclasses.replace(made, classes=small))
    assert any("1 of 4 classes have fewer than 16" in note.in_english() for note in scores.notes["gaussian_1"])
    assert float(scores.values["gaussian_1"][2]) <= 1e-6


def test_a_singular_candidate_is_far_and_it_is_said():
    made = bank()
    made.ablated[1, :, 1:] = 0
    scores = ask(made)
    assert float(scores.values["cca"][1]) > 1
    assert any("fewer directions" in note.in_english() for note in scores.notes["cca"])


def test_with_nothing_held_back_maps_are_judged_where_they_are_fitted_and_it_is_said():
    made = dataclasses.replace(bank(), test=torch.zeros(P, dtype=torch.bool))
    scores = ask(made, resamples=2)
    assert scores.n_test == 0
    assert all(
        any("No prompts are held back" in note.in_english() for note in scores.notes[m]) for m in ("procrustes", "cca", "permutation")
    )
    assert float(scores.values["cca"][0]) == pytest.approx(_in_sample(made), abs=1e-6)


def test_too_few_positions_to_judge_on_silence_fitted_members_only():
    made = bank()
    keep = torch.ones(len(made.prompts), dtype=torch.bool)
    keep[made.judged.nonzero()[5:, 0]] = False
    assert made.classes is not None
    few = FeatureBank(made.base[keep], made.ablated[:, keep], made.prompts[keep], made.test, made.classes[keep])
    assert set(ask(few).abstained) == {"procrustes", "cca", "permutation"}


def test_only_who_is_asked_speaks_and_pauses_can_stop_it():
    scores = member_scores(bank(), ["cka", "gaussian_2"], dimension=D)
    assert set(scores.values) == set(scores.seconds) == {"cka", "gaussian_2"}

    def stop() -> None:
        raise KeyboardInterrupt

    for member in MEMBERS:
        with pytest.raises(KeyboardInterrupt):
            member_scores(bank(), [member], dimension=D, pause=stop)


def cut(made: FeatureBank, n: int) -> FeatureBank:
    assert made.classes is not None
    return FeatureBank(made.base[:n], made.ablated[:, :n], made.prompts[:n], made.test, made.classes[:n])


def _in_sample(made: FeatureBank) -> float:
    mean, axes = oracle.principal(made.base.numpy(), D)
    return oracle.linear((made.base.numpy() - mean) @ axes, (made.ablated[0].numpy() - mean) @ axes, 0.0)
