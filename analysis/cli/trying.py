"""What `trial` and `sweep` share: the settings as they were typed, the run itself, and what is kept when it is stopped."""

from __future__ import annotations

import math
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from analysis.cli.choosing import stoppable
from analysis.cli.documents import write_document
from analysis.cli.progress import shown_progress, stages_of
from analysis.cli.terminal import Terminal, stopping
from analysis.contracts import ArmKind, Progress, Semantics, StepModel, Trial, TrialRequest, TrialSettings
from analysis.errors import Cancelled, InputError

if TYPE_CHECKING:
    from analysis.runs.store import Store

_SIZE = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>[KMGT]i?B)", re.IGNORECASE)
_UNITS = {"k": 1, "m": 2, "g": 3, "t": 4}
_NONE = "none"
_AS_TYPED = (
    "device",
    "dtype",
    "max_tokens",
    "chat_template",
    "epochs",
    "batch_size",
    "micro_batch",
    "tuning_share",
    "weight_decay",
    "lora_rank",
    "train_norm",
    "max_minutes",
    "cache",
    "seed",
)
"""Options that need no reading."""


def trial_settings(typed: Mapping[str, Any], **more: Any) -> TrialSettings:
    """What was typed as settings.

    Args:
        typed: the command's parameters by name; those that are no settings are not looked at.
        more: settings that the command works out itself.

    Raises:
        InputError: a rate, a way of training or a size that cannot be meant.
    """
    return TrialSettings(
        learning_rates=rates_of(typed["learning_rate"], "--learning-rate"),
        lora_learning_rates=rates_of(typed["lora_learning_rate"], "--lora-learning-rate"),
        compare=arms_named(typed["compare"]),
        cache_bytes=bytes_of(typed["cache_limit"]),
        slices=tuple(typed["slice_"] or ()),
        **{name: typed[name] for name in _AS_TYPED},
        **more,
    )


def rates_of(given: Sequence[float] | None, option: str) -> tuple[float, ...]:
    """Learning rates, each once.

    Raises:
        InputError: one that is no number above zero.
    """
    wrong = next((rate for rate in given or () if not 0 < rate < math.inf), None)
    if wrong is not None:
        raise InputError(
            "{option} {given} is not possible: a learning rate lies above zero, for example 1e-5.", option=option, given=f"{wrong:g}"
        )
    return tuple(dict.fromkeys(given or ()))


def arms_named(given: Sequence[str] | None) -> tuple[ArmKind, ...]:
    """What --compare names, each once; "none" stands for nothing beside the plan.

    Raises:
        InputError: something that is not a way of training, or "none" beside others.
    """
    known: tuple[ArmKind, ...] = tuple(kind for kind in get_args(ArmKind) if kind != "freeze")
    if not given:
        return "full", "lora"
    if tuple(given) == (_NONE,):
        return ()
    unknown = next((one for one in given if one not in known), None)
    if unknown is not None:
        raise InputError(
            "--compare {given} is not one of: {known}. Choose among these, or give none alone.", given=unknown[:40], known=known
        )
    return tuple(kind for kind in known if kind in given)


def bytes_of(text: str | None) -> int | None:
    """A size such as ``2GiB`` or ``500MB``; None: not given.

    Raises:
        InputError: something else stands there, or it is nothing.
    """
    if text is None:
        return None
    found = _SIZE.fullmatch(text.strip())
    n_bytes = 0
    if found is not None:
        unit = found["unit"].lower()
        n_bytes = round(float(found["number"]) * (1024 if "i" in unit else 1000) ** _UNITS[unit[0]])
    if n_bytes < 1:
        raise InputError("--cache-limit {given} is not understood: write a size above zero, for example 2GiB.", given=text[:40])
    return n_bytes


def boundaries_of(text: str | None, n_blocks: int) -> tuple[int, ...]:
    """``9,14,19,24`` as last frozen layers; without any, four places evenly over the stack.

    Raises:
        InputError: something that is not a list of layers, or a layer that cannot be the last frozen one.
    """
    last = n_blocks - 2
    if text is None:
        return tuple(sorted({max(-1, min(last, round(share * n_blocks) - 1)) for share in (0.2, 0.4, 0.6, 0.8)}))
    try:
        found = tuple(dict.fromkeys(int(part) for part in text.split(",") if part.strip()))
    except ValueError as exc:
        raise InputError(
            "--boundaries {given} is not understood: write layer numbers with commas, for example 9,14,19.", given=text
        ) from exc
    wrong = tuple(layer for layer in found if not -1 <= layer <= last)
    if wrong or not found:
        raise InputError(
            "--boundaries {given} is not possible: the last frozen layer of {n_blocks} lies between -1 (none) and {last}.",
            given=text,
            n_blocks=n_blocks,
            last=last,
        )
    return found


def tried(request: TrialRequest, terminal: Terminal, *, keep: bool, out: Path | None, semantics: Semantics | None = None) -> Trial:
    """The trial, written to its file first: a store that is full or locked costs nothing that was trained.

    Stopped half-way, what was trained so far stays in the storage folder, and the same command goes on from there.
    """
    from analysis.runs.store import open_store
    from analysis.training.trial import run_trial

    store = open_store()
    with stopping() as should_stop:
        with shown_progress(terminal) as show:
            here = _here(request, store, stoppable(show, should_stop))
            try:
                found = run_trial(
                    request,
                    on_progress=stoppable(show, should_stop),
                    should_stop=should_stop,
                    semantics=semantics or here.semantics,
                    known_steps=here.steps,
                    folder=here.folder,
                )
            except Cancelled as exc:
                if any(here.folder.glob("*")):
                    raise Cancelled("Stopped. What was trained so far is kept; the same command goes on from there.") from exc
                raise
        if out is not None:
            write_document(found, out)
        if keep:
            store.keep_trial(request, found)
        shutil.rmtree(here.folder, ignore_errors=True)
    return found


@dataclass(frozen=True)
class _Here:
    """What this machine knows of a trial beforehand: the workload's traces, how long steps take, and where it is taken up again."""

    semantics: Semantics | None
    steps: StepModel | None
    folder: Path


def _here(request: TrialRequest, store: Store, show: Callable[[Progress], None]) -> _Here:
    from analysis.models.device import resolve_device
    from analysis.models.load import describe_model
    from analysis.runs.jobs_trained import steps_for, trial_folder
    from analysis.runs.keys import judged_on, trial_key
    from analysis.runs.store import this_host
    from analysis.workload import requested_workload

    plan, info = request.plan, describe_model(request.model, on_progress=stages_of(show)).info
    workload = requested_workload(judged_on(request)).info.content_hash
    device = str(resolve_device(request.settings.device))
    key = trial_key(request, commit=info.commit, workload_hash=workload, device=device, host=this_host())
    traces = store.semantics.for_model(plan.model.commit, plan.model.stack, workload)
    return _Here(traces, steps_for(store, request, info.commit, device), trial_folder(key))
