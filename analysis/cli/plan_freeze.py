"""`plan --op freeze`: which layers stay as they are while the rest is trained, and what a training step should then cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from analysis.cli.documents import read_profile, read_semantics, read_trial
from analysis.cli.terminal import Terminal
from analysis.contracts import (
    EOF_STRATEGIES,
    Aggregate,
    Change,
    EofChoice,
    EofStrategy,
    ModelInfo,
    Plan,
    Profile,
    Semantics,
    StepModel,
    TrainingProjection,
    TrainingShape,
    TrainMethod,
    Trial,
    WorkloadInfo,
    WorkloadRef,
)
from analysis.errors import InputError, ModelError
from analysis.i18n.numbers import amount, duration, number, percent, size
from analysis.planning import plan_in_words
from analysis.reporting.training_words import FIGURES

_WITHOUT_TRACES: tuple[EofStrategy, ...] = ("train_last", "sweep", "plasticity")
_BITS = get_args(TrainingShape.model_fields["weight_bits"].annotation)


@dataclass(frozen=True)
class ShapeGiven:
    """What was said of a training step; None: as measured on this machine, else the usual."""

    batch_size: int | None = None
    sequence_tokens: int | None = None
    method: TrainMethod | None = None
    lora_rank: int | None = None
    base_bits: int | None = None

    def over(self, usual: TrainingShape) -> TrainingShape:
        """The usual step with what was said in its place.

        Raises:
            InputError: numbers of bits that no weight has, or a quantised base that is to train.
        """
        if self.base_bits is not None and self.base_bits not in _BITS:
            raise InputError("--base-bits {given} is not one of: {known}. Choose among these.", given=self.base_bits, known=_BITS)
        said = {"batch_size": self.batch_size, "sequence_tokens": self.sequence_tokens, "method": self.method}
        more = {"lora_rank": self.lora_rank, "weight_bits": self.base_bits}
        if self.sequence_tokens not in (None, usual.sequence_tokens):
            usual = usual.model_copy(update={"response_tokens": None})
        shape = usual.model_copy(update={name: value for name, value in {**said, **more}.items() if value is not None})
        if shape.method == "full" and shape.weight_bits in (4, 8):
            raise InputError(
                "--base-bits {given} is a quantised base, which only LoRA trains on. Add --method lora.", given=shape.weight_bits
            )
        return shape


@dataclass(frozen=True)
class Freezing:
    """What a freeze plan is asked for, as it was written on the command line."""

    profile: str | None = None
    semantics: str | None = None
    trial: str | None = None
    model: str | None = None
    strategy: str | None = None
    aggregate: Aggregate = "mean"
    eof_layer: int | None = None
    max_trainable: int | None = None
    budget: str | None = None
    name: str = ""
    epochs: int = 3
    price: float | None = None
    currency: str = ""
    shape: ShapeGiven = ShapeGiven()


@dataclass(frozen=True)
class Evidence:
    """What a freeze plan is made from."""

    info: ModelInfo
    stack: str
    semantics: Semantics | None = None
    workload: WorkloadInfo | None = None
    profile_id: str | None = None


def frozen_plan(asked: Freezing) -> Plan:
    """The plan; without traces only what looks at nothing but the budget, or a layer chosen by hand.

    Raises:
        InputError: what was given cannot be used, or traces are needed and there are none.
    """
    if asked.eof_layer is not None and asked.strategy is not None:
        raise InputError("--eof-layer chooses by hand and --strategy by a rule. Give one of them.")
    found = _evidence(asked)
    trial = read_trial(asked.trial) if asked.trial else _kept_trial(found)
    strategy = strategy_named(asked.strategy, trial)
    if found.semantics is None and asked.eof_layer is None and strategy not in _WITHOUT_TRACES:
        raise InputError(
            "No traces of this model and workload are kept, and the rule {rule} chooses by them. Measure them: "
            "python -m analysis profile --semantics --semantics-out semantics.json; or give --eof-layer, or --strategy train_last.",
            rule=strategy,
        )
    return plan_from(found, asked, strategy, trial)


def _kept_trial(found: Evidence) -> Trial | None:
    """What was learnt here by training this model on this workload: a sweep's recommendation is the default."""
    from analysis.runs.client import open_client

    if found.workload is None:
        return None
    return open_client().trial_for(found.info.commit, found.stack, found.workload.content_hash)


