"""What both models answer: choices by likelihood, generated texts side by side, and how many of them changed.

A choice is judged by the log-likelihood of its tokens given the prompt, divided by its length in characters, so that a
long choice is not punished for being long (lm-eval's acc_norm). A generated answer is greedy, with the model's own
generation code and without penalties or sampling, up to a number of new tokens or the end-of-text token.

An answer changed when another choice is likeliest, where a prompt has choices, else when the text differs after
normalising: Unicode NFKC, case folded, punctuation away, white space collapsed. A response is right when it is the
expected text, exactly (white space at the ends aside) or after normalising; only responses that fit into the new tokens
are judged.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from transformers import GenerationConfig, PreTrainedModel

from analysis.contracts import Generation, Message, VerificationSettings
from analysis.models.head import Head
from analysis.verification.batches import Batch, Ints, Runner, batch_of, padded
from analysis.verification.quality import Applied, chunk_rows
from analysis.workload import RESPONSE, EncodedExample, Encoder, Example

PROMPT_CHARACTERS = 400
_ROOM = 4
"""Times the usual tokens in a batch that is answered: each pass holds only the newest token of every sequence."""
_ENDS = ("eos_token", "eot_token")


@dataclass
class Answer:
    """Both models' answers to one prompt; None: not asked, or nothing to judge by."""

    choice_original: int | None = None
    choice_plan: int | None = None
    text_original: str | None = None
    text_plan: str | None = None
    right_choice: int | None = None
    expected: str | None = None

    @property
    def flipped(self) -> bool | None:
        """Whether the answer changed."""
        if self.choice_original is not None:
            return self.choice_original != self.choice_plan
        if self.text_original is None or self.text_plan is None:
            return None
        return normalised(self.text_original) != normalised(self.text_plan)

    def right(self, kind: str) -> tuple[bool, bool] | None:
        """(original, plan) by choices, exact or normalised text; None: not judged that way."""
        if kind == "choices":
            if self.choice_original is None or self.right_choice is None:
                return None
            return self.choice_original == self.right_choice, self.choice_plan == self.right_choice
        if self.expected is None or self.text_original is None or self.text_plan is None or self.choice_original is not None:
            return None
        form = str.strip if kind == "exact" else normalised
        return form(self.text_original) == form(self.expected), form(self.text_plan) == form(self.expected)


