"""Running sums over units. Each is flat in the size of the workload, can be merged, saved and reduced over machines.

accumulator.update(unit_sums)   adds a unit            accumulator.merge(other)      adds another's sums
accumulator.state()             tensors to keep        accumulator.all_reduce_()     adds those of all ranks
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from analysis.profiling.bootstrap import Floats, minibatch_weights, poisson_weights
from analysis.profiling.features import Features
from analysis.profiling.measures import UnitSums, to_device
from analysis.profiling.units import LAST, N_KINDS, SINK, MinibatchView
from analysis.workload import PROMPT, RESPONSE, TEMPLATE


class Accumulator(Protocol):
    """What `profile_model` needs of running sums; other rooms bring their own."""

    def update(self, unit: UnitSums) -> None:
        """Adds a unit."""

    def state(self) -> Mapping[str, Tensor]:
        """The sums themselves, not copies."""


class Sums(ABC):
    """Named tensors that add: the base of every accumulator here."""

    def __init__(self, **tensors: Tensor) -> None:
        self.tensors = tensors

    @abstractmethod
    def update(self, unit: UnitSums) -> None:
        """Adds a unit."""

    def state(self) -> Mapping[str, Tensor]:
        """The sums themselves, not copies."""
        return self.tensors

    @property
    def own_seconds(self) -> float:
        """Time of the pass that these sums took for themselves and that is none of the profile's."""
        return 0.0

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Continues from saved sums."""
        for name, tensor in self.tensors.items():
            tensor.copy_(state[name])

    def merge(self, other: Sums) -> None:
        """Adds the sums of another part of the workload."""
        for name, tensor in self.tensors.items():
            tensor.add_(other.tensors[name].to(tensor.device))

    def all_reduce_(self) -> None:
        """Adds the sums of all ranks (torch.distributed must be up)."""
        for tensor in self.tensors.values():
            torch.distributed.all_reduce(tensor)


KIND_SETS = {"overall": (PROMPT, RESPONSE), "prompt": (PROMPT,), "response": (RESPONSE,), "template": (TEMPLATE,), "sink": (SINK,)}


class ScoreSums(Sums):
    """Sums of all token measures for every group of tokens, and their bootstrap replicates.

    Groups: the default tokens, the automatic slices, and the workload's own slices; `last` the same over last tokens.
    G groups, R replicates, F columns.
    """

    def __init__(self, features: Features, slices: Sequence[str], replicates: int) -> None:
        self.features, self.slices, self.replicates = features, tuple(slices), replicates
        self.groups = (*KIND_SETS, *(name for name in slices if name not in KIND_SETS))
        n, r, device = len(self.groups), replicates, features.device
        influences = features.influence.stop

        def zeros(*shape: int) -> Tensor:
            return torch.zeros(*shape, dtype=torch.float64, device=device)

        super().__init__(
            sums=zeros(n, features.width),
            weights=zeros(n),
            last_sums=zeros(n, features.n_pairs),
            last_weights=zeros(n),
            tokens=zeros(n),
            examples=zeros(n),
            replicate_sums=zeros(n, r, influences),
            replicate_weights=zeros(n, r),
            replicate_rest=zeros(r, features.width - influences),
            invalid=zeros(1),
        )

    def update(self, unit: UnitSums) -> None:
        """Adds a unit: a handful of matrix products, no waiting for the device."""
        device, sums = unit.sums.device, self.tensors
        members = to_device(self._members(unit), device)
        weight = to_device(np.array([example.weight for example in unit.unit.examples], dtype=np.float64), device)
        chosen = (members[:, :, :LAST] * unit.counts[None, :, :LAST]).sum(2)
        weighted = members[:, :, :LAST] * weight[None, :, None]
        flat = unit.sums[:, :LAST].flatten(0, 1)
        sums["sums"].addmm_(weighted.flatten(1), flat)
        sums["weights"] += chosen @ weight
        sums["tokens"] += chosen.sum(1)
        sums["examples"] += (chosen > 0).double().sum(1)
        of_slice = members[:, :, PROMPT].maximum(members[:, :, RESPONSE]) * weight
        sums["last_sums"].addmm_(of_slice, unit.sums[:, LAST, self.features.angles])
        sums["last_weights"] += of_slice @ unit.counts[:, LAST]
        sums["invalid"] += unit.n_invalid
        self._replicate(unit, members, weight, chosen)

    def _replicate(self, unit: UnitSums, members: Tensor, weight: Tensor, chosen: Tensor) -> None:
        draws = to_device(poisson_weights([one.example_id for one in unit.unit.examples], self.replicates), weight.device) * weight
        influence = unit.sums[:, :LAST, self.features.influence]
        per_group = torch.einsum("gek,ekf->gef", members[:, :, :LAST], influence)
        self.tensors["replicate_sums"] += draws @ per_group
        self.tensors["replicate_weights"] += chosen @ draws.T
        rest = unit.sums[:, PROMPT] + unit.sums[:, RESPONSE]
        self.tensors["replicate_rest"].addmm_(draws, rest[:, self.features.influence.stop :])

    def _members(self, unit: UnitSums) -> Floats:
        """[G, E, kinds] 1 where a token of that kind in that example belongs to the group."""
        kinds = np.zeros((len(self.groups), 1, N_KINDS))
        examples = np.ones((len(self.groups), len(unit.unit.examples), 1))
        for row, name in enumerate(self.groups):
            kinds[row, 0, list(KIND_SETS.get(name, KIND_SETS["overall"]))] = 1
            if name not in KIND_SETS:
                examples[row, :, 0] = [one.slice == name for one in unit.unit.examples]
        return kinds * examples


class CkaSums(Sums):
    """HSIC of all pairs of positions, averaged over minibatches, for the default tokens, prompts, responses and slices."""

    def __init__(self, features: Features, slices: Sequence[str], replicates: int) -> None:
        self.groups = ("overall", "prompt", "response", *(name for name in slices if name not in KIND_SETS))
        self.replicates, p, device = replicates, features.n_positions, features.device

        def zeros(*shape: int) -> Tensor:
            return torch.zeros(*shape, dtype=torch.float64, device=device)

        n = len(self.groups)
        super().__init__(
            hsic=zeros(n, p, p),
            minibatches=zeros(n),
            tokens=zeros(n),
            replicate_hsic=zeros(replicates, p, p),
            replicate_tokens=zeros(replicates),
        )

    def update(self, unit: UnitSums) -> None:
        """Adds the unit's minibatches, each weighted by its tokens."""
        view = unit.unit.minibatches
        if view is None:
            return
        parts = self._parts(unit, view)
        self._replicate(unit, view, *parts["overall"])
        of_group = np.repeat([self.groups.index(name) for name in parts], [len(tokens) for _, tokens in parts.values()])
        member = to_device((np.arange(len(self.groups))[:, None] == of_group).astype(np.float64), unit.sums.device)
        hsic, tokens = (torch.cat([part[which] for part in parts.values()]) for which in range(2))
        self.tensors["hsic"] += ((member * tokens) @ hsic.flatten(1)).view_as(self.tensors["hsic"])
        self.tensors["tokens"] += member @ tokens
        self.tensors["minibatches"] += member @ (tokens > 0).double()

    def _parts(self, unit: UnitSums, view: MinibatchView) -> dict[str, tuple[Tensor, Tensor]]:
        """Group -> (hsic [k, P, P], tokens [k]) of its minibatches in this unit; nothing is computed twice."""
        kinds = unit.unit.slot_kind[: view.n_tokens]
        present = {name: kind for name, kind in (("prompt", PROMPT), ("response", RESPONSE)) if (kinds == kind).any()}
        masks = [unit.kind == kind for kind in present.values()] if len(present) > 1 else []
        overall, *by_kind = unit.minibatches(view, [None, *masks])
        parts = {"overall": overall, **dict(zip(present, by_kind or [overall], strict=True))}
        for own in unit.unit.slice_minibatches:
            if own.name in self.groups[3:]:
                parts[own.name] = overall if own.n_tokens == view.n_tokens else unit.minibatches(own, [None])[0]
        return parts

    def _replicate(self, unit: UnitSums, view: MinibatchView, hsic: Tensor, tokens: Tensor) -> None:
        draws = minibatch_weights(unit.unit.examples[0].example_id, view.count, self.replicates)
        weights = to_device(draws, tokens.device) * tokens
        self.tensors["replicate_hsic"] += torch.einsum("rk,kij->rij", weights, hsic)
        self.tensors["replicate_tokens"] += weights.sum(1)


class ExampleTable(Sums):
    """Each prompt's own Block Influence: the first `capacity` prompts in content-hash order, which is a random sample."""

    def __init__(self, features: Features, n_examples: int, capacity: int = 2000) -> None:
        self.features, self.capacity = features, min(n_examples, capacity)
        super().__init__(
            cosines=torch.zeros(self.capacity, features.n_blocks, dtype=torch.float64, device=features.device),
            counts=torch.zeros(self.capacity, dtype=torch.float64, device=features.device),
        )

    def update(self, unit: UnitSums) -> None:
        """Writes the unit's prompts into their rows."""
        first = unit.unit.first_example
        stop = min(first + len(unit.unit.examples), self.capacity)
        if first >= stop:
            return
        block = unit.sums[: stop - first, :, : self.features.n_blocks]
        self.tensors["cosines"][first:stop] = block[:, PROMPT] + block[:, RESPONSE]
        self.tensors["counts"][first:stop] = unit.counts[: stop - first, PROMPT] + unit.counts[: stop - first, RESPONSE]
