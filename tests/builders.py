"""Profiles that look real without a model: deterministic, plausible, with intervals and undefined cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.contracts import (
    BlockInfo,
    ExampleScore,
    Interval,
    Matrix,
    ModelInfo,
    ModelSource,
    Profile,
    ProfileSettings,
    RankStability,
    ScoreIntervals,
    Scores,
    Series,
    SliceInfo,
    StackInfo,
    SubBlockInfo,
    Timing,
    TokenCounts,
    WorkloadInfo,
    WorkloadPreview,
)

Array = NDArray[np.float64]
SLICES = ("inspection notes", "order entry", "maintenance logs", "customer mail", "code", "arithmetic", "summaries", "Japanese requests")
SINK_BLOCK_SHARE = 0.37
"""Where the block sits that does much to sink tokens and little to others (block 11 of 30)."""


def make_sub_block(
    n_parameters: int, *, context_flops: int = 0, kv_bytes: int = 0, window: int | None = None, norm: int = 0
) -> SubBlockInfo:
    """A half of a block in bfloat16 whose parameters, but for `norm`, all take part in matrix products."""
    return SubBlockInfo(
        n_parameters=n_parameters + norm,
        weight_bytes=2 * (n_parameters + norm),
        linear_flops_per_token=2 * n_parameters,
        flops_per_token_per_context=context_flops,
        attention_window=window,
        kv_bytes_per_token=kv_bytes,
    )


def make_model(
    n_blocks: int = 30,
    *,
    hidden: int = 576,
    mlp: int = 1536,
    heads: int = 9,
    kv_heads: int = 3,
    vocab: int = 49152,
    causal: bool = True,
    window: int | None = None,
    loose_norms: int = 0,
    name: str = "SmolLM2-135M-Instruct",
    kind: str = "sample",
    commit: str = "c0ffee",
) -> ModelInfo:
    """A Llama-shaped model (the sample's shapes by default); `loose_norms` parameters of each block belong to neither half."""
    head_dim = hidden // heads
    attention = make_sub_block(
        2 * hidden * hidden + 2 * hidden * kv_heads * head_dim,
        context_flops=4 * heads * head_dim,
        kv_bytes=4 * kv_heads * head_dim if causal else 0,
        window=window,
        norm=hidden,
    )
    gated_mlp = make_sub_block(3 * hidden * mlp, norm=hidden)
    per_block = attention.n_parameters + gated_mlp.n_parameters + loose_norms
    blocks = tuple(
        BlockInfo(index=index, n_parameters=per_block, weight_bytes=2 * per_block, attention=attention, mlp=gated_mlp)
        for index in range(n_blocks)
    )
    total = n_blocks * per_block + vocab * hidden + hidden
    return ModelInfo(
        name=name,
        source=ModelSource.model_validate({"kind": kind, "location": "" if kind == "sample" else name}),
        commit=commit,
        architecture="LlamaForCausalLM",
        hidden_size=hidden,
        vocab_size=vocab,
        max_context_tokens=8192,
        dtype="bfloat16",
        n_parameters=total,
        weight_bytes=2 * total,
        embedding_parameters=vocab * hidden,
        head_flops_per_token=2 * vocab * hidden,
        tied_head=True,
        stacks=(StackInfo(name="decoder", path="model.layers", layout="pre_norm", causal=causal, blocks=blocks),),
    )


def make_scores(
    n_blocks: int, *, seed: int, n_tokens: int = 160, sink: bool = False, intervals: bool = True, undefined_cka: bool = True
) -> Scores:
    """The measures over a made-up residual stream: large turns at both ends, small ones in the middle."""
    random = np.random.default_rng(seed)
    states, halves = _walk(n_blocks, random, n_tokens, sink)
    unit = states / np.linalg.norm(states, axis=-1, keepdims=True)
    cosine = np.einsum("ptd,qtd->pq", unit, unit) / n_tokens
    angles = np.arccos(np.clip(np.einsum("ptd,qtd->pqt", unit, unit), -1.0, 1.0)) / np.pi
    cka = _cka(states)
    block = _series(1.0 - np.diagonal(cosine, offset=1))
    attention, mlp = (_series(1.0 - _mean_cosine(a, b)) for a, b in ((states[:-1], halves), (halves, states[1:])))
    return Scores(
        n_tokens=n_tokens * 20,
        n_examples=80,
        block_influence=block,
        attention_influence=attention,
        mlp_influence=mlp,
        relative_contribution=_series(
            np.mean(np.linalg.norm(states[1:] - states[:-1], axis=-1) / np.linalg.norm(states[1:], axis=-1), axis=-1)
        ),
        norms=_series(np.linalg.norm(states, axis=-1).mean(axis=-1)),
        cosine_similarity=_matrix(cosine),
        angular_distance=_matrix(angles.mean(axis=-1)),
        angular_distance_last_token=_matrix(angles[:, :, ::8].mean(axis=-1)),
        linear_cka=None if sink else _matrix(cka, hole=undefined_cka),
        cka_minibatches=0 if sink else 25,
        intervals=_intervals(block, attention, mlp, angles.mean(axis=-1), cka) if intervals else None,
    )


def make_profile(
    n_blocks: int = 30, *, seed: int = 0, slices: Sequence[str] = SLICES, model: ModelInfo | None = None, **changes: Any
) -> Profile:
    """A profile of the sample's shape; `changes` replace fields (e.g. ``id="other"``, ``workload=...``)."""
    model = model or make_model(n_blocks)
    names = (*slices, "prompt", "response", "template", "sink")
    per_slice = {
        name: make_scores(n_blocks, seed=seed + 1 + place, n_tokens=40, sink=name == "sink", intervals=False)
        for place, name in enumerate(names)
    }
    fields: dict[str, Any] = {
        "id": f"profile-{n_blocks}-{seed}",
        "name": "sample run",
        "model": model,
        "stack": model.stacks[0].name,
        "workload": make_workload(slices),
        "counts": make_counts(),
        "settings": ProfileSettings(),
        "methods": {"block_influence": "1", "linear_cka": "1"},
        "overall": make_scores(n_blocks, seed=seed),
        "slices": per_slice,
        "examples": _examples(n_blocks, seed, slices),
        "rank_stability": tuple(
            RankStability(n_examples=n, spearman_median=1 - 0.6 / n**0.7, spearman_low=1 - 1.6 / n**0.7, top_overlap=1 - 0.9 / n**0.6)
            for n in (5, 10, 20, 40, 80)
        ),
        "timing": _timing(),
        "versions": {"torch": "2.13.0"},
    }
    return Profile(**(fields | changes))


def make_workload(slices: Sequence[str] = SLICES, *, is_sample: bool = True, n_each: int = 20) -> WorkloadInfo:
    """A workload of equally large slices, half of each for calibration."""
    infos = tuple(
        SliceInfo(
            name=name, n_examples=n_each, n_calibration=n_each // 2, n_verification=n_each - n_each // 2, n_critical=4 if place < 2 else 0
        )
        for place, name in enumerate(slices)
    )
    total = n_each * len(slices)
    return WorkloadInfo(
        name="sample workload",
        content_hash="ab" * 32,
        files=(),
        n_examples=total,
        n_calibration=total // 2,
        n_verification=total - total // 2,
        n_with_response=total,
        is_sample=is_sample,
        slices=infos,
    )


def make_counts() -> TokenCounts:
    """Token counts of the sample workload's calibration half."""
    return TokenCounts(n_examples=80, n_tokens=4400, n_prompt=2300, n_response=1300, n_template=800, chat_template=True)


def make_preview() -> WorkloadPreview:
    """What the Workload page shows before a run."""
    random = np.random.default_rng(4)
    return WorkloadPreview(
        workload=make_workload(),
        counts=make_counts(),
        slice_tokens={name: 400 + 60 * place for place, name in enumerate(SLICES)},
        lengths=tuple(int(x) for x in np.clip(random.lognormal(4.0, 0.45, 80), 12, 1024)),
        examples=({"slice": "order entry", "prompt": "Enter an order of 40 bearings 6204.", "response": "Order entered."},),
    )


def _walk(n_blocks: int, random: np.random.Generator, n_tokens: int, sink: bool) -> tuple[Array, Array]:
    width, sink_block = 32, int(n_blocks * SINK_BLOCK_SHARE)
    shared = np.random.default_rng(7)
    drift = shared.normal(size=(2 * n_blocks, width))
    depth = np.linspace(0.0, 1.0, n_blocks)
    step = 0.20 + 0.75 * np.exp(-depth * 14) + 0.55 * np.exp(-(1 - depth) * 16) + 0.05 * shared.random(n_blocks)
    stream = random.normal(size=(n_tokens, width))
    states: list[Array] = [stream]
    halves: list[Array] = []
    for block in range(n_blocks):
        for half in range(2):
            size = step[block] * (0.55 if half == 0 else 0.83)
            if sink:
                size = 3.0 if block == sink_block else 0.5 * size
            update = random.normal(size=(n_tokens, width)) + 0.7 * drift[2 * block + half]
            stream = stream + size * update * np.linalg.norm(stream, axis=-1, keepdims=True) / np.linalg.norm(
                update, axis=-1, keepdims=True
            )
            (halves if half == 0 else states).append(stream)
    return np.stack(states), np.stack(halves)


def _mean_cosine(a: Array, b: Array) -> Array:
    products: Array = (a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)
    return np.asarray(products.mean(axis=-1))


def _cka(states: Array) -> Array:
    centred = states - states.mean(axis=1, keepdims=True)
    grams = np.einsum("ptd,psd->pts", centred, centred)
    flat = grams.reshape(len(grams), -1)
    flat = flat / np.linalg.norm(flat, axis=1, keepdims=True)
    return np.asarray(flat @ flat.T)


def _series(values: Array) -> Series:
    return tuple(round(float(value), 6) for value in values)


def _matrix(values: Array, hole: bool = False) -> Matrix:
    undefined = len(values) // 2
    return tuple(
        tuple(None if hole and undefined in (i, j) and abs(i - j) > 2 else round(float(value), 6) for j, value in enumerate(row))
        for i, row in enumerate(values)
    )


def _around(values: Series, share: float = 0.15) -> tuple[Interval | None, ...]:
    return tuple(None if value is None else (value * (1 - share), value * (1 + share)) for value in values)


def _rank_intervals(values: Series) -> tuple[Interval | None, ...]:
    order = sorted(range(len(values)), key=lambda index: values[index] or 0.0)
    rank = {block: place for place, block in enumerate(order, start=1)}
    return tuple((float(max(1, rank[block] - 2)), float(min(len(values), rank[block] + 2))) for block in range(len(values)))


def _intervals(block: Series, attention: Series, mlp: Series, angles: Array, cka: Array) -> ScoreIntervals:
    return ScoreIntervals(
        replicates=200,
        block_influence=_around(block),
        attention_influence=_around(attention),
        mlp_influence=_around(mlp),
        block_rank=_rank_intervals(block),
        attention_rank=_rank_intervals(attention),
        mlp_rank=_rank_intervals(mlp),
        angular_distance=tuple(_around(row, 0.06) for row in _matrix(angles)),
        linear_cka=tuple(_around(row, 0.04) for row in _matrix(cka)),
    )


def _examples(n_blocks: int, seed: int, slices: Sequence[str]) -> tuple[ExampleScore, ...]:
    base = make_scores(n_blocks, seed=seed, n_tokens=24, intervals=False).block_influence
    random = np.random.default_rng(seed + 99)
    texts: Mapping[str, str] = {
        "order entry": "Enter an order of 40 bearings 6204 for Suzuki Works, delivery on",
        "Japanese requests": "次の検査記録を要約してください。",
    }
    return tuple(
        ExampleScore(
            example_id=f"example-{place:03d}",
            slice=slices[place % len(slices)],
            n_tokens=30 + place,
            critical=place % 10 == 0,
            block_influence=tuple(
                round((value or 0.0) * float(factor), 6) for value, factor in zip(base, random.lognormal(0, 0.3, n_blocks), strict=True)
            ),
            excerpt=texts.get(slices[place % len(slices)], f"Prompt number {place} of the {slices[place % len(slices)]} slice, shortened"),
        )
        for place in range(40)
    )


def _timing() -> Timing:
    return Timing(
        device="cpu",
        device_name="CPU, 2 cores",
        dtype="float32",
        started_at="2026-04-01T09:00:00+00:00",
        load_seconds=2.1,
        profile_seconds=31.0,
        tokens_per_second=142.0,
        peak_memory_bytes=1_400_000_000,
        batch_tokens=1024,
        unit_tokens=1024,
    )
