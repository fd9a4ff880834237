"""A stopped arm on disk, and back: Trainer's checkpoint with the arm's diary beside it."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers.trainer_utils import get_last_checkpoint

from analysis.models.stack import LoadedModel, Stack
from analysis.training.callbacks import StepTrainer
from analysis.training.data import Parts
from analysis.training.diary import Diary

_DIARY = "arm.json"
_SIZES = 4
"""A checkpoint is as large as three times what trains, the optimiser's two moments among it; and a little room."""


def key(loaded: LoadedModel, stack: Stack, parts: Parts, asked: Mapping[str, Any]) -> str:
    """The same for the same arm on the same model and examples."""
    examples = hashlib.blake2b(digest_size=16)
    for example in parts.train:
        examples.update(example.input_ids.tobytes() + example.kinds.tobytes() + repr(example.weight).encode())
    found = {
        "model": loaded.info.commit,
        "stack": stack.info.name,
        "dtype": str(loaded.dtype),
        "device": loaded.device.type,
        "examples": examples.hexdigest(),
        **asked,
    }
    return hashlib.blake2b(json.dumps(found, sort_keys=True).encode(), digest_size=16).hexdigest()


def save(trainer: StepTrainer, folder: Path, key: str) -> bool:
    """Writes the last whole step down; False: there is none, or no room for it."""
    if trainer.state.global_step == 0:
        return False
    trainer.recorder.rewind()
    trainer.recorder.finish()
    trained = sum(parameter.numel() * parameter.element_size() for parameter in trainer.model.trained().values())
    if shutil.disk_usage(folder).free < _SIZES * trained:
        return False
    trainer.model.zero_grad(set_to_none=True)
    trainer._save_checkpoint(trainer.model, None)
    written = Path(get_last_checkpoint(str(folder)))
    (written / _DIARY).write_text(json.dumps({"key": key, "diary": trainer.diary.as_json()}), encoding="utf-8")
    return True


def find(folder: Path, key: str) -> tuple[Diary, Path] | None:
    """Where this same arm was stopped. Only what this program wrote for this very arm is read; Trainer reads its own files as
    safetensors, and the optimiser's and chance's as tensors alone, never as programs."""
    written = sorted(folder.glob("checkpoint-*/" + _DIARY), key=lambda path: path.stat().st_mtime, reverse=True)
    for checkpoint in (path.parent for path in written):  # the diary is written last: one without it was never finished
        diary = read_diary(checkpoint, key)
        if diary is not None:
            return diary, checkpoint
    return None


def read_diary(checkpoint: Path, key: str) -> Diary | None:
    """What was written beside a checkpoint, if this very arm wrote it; None: another one did, or it cannot be read."""
    try:
        stored = json.loads((checkpoint / _DIARY).read_text(encoding="utf-8"))
        return Diary.from_json(stored["diary"]) if stored["key"] == key else None
    except (OSError, ValueError, TypeError, KeyError):
        return None
