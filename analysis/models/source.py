"""What a person types to name a model, understood."""

from __future__ import annotations

import os
import re
from pathlib import Path

from analysis.contracts import ModelSource
from analysis.errors import ModelError
from analysis.workload.shown import shown

SAMPLE_NAME = "SmolLM2-135M-Instruct (4-bit, expanded)"
_HUB_ID = re.compile(r"^(?P<name>[\w][\w.-]*/[\w][\w.-]*)(@(?P<revision>[\w./-]+))?$")


def parse_source(text: str) -> ModelSource:
    """Says what kind of source a text names; a path that exists wins over a hub id.

    Args:
        text: ``sample``, a folder, a ``.gguf`` file, a LoRA adapter folder, or ``owner/name[@revision]``.

    Raises:
        ModelError: the text is none of these, or names a file that is not a model.

    >>> parse_source("owner/name@main").revision
    'main'
    """
    text = text.strip()
    if text in ("", "sample"):
        return ModelSource(kind="sample")
    path = Path(text).expanduser()
    if os.path.isdir(path):  # unlike Path.is_dir, no for a name that is too long for the file system
        kind = "adapter" if (path / "adapter_config.json").is_file() else "folder"
        return ModelSource(kind="adapter" if kind == "adapter" else "folder", location=str(path.resolve()))
    if os.path.isfile(path):
        return _file(path)
    if (match := _HUB_ID.match(text)) and path.suffix != ".gguf":
        return ModelSource(kind="hub", location=match["name"], revision=match["revision"])
    raise ModelError(
        "{text} is not a model that can be found. Give sample, the path of a model folder or a GGUF file, or a hub name "
        "such as owner/name or owner/name@revision.",
        text=shown(text, 80),
    )


def source_label(source: ModelSource) -> str:
    """The source as a person would write it."""
    if source.kind == "sample":
        return SAMPLE_NAME
    if source.kind == "hub":
        return f"{source.location}@{source.revision}" if source.revision else source.location
    return source.location


def model_name(source: ModelSource) -> str:
    """A short name: the last part of the label."""
    if source.kind == "sample":
        return SAMPLE_NAME
    return source.location if source.kind == "hub" else Path(source.location).name


def _file(path: Path) -> ModelSource:
    if path.suffix.lower() == ".gguf":
        return ModelSource(kind="gguf", location=str(path.resolve()))
    if path.suffix == ".safetensors":
        raise ModelError(
            "{file} is only the weights. Give the folder that holds it together with config.json and the tokenizer.", file=str(path)
        )
    raise ModelError("{file} is not a model file. Give a folder with safetensors files, or a GGUF file.", file=str(path))
