"""`steps`: how long a training step takes on this machine, so that freeze plans can be projected in time."""

from __future__ import annotations

import typer

from analysis.cli import options, options_training
from analysis.cli.choosing import stoppable
from analysis.cli.plan_freeze import ShapeGiven
from analysis.cli.progress import shown_progress
from analysis.cli.terminal import Terminal, examples, paragraphs, stopping, terminal_of
from analysis.contracts import DType, ModelSource, StepModel, StepsRequest, TrainingShape
from analysis.i18n import N_
from analysis.i18n.numbers import number, percent, size
from analysis.reporting import training_words as words

SHORT_HELP = N_("Measure how long a training step takes here.")
HELP = paragraphs(
    N_("Measure how long a training step takes on this machine at a few last frozen layers, with and without the cache."),
    N_("Examples:"),
    examples(
        "python -m analysis steps --model sample --batch-size 8 --sequence-tokens 512",
        "python -m analysis steps --model ./my-model --method lora --device cuda:0",
    ),
    N_("The times are kept and used by plan --op freeze on this machine. Nothing is learnt: every step is undone."),
)


def steps(
    ctx: typer.Context,
    model: options.Model = "sample",
    batch_size: options_training.PlannedBatch = None,
    sequence_tokens: options_training.SequenceTokens = None,
    method: options_training.Method = None,
    lora_rank: options_training.LoraRankOr = None,
    base_bits: options_training.BaseBits = None,
    stack: options.Stack = None,
    device: options.Device = "auto",
    dtype: options.Number = "auto",
) -> None:
    """Measures, keeps the times, and says them."""
    from analysis.models.source import parse_source

    terminal = terminal_of(ctx)
    source = parse_source(model)
    usual = _usual(source, device, dtype)
    shape = ShapeGiven(batch_size, sequence_tokens, method, lora_rank, base_bits).over(usual)
    found = _measured(StepsRequest(model=source, stack=stack, device=device, shape=shape), terminal)
    _summarise(found, terminal)


def _usual(source: ModelSource, device: str, dtype: DType) -> TrainingShape:
    """The step as a trial takes it on this device when nothing else is said."""
    import torch

    from analysis.models.device import resolve_device, resolve_dtype
    from analysis.models.load import describe_model

    info = describe_model(source).info
    chosen = resolve_dtype(dtype, resolve_device(device), getattr(torch, info.dtype))
    form = str(chosen).removeprefix("torch.")
    return TrainingShape.model_validate({"dtype": form, "weight_bits": 8 * chosen.itemsize})


def _measured(request: StepsRequest, terminal: Terminal) -> StepModel:
    from analysis.runs.store import open_store, this_host
    from analysis.training.measure_steps import run_steps

    store = open_store()
    with stopping() as should_stop:
        with shown_progress(terminal) as show:
            found = run_steps(request, on_progress=stoppable(show, should_stop), should_stop=should_stop)
        store.steps.keep(found, this_host())
    return found


def _summarise(found: StepModel, terminal: Terminal) -> None:
    language, shape = terminal.language, found.shape
    terminal.tell(
        "Steps of {batch} sequences of {tokens} tokens ({method}, {dtype}) on {device}:",
        batch=shape.batch_size,
        tokens=shape.sequence_tokens,
        method=shape.method,
        dtype=shape.dtype,
        device=found.device_name,
    )
    for point in found.points:
        memory = "-" if point.peak_memory_bytes is None else size(point.peak_memory_bytes, language)
        values = {"layers": words.frozen_layers(point.eof_layer), "ms": number(point.p50_ms, language, 1), "memory": memory}
        if point.cached:
            terminal.tell("  {layers}, output cached: {ms} ms, memory {memory}", **values)
        else:
            terminal.tell("  {layers}: {ms} ms, memory {memory}", **values)
    if found.error_share is not None:
        terminal.tell(
            "Largest error of the fit at a boundary it was not made from: {share}.", share=percent(found.error_share, language, 1)
        )
