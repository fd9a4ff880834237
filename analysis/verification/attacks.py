"""Attacks on the numbers a model reads words as: the smallest changes of the embeddings that hurt it most, found by its own gradients.

These are not texts that anybody could type: they show how near the edge a model stands, not what a user may do to it. Each model is
attacked by its own gradients (white box). Changed are only the embeddings of what the user wrote before the judged words; the
template, special tokens and the judged words stay what they are. Strength is the largest change of any one number, in root mean
squares of the whole vocabulary's embeddings.

    fgsm  x + epsilon * sign(gradient of the loss), once
    pgd   `pgd_steps` steps of 2.5 * epsilon / steps, clipped to the epsilon cube around x after each

FGSM is reported as it comes out, even where it lowers the loss. PGD's answer for a prompt is the worst point found within epsilon: of all
its iterates, of FGSM's point, of what a smaller epsilon found, and of the untouched prompt. So it is never weaker than FGSM, never
falls as epsilon grows, and never helps the model. A prompt whose loss did not rise is counted (`found_nothing`).

Source: Goodfellow et al. (2015), arXiv 1412.6572; Madry et al. (2018), arXiv 1706.06083; the steps are Captum's (captum.robust).
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from analysis.contracts import Message
from analysis.contracts.robustness import AttackKind, Disturbed, RobustnessSettings
from analysis.errors import ModelError
from analysis.models.head import Head
from analysis.verification.batches import Batch, Runner, batch_of
from analysis.verification.disturbed import Bools, Judged
from analysis.verification.sensitivity import Applied, Pair, Told, by_slice, disturbed_of, rises
from analysis.workload import PROMPT

_STEP = 2.5
"""PGD's steps together are this many times epsilon long, so that they can cross the whole cube."""
_SMALLER_BATCHES = 8
"""A backward pass keeps every layer's numbers: batches are this many times smaller than usual."""
_EMBEDDED_AT_ONCE = 2**14
ATTACKING = Message(id="Attacking both models")

Attack = tuple[AttackKind, float]


@dataclass(frozen=True)
class Attacked:
    """What came of the attacks, and what should be known about them."""

    results: tuple[Disturbed, ...] = ()
    notes: tuple[Message, ...] = ()