def normalised(text: str) -> str:
    """The same text however it is spaced, cased and punctuated.

    >>> normalised(" Pass:  ＯＫ. ") == normalised("pass ok")
    True
    >>> normalised("-5") == normalised("5")
    False
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    kept = "".join(_plain(folded, place) for place in range(len(folded)))
    return " ".join(kept.split())


def _plain(text: str, place: int) -> str:
    """A character, or a space for punctuation; a sign or a point that belongs to a number stays."""
    character = text[place]
    after = text[place + 1 : place + 2]
    before = text[place - 1 : place] if place else ""
    if character == "-" and after.isdigit() and not before.isalnum():
        return character
    if character in ".,:/" and before.isdigit() and after.isdigit():
        return character
    return " " if unicodedata.category(character).startswith("P") else character


@dataclass
class Answers:
    """What was asked and answered, by example id, and what could not be."""

    by_id: dict[str, Answer] = field(default_factory=dict)
    generated: list[str] = field(default_factory=list)
    notes: list[Message] = field(default_factory=list)

    def of(self, example_id: str) -> Answer:
        """The answer to a prompt, made when there is none yet."""
        return self.by_id.setdefault(example_id, Answer())


def answer_all(runner: Runner, examples: Sequence[Example], encoder: Encoder, settings: VerificationSettings, applied: Applied) -> Answers:
    """Choices of all prompts that have some, and generated answers to some prompts, by both models.

    Raises:
        Cancelled, ResourceError: see `Runner.all_of`.
    """
    answers = Answers()
    if not runner.stack.info.causal or not Head(runner.loaded, runner.stack).exists:
        answers.notes.append(Message(id="No answers were compared: this model does not write word after word."))
        return answers
    with runner.interruptible():
        _choose(runner, [example for example in examples if example.choices], encoder, settings, applied, answers)
        _generate(runner, examples, encoder, settings, applied, answers)
    return answers


# -- choices -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Option:
    example: Example
    number: int
    encoded: EncodedExample


def _choose(
    runner: Runner, examples: Sequence[Example], encoder: Encoder, settings: VerificationSettings, applied: Applied, answers: Answers
) -> None:
    options: list[_Option] = []
    too_long = 0
    for example in examples:
        found = _options(example, encoder, settings)
        too_long += not found
        options += found
    if too_long:
        answers.notes.append(
            Message(
                id="Prompts whose choices do not fit into {max_tokens} tokens, so that they were not judged: {n}.",
                values={"n": too_long, "max_tokens": settings.max_tokens},
            )
        )
    if not options:
        return
    likelihoods = _likelihoods(runner, options, applied)
    per_example: dict[str, list[tuple[_Option, Any]]] = {}
    for option, found_values in zip(options, likelihoods, strict=True):
        per_example.setdefault(option.example.id, []).append((option, found_values / len(option.example.choices[option.number])))
    for example_id, rows in per_example.items():
        answer, example = answers.of(example_id), rows[0][0].example
        values = np.array([row for _, row in rows])
        answer.choice_original, answer.choice_plan = int(values[:, 0].argmax()), int(values[:, 1].argmax())
        answer.right_choice = example.choices.index(example.answer) if example.answer in example.choices else None


def _options(example: Example, encoder: Encoder, settings: VerificationSettings) -> list[_Option]:
    """Every choice behind the prompt; none at all when one of them does not fit whole."""
    found = []
    for number, choice in enumerate(example.choices):
        encoded = encoder.encode(replace(example, response=choice), max_tokens=settings.max_tokens, chat_template=settings.chat_template)
        if encoded.n_cut or not (encoded.kinds == RESPONSE).any() or not choice:
            return []
        found.append(_Option(example, number, encoded))
    return found


def _likelihoods(runner: Runner, options: Sequence[_Option], applied: Applied) -> np.ndarray[Any, np.dtype[np.float64]]:
    """[n, 2] log-likelihood of each choice's tokens, original and plan."""
    sequences: list[Ints] = [option.encoded.input_ids for option in options]
    judged = [np.equal(option.encoded.kinds, RESPONSE) & (np.arange(len(option.encoded.kinds)) > 0) for option in options]
    head = Head(runner.loaded, runner.stack)

    def run(members: tuple[int, ...]) -> tuple[Batch, Any]:
        batch = batch_of(members, sequences, judged, causal=True)
        original = _log_likelihood(runner, head, batch)
        with applied():
            return batch, np.stack([original, _log_likelihood(runner, head, batch)], axis=1)

    sums = np.zeros((len(options), 2))
    stage = Message(id="Judging the choices")
    for batch, found in runner.all_of([len(ids) for ids in sequences], run, stage):
        np.add.at(sums, batch.owners, found)
    return sums


@torch.no_grad()
def _log_likelihood(runner: Runner, head: Head, batch: Batch) -> Any:
    states = runner.states(batch)
    targets = torch.from_numpy(batch.targets).to(states.device)
    step = chunk_rows(states.device, runner.loaded.info.vocab_size)
    parts = [
        head.logits(states[start : start + step]).float().log_softmax(-1).gather(1, targets[start : start + step, None])[:, 0]
        for start in range(0, len(targets), step)
    ]
    return torch.cat(parts).double().cpu().numpy()


# -- generated texts ---------------------------------------------------------------------------------------------------


def to_answer(examples: Sequence[Example]) -> list[Example]:
    """The order in which prompts are answered: critical ones first, one of each slice in turn, by content hash."""
    seen: dict[tuple[bool, str], int] = {}
    ranked = []
    for example in sorted(examples, key=lambda example: example.id):
        turn = seen[example.critical, example.slice] = seen.get((example.critical, example.slice), -1) + 1
        ranked.append(((not example.critical, turn, example.slice), example))
    return [example for _, example in sorted(ranked, key=lambda row: row[0])]


def _generate(
    runner: Runner, examples: Sequence[Example], encoder: Encoder, settings: VerificationSettings, applied: Applied, answers: Answers
) -> None:
    if settings.generate == 0:
        return
    if not runner.loaded.model.can_generate():
        answers.notes.append(Message(id="No texts were generated: this model does not write texts."))
        return
    longest = (runner.loaded.info.max_context_tokens or 10**9) - settings.new_tokens
    prompts: dict[str, EncodedExample] = {}
    for example in to_answer(examples):
        if len(prompts) == settings.generate:
            break
        encoded = encoder.encode(replace(example, response=None), max_tokens=settings.max_tokens, chat_template=settings.chat_template)
        if not encoded.n_cut and 0 < len(encoded.input_ids) <= longest:
            prompts[example.id] = encoded
    asked = [example for example in examples if example.id in prompts]
    if not asked:
        return
    texts = _texts(runner, [prompts[example.id].input_ids for example in asked], encoder, settings, applied)
    for example, (original, plan) in zip(asked, texts, strict=True):
        answer = answers.of(example.id)
        answer.text_original, answer.text_plan = original, plan
        if example.response is not None and _fits(example.response, encoder, settings):
            answer.expected = example.response
    answers.generated = [example.id for example in asked]


