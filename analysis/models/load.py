"""A model into memory, or only its description: the one place where transformers' loaders are called."""

from __future__ import annotations

import contextlib
import gc
import warnings
from collections.abc import Iterator
from typing import Any, cast

import torch
import transformers
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, PreTrainedModel
from transformers.utils import logging as transformers_logging

from analysis.contracts import DType, Message, ModelSource
from analysis.errors import ModelError, ResourceError
from analysis.models import gguf, memory
from analysis.models.card import ModelCard, read_card, write_card
from analysis.models.checkpoint import Checkpoint
from analysis.models.device import dtype_named, resolve_device, resolve_dtype
from analysis.models.files import ModelFiles, find_files
from analysis.models.gguf import first_line
from analysis.models.resnet_cifar import CifarResNetForImageClassification
from analysis.models.sample import Report, silent
from analysis.models.stack import Identity, LoadedModel, assemble
from analysis.models.tokenizer import tokenizer_folder


def load_model(source: ModelSource, *, device: str = "auto", dtype: DType = "auto", on_progress: Report = silent) -> LoadedModel:
    """Loads a model, proves where its layers can be tapped, and keeps its card.

    Args:
        source: where the model comes from.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.
        dtype: number format; ``auto`` is float32 on a CPU, the checkpoint's own elsewhere.
        on_progress: told what takes time.

    Raises:
        ModelError: the model or the device cannot be used; the sentence says why.
        ResourceError: there is not enough memory, found out before loading where the headers tell.
    """
    target = resolve_device(device)
    files = find_files(source, weights=True, on_progress=on_progress)
    config = _config(files)
    own = _own_dtype(files, config)
    wanted = resolve_dtype(dtype, target, own)
    spread = _spread(device, target, _needed(files, wanted))
    if not spread:
        memory.require(_needed(files, wanted), target, model=files.name)
    on_progress(Message(id="Loading {model}", values={"model": files.name}))
    with _quiet(), _saying_out_of_memory(files.name, target):
        model = _load(files, config, target, wanted, spread=spread)
    info, stacks = assemble(model, Identity(files.name, source, files.commit, own, files.notes))
    tokenizer = tokenizer_folder(files) if info.refusal is None else None
    write_card(source, ModelCard(info, tokenizer), files.watched)
    return LoadedModel(model, info, stacks, tokenizer, model.device, wanted)


def describe_model(source: ModelSource, *, on_progress: Report = silent) -> ModelCard:
    """A model's anatomy from its config alone, without loading weights; keeps it as the model's card.

    Where the attention ends inside a layer is proved only by running it, so the layout stays unknown until the model
    has been loaded once.
    """
    files = find_files(source, weights=False, on_progress=on_progress)
    known = read_card(source)
    if known is not None and known.info.commit == files.commit:
        return known
    config = _config(files)
    own = _own_dtype(files, config)
    with _quiet(), torch.device("meta"):
        model = model_class(files.name, config)._from_config(config, dtype=own)
    info, _ = assemble(model, Identity(files.name, source, files.commit, own, files.notes))
    if files.checkpoint is not None and "quantization_config" in files.checkpoint.config and files.checkpoint.weight_files:
        info = info.model_copy(update={"weight_bytes": files.checkpoint.stored_bytes})
    card = ModelCard(info, tokenizer_folder(files) if info.refusal is None else None)
    write_card(source, card, files.watched)
    return card


_OWN: dict[str, type[PreTrainedModel]] = {kind.__name__: kind for kind in (CifarResNetForImageClassification,)}
"""Classes that transformers' parts were put together to here, by the name that their folders carry."""


def model_class(name: str, config: Any) -> type[PreTrainedModel]:
    """The class the checkpoint was saved from; else the one with an output head; else the bare model.

    Raises:
        ModelError: this version of transformers has no such architecture.
    """
    for architecture in getattr(config, "architectures", None) or ():
        found = _OWN.get(architecture) or getattr(transformers, architecture, None)
        if isinstance(found, type) and issubclass(found, PreTrainedModel):
            return found
    for auto in (AutoModelForCausalLM, AutoModel):
        if type(config) in auto._model_mapping:
            mapped = auto._model_mapping[type(config)]
            return cast(type[PreTrainedModel], mapped[0] if isinstance(mapped, tuple) else mapped)
    raise ModelError(
        "{model} is of a kind ({kind}) that transformers {version} cannot load. Update transformers, or choose another model.",
        model=name,
        kind=config.model_type,
        version=transformers.__version__,
    )


def _config(files: ModelFiles) -> Any:
    if files.gguf is not None:
        with _quiet():
            return gguf.read_config(files.gguf)
    assert files.checkpoint is not None
    stored, kind = files.checkpoint.config, str(files.checkpoint.config["model_type"])
    if kind not in transformers.CONFIG_MAPPING:
        if "auto_map" in stored:
            raise ModelError(
                "{model} brings its own program code ({kind}), which is never run. Use a model whose kind is part of "
                "transformers, or convert it to one.",
                model=files.name,
                kind=kind,
            )
        raise ModelError(
            "{model} is of a kind ({kind}) that transformers {version} cannot load. Update transformers, or choose another model.",
            model=files.name,
            kind=kind,
            version=transformers.__version__,
        )
    try:
        return AutoConfig.from_pretrained(str(files.checkpoint.folder), local_files_only=True, trust_remote_code=False)
    except Exception as exc:  # a config's own checks raise many kinds
        raise ModelError(
            "The config.json of {model} is not valid ({reason}). Copy the model again, or correct that entry.",
            model=files.name,
            reason=first_line(exc),
        ) from exc