def attack_all(runner: Runner, examples: Sequence[Judged], settings: RobustnessSettings, applied: Applied) -> Attacked:
    """Attacks the original and the plan, each by its own gradients, at every strength asked for.

    Raises:
        Cancelled, ResourceError: see `Runner.all_of`.
    """
    if not settings.attacks or not settings.epsilons:
        return Attacked()
    chosen = chosen_examples([example for example in examples if attackable(example).any()], settings.attack_examples)
    refused = _refusal(chosen)
    if refused is not None:
        return Attacked(notes=(refused,))
    smaller = Runner(runner.loaded, runner.stack, max(1, runner.batch_tokens // _SMALLER_BATCHES), runner.watch)
    job = _Job(smaller, chosen, settings, applied)
    try:
        found = job.run()
    except _NotRead:
        return Attacked(
            notes=(
                Message(
                    id="Attacks were not run: {model} does not read its words through an embedding that could be changed.",
                    values={"model": runner.loaded.info.name},
                ),
            )
        )
    return Attacked(tuple(_result(job, attack, found) for attack in job.reported), tuple(_remarks(smaller)))


def _refusal(chosen: Sequence[Judged]) -> Message | None:
    if not chosen:
        return Message(id="Attacks were not run: no verification prompt has words before those that are judged.")
    try:
        importlib.import_module("captum.robust")
    except ImportError:
        return Message(
            id="Attacks were not run: the library captum is not installed here. Install it (pip install captum), or leave attacks out."
        )
    return None


def _remarks(runner: Runner) -> Iterator[Message]:
    if runner.halvings:
        yield Message(
            id="Memory ran short during the attacks: batches were made smaller ({tokens} tokens) and the run went on. "
            "The results are the same.",
            values={"tokens": runner.batch_tokens},
        )


def attackable(example: Judged) -> Bools:
    """bool [S]: tokens whose embedding may be changed: the user's words before the first judged token."""
    found: Bools = np.equal(example.encoded.kinds, PROMPT)
    found[example.start :] = False
    return found


def chosen_examples(examples: Sequence[Judged], most: int) -> list[Judged]:
    """At most `most` examples: slices take turns, and in each slice critical ones come first."""
    queues = [sorted((examples[place] for place in places), key=_rank) for places in by_slice(examples).values()]
    rounds = range(max((len(queue) for queue in queues), default=0))
    return [queue[turn] for turn in rounds for queue in queues if turn < len(queue)][:most]


def _rank(example: Judged) -> tuple[bool, str]:
    return not example.encoded.critical, example.encoded.example_id


# -- one model, one batch ----------------------------------------------------------------------------------------------


class _NotRead(Exception):
    """The model did not ask its embedding, so nothing can be changed there."""


@dataclass(frozen=True, eq=False)
class Target:
    """A batch as it is attacked: from embeddings [B, S, d] to the losses of its judged tokens, gradients flowing back.

    Attributes:
        runner: the model.
        batch: the tokens.
        mask: [B, S, 1] 1 where an embedding may be changed.
        places: [n] the row of the batch that each judged token belongs to.
    """

    runner: Runner
    batch: Batch
    mask: Tensor
    places: Tensor

    @cached_property
    def head(self) -> Head:
        """From final states to words."""
        return Head(self.runner.loaded, self.runner.stack)

    @cached_property
    def clean(self) -> Tensor:
        """[B, S, d] the untouched embeddings, as the model's first layer gets them."""
        with torch.no_grad():
            found: Tensor = _embedding(self.runner)(self._ids)
        return found.detach()

    @cached_property
    def _ids(self) -> Tensor:
        return torch.from_numpy(self.batch.ids).to(self.runner.loaded.device)

    def logits(self, embedded: Tensor) -> Tensor:
        """[n, V] word scores that predict the judged tokens."""
        inputs: dict[str, Any] = {"input_ids": self._ids, "use_cache": False}
        if not self.batch.mask.all():
            inputs["attention_mask"] = torch.from_numpy(self.batch.mask).to(self._ids.device)
        with _handing_out(_embedding(self.runner), embedded):
            final: Tensor = self.runner.stack.root(**inputs)[0]
        return self.head.scores(final.flatten(0, 1)[torch.from_numpy(self.batch.rows).to(final.device)])

    def token_losses(self, embedded: Tensor) -> tuple[Tensor, Tensor]:
        """[n] nats and the model's own first choices."""
        scores = self.logits(embedded).float().log_softmax(-1)
        targets = torch.from_numpy(self.batch.targets).to(scores.device)
        return -scores.gather(1, targets[:, None])[:, 0], scores.argmax(-1)

    def losses(self, embedded: Tensor) -> Tensor:
        """[B] mean nats per judged token of each prompt."""
        losses, _ = self.token_losses(embedded)
        sums = torch.zeros(len(self.batch.members), device=losses.device).index_add(0, self.places.to(losses.device), losses)
        return sums / self.places.bincount(minlength=len(sums)).to(losses.device)

    @torch.no_grad()
    def told(self, embedded: Tensor) -> list[Told]:
        """What the model makes of each prompt."""
        losses, first = (column.cpu().numpy() for column in self.token_losses(embedded))
        mine = [self.batch.owners == member for member in self.batch.members]
        return [Told(losses[own].astype(np.float64), first[own]) for own in mine]


def target_of(runner: Runner, examples: Sequence[Judged], members: Sequence[int]) -> Target:
    """Some of the examples as a batch to attack."""
    batch = batch_of(members, [example.encoded.input_ids for example in examples], [example.counts for example in examples], causal=True)
    mask = np.zeros((*batch.ids.shape, 1), dtype=np.float32)
    for row, member in enumerate(members):
        may = attackable(examples[member])
        mask[row, : len(may), 0] = may
    rows = {member: row for row, member in enumerate(members)}
    device = runner.loaded.device
    places = torch.tensor([rows[int(owner)] for owner in batch.owners], device=device)
    return Target(runner, batch, torch.from_numpy(mask).to(device, runner.loaded.dtype), places)


def fgsm(target: Target, radius: float) -> Tensor:
    """[B, S, d] embeddings after one step of `radius` along the signs of the gradient."""
    attack = _captum("FGSM", target.losses)
    return _perturbed(attack, target, epsilon=radius)


def pgd(target: Target, radius: float, steps: int) -> Tensor:
    """[B, S, d] for each prompt that iterate of projected gradient descent, the last one included, which hurt most."""
    best = _Worst(target)
    attack = _captum("PGD", best.losses)
    last = _perturbed(attack, target, radius=radius, step_size=_STEP * radius / steps, step_num=steps)
    with torch.no_grad():
        best.losses(last)
    return best.embedded


@dataclass
class _Worst:
    """Remembers, of all embeddings it was asked about, those with the largest loss: prompt by prompt."""

    target: Target
    embedded: Tensor = field(init=False)
    seen: Tensor | None = None

    def __post_init__(self) -> None:
        self.embedded = self.target.clean.clone()

    def losses(self, embedded: Tensor) -> Tensor:
        """The losses, remembered on the way."""
        losses = self.target.losses(embedded)
        now = losses.detach()
        worse = now.isfinite() if self.seen is None else now > self.seen
        self.embedded[worse.to(self.embedded.device)] = embedded.detach()[worse.to(embedded.device)]
        self.seen = torch.where(worse, now, now if self.seen is None else self.seen)
        return losses


def _captum(name: str, losses: Any) -> Any:
    """Captum's attack; it leaves numbers with gradients up to 1e-6 alone, which would spare long prompts: here none is spared."""
    attack = getattr(importlib.import_module("captum.robust"), name)(losses, loss_func=lambda output, _target: output)
    (attack.fgsm if name == "PGD" else attack).zero_thresh = 0.0
    return attack


def _perturbed(attack: Any, target: Target, **how: float) -> Tensor:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Input Tensor .* did not already require gradients", category=UserWarning)
        found: Tensor = attack.perturb(target.clean, target=None, mask=target.mask, **how)
    return found.detach()


def _embedding(runner: Runner) -> nn.Module:
    root: Any = runner.stack.root
    found: nn.Module = root.get_input_embeddings()
    return found


@torch.no_grad()
def embedding_size(runner: Runner) -> float:
    """Root mean square of a number of the vocabulary's embeddings, as the first layer gets them (scaled, where the model scales)."""
    embedding, n = _embedding(runner), runner.loaded.info.vocab_size
    squares, numbers = 0.0, 0
    for start in range(0, n, _EMBEDDED_AT_ONCE):
        rows: Tensor = embedding(torch.arange(start, min(n, start + _EMBEDDED_AT_ONCE), device=runner.loaded.device)[None]).float()
        squares, numbers = squares + float(rows.square().sum(dtype=torch.float64)), numbers + rows.numel()
    return float(np.sqrt(squares / numbers))


@contextmanager
def _handing_out(embedding: nn.Module, embedded: Tensor) -> Iterator[None]:
    """Inside, the embedding hands out these numbers for the batch's tokens."""
    asked = 0

    def instead(_: nn.Module, __: Any, output: Tensor) -> Tensor:
        nonlocal asked
        asked += 1
        return embedded if output.shape == embedded.shape else output

    handle = embedding.register_forward_hook(instead)
    try:
        yield
    finally:
        handle.remove()
    if not asked:
        raise _NotRead


@contextmanager
def only_inputs_get_gradients(model: nn.Module) -> Iterator[None]:
    """Inside, no weight asks for a gradient; afterwards those that did do again."""
    wanted = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in wanted:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in wanted:
            parameter.requires_grad_(True)


# -- all of them -------------------------------------------------------------------------------------------------------

Outcomes = Mapping[Attack | None, Told]
"""By attack; None: untouched."""


@dataclass
class _Job:
    runner: Runner
    examples: Sequence[Judged]
    settings: RobustnessSettings
    applied: Applied

    def __post_init__(self) -> None:
        self.size = embedding_size(self.runner)
        self.radii = sorted(set(self.settings.epsilons))
        self.reported: list[Attack] = [(kind, epsilon) for kind in self.settings.attacks for epsilon in self.radii]

    def run(self) -> list[tuple[Outcomes, Outcomes]]:
        """(original, plan) of each example."""
        lengths = [len(example.encoded.input_ids) for example in self.examples]
        found: dict[int, tuple[Outcomes, Outcomes]] = {}
        with only_inputs_get_gradients(self.runner.loaded.model), self.runner.interruptible():
            for part in self.runner.all_of(lengths, self._both, ATTACKING):
                found |= part
        return [found[number] for number in range(len(self.examples))]

    def _both(self, members: tuple[int, ...]) -> dict[int, tuple[Outcomes, Outcomes]]:
        original = self._attacked(members)
        with self.applied():
            plan = self._attacked(members)
        return {member: (original[row], plan[row]) for row, member in enumerate(members)}

    def _attacked(self, members: tuple[int, ...]) -> list[Outcomes]:
        target = target_of(self.runner, self.examples, members)
        clean = target.told(target.clean)
        outcomes: list[dict[Attack | None, Told]] = [{None: told} for told in clean]
        worst = list(clean)
        for epsilon in self.radii:
            radius = epsilon * self.size
            once = target.told(fgsm(target, radius))
            worst = [_worse(one, other) for one, other in zip(worst, once, strict=True)]
            if "pgd" in self.settings.attacks:
                often = target.told(pgd(target, radius, self.settings.pgd_steps))
                worst = [_worse(one, other) for one, other in zip(worst, often, strict=True)]
            for row, outcome in enumerate(outcomes):
                outcome |= {("fgsm", epsilon): once[row], ("pgd", epsilon): worst[row]}
        return list(outcomes)


def _worse(one: Told, other: Told) -> Told:
    """The one with the larger loss; what overflowed does not count."""
    return other if np.isfinite(other.losses).all() and other.losses.sum() > one.losses.sum() else one


def _result(job: _Job, attack: Attack, found: Sequence[tuple[Outcomes, Outcomes]]) -> Disturbed:
    kept = [place for place, pair in enumerate(found) if all(np.isfinite(one[attack].losses).all() for one in pair)]
    if not kept:
        raise ModelError(
            "Under attack the model's numbers overflowed in {dtype} for every prompt. Choose bfloat16 or float32, or a smaller epsilon.",
            dtype=str(job.runner.loaded.dtype).removeprefix("torch."),
        )
    examples = [job.examples[place] for place in kept]
    clean, attacked = ([Pair(found[place][0][key], found[place][1][key]) for place in kept] for key in (None, attack))
    n_nothing = sum(not _raised(before, after) for before, after in zip(clean, attacked, strict=True))
    result = disturbed_of(
        *attack,
        rises(examples, clean, attacked),
        replicates=job.settings.replicates,
        seed=job.settings.seed,
        found_nothing=n_nothing,
        note=_note(len(found) - len(kept), n_nothing, len(kept)),
    )
    return result.model_copy(update={"comparison": "unknown"}) if n_nothing == len(kept) else result


def _raised(before: Pair, after: Pair) -> bool:
    """Whether the attack raised the loss of both models."""
    return bool(after.original.losses.sum() > before.original.losses.sum() and after.plan.losses.sum() > before.plan.losses.sum())


def _note(n_overflowed: int, n_nothing: int, n: int) -> Message | None:
    if n_nothing == n:
        return Message(id="The attack did not raise the loss of any prompt for both models, so it says nothing about which is stronger.")
    if n_overflowed:
        return Message(id="Prompts left out because the numbers overflowed under the attack: {n}.", values={"n": n_overflowed})
    return None
