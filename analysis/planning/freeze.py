"""A freeze plan: which layers stay as they are, by which rule and budget, and what training the others should cost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from analysis.contracts import (
    Aggregate,
    EofChoice,
    EofStrategy,
    Freeze,
    Message,
    ModelInfo,
    ModelRef,
    Plan,
    Provenance,
    Semantics,
    StackInfo,
    StepModel,
    TrainingProjection,
    TrainingShape,
    Trial,
    WorkloadRef,
)
from analysis.errors import PlanError
from analysis.planning.eof import choose_eof, default_rule
from analysis.planning.eof_budget import parse_train_budget, within
from analysis.planning.projection import DEFAULT_CONTEXT_TOKENS, project
from analysis.planning.propose import workload_ref
from analysis.planning.training_flops import check_boundary
from analysis.planning.training_projection import fits, project_training

__all__ = ["default_name", "project_training", "propose_freeze"]

ASSUMED_SEQUENCES = 1000
"""Examples of an epoch where no workload tells."""
FIRM = 0.8
"""Share of resamples that choose the same layer, from which on a choice is called firm."""


def propose_freeze(
    info: ModelInfo,
    *,
    semantics: Semantics | None = None,
    workload: WorkloadRef | None = None,
    strategy: EofStrategy | None = None,
    aggregate: Aggregate = "mean",
    eof_layer: int | None = None,
    budget: str | None = None,
    max_trainable: int | None = None,
    shape: TrainingShape | None = None,
    epochs: float = 3,
    steps: StepModel | None = None,
    trial: Trial | None = None,
    price_per_hour: float | None = None,
    currency: str = "",
    stack: str | None = None,
    name: str = "",
    profile_id: str | None = None,
    n_sequences: int | None = None,
    mean_tokens: float | None = None,
) -> Plan:
    """A plan that freezes the first layers: by a rule and a budget, or by hand.

    Args:
        info: the model.
        semantics: its traces, for rules that read them; of another model, version or stack they are refused.
        workload: what the plan is for; None: that of the traces.
        strategy, aggregate: the rule (None: `eof.default_rule`), and how prompts are put together.
        eof_layer: the last frozen layer by hand; then no rule is asked, and a budget only checked against.
        budget, max_trainable: what training may take, as `parse_train_budget` reads it, and how many layers may train; the tighter holds.
        shape, epochs: the training step (None: 8 x 512 tokens in bfloat16), and how often every example is seen.
        steps: training steps measured on a device, for times; of another model or another step they are left aside.
        trial: for the rules `plasticity` and `sweep`.
        price_per_hour, currency: of the device; None: no money is projected.
        stack: the stack that trains; None: that of the traces, or the model's first.
        name, profile_id: what it is called ("Freeze layers 0 to 19"), and the profile that the traces were measured with.
        n_sequences, mean_tokens: examples of an epoch and their mean length; None: from the traces' workload.

    Raises:
        PlanError: the rule has no answer, the layer or budget cannot be used, or the traces are another model's.
    """
    _check_same(info, semantics, stack)
    basis = _Basis(info, info.stack(stack or (semantics.stack if semantics else None)), semantics, shape or TrainingShape(), steps)
    run = _Run.of(semantics, basis.shape, epochs, n_sequences, mean_tokens)
    limits = _Limits.of(basis, run, budget, max_trainable)
    choice = None if eof_layer is not None else _choice(basis, limits, strategy or default_rule(trial), aggregate, trial)
    training = partial(_training, basis, run, price_per_hour=price_per_hour, currency=currency)
    plan = _planned(basis, run, limits, choice, eof_layer, training)
    source = plan.provenance.model_copy(update={"profile_id": profile_id})
    return plan.model_copy(update={"name": name or plan.name, "workload": workload or plan.workload, "provenance": source})


def default_name(eof_layer: int) -> str:
    """ "Freeze layers 0 to 19"."""
    return "Train all layers" if eof_layer < 0 else "Freeze layer 0" if eof_layer == 0 else f"Freeze layers 0 to {eof_layer}"


def semantics_context(semantics: Semantics | None) -> int:
    """Sequence length behind the figures of inference, which freezing does not change."""
    if semantics is None or not semantics.counts.n_examples:
        return DEFAULT_CONTEXT_TOKENS
    return max(1, round(semantics.counts.n_tokens / semantics.counts.n_examples))


def _choice(basis: _Basis, limits: _Limits, rule: EofStrategy, aggregate: Aggregate, trial: Trial | None) -> EofChoice:
    """The rule's answer within the limits."""
    n_blocks = basis.stack.n_blocks
    choice = choose_eof(basis.semantics, rule, aggregate=aggregate, trial=trial, max_trainable=limits.most_trainable, n_blocks=n_blocks)
    if choice.eof_layer is None:
        raise PlanError.from_message(choice.reason)
    return choice


def _training(basis: _Basis, run: _Run, eof_layer: int, *, price_per_hour: float | None, currency: str) -> TrainingProjection:
    return project_training(
        basis.info,
        eof_layer,
        basis.shape,
        epochs=run.epochs,
        n_sequences=run.n_sequences,
        mean_tokens=run.mean_tokens,
        steps=basis.known_steps,
        price_per_hour=price_per_hour,
        currency=currency,
        stack=basis.stack.name,
    )


