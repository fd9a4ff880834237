"""Where a result was made and with what: every document that holds measured figures says it the same way."""

from __future__ import annotations

import platform
from datetime import datetime

import torch
import transformers

from analysis import __version__
from analysis.contracts import Machine
from analysis.models.device import device_name
from analysis.models.stack import LoadedModel


def machine_of(loaded: LoadedModel, started: datetime, seconds: float) -> Machine:
    """What a model ran on, since when and for how long."""
    return Machine(
        device=str(loaded.device),
        device_name=device_name(loaded.device),
        dtype=str(loaded.dtype).removeprefix("torch."),
        started_at=started.isoformat(),
        seconds=round(seconds, 3),
    )


def versions() -> dict[str, str]:
    """Of what ran."""
    return {
        "strata": __version__,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "python": platform.python_version(),
    }
