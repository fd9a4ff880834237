"""What a verification is asked for, checked before anything is loaded: limits, plan, model, workload."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from analysis.contracts import Guardrail, Message, ModelInfo, Plan, Progress, VerificationSettings, VerifyRequest
from analysis.errors import InputError, ModelError, PlanError
from analysis.models import estimate
from analysis.models.device import resolve_device, resolve_dtype
from analysis.models.load import describe_model
from analysis.models.stack import LoadedModel
from analysis.planning import check_plan
from analysis.planning.guardrails import CRITICAL, parse_guardrail
from analysis.profiling.stream import Watch
from analysis.surgery.apply import removed_units
from analysis.verification import lm_eval
from analysis.workload import EncodedWorkload, Encoder, Example, Workload, encode_workload, personal, requested_workload
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
    check_halves(request, workload, [example.example_id for example in encoded.examples])
    return Prepared(guardrails, settings, encoder, encoded, workload.examples)


def plan_workload(request: VerifyRequest) -> Workload:
    """The workload of the request; without one that of the plan, read again from its files and masked as it was then."""
    known = request.plan.workload
    if request.workload_paths or known is None:
        return requested_workload(request)
    request = request.model_copy(update={"mask_personal_data": request.mask_personal_data or known.masked})
    if known.is_sample:
        return requested_workload(request)
    if not known.paths:
        raise PlanError(
            'The plan does not say from which files its workload "{name}" was read. Give the workload file to verify with.', name=known.name
        )
    update = {"workload_paths": known.paths, "mapping": known.mapping, "slicing": known.slicing}
    return requested_workload(request.model_copy(update=update))


def check_halves(request: VerifyRequest, workload: Workload, judged: Sequence[str]) -> None:
    """Nothing that the plan was chosen from is judged: an example's text decides its half, so masking may move it to the other.

    Args:
        request: what was asked for.
        workload: what is to be judged, as it was read.
        judged: ids of its verification examples.

    Raises:
        PlanError: some of them, masked otherwise, are examples that the plan was chosen from.
    """
    chosen_from = _plan_workload_as_it_was(request, workload)
    if chosen_from is None:
        return
    if request.joined_characters is not None:
        _check_lines(chosen_from, workload, set(judged))
        return
    seen = {personal.masked(example).id for example in chosen_from.examples if example.part == "calibration"}
    verified, wanted = {example.id: example for example in workload.examples}, set(judged)
    n_seen = sum(personal.masked(verified[name]).id in seen for name in wanted)
    if not n_seen or workload.info.masked == chosen_from.info.masked:
        return
    if chosen_from.info.masked:
        raise PlanError(
            "{n} of {total} verification prompts are among those the plan was chosen from, where mail addresses and telephone numbers "
            "were masked. Mask them here as well (--mask), or give other prompts.",
            n=n_seen,
            total=len(wanted),
        )
    raise PlanError(
        "{n} of {total} verification prompts are among those the plan was chosen from, where mail addresses and telephone numbers were "
        "not masked. Do not mask them here either, or give other prompts.",
        n=n_seen,
        total=len(wanted),
    )


def _check_lines(chosen_from: Workload, workload: Workload, judged: set[str]) -> None:
    """Of lines that were put together, none may be a prompt that the plan was chosen from."""
    seen = {_text(example).strip() for example in chosen_from.examples if example.part == "calibration"}
    texts = [_text(example) for example in workload.examples if example.id in judged]
    n_seen = sum(any(line.strip() in seen for line in text.split("\n")) for text in texts)
    if n_seen:
        raise PlanError(
            "{n} of {total} pieces of text that would be reported on hold lines that the plan was chosen from. Read the file line by line "
            "(--lines), or give another text.",
            n=n_seen,
            total=len(texts),
        )


def _text(example: Example) -> str:
    """What was asked last, masked, so that masking one workload hides nothing in the other."""
    return personal.masked(example).turns[-1].content


def _plan_workload_as_it_was(request: VerifyRequest, workload: Workload) -> Workload | None:
    """What the plan was chosen from, where it is another workload than this one and can still be read; None: it cannot be told."""
    known = request.plan.workload
    if known is None or known.content_hash == workload.info.content_hash:
        return None
    paths = () if known.is_sample else known.paths or request.workload_paths
    read_as = {"mapping": known.mapping, "slicing": known.slicing} if known.paths and not known.is_sample else {}
    update = {**read_as, "workload_paths": paths, "mask_personal_data": known.masked, "joined_characters": None}
    try:
        found = requested_workload(request.model_copy(update=update))
    except InputError:
        return None  # its files are gone
    return found if found.info.content_hash == known.content_hash else None


def _check_removes(plan: Plan) -> None:
    if not removed_units(plan):
        raise PlanError(
            "The plan only freezes layers, which changes nothing in what the model answers. Verify a plan that skips or prunes."
        )


def _check_slices(guardrails: tuple[Guardrail, ...], workload: Workload, settings: VerificationSettings) -> None:
    """A limit on a slice that is not run is a slip, found out before anything is loaded."""
    known = [info.name for info in workload.info.slices if not settings.slices or info.name in settings.slices]
    for guardrail in guardrails:
        if guardrail.slice == CRITICAL in known and any(example.critical != (example.slice == CRITICAL) for example in workload.examples):
            raise PlanError(
                'The limit "{text}" speaks of the prompts marked as critical, and a slice that holds other prompts has the same name. '
                "Give that slice another name.",
                text=guardrail.text,
            )
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
