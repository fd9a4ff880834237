"""The published definitions, written out plainly in float64 numpy: one example at a time, no padding, no streaming."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from analysis.models.stack import Stack
from analysis.workload import PROMPT, RESPONSE, TEMPLATE, EncodedExample


def states_of(stack: Stack, example: EncodedExample) -> tuple[np.ndarray, np.ndarray | None]:
    """[S, P, d] residual states and [S, L, d] states between attention and MLP (sequential blocks) of one example."""
    resid: list[np.ndarray] = []
    mids: list[np.ndarray] = []

    def keep(into: list[np.ndarray], value: object) -> None:
        tensor = value if isinstance(value, torch.Tensor) else value[0]  # type: ignore[index]
        into.append(tensor.detach().double().reshape(-1, tensor.shape[-1]).numpy().copy())

    handles = [
        stack.blocks[0].register_forward_pre_hook(
            lambda _m, args, kwargs: keep(resid, args[0] if args else kwargs["hidden_states"]), with_kwargs=True
        )
    ]
    for block, taps in zip(stack.blocks, stack.taps, strict=True):
        if taps.mid is not None:
            if taps.mid.side == "input":
                handles.append(taps.mid.module.register_forward_pre_hook(lambda _m, args: keep(mids, args[0])))
            else:
                handles.append(taps.mid.module.register_forward_hook(lambda _m, _a, out: keep(mids, out)))
        handles.append(block.register_forward_hook(lambda _m, _a, out: keep(resid, out)))
    with torch.no_grad():
        stack.root(input_ids=torch.from_numpy(example.input_ids)[None])
    for handle in handles:
        handle.remove()
    return np.stack(resid, axis=1), np.stack(mids, axis=1) if mids else None


def cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)


def angle(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    u, v = (x / np.linalg.norm(x, axis=-1, keepdims=True) for x in (a, b))
    return 2 * np.arctan2(np.linalg.norm(u - v, axis=-1), np.linalg.norm(u + v, axis=-1)) / np.pi


def sinks(states: np.ndarray) -> np.ndarray:
    norms = np.linalg.norm(states, axis=-1)
    massive = (
        (norms > 10 * np.median(norms, axis=0)).any(axis=1)
        if len(norms) % 2
        else (norms > 10 * np.sort(norms, axis=0)[len(norms) // 2 - 1]).any(axis=1)
    )
    massive[0] = True
    return massive


def groups(example: EncodedExample, states: np.ndarray) -> dict[str, np.ndarray]:
    sink = sinks(states)
    chosen = {
        "prompt": (example.kinds == PROMPT) & ~sink,
        "response": (example.kinds == RESPONSE) & ~sink,
        "template": (example.kinds == TEMPLATE) & ~sink,
        "sink": sink,
    }
    chosen["overall"] = chosen["prompt"] | chosen["response"]
    chosen[example.slice] = chosen["overall"]
    return chosen


def scores(stack: Stack, examples: Sequence[EncodedExample], group: str) -> dict[str, np.ndarray]:
    """Weighted token means of every measure over one group, straight from the definitions."""
    total: dict[str, np.ndarray] = {}
    weight, last_weight = 0.0, 0.0
    for example in examples:
        states, mids = states_of(stack, example)
        chosen = groups(example, states)
        mask = chosen.get(group, np.zeros(len(states), dtype=bool))
        p = states.shape[1]
        tokens = states[mask]
        before, after = tokens[:, :-1], tokens[:, 1:]
        parts = {
            "block": 1 - cosine(before, after),
            "contribution": np.linalg.norm(after - before, axis=-1) / np.linalg.norm(after, axis=-1),
            "norms": np.linalg.norm(tokens, axis=-1),
            "cosine": np.moveaxis(np.array([[cosine(tokens[:, i], tokens[:, j]) for j in range(p)] for i in range(p)]), -1, 0),
            "angle": np.moveaxis(np.array([[angle(tokens[:, i], tokens[:, j]) for j in range(p)] for i in range(p)]), -1, 0),
        }
        if mids is not None:
            parts["attention"], parts["mlp"] = 1 - cosine(before, mids[mask]), 1 - cosine(mids[mask], after)
        for name, values in parts.items():
            total[name] = total.get(name, 0) + example.weight * values.sum(axis=0)
        weight += example.weight * mask.sum()
        default = np.flatnonzero((np.isin(example.kinds, (PROMPT, RESPONSE))) & (np.arange(len(states)) > 0))
        in_group = group == "overall" or group == example.slice
        if in_group and len(default) and not sinks(states)[default[-1]]:
            last = states[default[-1]]
            total["last"] = total.get("last", 0) + example.weight * np.array(
                [[angle(last[i], last[j]) for j in range(p)] for i in range(p)]
            )
            last_weight += example.weight
    return {name: value / (last_weight if name == "last" else weight) for name, value in total.items()}


def unbiased_hsic(x: np.ndarray, y: np.ndarray) -> float:
    """Song et al. 2012, equation 5, by explicit loops over the definition with matrices K~ and L~."""
    n = len(x)
    k, m = x @ x.T, y @ y.T
    np.fill_diagonal(k, 0)
    np.fill_diagonal(m, 0)
    one = np.ones(n)
    return float(
        (np.trace(k @ m) + (one @ k @ one) * (one @ m @ one) / ((n - 1) * (n - 2)) - 2 / (n - 2) * (one @ k @ m @ one)) / (n * (n - 3))
    )