def plan_from(found: Evidence, asked: Freezing, strategy: EofStrategy, trial: Trial | None = None) -> Plan:
    """The freeze plan that a rule makes of the evidence, with the times of this machine where steps were measured."""
    from analysis.planning.freeze import propose_freeze

    newest = known_steps(found.info.commit, found.stack, None)
    shape = asked.shape.over(newest.shape if newest is not None else TrainingShape())
    steps = known_steps(found.info.commit, found.stack, shape) if newest is not None else None
    return propose_freeze(
        found.info,
        semantics=found.semantics,
        workload=_reference(found.workload),
        strategy=strategy,
        aggregate=asked.aggregate,
        eof_layer=asked.eof_layer,
        budget=asked.budget,
        max_trainable=asked.max_trainable,
        shape=shape if steps is None else steps.shape,  # the same step, with as many judged tokens as were timed
        epochs=asked.epochs,
        steps=steps,
        trial=trial,
        price_per_hour=asked.price,
        currency=asked.currency,
        stack=found.stack,
        name=asked.name,
        profile_id=found.profile_id,
    )


def strategy_named(given: str | None, trial: Trial | None = None) -> EofStrategy:
    """The rule that --strategy names; without one what a sweep recommends, else the default.

    Raises:
        InputError: something that is not a rule.
    """
    from analysis.planning.eof import default_rule

    found = next((strategy for strategy in EOF_STRATEGIES if strategy == given), None)
    if given is not None and found is None:
        raise InputError("--strategy {given} is not one of: {known}. Choose among these.", given=given[:40], known=EOF_STRATEGIES)
    return found or default_rule(trial)


def known_steps(commit: str, stack: str, shape: TrainingShape | None) -> StepModel | None:
    """How long training steps take on this machine, if that was measured."""
    from analysis.runs.client import open_client

    return open_client().step_model(commit, stack=stack, shape=shape)


def evidence_of(profile: Profile) -> Evidence:
    """A profile with the traces that are kept of the same model and workload."""
    from analysis.runs.client import open_client

    traces = open_client().semantics_for(profile)
    return Evidence(profile.model, profile.stack, traces, profile.workload, profile.id)


def _evidence(asked: Freezing) -> Evidence:
    given = [name for name in (asked.profile, asked.semantics, asked.model) if name is not None]
    if len(given) != 1:
        raise InputError("A freeze plan is made from one thing: give --semantics, --profile or --model.")
    if asked.semantics is not None:
        traces = read_semantics(asked.semantics)
        return Evidence(traces.model, traces.stack, traces, traces.workload)
    if asked.profile is not None:
        return evidence_of(read_profile(asked.profile))
    return _described(given[0])


def _described(model: str) -> Evidence:
    """Only the model: its shapes are all that is known."""
    from analysis.models.load import describe_model
    from analysis.models.source import parse_source

    info = describe_model(parse_source(model)).info
    if info.refusal is not None:
        raise ModelError.from_message(info.refusal)
    return Evidence(info, info.stack(None).name)


def _reference(workload: WorkloadInfo | None) -> WorkloadRef | None:
    from analysis.planning.propose import workload_ref

    return None if workload is None else workload_ref(workload)