def _fits(response: str, encoder: Encoder, settings: VerificationSettings) -> bool:
    return len(encoder.tokenizer.encode(response, add_special_tokens=False).ids) <= settings.new_tokens


def _texts(
    runner: Runner, prompts: Sequence[Ints], encoder: Encoder, settings: VerificationSettings, applied: Applied
) -> list[tuple[str, str]]:
    lengths = [len(ids) + settings.new_tokens for ids in prompts]
    found: list[tuple[str, str]] = [("", "")] * len(prompts)

    def run(members: tuple[int, ...]) -> tuple[tuple[int, ...], list[str], list[str]]:
        original = generate(runner.loaded.model, [prompts[member] for member in members], encoder, settings.new_tokens)
        with applied():
            return members, original, generate(runner.loaded.model, [prompts[member] for member in members], encoder, settings.new_tokens)

    for members, original, plan in runner.all_of(lengths, run, Message(id="Letting both models answer"), room=_ROOM):
        for member, texts in zip(members, zip(original, plan, strict=True), strict=True):
            found[member] = texts
    return found


@torch.no_grad()
def generate(model: PreTrainedModel, prompts: Sequence[Ints], encoder: Encoder, new_tokens: int) -> list[str]:
    """Greedy answers to some prompts, run together with padding in front, by the model's own `generate`."""
    ids, mask = padded(prompts, left=True)
    ends = end_tokens(model, encoder)
    pad = model.config.get_text_config().pad_token_id
    ids[mask == 0] = pad if isinstance(pad, int) and pad >= 0 else ends[0] if ends else 0
    with _greedily(model):
        written = model.generate(
            input_ids=torch.from_numpy(ids).to(model.device),
            attention_mask=torch.from_numpy(mask).to(model.device),
            max_new_tokens=new_tokens,
            do_sample=False,
            eos_token_id=ends or None,
            pad_token_id=int(ids[mask == 0][0]) if (mask == 0).any() else (ends[0] if ends else 0),
        )
    return [_text(row, ends, encoder) for row in written[:, ids.shape[1] :].tolist()]


@contextmanager
def _greedily(model: PreTrainedModel) -> Iterator[None]:
    """Inside, the model's own generation settings (sampling, penalties, forced words) are left aside."""
    before = model.generation_config
    model.generation_config = GenerationConfig()
    try:
        yield
    finally:
        model.generation_config = before


def end_tokens(model: PreTrainedModel, encoder: Encoder) -> list[int]:
    """The tokens that end an answer, by the model's settings and its tokenizer's."""
    named = (model.generation_config.eos_token_id, model.config.get_text_config().eos_token_id)
    found = [token for ids in named for token in (ids if isinstance(ids, list) else [ids])]
    found += [encoder.tokenizer.token_to_id(encoder.special_tokens[name]) for name in _ENDS if name in encoder.special_tokens]
    return sorted({token for token in found if isinstance(token, int) and token >= 0})


def _text(ids: Sequence[int], ends: Sequence[int], encoder: Encoder) -> str:
    stop = next((place for place, token in enumerate(ids) if token in ends), len(ids))
    return str(encoder.tokenizer.decode(list(ids[:stop]), skip_special_tokens=True)).strip()


def generations(answers: Answers, examples: Mapping[str, Example]) -> tuple[Generation, ...]:
    """The generated texts side by side: changed ones first, critical ones first among them."""
    found = []
    for example_id in answers.generated:
        answer, example = answers.by_id[example_id], examples[example_id]
        assert answer.text_original is not None
        assert answer.text_plan is not None
        found.append(
            Generation(
                example_id=example_id,
                slice=example.slice,
                critical=example.critical,
                prompt=example.prompt[:PROMPT_CHARACTERS],
                reference=(example.response or "")[:PROMPT_CHARACTERS],
                original=answer.text_original,
                plan=answer.text_plan,
                changed=normalised(answer.text_original) != normalised(answer.text_plan),
            )
        )
    return tuple(sorted(found, key=lambda made: (not made.changed, not made.critical, made.example_id)))