def _own_dtype(files: ModelFiles, config: Any) -> torch.dtype:
    if files.gguf is not None:
        return torch.bfloat16
    assert files.checkpoint is not None
    return dtype_named(files.checkpoint.stored_dtype)


def _needed(files: ModelFiles, dtype: torch.dtype) -> int:
    if files.gguf is not None:
        return gguf.count_numbers(files.gguf) * (4 + dtype.itemsize)  # the packed file is expanded in float32 first
    checkpoint = cast(Checkpoint, files.checkpoint)
    return checkpoint.stored_bytes if "quantization_config" in checkpoint.config else checkpoint.bytes_as(str(dtype).removeprefix("torch."))


def _spread(asked: str, device: torch.device, needed: int) -> bool:
    """Over all GPUs: when none was chosen and the first is too small, but together they are not."""
    if device.type != "cuda" or asked not in ("auto", "cuda") or torch.cuda.device_count() < 2:
        return False
    free = [torch.cuda.mem_get_info(index)[0] for index in range(torch.cuda.device_count())]
    return free[device.index or 0] < needed < sum(free)


def _load(files: ModelFiles, config: Any, device: torch.device, dtype: torch.dtype, *, spread: bool) -> PreTrainedModel:
    if files.gguf is not None:
        model = gguf.expand(files.gguf, dtype)
    else:
        model = _from_folder(cast(Checkpoint, files.checkpoint), files.name, config, dtype, "auto" if spread else str(device))
    if files.adapter is not None:
        model = _merged(model, files)
    return model.eval() if spread or model.device == device else model.to(device).eval()


def _from_folder(checkpoint: Checkpoint, name: str, config: Any, dtype: torch.dtype, device_map: str) -> PreTrainedModel:
    options: dict[str, Any] = {"dtype": dtype} if "quantization_config" not in checkpoint.config else {}
    if device_map != "cpu":
        options["device_map"] = device_map
    try:
        model, report = model_class(name, config).from_pretrained(
            str(checkpoint.folder), config=config, local_files_only=True, use_safetensors=True, output_loading_info=True, **options
        )
    except ImportError as exc:
        kind = str(checkpoint.config.get("quantization_config", {}).get("quant_method", "?"))
        raise ModelError(
            "{model} is quantised ({kind}), and the library for that is not installed here ({reason}). Install it, or give "
            "the model unquantised.",
            model=name,
            kind=kind,
            reason=first_line(exc),
        ) from exc
    except (RuntimeError, ValueError, OSError, KeyError) as exc:
        if isinstance(exc, torch.OutOfMemoryError) or "allocate memory" in str(exc):  # the CPU's allocator has no error of its own
            raise MemoryError from exc
        raise ModelError(
            "The weights of {model} do not fit its config ({reason}). Copy the model again.", model=name, reason=first_line(exc)
        ) from exc
    if missing := tuple(sorted(report["missing_keys"])):
        _refuse_missing(name, model, missing)
    return cast(PreTrainedModel, model)


def _refuse_missing(name: str, model: PreTrainedModel, missing: tuple[str, ...]) -> None:
    """Heads and poolers may be new; layers and embeddings may not."""
    base = {key for key, _ in model.base_model.named_parameters()}
    prefix = f"{model.base_model_prefix}."
    needed = tuple(key for key in missing if key.removeprefix(prefix) in base and "pooler" not in key)
    if needed:
        raise ModelError(
            "{model} lacks {count} of the weights its config asks for, such as {key}. Copy the model again.",
            model=name,
            count=len(needed),
            key=needed[0],
        )


def _merged(model: PreTrainedModel, files: ModelFiles) -> PreTrainedModel:
    """The adapter's weights added into the model's own."""
    try:
        from peft import PeftModel
    except ImportError as exc:
        raise ModelError("{model} is an adapter, which needs the package peft. Run pip install peft.", model=files.name) from exc
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # peft still uses names that transformers is giving up
            return cast(PreTrainedModel, PeftModel.from_pretrained(model, str(files.adapter), local_files_only=True).merge_and_unload())
    except (RuntimeError, ValueError, KeyError, OSError) as exc:
        raise ModelError(
            "The adapter {model} does not fit the model it names ({reason}). Correct base_model_name_or_path in its adapter_config.json.",
            model=files.name,
            reason=first_line(exc),
        ) from exc


@contextlib.contextmanager
def _saying_out_of_memory(name: str, device: torch.device) -> Iterator[None]:
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as exc:
        gc.collect()
        if device.type == "cuda":
            torch.cuda.empty_cache()
        raise ResourceError(
            "Memory ran out on {device} while loading {model}. Choose bfloat16, another device or a smaller model.",
            device=str(device),
            model=name,
        ) from exc


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the library's own progress bars and advice: progress is told through messages."""
    level, bars = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(level)
        if bars:
            transformers_logging.enable_progress_bar()