def summarise_freeze(plan: Plan, out: Path | None, terminal: Terminal) -> None:
    """The layer and why, how sure that is, and what training should cost."""
    terminal.hear(plan_in_words(plan))
    if plan.provenance.eof_choice is not None:
        _tell_choice(plan.provenance.eof_choice, terminal)
    for note in plan.provenance.notes:
        terminal.hear(note)
    if plan.projection is not None and plan.projection.training is not None:
        _tell_projection(plan.projection.training, plan, terminal)
    if out is not None and str(out) != "-":
        terminal.tell("Wrote {path} (plan {id}).", path=str(out), id=plan.id)
        terminal.tell("Quality is not known until it was tried: python -m analysis trial --plan {path}", path=str(out))


def _tell_choice(choice: EofChoice, terminal: Terminal) -> None:
    terminal.hear(choice.reason)
    if choice.agreement is not None:
        terminal.tell(
            "In {share} of 1,000 resamples of the prompts the rule chooses the same layer; in 90% of them one from {low} to {high}.",
            share=percent(choice.agreement, terminal.language),
            low="-" if choice.low is None else choice.low,
            high="-" if choice.high is None else choice.high,
        )
    others = [f"{name} {layer}" for name, layer in sorted(choice.by_slice.items()) if layer != choice.unlimited]
    if others:
        terminal.tell("Slices that would choose another layer by themselves: {slices}.", slices=others)


def _tell_projection(found: TrainingProjection, plan: Plan, terminal: Terminal) -> None:
    language, shape = terminal.language, found.shape
    terminal.tell(
        "Projected, not yet run, for steps of {batch} sequences of {tokens} tokens ({method}, {dtype}), {epochs} epochs:",
        batch=shape.batch_size,
        tokens=shape.sequence_tokens,
        method=shape.method,
        dtype=shape.dtype,
        epochs=found.epochs,
    )
    for field, change, written in _rows(found, terminal):
        if change is not None:
            _line(terminal, terminal.t(FIGURES[field]), change, written)
    if found.cache_bytes:
        terminal.tell("  output of the frozen layers, kept once: {size}", size=size(found.cache_bytes, language))
    if found.step_ms is None:
        terminal.tell(
            "Step times are not known on this machine. Measure them: python -m analysis steps --model {model}", model=_model_of(plan)
        )


def _rows(found: TrainingProjection, terminal: Terminal) -> tuple[tuple[str, Change | None, Callable[[float], str]], ...]:
    language = terminal.language
    counted: Callable[[float], str] = lambda value: amount(value, language)  # noqa: E731
    sized: Callable[[float], str] = lambda value: size(value, language)  # noqa: E731
    return (
        ("n_trainable", found.n_trainable, counted),
        ("step_flops", found.step_flops, counted),
        ("weight_bytes", found.weight_bytes, sized),
        ("gradient_bytes", found.gradient_bytes, sized),
        ("optimizer_bytes", found.optimizer_bytes, sized),
        ("activation_bytes", found.activation_bytes, sized),
        ("peak_memory_bytes", found.peak_memory_bytes, sized),
        ("step_ms", found.step_ms, lambda value: f"{number(value, language, 1)} ms"),
        ("tokens_per_second", found.tokens_per_second, lambda value: number(value, language, 0)),
        ("hours", found.hours, lambda value: duration(3600 * value, language)),
        ("energy_wh", found.energy_wh, lambda value: f"{number(value, language, 1)} Wh"),
        ("cost", found.cost, lambda value: f"{number(value, language)} {found.currency}".strip()),
    )


def _line(terminal: Terminal, what: str, change: Change, written: Callable[[float], str]) -> None:
    if change.cached is None or change.cached == change.plan:
        terminal.tell("  {what}: {full} -> {plan}", what=what, full=written(change.full), plan=written(change.plan))
        return
    terminal.tell(
        "  {what}: {full} -> {plan}; with the cache, from the second epoch on: {cached}",
        what=what,
        full=written(change.full),
        plan=written(change.plan),
        cached=written(change.cached),
    )


def _model_of(plan: Plan) -> str:
    source = plan.model.source
    return "sample" if source.kind == "sample" else source.location
