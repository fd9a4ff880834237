"""Choices by likelihood, generated texts, and which answers count as changed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from analysis.contracts import VerificationSettings
from analysis.models.load import load_model
from analysis.models.stack import LoadedModel
from analysis.profiling.stream import Watch
from analysis.surgery.skip import left_out
from analysis.verification.answers import Answer, Answers, answer_all, end_tokens, generate, generations, normalised, to_answer
from analysis.verification.batches import Runner
from analysis.verification.scoring import flip_count, task_scores
from analysis.workload import Encoder, Example, Turn
from tests.verification import tiny_verification as tv


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return load_model(tv.save(tv.tiny_llama(planted=(2,)), tmp_path_factory.mktemp("model")), device="cpu")


@pytest.fixture(scope="module")
def encoder(model: LoadedModel) -> Encoder:
    assert model.tokenizer_folder is not None
    return Encoder.from_folder(Path(model.tokenizer_folder))


def ask(prompt: str, **more) -> Example:
    return Example(turns=(Turn("user", prompt),), **more)


def answered(model: LoadedModel, encoder: Encoder, examples: Sequence[Example], removed, batch_tokens: int = 64, **changes) -> Answers:
    settings = VerificationSettings(**({"generate": 100, "new_tokens": 6} | changes))
    runner = Runner(model, model.stack(), batch_tokens, Watch())
    return answer_all(runner, examples, encoder, settings, lambda: left_out(model.stack(), removed))


EXAMPLES = [
    *(
        ask(f"bolt gear {word} order", choices=("pass", "fail now"), answer="pass", slice="inspection", critical=True)
        for word in tv.WORDS[3:11]
    ),
    *(ask(f"ship {word} price {word}", response=f"{word} now", slice="mail") for word in tv.WORDS[3:11]),
    *(ask(f"late {word}", slice="orders") for word in tv.WORDS[3:9]),
]


# -- choices -----------------------------------------------------------------------------------------------------------


@torch.no_grad()
def likelihood(model: LoadedModel, encoder: Encoder, prompt: str, choice: str) -> float:
    ids = torch.tensor(encoder.tokenizer.encode(f"{prompt}\n{choice}").ids)
    n = len(encoder.tokenizer.encode(prompt).ids)
    scores = model.model(input_ids=ids[None]).logits[0].double().log_softmax(-1)
    return float(sum(scores[place - 1, ids[place]] for place in range(n, len(ids)))) / len(choice)


@pytest.mark.parametrize("batch_tokens", [8, 500])
def test_the_likeliest_choice_per_character_is_chosen(model: LoadedModel, encoder: Encoder, batch_tokens: int) -> None:
    asked = EXAMPLES[:8]
    found = answered(model, encoder, asked, [("block", 1)], batch_tokens, generate=0)
    for example in asked:
        own = [likelihood(model, encoder, example.prompt, choice) for choice in example.choices]
        with left_out(model.stack(), [("block", 1)]):
            plan = [likelihood(model, encoder, example.prompt, choice) for choice in example.choices]
        answer = found.by_id[example.id]
        assert (answer.choice_original, answer.choice_plan) == (int(np.argmax(own)), int(np.argmax(plan)))
        assert answer.flipped == (np.argmax(own) != np.argmax(plan))
        assert answer.right("choices") == (np.argmax(own) == 0, np.argmax(plan) == 0)


def test_choices_that_do_not_fit_are_not_judged_and_it_is_said(model: LoadedModel, encoder: Encoder) -> None:
    found = answered(model, encoder, EXAMPLES[:2], [("block", 1)], max_tokens=4, generate=0)
    assert not found.by_id
    assert "choices do not fit into 4 tokens" in found.notes[0].in_english()


# -- texts -------------------------------------------------------------------------------------------------------------


@torch.no_grad()
def step_by_step(model: LoadedModel, encoder: Encoder, prompt: str, new_tokens: int) -> str:
    """Greedy, without a cache, one prompt at a time."""
    ids = list(encoder.tokenizer.encode(prompt).ids)
    start, ends = len(ids), end_tokens(model.model, encoder)
    for _ in range(new_tokens):
        best = int(model.model(input_ids=torch.tensor([ids])).logits[0, -1].argmax())
        if best in ends:
            break
        ids.append(best)
    return encoder.tokenizer.decode(ids[start:], skip_special_tokens=True).strip()


@pytest.mark.parametrize("removed", [[], [("block", 1)], [("attention", 0), ("mlp", 3)]])
def test_answers_written_together_are_those_written_one_by_one(model: LoadedModel, encoder: Encoder, removed) -> None:
    asked = EXAMPLES[8::2]
    found = answered(model, encoder, asked, removed, batch_tokens=500)
    for example in asked:
        assert found.by_id[example.id].text_original == step_by_step(model, encoder, example.prompt, 6)
        with left_out(model.stack(), removed):
            assert found.by_id[example.id].text_plan == step_by_step(model, encoder, example.prompt, 6)


def test_a_plan_that_removes_nothing_of_worth_flips_no_answer(model: LoadedModel, encoder: Encoder) -> None:
    found = answered(model, encoder, EXAMPLES, [("block", 2)])
    count = flip_count(found, [example.id for example in EXAMPLES])
    assert count is not None
    assert (count.n, count.changed) == (len(EXAMPLES), 0)
    assert count.upper == pytest.approx(1 - 0.05 ** (1 / len(EXAMPLES)))
    assert not any(made.changed for made in generations(found, {example.id: example for example in EXAMPLES}))


def test_a_plan_that_breaks_the_model_flips_answers_and_shows_them_first(model: LoadedModel, encoder: Encoder) -> None:
    found = answered(model, encoder, EXAMPLES, [("block", 0), ("block", 1)])
    made = generations(found, {example.id: example for example in EXAMPLES})
    changed = [one.changed for one in made]
    assert changed == sorted(changed, reverse=True)
    assert changed[0]
    for one in made:
        assert one.changed == (normalised(one.original) != normalised(one.plan))


def test_the_models_own_sampling_and_penalties_are_left_aside_and_come_back(model: LoadedModel, encoder: Encoder) -> None:
    prompt = encoder.tokenizer.encode("bolt gear").ids
    plain = generate(model.model, [np.array(prompt)], encoder, 6)
    own = model.model.generation_config
    own.do_sample, own.temperature, own.repetition_penalty = True, 5.0, 3.0
    try:
        assert generate(model.model, [np.array(prompt)], encoder, 6) == plain
        assert model.model.generation_config is own
    finally:
        own.do_sample, own.temperature, own.repetition_penalty = False, None, None


def test_critical_prompts_are_answered_first_and_then_every_slice_in_turn() -> None:
    examples = [ask(f"{number}", slice="ab"[number % 2], critical=number >= 8) for number in range(12)]
    order = to_answer(examples)
    assert all(example.critical for example in order[:4])
    assert [example.slice for example in order] == ["a", "b"] * 6
    assert order == to_answer(examples[::-1])


def test_no_more_prompts_are_answered_than_asked_for(model: LoadedModel, encoder: Encoder) -> None:
    found = answered(model, encoder, EXAMPLES, [("block", 1)], generate=3)
    assert len(found.generated) == 3
    assert all(next(e for e in EXAMPLES if e.id == name).critical for name in found.generated)
    assert not answered(model, encoder, EXAMPLES[8:], [("block", 1)], generate=0).by_id


def test_a_prompt_that_was_cut_is_not_answered(model: LoadedModel, encoder: Encoder) -> None:
    found = answered(model, encoder, EXAMPLES[8:], [("block", 1)], max_tokens=3)
    assert found.by_id
    assert all(len(encoder.tokenizer.encode(e.prompt).ids) <= 3 for e in EXAMPLES if e.id in found.by_id)


# -- what counts as changed and as right -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Pass.", " pass ", True),
        ("ＯＫ、出荷", "OK 出荷", True),
        ("pass\n\nnow", "pass now", True),
        ("pass", "fail", False),
        ("1.5", "15", False),
        ("-5", "5", False),
        ("10:30", "1030", False),
        ("", "...", True),
    ],
)
def test_answers_are_the_same_whatever_their_spaces_case_and_punctuation(one: str, other: str, same: bool) -> None:
    assert (normalised(one) == normalised(other)) is same


@given(st.text(max_size=40))
def test_normalising_twice_is_normalising_once(text: str) -> None:
    assert normalised(normalised(text)) == normalised(text)


def test_a_response_is_right_exactly_or_after_normalising() -> None:
    answer = Answer(text_original=" Pass now. ", text_plan="fail", expected="pass now")
    assert answer.right("exact") == (False, False)
    assert answer.right("normalised") == (True, False)
    assert answer.right("choices") is None
    assert Answer(text_original="a", text_plan="b").right("normalised") is None


def test_where_there_are_choices_the_choice_decides_and_not_the_text() -> None:
    answer = Answer(choice_original=0, choice_plan=0, right_choice=1, text_original="a", text_plan="b", expected="a")
    assert answer.flipped is False
    assert answer.right("choices") == (False, False)
    assert answer.right("normalised") is None


def test_task_scores_count_what_was_lost_and_won() -> None:
    answers = Answers(by_id={str(n): Answer(choice_original=0, choice_plan=n % 4 == 0, right_choice=0) for n in range(12)})
    (task,) = task_scores(answers, [str(n) for n in range(12)])
    assert (task.kind, task.n, task.original.value, task.plan.value) == ("choices", 12, 1.0, 0.75)
    assert task.change.value == -0.25
    assert task.p_value == pytest.approx(0.25)  # 3 lost, none won
    count = flip_count(answers, answers.by_id)
    assert count is not None
    assert (count.n, count.changed) == (12, 3)
    assert flip_count(answers, ["unknown"]) is None


def test_long_responses_are_not_expected_from_a_short_answer(model: LoadedModel, encoder: Encoder) -> None:
    long = ask("bolt", response=" ".join(["gear"] * 7), slice="mail")
    short = ask("gear", response=" ".join(["gear"] * 6), slice="mail")
    found = answered(model, encoder, [long, short], [("block", 1)])
    assert found.by_id[long.id].right("exact") is None
    assert found.by_id[short.id].right("exact") is not None
