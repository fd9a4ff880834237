"""What a full profile costs beside a plain forward pass: time as a ratio in one run, and memory.

    python tests/benchmarks/bench_profile.py --model sample --device cpu
    python tests/benchmarks/bench_profile.py --model 7b --device cuda --dtype bfloat16 --length 2048

"Plain forward" runs the same batches through the same stack, without the LM head, without hooks. Both are run in turn,
several times; the ratio is that of the medians. Before that the plain forward is tried at growing batches, so that the
report says what share of its best tokens/s the chosen batch reaches. Needs only torch, transformers and the engine.
"""

from __future__ import annotations

import argparse
import hashlib
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

from analysis.contracts import ModelSource, ProfileSettings, TokenCounts, WorkloadInfo
from analysis.models.stack import Identity, LoadedModel, assemble
from analysis.profiling.measures import to_device
from analysis.profiling.run import ProfileJob, resolve_settings
from analysis.profiling.stream import Pass, _pack
from analysis.profiling.units import Unit, batches
from analysis.workload import PROMPT, EncodedExample, EncodedWorkload

SHAPE_7B = {"hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 32}


@dataclass(frozen=True)
class Measured:
    """One way of running: seconds of each repetition, peak bytes on the device."""

    seconds: list[float]
    peak_bytes: int

    @property
    def median(self) -> float:
        """Median seconds."""
        return statistics.median(self.seconds)


def main() -> None:
    """Parses the arguments, measures, prints a table."""
    options = _options()
    loaded = _load(options)
    encoded = _encoded(options, loaded)
    settings = resolve_settings(
        ProfileSettings(unit_tokens=options.unit, batch_tokens=options.batch, cka_minibatch=options.minibatch),
        loaded.info,
        loaded.device,
        loaded.dtype,
    )
    job = ProfileJob(loaded, encoded, settings)
    units = job.units()
    tokens = sum(unit.n_tokens for unit in units)
    if not options.no_saturation:
        _saturation(job, options, tokens)
    plain, full = _interleave(job, units, options.repeats)
    _report(options, settings, loaded, job, tokens, plain, full)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="sample", help="sample, sample-shape (random weights), 7b (random weights)")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--length", type=int, default=0, help="tokens in each sequence; 0: the sample workload itself")
    parser.add_argument("--sequences", type=int, default=32)
    parser.add_argument("--slices", type=int, default=1)
    parser.add_argument("--unit", type=int, default=None)
    parser.add_argument("--batch", type=int, default=None)
    parser.add_argument("--minibatch", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--no-saturation", action="store_true")
    return parser.parse_args()


def _load(options: argparse.Namespace) -> LoadedModel:
    if options.model == "sample":
        from analysis.models.load import load_model

        return load_model(ModelSource(kind="sample"), device=options.device, dtype=options.dtype)
    from transformers import LlamaConfig, LlamaForCausalLM

    small = {"hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30, "num_attention_heads": 9, "num_key_value_heads": 3}
    dtype = getattr(torch, options.dtype) if options.dtype != "auto" else torch.float32
    with torch.device(options.device):
        torch.set_default_dtype(dtype)
        model = LlamaForCausalLM(LlamaConfig(vocab_size=32000, **(SHAPE_7B if options.model == "7b" else small))).eval()
        torch.set_default_dtype(torch.float32)
    info, stacks = assemble(model, Identity(options.model, ModelSource(kind="folder"), "", model.dtype))
    return LoadedModel(model, info, stacks, None, model.device, model.dtype)


def _encoded(options: argparse.Namespace, loaded: LoadedModel) -> EncodedWorkload:
    if not options.length:
        from analysis.workload import Encoder, encode_workload, sample_workload

        assert loaded.tokenizer_folder is not None
        return encode_workload(sample_workload(), Encoder.from_folder(loaded.tokenizer_folder), max_tokens=1024, chat_template=True)
    generator = np.random.default_rng(0)
    examples = tuple(
        EncodedExample(
            example_id=hashlib.sha256(str(number).encode()).hexdigest(),
            slice=f"slice {number % options.slices}",
            weight=1.0,
            critical=False,
            input_ids=generator.integers(5, loaded.info.vocab_size, options.length),
            kinds=np.full(options.length, PROMPT, dtype=np.uint8),
            n_cut=0,
            excerpt="",
        )
        for number in range(options.sequences)
    )
    tokens = options.length * options.sequences
    counts = TokenCounts(n_examples=len(examples), n_tokens=tokens, n_prompt=tokens, n_response=0, n_template=0)
    info = WorkloadInfo(
        name="random",
        content_hash="",
        files=(),
        n_examples=len(examples),
        n_calibration=len(examples),
        n_verification=0,
        n_with_response=0,
        slices=(),
    )
    return EncodedWorkload(info, examples, counts, {})


@torch.no_grad()
def _plain(job: ProfileJob, units: list[Unit], batch_tokens: int) -> None:
    device, stack = job.loaded.device, job.stack
    for unit in units:
        for batch in batches(unit, batch_tokens):
            ids, mask, _, _ = _pack(unit, batch)
            inputs: dict[str, object] = {"input_ids": to_device(ids, device), "use_cache": False}
            if not mask.all():
                inputs["attention_mask"] = to_device(mask, device)
            stack.root(**inputs)


def _full(job: ProfileJob, units: list[Unit]) -> Pass:
    stream = ProfileJob(job.loaded, job.encoded, job.settings).stream(units)
    stream.run()
    return stream


def _timed(run: object, device: torch.device) -> tuple[float, int]:
    if device.type == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    started = time.perf_counter()
    run()  # type: ignore[operator]
    if device.type == "cuda":
        torch.cuda.synchronize()
    seconds = time.perf_counter() - started
    return seconds, torch.cuda.max_memory_allocated() if device.type == "cuda" else 0


def _interleave(job: ProfileJob, units: list[Unit], repeats: int) -> tuple[Measured, Measured]:
    assert job.settings.batch_tokens is not None
    batch = job.settings.batch_tokens
    ways = [lambda: _plain(job, units, batch), lambda: _full(job, units)]
    for way in ways:
        _timed(way, job.loaded.device)
    found = [[_timed(way, job.loaded.device) for way in ways] for _ in range(repeats)]
    return tuple(Measured([row[i][0] for row in found], max(row[i][1] for row in found)) for i in range(2))  # type: ignore[return-value]


def _saturation(job: ProfileJob, options: argparse.Namespace, tokens: int) -> None:
    units = job.units()
    for batch in (256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536):
        if batch > tokens or batch > max(unit.n_tokens for unit in units) * 1.01:
            break
        _plain(job, units[:2], batch)
        seconds, _ = _timed(lambda batch=batch: _plain(job, units, batch), job.loaded.device)
        print(f"plain forward, batches of {batch:>6} tokens: {tokens / seconds:>12,.0f} tokens/s")


def _report(
    options: argparse.Namespace,
    settings: ProfileSettings,
    loaded: LoadedModel,
    job: ProfileJob,
    tokens: int,
    plain: Measured,
    full: Measured,
) -> None:
    assert settings.unit_tokens is not None
    buffer = settings.unit_tokens * (job.features.n_blocks + 1) * loaded.info.hidden_size * loaded.dtype.itemsize
    print(f"\n{options.model}, {loaded.device}, {loaded.dtype}, torch {torch.__version__}")
    print(f"{len(job.encoded.examples)} examples, {tokens} tokens")
    print(f"batch {settings.batch_tokens}, unit {settings.unit_tokens}, CKA minibatch {settings.cka_minibatch}, slices {options.slices}")
    for name, way in (("plain forward", plain), ("full profile", full)):
        print(
            f"{name:14} {way.median:8.3f} s {tokens / way.median:>12,.0f} tokens/s (min {min(way.seconds):.3f}, max {max(way.seconds):.3f})"
        )
    print(f"ratio          {full.median / plain.median:8.3f}   (of the fastest: {min(full.seconds) / min(plain.seconds):.3f})")
    if loaded.device.type == "cuda":
        extra, mib = full.peak_bytes - plain.peak_bytes, 2**20
        print(f"peak memory    plain {plain.peak_bytes / mib:,.0f} MiB, profile {full.peak_bytes / mib:,.0f} MiB")
        print(
            f"extra          {extra / mib:,.0f} MiB ({extra / plain.peak_bytes:.3f} of plain), of which the buffer {buffer / mib:,.0f} MiB"
        )


if __name__ == "__main__":
    main()
