"""What a verification is asked for, checked before anything is loaded: limits, plan, model, workload."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from analysis.contracts import Guardrail, Message, ModelInfo, Plan, Progress, VerificationSettings, VerifyRequest
from analysis.errors import ModelError, PlanError
from analysis.models import estimate
from analysis.models.device import resolve_device, resolve_dtype
from analysis.models.load import describe_model
from analysis.models.stack import LoadedModel
from analysis.planning import check_plan
from analysis.planning.guardrails import CRITICAL, parse_guardrail
from analysis.profiling.stream import Watch
from analysis.surgery.apply import removed_units
from analysis.verification import lm_eval
from analysis.workload import EncodedWorkload, Encoder, Example, Workload, encode_workload, requested_workload
from analysis.workload.shown import shown_names


@dataclass(frozen=True)
class Prepared:
    """Everything but the weights. `encoded` is the verification half; `examples` the whole workload."""

    guardrails: tuple[Guardrail, ...]
    settings: VerificationSettings
    encoder: Encoder
    encoded: EncodedWorkload
    examples: tuple[Example, ...]


def prepare(request: VerifyRequest, watch: Watch) -> Prepared:
    """Reads and checks all that a verification needs, cheapest first, without loading the model.

    Raises:
        InputError: a limit, the plan, the model, the workload or a task cannot be used.
    """
    guardrails = tuple(parse_guardrail(text) for text in request.guardrails)
    _check_removes(request.plan)
    lm_eval.require(request.settings.tasks)
    say(watch, Message(id="Reading the workload"))
    workload = plan_workload(request)
    _check_slices(guardrails, workload, request.settings)
    say(watch, Message(id="Looking at the model"))
    card = describe_model(request.model, on_progress=lambda stage: say(watch, stage))
    if card.info.refusal is not None:
        raise ModelError.from_message(card.info.refusal)
    check_fits(request.plan, card.info)
    settings = _resolved(request.settings, request.plan, card.info)
    assert card.tokenizer_folder is not None
    encoder = Encoder.from_folder(card.tokenizer_folder)
    encoded = encode_workload(
        workload,
        encoder,
        max_tokens=settings.max_tokens,
        chat_template=settings.chat_template,
        slices=settings.slices,
        part="verification",
    )
    return Prepared(guardrails, settings, encoder, encoded, workload.examples)


def plan_workload(request: VerifyRequest) -> Workload:
    """The workload of the request; without one that of the plan, read again from its files."""
    known = request.plan.workload
    if request.workload_paths or known is None or known.is_sample:
        return requested_workload(request)
    if not known.paths:
        raise PlanError(
            'The plan does not say from which files its workload "{name}" was read. Give the workload file to verify with.', name=known.name
        )
    update = {"workload_paths": known.paths, "mapping": known.mapping, "slicing": known.slicing}
    return requested_workload(request.model_copy(update=update))


def _check_removes(plan: Plan) -> None:
    if not removed_units(plan):
        raise PlanError(
            "The plan only freezes layers, which changes nothing in what the model answers. Verify a plan that skips or prunes."
        )


def _check_slices(guardrails: tuple[Guardrail, ...], workload: Workload, settings: VerificationSettings) -> None:
    """A limit on a slice that is not run is a slip, found out before anything is loaded."""
    known = [info.name for info in workload.info.slices if not settings.slices or info.name in settings.slices]
    for guardrail in guardrails:
        if guardrail.slice not in (None, CRITICAL, *known):
            raise PlanError(
                'The limit "{text}" names a slice that is not verified. Slices: {known}, and {critical} for the critical prompts.',
                text=guardrail.text,
                known=shown_names(known, limit=40),
                critical=CRITICAL,
            )


def check_fits(plan: Plan, info: ModelInfo) -> None:
    """Refuses a plan for another model, another version of it, or for layers that are not there."""
    problems = check_plan(plan, info)
    if problems:
        raise PlanError.from_message(problems[0])


def check_vocabulary(loaded: LoadedModel, encoded: EncodedWorkload) -> None:
    """Found out here in words, because a GPU would end the whole process over it."""
    known = loaded.model.get_input_embeddings().weight.shape[0]
    largest = max(int(example.input_ids.max()) for example in encoded.examples)
    if largest >= known:
        raise ModelError(
            "The tokenizer of {model} gives token number {token}, but the model knows only {known} tokens. Copy the tokenizer that "
            "belongs to this model beside its weights.",
            model=loaded.info.name,
            token=largest,
            known=known,
        )


def _resolved(settings: VerificationSettings, plan: Plan, info: ModelInfo) -> VerificationSettings:
    device = resolve_device(settings.device)
    dtype = resolve_dtype(settings.dtype, device, getattr(torch, info.dtype))
    return settings.model_copy(
        update={
            "stack": settings.stack or plan.model.stack,
            "device": str(device),
            "dtype": str(dtype).removeprefix("torch."),
            "max_tokens": estimate.longest_prompt(info, settings.max_tokens),
        }
    )


def say(watch: Watch, stage: Message) -> None:
    """Tells whoever waits what comes next."""
    watch.on_progress(Progress(stage=stage))
