"""What a sweep starts from: a plan that was given, or one made by the default rule, from traces that are measured first if need be."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from analysis.cli.choosing import Slicing, chosen_workload
from analysis.cli.documents import read_plan, read_profile, read_semantics
from analysis.cli.plan import keep_plan
from analysis.cli.plan_freeze import Evidence, Freezing, evidence_of, plan_from, strategy_named
from analysis.cli.terminal import Terminal
from analysis.cli.tracing import traced
from analysis.contracts import ModelInfo, ModelSource, Plan, ProfileSettings, SemanticRequest, Semantics, TrialSettings, WorkloadChoice
from analysis.errors import InputError, ModelError
from analysis.planning import plan_in_words


@dataclass(frozen=True)
class Given:
    """Where the plan comes from; at most one of the first three, and a model beside a plan only."""

    plan: str | None
    profile: str | None
    semantics: str | None
    model: str | None


@dataclass(frozen=True)
class ReadAs:
    """The workload's files and how they are read."""

    files: tuple[Path, ...]
    mapping: tuple[str, ...]
    slicing: Slicing
    mask: bool

    def of(self, source: ModelSource) -> WorkloadChoice:
        """With the model that runs them."""
        return chosen_workload(source, self.files, self.mapping, self.slicing, self.mask)


@dataclass(frozen=True)
class Start:
    """A plan, the workload it is tried on, and the traces that every rule chooses by."""

    plan: Plan
    choice: WorkloadChoice
    semantics: Semantics | None


def start_of(given: Given, read_as: ReadAs, settings: TrialSettings, terminal: Terminal, *, keep: bool) -> Start:
    """The plan that was given, or one made by the default rule and said.

    Raises:
        InputError: more than one beginning was given, or it cannot be used.
    """
    from analysis.models.source import parse_source

    beginnings = [one for one in (given.plan, given.profile, given.semantics) if one is not None]
    if len(beginnings) > 1 or (given.model is not None and beginnings and given.plan is None):
        raise InputError("A sweep starts from one thing: give --plan, --profile, --semantics or --model.")
    if given.plan is not None:
        plan = read_plan(given.plan, terminal)
        return Start(plan, read_as.of(parse_source(given.model) if given.model else plan.model.source), None)
    found = _evidence(given, read_as, settings, terminal, keep)
    plan = plan_from(found, Freezing(), strategy_named(None))
    if keep:
        keep_plan(plan)
    terminal.tell("Plan {id}, by the default rule: {words}", id=plan.id, words=plan_in_words(plan))
    return Start(plan, read_as.of(plan.model.source), found.semantics)


def _evidence(given: Given, read_as: ReadAs, settings: TrialSettings, terminal: Terminal, keep: bool) -> Evidence:
    from analysis.models.source import parse_source

    if given.semantics is not None:
        traces = read_semantics(given.semantics)
        return Evidence(traces.model, traces.stack, traces, traces.workload)
    if given.profile is not None:
        profile = read_profile(given.profile)
        found = evidence_of(profile)
        return found if found.semantics is not None else _measured(read_as.of(profile.model.source), settings, terminal, keep)
    choice = read_as.of(parse_source(given.model or "sample"))
    kept = _kept(choice) if keep else None
    return kept or _measured(choice, settings, terminal, keep)


def _kept(choice: WorkloadChoice) -> Evidence | None:
    """Traces of this model and workload that are in the store."""
    from analysis.runs.client import open_client
    from analysis.workload import requested_workload

    info = _described(choice.model)
    workload = requested_workload(choice).info
    traces = open_client().semantics_of(info.commit, info.stack(None).name, workload.content_hash)
    return None if traces is None else Evidence(traces.model, traces.stack, traces, traces.workload)


def _described(source: ModelSource) -> ModelInfo:
    from analysis.models.load import describe_model

    info = describe_model(source).info
    if info.refusal is not None:
        raise ModelError.from_message(info.refusal)
    return info


def _measured(choice: WorkloadChoice, settings: TrialSettings, terminal: Terminal, keep: bool) -> Evidence:
    terminal.tell("Measured first: the traces of this workload, which the rules choose by and which are not kept yet.")
    asked = ProfileSettings(
        stack=settings.stack,
        device=settings.device,
        dtype=settings.dtype,
        chat_template=settings.chat_template,
        slices=settings.slices,
    )
    profile, traces = traced(SemanticRequest(**choice.model_dump(), settings=asked), terminal, keep=keep, out=None, semantics_out=None)
    return Evidence(traces.model, traces.stack, traces, traces.workload, profile.id)
