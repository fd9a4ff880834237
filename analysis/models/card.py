"""A model's card: its anatomy and where its tokenizer lies, kept so that pages can read it without loading torch."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from analysis.contracts import ModelInfo, ModelSource
from analysis.home import home, write_atomically
from analysis.models.checkpoint import fingerprint
from analysis.models.source import source_label

_VERSION = 1


@dataclass(frozen=True)
class ModelCard:
    """What is known about a model without loading it. The tokenizer folder holds tokenizer.json and its config."""

    info: ModelInfo
    tokenizer_folder: Path | None


def card_folder(source: ModelSource) -> Path:
    """The folder that keeps what was made for a model: its card, a converted tokenizer."""
    label = source_label(source)
    words = re.sub(r"[^A-Za-z0-9.-]+", "-", label.rsplit("/", 1)[-1]).strip("-.")[:40]
    return home() / "models" / f"{words}-{hashlib.sha256(f'{source.kind} {label}'.encode()).hexdigest()[:10]}"


def read_card(source: ModelSource) -> ModelCard | None:
    """The card of a model; None when there is none yet, or when the model's files moved since it was written."""
    path = card_folder(source) / "card.json"
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        files = [Path(name) for name, _, _ in stored["files"]]
        if stored["version"] != _VERSION or fingerprint(files) != stored["files"]:
            return None
        folder = stored["tokenizer_folder"]
        card = ModelCard(ModelInfo.model_validate(stored["info"]), None if folder is None else Path(folder))
    except (OSError, ValueError, KeyError, TypeError, ValidationError):
        return None  # a card is only a note: an unreadable one is written anew
    return card if card.tokenizer_folder is None or (card.tokenizer_folder / "tokenizer.json").is_file() else None


def write_card(source: ModelSource, card: ModelCard, files: Iterable[Path]) -> None:
    """Keeps a card together with the marks of the files it describes."""
    stored = {
        "version": _VERSION,
        "info": card.info.model_dump(mode="json"),
        "tokenizer_folder": None if card.tokenizer_folder is None else str(card.tokenizer_folder),
        "files": fingerprint(files),
    }
    write_atomically(card_folder(source) / "card.json", json.dumps(stored, ensure_ascii=False).encode())
