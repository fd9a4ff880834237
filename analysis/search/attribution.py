"""What captum's attributions say of every unit: how much of the loss goes through what the unit adds.

Attributed is the unit's own contribution f, what it adds to the residual stream, not the stream that leaves it: the stream holds
all that came before, and its attribution is about the same in front of a layer as behind it. f is what is gone when the unit
is left out, so that g.f is the first-order estimate of the loss that it saves. A probe makes f a place of its own that captum
can look at: behind the unit, probe(f) - f is added, which is exactly nothing, and the gradient at the probe's output is the
gradient of the unit's contribution.

Of every place of a prompt the products are added up over the width of the stream, sign and all: that is the loss this place
saves, and does not depend on the axes of the stream, which are arbitrary. Places then count without their sign: a unit that helps one
word and hurts another is not idle.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from analysis.contracts import Message, UnitRef, UnitSet, Voter
from analysis.models.head import Head
from analysis.models.stack import LoadedModel, Stack
from analysis.profiling.taps import first_tensor
from analysis.search.batches import Batch, cut_batches
from analysis.search.care import without_dropout
from analysis.search.gradient_votes import Floats, GradientScores, Taken, abstaining, failed, only_these_learn, scores_of, take, told
from analysis.surgery.skip import left_out, ways_of
from analysis.surgery.stand_in import StandIn
from analysis.workload import EncodedExample

DEAR_TOKENS = {"cpu": 512, "cuda": 8192}
"""Tokens run at most by voters that need many passes."""


@dataclass(frozen=True)
class AttributionCost:
    """What an attribution runs, in passes of all its tokens through the whole model."""

    forward_passes: int
    backward_passes: int
    n_tokens: int


def attribution_cost(voter: Voter, n_layers: int, n_tokens: int, steps: int) -> AttributionCost:
    """What an attribution voter will run, to be shown before.

    Gradient x activation looks at all layers in one backward pass, conductance at all of them in one per step. Integrated gradients
    have a path of their own for each layer.
    """
    if voter == "gradient_x_activation":
        return AttributionCost(1, 1, n_tokens)
    if voter == "conductance":
        return AttributionCost(steps + 1, steps, n_tokens)
    assert voter == "integrated_gradients"
    return AttributionCost(n_layers * (steps + 2), n_layers * steps, n_tokens)


def attribution_scores(
    voter: Voter,
    loaded: LoadedModel,
    stack: Stack,
    examples: Sequence[EncodedExample],
    refs: Sequence[UnitRef],
    removed: UnitSet = (),
    *,
    batch_tokens: int = 512,
    steps: int = 16,
    tokens: int | None = None,
    pause: Callable[[], None] = lambda: None,
) -> GradientScores:
    """How much of the loss goes through each unit's contribution f, in nats per judged token: sum over places of abs(share).

    * gradient_x_activation: the share is g.f, g the gradient of the summed loss (captum's LayerGradientXActivation).
    * conductance: the integral of g.df on the way from the average word of these prompts to each prompt's own words
      (captum's LayerConductance, whose sums these are; all units share the passes).
    * integrated_gradients: f.(integral of g) on the way from f left out to f as it is (captum's
      LayerIntegratedGradients). With their signs these shares add up to the loss that comes from leaving the unit out.

    Every prompt is a group of its own: a prompt's gradients do not depend on which others are run with it.

    Args:
        examples: what may be run; slices take turns, prompts in content-hash order, until the tokens are used up.
        removed: units that are out while this is measured.
        batch_tokens: tokens run together, padding included; changes no value.
        steps: of the path, for conductance and integrated gradients.
        tokens: to run at most; None: by device, fewer for voters that need many passes.
        pause: called before each batch; may raise to stop.

    Source: Shrikumar et al. (arXiv 1605.01713); Dhamdhere et al. (arXiv 1805.12233); Sundararajan et al. (arXiv 1703.01365).
    """
    attribute = _imported()
    if attribute is None:
        return abstaining(len(refs), len(examples), Message(id="captum is not installed here, so this measure could not be taken."))
    dear = voter != "gradient_x_activation"
    taken = take(loaded, stack, examples, tokens or (DEAR_TOKENS.get(loaded.device.type, DEAR_TOKENS["cpu"]) if dear else None))
    if isinstance(taken, Message):
        return abstaining(len(refs), len(examples), taken)
    batches = cut_batches([one.example for one in taken], batch_tokens, causal=stack.info.causal)
    sums = np.full((len(taken), len(refs)), np.nan)
    try:
        with torch.enable_grad(), without_dropout(loaded.model), left_out(stack, removed), only_these_learn(loaded.model, ()):
            run = _Run(loaded, stack, refs, attribute, steps, pause, _average_word(loaded, taken))
            for batch in batches:
                pause()
                sums[list(batch.members)] = _WAYS[voter](run, _Placed.of(batch, loaded.device))
    except (MemoryError, RuntimeError, NotImplementedError, TypeError, ValueError) as exc:
        return abstaining(len(refs), len(examples), failed(loaded, exc, batch_tokens))
    rows = sums / np.array([one.judged for one in taken])[:, None]
    passes = float(attribution_cost(voter, len(refs), 0, steps).forward_passes)
    return scores_of([[one] for one in taken], rows, len(examples), passes=passes, notes=told(taken, examples))


def _imported() -> Any:
    """captum's attributions; None where it is missing. Imported here because it brings a drawing library along."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what the drawing library says of itself
            import captum.attr
    except ImportError:
        return None
    return captum.attr


# -- probes ------------------------------------------------------------------------------------------------------------


class _Probe(nn.Module):
    """Hands a unit's contribution [B, n, d] on as it is, and remembers it."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = torch.empty(0)

    def forward(self, contribution: Tensor) -> Tensor:
        self.seen = contribution
        return contribution + 0  # a tensor of its own, so that captum's is never the one that is taken away again


@dataclass
class _Now:
    """The run under way: its examples, and how much of each contribution the probes are shown."""

    size: int = 1
    switch: Tensor | None = None


@contextmanager
def _probed(stack: Stack, refs: Sequence[UnitRef], now: _Now) -> Iterator[list[_Probe]]:
    """Inside, each unit's contribution goes through a probe of its own; what the model computes is the same."""
    probes = [_Probe() for _ in refs]
    with ExitStack() as cleanup:
        for ref, probe in zip(refs, probes, strict=True):
            module, stand_in = ways_of(stack, [ref])[0][-1]
            for handle in _hooked(module, replace(stand_in, cached_as=None), probe, now):  # nothing is left out: no cache is told
                cleanup.callback(handle.remove)
        yield probes


def _hooked(module: nn.Module, stand_in: StandIn, probe: _Probe, now: _Now) -> Iterator[Any]:
    """A unit contributes what its last module gives, less what would stand in its place without it."""
    instead: list[Tensor] = []

    def enters(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        instead[:] = [first_tensor(stand_in(*args, **kwargs)).detach().clone()]  # copied: some blocks add to it in place

    def leaves(_: nn.Module, __: tuple[Any, ...], output: Any) -> Any:
        left = first_tensor(output)
        added = (left.detach().float() - instead.pop().float()).reshape(now.size, -1, left.shape[-1])
        shown = probe(added if now.switch is None else added * now.switch)
        whole = left + (shown - added).reshape(left.shape).to(left.dtype)
        return whole if isinstance(output, Tensor) else (whole, *output[1:])

    yield module.register_forward_pre_hook(enters, with_kwargs=True)
    yield module.register_forward_hook(leaves)


# -- running -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Placed:
    """A batch on the device: ids and mask [B, S], and behind each state that is judged the token it predicts, else -1."""

    ids: Tensor
    mask: Tensor
    targets: Tensor

    @classmethod
    def of(cls, batch: Batch, device: torch.device) -> _Placed:
        """Of a batch."""
        targets = np.full(batch.ids.size, -1, dtype=np.int64)
        targets[batch.rows] = batch.targets
        return cls(*(torch.from_numpy(array).to(device) for array in (batch.ids, batch.mask, targets.reshape(batch.ids.shape))))


class _Run:
    """A model with its probes' places, asked in each voter's way: [B, M] of one batch."""

    def __init__(
        self,
        loaded: LoadedModel,
        stack: Stack,
        refs: Sequence[UnitRef],
        captum: Any,
        steps: int,
        pause: Callable[[], None],
        average: Tensor,
    ) -> None:
        self.stack, self.refs, self.captum, self.steps, self.pause = stack, refs, captum, steps, pause
        self.head, self.embed, self.average = Head(loaded, stack), loaded.model.get_input_embeddings(), average
        self.now = _Now()
        self._uncached = {"use_cache": False} if stack.info.causal else {}

    def by_gradient(self, batch: _Placed) -> Floats:
        """Gradient x activation of all units, from one run."""
        with _probed(self.stack, self.refs, self.now) as probes:
            way = self.captum.LayerGradientXActivation(partial(self._losses, "input_ids"), probes)
            return _table(way.attribute(batch.ids, additional_forward_args=(batch.mask, batch.targets)))

    def by_conductance(self, batch: _Placed) -> Floats:
        """captum's LayerConductance sums, step by step for all units at once, where captum goes all steps for each."""
        words = self.embed(batch.ids).detach()
        others = (batch.mask, batch.targets)
        points = (1 + np.polynomial.legendre.leggauss(self.steps + 1)[0]) / 2
        with _probed(self.stack, self.refs, self.now) as probes:
            way = self.captum.LayerGradientXActivation(partial(self._losses, "inputs_embeds"), probes, multiply_by_inputs=False)
            gradients, before, totals = _none(), _none(), _none()
            for number, point in enumerate(points):
                self.pause()
                mixed = self.average + float(point) * (words - self.average)
                if number < self.steps:
                    found = way.attribute(mixed, additional_forward_args=others)
                else:  # of the last point only the contributions are needed
                    with torch.no_grad():
                        self._losses("inputs_embeds", mixed, *others)
                seen = [probe.seen.detach() for probe in probes]
                grown = [gradient * (now - then) for gradient, now, then in zip(gradients, seen, before, strict=False)]
                totals = [total + more for total, more in zip(totals, grown, strict=True)] if totals else grown
                gradients, before = found, seen
        return _table(totals)

    def by_path(self, batch: _Placed) -> Floats:
        """Integrated gradients of each unit from left out (switch 0) to as it is (switch 1)."""
        found: list[Tensor] = []
        on = batch.ids.new_ones(len(batch.ids), 1, 1, dtype=torch.float32)
        for ref in self.refs:
            self.pause()
            with _probed(self.stack, [ref], self.now) as (probe,):
                way = self.captum.LayerIntegratedGradients(self._switched, probe)
                found.append(
                    way.attribute(
                        on,
                        baselines=torch.zeros_like(on),
                        additional_forward_args=(batch.ids, batch.mask, batch.targets),
                        n_steps=self.steps,
                        internal_batch_size=len(on),
                    )
                )
        return _table(found)

    def _switched(self, switch: Tensor, ids: Tensor, mask: Tensor, targets: Tensor) -> Tensor:
        self.now.switch = switch
        return self._losses("input_ids", ids, mask, targets)

    def _losses(self, name: str, words: Tensor, mask: Tensor, targets: Tensor) -> Tensor:
        """[B] loss of each example's judged tokens, added up."""
        self.now.size = len(words)
        masked = {} if bool(mask.all()) else {"attention_mask": mask}
        final: Tensor = self.stack.root(**{name: words}, **masked, **self._uncached)[0]
        owners, places = (targets >= 0).nonzero(as_tuple=True)
        logits = self.head.scores(final[owners, places]).float()
        losses = nn.functional.cross_entropy(logits, targets[owners, places].to(logits.device), reduction="none")
        return losses.new_zeros(len(words)).index_add(0, owners.to(losses.device), losses)


_WAYS: dict[Voter, Callable[[_Run, _Placed], Floats]] = {
    "gradient_x_activation": _Run.by_gradient,
    "conductance": _Run.by_conductance,
    "integrated_gradients": _Run.by_path,
}


def _none() -> list[Tensor]:
    return []


def _average_word(loaded: LoadedModel, taken: Sequence[Taken]) -> Tensor:
    """[d] mean embedding of the tokens that are run: where the path of conductance starts. Norms make nothing of an empty start."""
    ids = torch.from_numpy(np.concatenate([one.example.input_ids for one in taken])).to(loaded.device)
    mean: Tensor = loaded.model.get_input_embeddings()(ids).detach().float().mean(dim=0)
    return mean.to(loaded.dtype)


def _table(found: Sequence[Tensor]) -> Floats:
    """M tensors [B, n, d] to [B, M]: each place's sum over the width, then all places without sign."""
    sums = torch.stack([one.detach().float().sum(dim=-1).abs().sum(dim=1).cpu() for one in found], dim=1)
    table: Floats = sums.numpy().astype(np.float64)
    return table
