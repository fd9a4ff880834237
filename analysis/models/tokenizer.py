"""A folder with tokenizer.json for every model, so that pages can count tokens without torch."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from analysis.errors import ModelError
from analysis.home import saying_disk_errors
from analysis.models.card import card_folder
from analysis.models.files import ModelFiles


def tokenizer_folder(files: ModelFiles) -> Path:
    """The folder that holds the model's tokenizer.json; converted from an older format where need be.

    Raises:
        ModelError: the model comes without a tokenizer, or with one that cannot be converted.
    """
    for folder in _folders(files):
        if (folder / "tokenizer.json").is_file():
            return folder
    return _converted(files)


def _folders(files: ModelFiles) -> list[Path]:
    return [folder for folder in (files.adapter, files.checkpoint.folder if files.checkpoint else None) if folder is not None]


def _converted(files: ModelFiles) -> Path:
    from transformers import AutoTokenizer

    if files.gguf is None and not (files.checkpoint and files.checkpoint.has_tokenizer):
        folder = files.checkpoint.folder if files.checkpoint else files.adapter
        raise ModelError(
            "{folder} has no tokenizer. Copy tokenizer.json and tokenizer_config.json of the model into it.", folder=str(folder)
        )
    target = card_folder(files.source) / f"tokenizer-{files.commit[:12]}"
    if (target / "tokenizer.json").is_file():
        return target
    place, named = (str(files.gguf.parent), {"gguf_file": files.gguf.name}) if files.gguf else (str(_folders(files)[-1]), {})
    try:
        tokenizer = AutoTokenizer.from_pretrained(place, local_files_only=True, trust_remote_code=False, **named)
        fast = bool(tokenizer.is_fast)
    except (OSError, ValueError, KeyError, ImportError, TypeError) as exc:
        raise ModelError("The tokenizer of {model} cannot be read. Copy its tokenizer.json beside the weights.", model=files.name) from exc
    if not fast:
        raise ModelError("The tokenizer of {model} has no fast form. Copy a tokenizer.json beside the weights.", model=files.name)
    with saying_disk_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=target.parent, prefix=".tokenizer-"))
        try:
            tokenizer.save_pretrained(temporary)
            if not target.exists():
                temporary.rename(target)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return target
