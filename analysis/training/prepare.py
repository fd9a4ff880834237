"""What a trial is asked for, checked before any weight is loaded: settings, plan, workload, model, responses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from analysis.contracts import Message, ModelInfo, Plan, TrialRequest, TrialSettings, VerifyRequest
from analysis.contracts.plan import HealRequest
from analysis.errors import ModelError, PlanError, WorkloadError
from analysis.models import estimate
from analysis.models.card import ModelCard
from analysis.models.device import resolve_device, resolve_dtype
from analysis.models.head import Head
from analysis.models.load import describe_model
from analysis.models.stack import LoadedModel, Stack
from analysis.profiling.stream import Watch
from analysis.training.evaluate import with_response
from analysis.verification.asked import check_fits, check_halves, plan_workload, say
from analysis.workload import EncodedExample, EncodedWorkload, Encoder, Workload, encode_workload

LEARNING_RATES = (3e-5, 1e-4, 3e-4)
LORA_LEARNING_RATES = (1e-4, 3e-4, 1e-3)
HIGHEST_LEARNING_RATE = 1.0


@dataclass(frozen=True)
class Prepared:
    """Everything but the weights. `training` is the calibration half, `judging` the verification half."""

    plan: Plan
    settings: TrialSettings
    training: EncodedWorkload
    judging: EncodedWorkload
    judged: tuple[EncodedExample, ...]
    notes: tuple[Message, ...] = ()


def prepare(request: TrialRequest, watch: Watch) -> Prepared:
    """Reads and checks all that a trial needs, cheapest first, without loading the model.

    Raises:
        InputError: a setting, the plan, the model or the workload cannot be used.
    """
    check_plan_trains(request.plan)
    check_settings(request.settings, request.plan.model.n_blocks)
    say(watch, Message(id="Reading the workload"))
    asked = as_verification(request)
    workload = plan_workload(asked)
    check_answered(workload, request.settings)
    say(watch, Message(id="Looking at the model"))
    card = describe_model(request.model, on_progress=lambda stage: say(watch, stage))
    check_model(request.plan, card.info)
    settings = resolved(request.settings, request.plan, card.info)
    encoded = {part: _encoded(workload, card, settings, part) for part in ("calibration", "verification")}
    check_halves(asked, workload, [example.example_id for example in encoded["verification"].examples])
    for part, half in encoded.items():
        check_responses(half, workload, settings, part)
    judging = encoded["verification"]
    return Prepared(request.plan, settings, encoded["calibration"], judging, with_response(judging.examples), tuple(_notes(judging)))


def check_plan_trains(plan: Plan) -> None:
    """A trial trains the whole model as it is, with its first layers frozen: the plan has to say which, and nothing else."""
    if plan.eof_layer is None:
        raise PlanError(
            "The plan freezes no layers, so it says nothing about training. Make a freeze plan (plan --op freeze) and try that."
        )
    if len(plan.operations) > 1:
        raise PlanError(
            "The plan freezes layers and changes others as well ({n} operations). A trial trains the whole model: make a plan that only "
            "freezes, or carry out the removal first (export) and make the freeze plan for the model that comes out.",
            n=len(plan.operations),
        )


def stack_of(plan: Plan) -> str:
    """The stack whose layers are frozen."""
    return next((operation.stack for operation in plan.operations if operation.stack is not None), plan.model.stack)


def check_settings(settings: TrialSettings, n_blocks: int) -> None:
    """Boundaries and learning rates that cannot be meant are refused, each by name."""
    outside = sorted({eof for eof in settings.boundaries if not -1 <= eof <= n_blocks - 2})
    if outside:
        raise PlanError(
            "Boundaries that cannot be tried: {outside}. In a model of {n_blocks} layers the last frozen layer is -1 (none) to {last}: "
            "at least one layer must train.",
            outside=tuple(str(eof) for eof in outside),
            n_blocks=n_blocks,
            last=n_blocks - 2,
        )
    if settings.release and settings.tuning_share == 0:
        raise PlanError(
            "Releasing layers is decided on the tuning part, and the share kept back for it is 0. Give a share above 0, such as 0.2."
        )
    for rates in (settings.learning_rates, settings.lora_learning_rates):
        wrong = [rate for rate in rates if rate > HIGHEST_LEARNING_RATE]
        if wrong:
            raise PlanError(
                "Learning rates that cannot be meant: {wrong}. Give numbers above 0 and at most 1, such as 3e-5.",
                wrong=tuple(f"{rate:g}" for rate in wrong),
            )


def check_answered(workload: Workload, settings: TrialSettings) -> None:
    """A workload without a single response has nothing to learn from."""
    chosen = [example for example in workload.examples if not settings.slices or example.slice in settings.slices]
    if chosen and not any(example.response for example in chosen):
        raise WorkloadError(
            "None of the {n} prompts has a response, and training learns from responses only. Give a workload with a response for each "
            "prompt, or name the column that holds it (--map response=COLUMN).",
            n=len(chosen),
        )


def check_model(plan: Plan, info: ModelInfo) -> None:
    """Only a model that writes word after word has a loss of its response; the plan has to be for this one."""
    if info.refusal is not None:
        raise ModelError.from_message(info.refusal)
    check_fits(plan, info)
    if not info.stack(stack_of(plan)).causal or info.head_flops_per_token == 0:
        raise no_words(info)


def check_head(loaded: LoadedModel, stack: Stack) -> None:
    """The same once more of the model in memory: encoder-decoders have a head that needs both stacks."""
    if not stack.info.causal or not Head(loaded, stack).exists:
        raise no_words(loaded.info)


def no_words(info: ModelInfo) -> ModelError:
    """Said of a model without a loss to train on."""
    return ModelError(
        "{model} does not write word after word from one stack of layers with an output head, so there is no loss of a response to train "
        "on. Profiles, scans and plans that remove layers work with it; for a trial choose a language model.",
        model=info.name,
    )


def resolved(settings: TrialSettings, plan: Plan, info: ModelInfo) -> TrialSettings:
    """The settings with every "auto" and empty list replaced by what will be done."""
    device = resolve_device(settings.device)
    dtype = resolve_dtype(settings.dtype, device, getattr(torch, info.dtype))
    return settings.model_copy(
        update={
            "stack": settings.stack or stack_of(plan),
            "device": str(device),
            "dtype": str(dtype).removeprefix("torch."),
            "max_tokens": estimate.longest_prompt(info, settings.max_tokens),
            "learning_rates": settings.learning_rates or LEARNING_RATES,
            "lora_learning_rates": settings.lora_learning_rates or LORA_LEARNING_RATES,
            "boundaries": tuple(sorted(set(settings.boundaries))),
            "compare": tuple(dict.fromkeys(settings.compare)),
        }
    )


def check_responses(half: EncodedWorkload, workload: Workload, settings: TrialSettings, part: str) -> None:
    """At least one prompt of the half has to keep a part of its response.

    Raises:
        WorkloadError: none has, because there is none or because all were cut away; the length that is needed is said.
    """
    if with_response(half.examples):
        return
    answered = {example.id for example in workload.examples if example.response}
    needed = [len(example.input_ids) + example.n_cut for example in half.examples if example.example_id in answered and example.n_cut]
    if needed:
        raise WorkloadError(
            "Every response was cut away: prompts are cut to {max_tokens} tokens, and the shortest prompt with its response takes "
            "{shortest}, the longest {longest}. Allow more tokens (--max-tokens {longest}).",
            max_tokens=settings.max_tokens,
            shortest=min(needed),
            longest=max(needed),
        )
    if part == "verification":
        raise WorkloadError(
            "No prompt of the verification half has a response (prompts: {n}), so nothing could be judged. Add prompts with responses; the "
            "text of a prompt decides its half.",
            n=len(half.examples),
        )
    raise WorkloadError(
        "No prompt of the calibration half has a response (prompts: {n}), so there is nothing to learn from. Add prompts with responses; "
        "the text of a prompt decides its half.",
        n=len(half.examples),
    )


def _encoded(workload: Workload, card: ModelCard, settings: TrialSettings, part: str) -> EncodedWorkload:
    assert card.tokenizer_folder is not None
    return encode_workload(
        workload,
        Encoder.from_folder(card.tokenizer_folder),
        max_tokens=settings.max_tokens,
        chat_template=settings.chat_template,
        slices=settings.slices,
        part="verification" if part == "verification" else "calibration",
    )


def as_verification(request: TrialRequest | HealRequest) -> VerifyRequest:
    """The same choice of a workload, for what verifications and trials share."""
    known = request.plan.workload
    if not request.workload_paths and known is not None and not known.is_sample and not known.paths:
        raise PlanError(
            'The plan does not say from which files its workload "{name}" was read. Give the workload file to train on.', name=known.name
        )
    shared = {name: getattr(request, name) for name in VerifyRequest.model_fields if name not in ("plan", "settings", "guardrails")}
    return VerifyRequest(plan=request.plan, **shared)


def _notes(judging: EncodedWorkload) -> Sequence[Message]:
    left_out = len(judging.examples) - len(with_response(judging.examples))
    if not left_out:
        return ()
    return (
        Message(
            id="Verification prompts left out because they have no response, or none that was not cut away: {n} of {total}.",
            values={"n": left_out, "total": len(judging.examples)},
        ),
    )
