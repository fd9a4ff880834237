"""The published definitions, written out plainly in float64 numpy: one example at a time, no padding, no streaming."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from analysis.models.stack import Stack
from analysis.workload import PROMPT, RESPONSE, TEMPLATE, EncodedExample


def states_of(stack: Stack, example: EncodedExample) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """[S, P, d] residual states of one example, and by name the [S, L, d] states that the taps show inside the blocks."""
    resid: list[np.ndarray] = []
    inner: dict[str, list[np.ndarray]] = {}

    def keep(into: list[np.ndarray], value: object) -> None:
        tensor = value if isinstance(value, torch.Tensor) else value[0]  # type: ignore[index]
        into.append(tensor.detach().double().reshape(-1, tensor.shape[-1]).numpy().copy())

    def before(into: list[np.ndarray]) -> object:
        return lambda _m, args, kwargs: keep(into, args[0] if args else kwargs["hidden_states"])

    def after(into: list[np.ndarray]) -> object:
        return lambda _m, _a, out: keep(into, out)

    handles = [stack.blocks[0].register_forward_pre_hook(before(resid), with_kwargs=True)]
    for block, taps in zip(stack.blocks, stack.taps, strict=True):
        for name in ("mid", "mlp_start", "attention", "mlp"):
            tap = getattr(taps, name)
            if tap is not None and tap.side == "input":
                handles.append(tap.module.register_forward_pre_hook(before(inner.setdefault(name, [])), with_kwargs=True))
            elif tap is not None:
                handles.append(tap.module.register_forward_hook(after(inner.setdefault(name, []))))
        handles.append(block.register_forward_hook(after(resid)))
    with torch.no_grad():
        stack.root(input_ids=torch.from_numpy(example.input_ids)[None])
    for handle in handles:
        handle.remove()
    return np.stack(resid, axis=1), {name: np.stack(states, axis=1) for name, states in inner.items()}


def halves(before: np.ndarray, after: np.ndarray, inner: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Influence of attention and MLP, from what was seen inside sequential or parallel blocks."""
    if "attention" in inner:
        return {name: 1 - cosine(before, before + inner[name]) for name in ("attention", "mlp")}
    if "mid" not in inner:
        return {}
    return {"attention": 1 - cosine(before, inner["mid"]), "mlp": 1 - cosine(inner.get("mlp_start", inner["mid"]), after)}


def cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)


def angle(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    u, v = (x / np.linalg.norm(x, axis=-1, keepdims=True) for x in (a, b))
    return 2 * np.arctan2(np.linalg.norm(u - v, axis=-1), np.linalg.norm(u + v, axis=-1)) / np.pi


def sinks(states: np.ndarray) -> np.ndarray:
    norms = np.linalg.norm(states, axis=-1)
    massive = (
        (norms > 4 * np.median(norms, axis=0)).any(axis=1)
        if len(norms) % 2
        else (norms > 4 * np.sort(norms, axis=0)[len(norms) // 2 - 1]).any(axis=1)
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
        states, inner = states_of(stack, example)
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
        parts |= halves(before, after, {name: seen[mask] for name, seen in inner.items()})
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
