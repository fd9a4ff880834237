"""What a healing is asked for, checked before any weight is loaded: settings, plan, folder, workload, model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from analysis.contracts import Freeze, Message, ModelInfo, Plan
from analysis.contracts.healing import HealSettings
from analysis.contracts.plan import HealRequest
from analysis.contracts.search import UnitSet
from analysis.errors import ModelError, PlanError
from analysis.models import estimate
from analysis.models.card import ModelCard
from analysis.models.device import resolve_device, resolve_dtype
from analysis.models.load import describe_model
from analysis.profiling.stream import Watch
from analysis.surgery.apply import removed_units
from analysis.surgery.export_folder import checked_target, require_apart
from analysis.surgery.export_plan import cuts_of
from analysis.training.heal_arms import check_rates
from analysis.training.heal_data import MOST_WINDOWS
from analysis.training.prepare import as_verification, no_words
from analysis.verification.asked import check_fits, check_halves, plan_workload, say
from analysis.workload import EncodedWorkload, Encoder, Workload, encode_workload


@dataclass(frozen=True)
class Prepared:
    """Everything but the weights. `calibration` holds long texts almost whole, `verification` their start."""

    settings: HealSettings
    calibration: EncodedWorkload
    verification: EncodedWorkload


def prepare_heal(request: HealRequest, watch: Watch) -> Prepared:
    """Reads and checks all that a healing needs, cheapest first, without loading the model.

    Raises:
        InputError: a setting, the plan, the folder, the model or the workload cannot be used.
    """
    cut_of(request.plan)
    check_rates(request.settings.learning_rates)
    if request.save_folder is not None:
        checked_target(request.save_folder, overwrite=False)
    say(watch, Message(id="Reading the workload"))
    asked = as_verification(request)
    workload = plan_workload(asked)
    say(watch, Message(id="Looking at the model"))
    card = describe_model(request.model, on_progress=lambda stage: say(watch, stage))
    check_model(request.plan, card.info)
    if request.save_folder is not None:
        cuts_of(request.plan, card.info, zeroed=False)
        require_apart(Path(request.save_folder).expanduser().resolve(), _places(request, card))
    settings = _on_device(request.settings, request.plan, card.info)
    verification = _encoded(workload, card, settings, "verification", 1)
    check_halves(asked, workload, [example.example_id for example in verification.examples])
    return Prepared(settings, _encoded(workload, card, settings, "calibration", MOST_WINDOWS), verification)


def _places(request: HealRequest, card: ModelCard) -> list[Path]:
    """Where the model itself lies."""
    # The sample's location is empty, and an empty path is the folder one stands in; a hub's is a name.
    given = [] if request.model.kind in ("sample", "hub") else [Path(request.model.location)]
    return [place for place in (*given, card.tokenizer_folder) if place is not None and place.exists()]


def cut_of(plan: Plan) -> tuple[str, UnitSet]:
    """(stack, units that the plan takes out of it).

    Raises:
        PlanError: it takes nothing out, or something out of several stacks.
    """
    stacks = {operation.stack or plan.model.stack for operation in plan.operations if not isinstance(operation, Freeze)}
    if not removed_units(plan):
        raise PlanError("The plan takes nothing out of the model, so there is nothing to heal. Choose a plan that skips or prunes.")
    if len(stacks) > 1:
        raise PlanError(
            "The plan takes layers out of several stacks ({stacks}), and healing trains one. Make a plan for each.",
            stacks=tuple(sorted(stacks)),
        )
    return next(iter(stacks)), removed_units(plan)


def check_model(plan: Plan, info: ModelInfo) -> None:
    """The plan has to be for this model, and the model has to write word after word."""
    if info.refusal is not None:
        raise ModelError.from_message(info.refusal)
    check_fits(plan, info)
    if not info.stack(cut_of(plan)[0]).causal or info.head_flops_per_token == 0:
        raise no_words(info)


def _on_device(settings: HealSettings, plan: Plan, info: ModelInfo) -> HealSettings:
    """With every "auto" replaced by what will be done."""
    device = resolve_device(settings.device)
    dtype = resolve_dtype(settings.dtype, device, getattr(torch, info.dtype))
    return settings.model_copy(
        update={
            "device": str(device),
            "dtype": str(dtype).removeprefix("torch."),
            "max_tokens": estimate.longest_prompt(info, settings.max_tokens),
        }
    )


def _encoded(workload: Workload, card: ModelCard, settings: HealSettings, part: str, n_windows: int) -> EncodedWorkload:
    assert card.tokenizer_folder is not None
    return encode_workload(
        workload,
        Encoder.from_folder(card.tokenizer_folder),
        max_tokens=settings.max_tokens * n_windows,
        chat_template=settings.chat_template,
        slices=settings.slices,
        part="verification" if part == "verification" else "calibration",
    )
