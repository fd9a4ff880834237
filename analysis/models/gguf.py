"""GGUF files: what their header says, and the model in them expanded to plain floating-point weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from analysis.errors import ModelError


def read_config(file: Path) -> Any:
    """The config a GGUF file's header describes, as a plain (unquantised) transformers config."""
    try:
        config = AutoConfig.from_pretrained(str(file.parent), gguf_file=file.name, local_files_only=True)
    except Exception as exc:  # the parsers raise whatever a damaged header leads them to
        raise _unreadable(file, exc) from exc
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    return config


def count_numbers(file: Path) -> int:
    """How many weights the file holds, by its header."""
    from gguf import GGUFReader

    try:
        return sum(int(tensor.n_elements) for tensor in GGUFReader(str(file)).tensors)
    except Exception as exc:  # as above
        raise ModelError("{file} is not a readable GGUF file: it is damaged or cut off. Copy the file again.", file=str(file)) from exc


def expand(file: Path, dtype: torch.dtype) -> PreTrainedModel:
    """The model with its weights expanded, in a fresh model of the same config.

    A model that comes out of ``gguf_file=`` still counts as quantised: it refuses to change its number format and to
    be saved. So its weights are moved into one that never was.
    """
    try:
        packed = AutoModelForCausalLM.from_pretrained(str(file.parent), gguf_file=file.name, dtype=torch.float32, local_files_only=True)
    except (ValueError, KeyError, OSError, IndexError, RuntimeError) as exc:
        raise _unreadable(file, exc) from exc
    weights = {name: value.to(dtype) for name, value in packed.state_dict().items()}
    config = packed.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    config.dtype = dtype
    with torch.device("meta"):
        fresh = type(packed)(config)
    fresh = fresh.to(dtype).to_empty(device="cpu")
    return cast(PreTrainedModel, _filled(fresh, weights, packed))


def _filled(fresh: PreTrainedModel, weights: dict[str, torch.Tensor], packed: PreTrainedModel) -> PreTrainedModel:
    fresh.load_state_dict(weights, strict=True, assign=True)
    buffers = dict(packed.named_buffers())  # rotary tables are not in the state dict
    for path, module in fresh.named_modules():
        for name in list(module._buffers):
            module._buffers[name] = buffers[f"{path}.{name}" if path else name]
    fresh.tie_weights()
    fresh.generation_config = packed.generation_config
    return fresh.eval()


def _unreadable(file: Path, exc: BaseException) -> ModelError:
    return ModelError(
        "{file} cannot be read: it is damaged, or holds a kind of model that is not supported ({reason}). Copy it again, "
        "or give the model as a safetensors folder.",
        file=str(file),
        reason=first_line(exc),
    )


def first_line(exc: BaseException) -> str:
    """The first line of a library's complaint."""
    return str(exc).strip().splitlines()[0][:200] if str(exc).strip() else type(exc).__name__
