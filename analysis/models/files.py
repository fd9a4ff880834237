"""From a source to the files on this machine that hold the model, checked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from analysis.contracts import Message, ModelSource
from analysis.errors import ModelError
from analysis.models import hub
from analysis.models.checkpoint import Checkpoint, digest, read_checkpoint
from analysis.models.sample import NOTE, Report, prepare_sample, sample_commit
from analysis.models.source import model_name, parse_source


@dataclass(frozen=True)
class ModelFiles:
    """Where a model lies: a checked folder or a GGUF file, and an adapter on top of it where there is one."""

    source: ModelSource
    name: str
    commit: str
    checkpoint: Checkpoint | None = None
    gguf: Path | None = None
    adapter: Path | None = None
    notes: tuple[Message, ...] = ()

    @property
    def watched(self) -> tuple[Path, ...]:
        """The files whose change makes a description stale."""
        own = [self.gguf] if self.gguf else []
        if self.checkpoint is not None:
            own += [self.checkpoint.folder / "config.json", *self.checkpoint.weight_files]
        return tuple(own + (_adapter_weights(self.adapter) if self.adapter else []))


def find_files(source: ModelSource, *, weights: bool, on_progress: Report) -> ModelFiles:
    """Finds and checks a model's files.

    Args:
        source: where the model comes from.
        weights: False: a description is enough, so hub weights are not fetched.
        on_progress: told what takes time.

    Raises:
        ModelError: the source does not hold a model that can be used; the sentence says why.
        ResourceError: it cannot be fetched.
    """
    return _FINDERS[source.kind](source, weights, on_progress)


def _sample(source: ModelSource, weights: bool, on_progress: Report) -> ModelFiles:
    folder = prepare_sample(on_progress)
    return ModelFiles(source, model_name(source), sample_commit(), read_checkpoint(folder), notes=(NOTE,))


def _hub(source: ModelSource, weights: bool, on_progress: Report) -> ModelFiles:
    folder = hub.fetch(source, weights=weights, on_progress=on_progress)
    return ModelFiles(source, model_name(source), folder.name, read_checkpoint(folder, weights=weights))


def _folder(source: ModelSource, weights: bool, on_progress: Report) -> ModelFiles:
    checkpoint = read_checkpoint(Path(source.location))
    on_progress(Message(id="Checking the files of {model}", values={"model": model_name(source)}))
    return ModelFiles(source, model_name(source), digest(checkpoint.weight_files), checkpoint)


def _gguf(source: ModelSource, weights: bool, on_progress: Report) -> ModelFiles:
    file = Path(source.location)
    if not file.is_file():
        raise ModelError("{file} is not there. Give the path of a GGUF file.", file=str(file))
    on_progress(Message(id="Checking the files of {model}", values={"model": file.name}))
    note = Message(
        id="The weights of {file} were stored in fewer bits and are expanded here, so the model takes more memory than the file.",
        values={"file": file.name},
    )
    return ModelFiles(source, model_name(source), digest([file]), gguf=file, notes=(note,))


def _adapter(source: ModelSource, weights: bool, on_progress: Report) -> ModelFiles:
    folder = Path(source.location)
    path = folder / "adapter_config.json"
    try:
        name = json.loads(path.read_text(encoding="utf-8"))["base_model_name_or_path"]
        base = parse_source(str(folder / name) if (folder / str(name)).is_dir() else str(name))
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise ModelError(
            "{file} does not name the model that the adapter belongs to. Set base_model_name_or_path in it.", file=str(path)
        ) from exc
    if not _adapter_weights(folder):
        raise ModelError(
            "{folder} has no adapter_model.safetensors. Save the adapter as safetensors (save_pretrained does).", folder=str(folder)
        )
    if base.kind == "adapter":
        raise ModelError("The adapter in {folder} sits on another adapter. Merge that one into its model first.", folder=str(folder))
    found = find_files(base, weights=weights, on_progress=on_progress)
    note = Message(id="The adapter {name} is merged into {base}.", values={"name": folder.name, "base": found.name})
    commit = hashlib.sha256(f"{found.commit} {digest(_adapter_weights(folder))}".encode()).hexdigest()
    return replace(found, source=source, name=folder.name, commit=commit, adapter=folder, notes=(*found.notes, note))


def _adapter_weights(folder: Path) -> list[Path]:
    return sorted(folder.glob("adapter_model*.safetensors"))


_FINDERS: dict[str, Callable[[ModelSource, bool, Report], ModelFiles]] = {
    "sample": _sample,
    "hub": _hub,
    "folder": _folder,
    "gguf": _gguf,
    "adapter": _adapter,
}
