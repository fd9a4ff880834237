"""The published definitions of the traces in float64 numpy: one unpadded prompt at a time, bases as whole matrices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from analysis.models.stack import LoadedModel
from analysis.workload import RESPONSE, EncodedExample
from tests.profiling import oracle


@dataclass
class Traces:
    """Weighted token means: curve -> [P] deviations, curve -> [L] alignments; the lens' four; curve -> share right."""

    deviation: dict[str, np.ndarray]
    alignment: dict[str, np.ndarray]
    lens: np.ndarray
    right: dict[str, float]
    n_tokens: int


def whole_bases(weight: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Name -> (S [V, d], the map of the states [d, d]), straight from the definitions."""
    centred = weight - weight.mean(0)
    values, vectors = np.linalg.eigh(centred.T @ centred)
    kept = values > 1e-11 * values[-1]
    root = (vectors * np.where(kept, np.sqrt(np.abs(values)), 0)) @ vectors.T
    eye = np.eye(weight.shape[1])
    return {
        "literal": (np.linalg.pinv(weight, rcond=1e-9).T, eye),
        "centred": (np.linalg.pinv(centred, rcond=1e-9).T, eye),
        "whitened": (np.linalg.pinv(centred @ np.linalg.pinv(root, rcond=1e-6), rcond=1e-9).T, root),
    }


def wide(loaded: LoadedModel) -> LoadedModel:
    """The same model in float64, so that the oracle's own states are exact."""
    loaded.model.double()
    return loaded


def traces(
    loaded: LoadedModel, norm: torch.nn.Module | None, examples: Sequence[EncodedExample], words: np.ndarray | None = None
) -> Traces:
    """Of all response tokens. `loaded` is in float64; `norm` is named by the test, not found."""
    model, stack = loaded.model, loaded.stack()
    rows = model.get_output_embeddings().weight.detach().numpy()
    rows = rows if words is None else rows[words]
    bases = whole_bases(rows)
    total = dict.fromkeys((*_curves(), *(f"{name}/way" for name in _curves()), *(f"{name}/right" for name in _curves())), 0.0)
    lens, weight, n = np.zeros((4, len(stack.blocks) + 1)), 0.0, 0
    for example in examples:
        states, _ = oracle.states_of(stack, example)
        places = [t for t in np.flatnonzero(example.kinds == RESPONSE) if t > 0 and (words is None or example.input_ids[t] in words)]
        for t in places:
            word = int(example.input_ids[t]) if words is None else int(np.flatnonzero(words == example.input_ids[t])[0])
            z = states[t - 1]
            normed = z if norm is None else norm(torch.from_numpy(z)).detach().numpy()
            for suffix, form in (("", normed), ("_raw", z)):
                for name, (basis, mapping) in bases.items():
                    one = _one(form @ mapping.T, basis, word)
                    for part, value in zip(("", "/way", "/right"), one, strict=True):
                        total[f"{name}{suffix}{part}"] = total[f"{name}{suffix}{part}"] + example.weight * value
            lens += example.weight * _lens(model, normed, word, words)
            weight += example.weight
            n += 1
    return Traces(
        {name: total[name] / weight for name in _curves()},
        {name: total[f"{name}/way"] / weight for name in _curves()},
        lens / weight,
        {name: total[f"{name}/right"] / weight for name in _curves()},
        n,
    )


def _curves() -> list[str]:
    return [f"{name}{suffix}" for suffix in ("", "_raw") for name in ("literal", "centred", "whitened")]


def _one(z: np.ndarray, bases: np.ndarray, word: int) -> tuple[np.ndarray, np.ndarray, float]:
    s = bases[word] / np.linalg.norm(bases[word])
    deviation = 1 - z @ s / np.linalg.norm(z, axis=1)
    step, way = z[1:] - z[:-1], np.linalg.norm(z[:-1], axis=1, keepdims=True) * s - z[:-1]
    alignment = (step * way).sum(1) / np.linalg.norm(step, axis=1) / np.linalg.norm(way, axis=1)
    scores = bases @ z[-1] / np.linalg.norm(bases, axis=1)
    return deviation, alignment, float(scores.argmax() == word)


def _lens(model: torch.nn.Module, normed: np.ndarray, word: int, words: np.ndarray | None) -> np.ndarray:
    """[4, P] by the head's plain matrix product (and its own scaling, where it has one)."""
    head = model.get_output_embeddings()
    logits = head(torch.from_numpy(normed)).detach()
    cap = getattr(model.config, "final_logit_softcapping", None)
    logits = (torch.tanh(logits / cap) * cap if cap else logits).numpy()
    logits = logits if words is None else logits[:, words]
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    rank = 1 + (logits > logits[:, word : word + 1]).sum(1)
    return np.stack([-np.log(p[:, word]), rank == 1, 1 / rank, -(p * np.log(p)).sum(1)])
