"""A cut model that learns from texts, from the uncut model, or from both."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from analysis.contracts.healing import HealObjective, HealSettings
from analysis.contracts.search import UnitSet
from analysis.models.stack import LoadedModel, Stack
from analysis.surgery.skip import left_out
from analysis.training.prefix import Prefix
from analysis.training.teacher import Teacher
from analysis.training.trainee import Trainee

_SCORES = {"cpu": 2**25, "cuda": 2**28}
"""Word scores of a model that are held at once; several tensors of this size are needed."""


@dataclass(frozen=True)
class Blend:
    """How a step's loss is put together: (1 - distillation) x next-token + distillation x KL + hidden x (1 - cosine).

    Attributes:
        distillation: share of the KL term.
        temperature: both models' scores are divided by it before they are compared.
        hidden: weight of the term on final states.
    """

    distillation: float
    temperature: float = 1.0
    hidden: float = 0.0

    @classmethod
    def of(cls, objective: HealObjective, settings: HealSettings) -> Blend:
        """As the settings ask for it; the term on final states needs a teacher, so next-token training alone has none."""
        share = {"next_token": 0.0, "distillation": 1.0, "both": settings.distillation_weight}[objective]
        return cls(share, settings.temperature, 0.0 if objective == "next_token" else settings.hidden_weight)

    @property
    def needs_teacher(self) -> bool:
        """Whether the uncut model has a say."""
        return self.distillation > 0 or self.hidden > 0


class HealTrainee(Trainee):
    """A model that trains with units left out; whoever asks it while it is judged has to leave them out as well.

    Args:
        loaded: the model; its weights are used, not copied.
        stack: the stack that trains.
        removed: what is left out; empty: a control.
        blend: what is learnt.
        teacher: what the uncut model said; None: nobody asks for it.
    """

    def __init__(self, loaded: LoadedModel, stack: Stack, removed: UnitSet, blend: Blend, teacher: Teacher | None) -> None:
        super().__init__(loaded, stack, Prefix(stack, -1))
        self.removed, self.blend, self.teacher = removed, blend, teacher

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None,
        rows: Tensor,
        targets: Tensor,
        weights: Tensor,
        indices: tuple[int, ...] | None = None,
    ) -> Tensor:
        """Loss of a pass, in float32.

        Args:
            input_ids: [B, S], padded at the end.
            attention_mask: [B, S] 1 for a token, 0 for padding; None: no padding.
            rows: [n] places in the flattened [B * S] batch whose states predict a token.
            targets: [n] those tokens.
            weights: [n, 2] each token's share of the step's next-token loss and of its distillation.
            indices: which examples these are, for the teacher.
        """
        with ExitStack() as cut:
            cut.enter_context(left_out(self._stack, self.removed))
            with self.autocast():
                states = self.final_states(input_ids, attention_mask).flatten(0, 1)[rows]
        teacher = self._taught(indices, rows) if self.blend.needs_teacher else None
        step = max(1, _SCORES.get(states.device.type, _SCORES["cpu"]) // self.model.config.get_text_config().vocab_size)
        places = [slice(start, start + step) for start in range(0, len(targets), step)]
        parts = [(states[at], None if teacher is None else teacher[at], targets[at], weights[at]) for at in places]
        if len(parts) == 1:
            return self._loss(*parts[0])
        return torch.stack([checkpoint(self._loss, *part, use_reentrant=False, preserve_rng_state=False) for part in parts]).sum()

    def _loss(self, states: Tensor, teacher: Tensor | None, targets: Tensor, weights: Tensor) -> Tensor:
        """Of some places of a pass: word scores exist for these places only, and are worked out again on the way back."""
        with self.autocast():
            scores = self._head.scores(states)
        scores, (text, distilled) = scores.float(), weights.unbind(1)
        loss = scores.new_zeros(())
        if self.blend.distillation < 1:
            token_losses = functional.cross_entropy(scores, targets, reduction="none")
            loss = loss + (1 - self.blend.distillation) * (token_losses * text).sum()
        if teacher is not None and self.blend.distillation > 0:
            apart = forward_kl(self._wanted(teacher), scores, self.blend.temperature)
            loss = loss + self.blend.distillation * (apart * distilled).sum()
        if teacher is not None and self.blend.hidden > 0:
            turned = 1 - functional.cosine_similarity(states.float(), teacher.float(), dim=-1)
            loss = loss + self.blend.hidden * (turned * distilled).sum()
        return loss

    @torch.no_grad()
    def _taught(self, indices: tuple[int, ...] | None, rows: Tensor) -> Tensor:
        assert self.teacher is not None
        assert indices is not None
        return self.teacher.states(indices).flatten(0, 1)[rows]

    @torch.no_grad()
    def _wanted(self, teacher: Tensor) -> Tensor:
        with self.autocast():
            return self._head.logits(teacher).float()


def forward_kl(teacher: Tensor, student: Tensor, temperature: float = 1.0) -> Tensor:
    """[n] KL(teacher || student) of each place in nats, times temperature squared, so that gradients stay of one size.

    >>> forward_kl(torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, 0.0]])).tolist()
    [0.0]

    Args:
        teacher: [n, V] word scores.
        student: [n, V] word scores.
        temperature: both are divided by it.

    Source: Hinton et al. 2015 (arXiv 1503.02531); forward KL as in Minitron (arXiv 2407.14679).
    """
    log_p, log_q = (scores.div(temperature).log_softmax(-1) for scores in (teacher, student))
    return functional.kl_div(log_q, log_p, reduction="none", log_target=True).sum(-1) * temperature**2