def _planned(
    basis: _Basis,
    run: _Run,
    limits: _Limits,
    choice: EofChoice | None,
    by_hand: int | None,
    training: Callable[[int], TrainingProjection],
) -> Plan:
    """The whole plan but for its name, once a rule or a hand has set the layer."""
    info, stack, semantics = basis.info, basis.stack, basis.semantics
    eof_layer = choice.eof_layer if choice is not None else by_hand
    assert eof_layer is not None
    check_boundary(eof_layer, stack.n_blocks)
    operations = (Freeze(eof_layer=eof_layer, stack=stack.name),)
    shapes = project(info, operations, semantics_context(semantics), stack.name)
    return Plan(
        name=default_name(eof_layer),
        model=_model_ref(info, stack.name),
        workload=workload_ref(semantics.workload) if semantics else None,
        operations=operations,
        projection=shapes.model_copy(update={"training": training(eof_layer)}),
        provenance=Provenance(
            criterion=choice.strategy if choice is not None else "by hand",
            amount=limits.text or "no budget",
            eof_choice=choice,
            semantics_id=semantics.id if semantics else None,
            notes=(*_notes_on_choice(choice, stack.n_blocks - 1 - eof_layer, limits), *_notes_on_projection(basis, run)),
            versions=semantics.versions if semantics else {},
            created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        ),
    )


# -- the parts of a plan -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Basis:
    """What a plan is made from. `steps` as they were given; `known_steps` only if they are of this very step."""

    info: ModelInfo
    stack: StackInfo
    semantics: Semantics | None
    shape: TrainingShape
    steps: StepModel | None

    @property
    def known_steps(self) -> StepModel | None:
        return self.steps if self.steps is not None and fits(self.steps, self.info, self.shape, self.stack.name) else None


@dataclass(frozen=True)
class _Run:
    """How much there is to train on. `assumed`: nothing told it."""

    epochs: float
    n_sequences: int
    mean_tokens: float
    assumed: bool

    @classmethod
    def of(
        cls, semantics: Semantics | None, shape: TrainingShape, epochs: float, n_sequences: int | None, mean_tokens: float | None
    ) -> _Run:
        if epochs <= 0:
            raise PlanError("Training was asked for over {epochs} epochs. Give more than zero, such as 3.", epochs=epochs)
        counts = semantics.counts if semantics else None
        told = counts is not None and counts.n_examples > 0
        of_traces = counts.n_tokens / counts.n_examples if counts is not None and told else float(shape.sequence_tokens)
        n = n_sequences if n_sequences is not None else counts.n_examples if counts is not None and told else ASSUMED_SEQUENCES
        return cls(epochs, n, mean_tokens if mean_tokens is not None else of_traces, n_sequences is None and not told)


@dataclass(frozen=True)
class _Limits:
    """The budget: as given, and as the number of layers that may train."""

    text: str
    most_trainable: int | None

    @classmethod
    def of(cls, basis: _Basis, run: _Run, budget: str | None, max_trainable: int | None) -> _Limits:
        """The tighter one of both."""
        parsed = parse_train_budget(budget) if budget else None
        most = [max_trainable] if max_trainable is not None else []
        if parsed is not None:
            least = within(
                parsed, basis.info, basis.stack.name, basis.shape, basis.known_steps, epochs=run.epochs, n_sequences=run.n_sequences
            )
            most.append(basis.stack.n_blocks - 1 - least)
        layers = f"{max_trainable} layers" if max_trainable is not None else ""
        return cls(", ".join(text for text in (parsed.text if parsed else "", layers) if text), min(most, default=None))


def _check_same(info: ModelInfo, semantics: Semantics | None, stack: str | None) -> None:
    if semantics is None:
        return
    if stack is not None and info.stack(stack).name != semantics.stack:
        raise PlanError(
            'The traces were measured in the stack "{traced}", and the plan is for "{stack}". Measure the traces of that stack.',
            traced=semantics.stack,
            stack=stack,
        )
    if semantics.model.commit != info.commit:
        raise PlanError(
            "The traces were measured on {traced}, version {measured}; this is {name}, version {given}. Measure the traces of this model.",
            traced=semantics.model.name,
            measured=semantics.model.commit[:12],
            name=info.name,
            given=info.commit[:12],
        )


def _model_ref(info: ModelInfo, stack: str) -> ModelRef:
    return ModelRef(
        name=info.name,
        source=info.source,
        commit=info.commit,
        architecture=info.architecture,
        n_blocks=info.stack(stack).n_blocks,
        stack=stack,
        stack_path=info.stack(stack).path,
    )


def _notes_on_choice(choice: EofChoice | None, n_training: int, limits: _Limits) -> Iterator[Message]:
    """What a reader should know about how the layer was chosen."""
    if choice is None:
        if limits.most_trainable is not None and n_training > limits.most_trainable:
            yield Message(
                id='The layer was set by hand, and more layers train than the budget "{budget}" lets: at most {n} may.',
                values={"budget": limits.text, "n": limits.most_trainable},
            )
        return
    if choice.interpretation:
        yield Message(id="The rule is our own reading: the paper does not give a formula for it. Check the choice by a trial.")
    if choice.agreement is not None and choice.agreement < FIRM:
        yield Message(
            id="The choice is not firm: {share}% of 1,000 resamples of the prompts choose the same layer, most choose between "
            "{low} and {high}.",
            values={"share": round(100 * choice.agreement), "low": choice.low, "high": choice.high},
        )


def _notes_on_projection(basis: _Basis, run: _Run) -> Iterator[Message]:
    """What a reader should know about the figures."""
    if basis.steps is not None and basis.known_steps is None:
        yield Message(
            id="Measured training steps were left aside: they are of another model or of another batch, length, method or number format."
        )
    if run.assumed:
        yield Message(id="No workload tells how many examples an epoch has; {n} were assumed.", values={"n": run.n_sequences})
    yield Message(id="Embeddings and output head stay as they are; the final norm trains with the free layers.")
    if basis.info.source.kind == "sample" or (basis.semantics is not None and basis.semantics.workload.is_sample):
        yield Message(id="This plan was made from the sample's figures: profile your own model on your own prompts before deciding.")
