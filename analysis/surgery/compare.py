"""The proof of an export: the written folder does, number for number, what the plan does in the source model.

Two things are compared. What both models compute, in float32, on random and on real tokens. And what each kept layer
is: a window longer than every test prompt shows in no number, so the settings its modules carry are compared as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import AutoConfig, GenerationConfig, PreTrainedModel
from transformers.utils import logging

from analysis.errors import ModelError, PlanError, ResourceError
from analysis.models.gguf import first_line
from analysis.models.load import model_class
from analysis.workload.encoder import Encoder
from analysis.workload.reading import sample_workload

N_RANDOM = 48
N_REAL = 64
N_EXAMPLES = 3
N_GENERATED = 8
_ALIGNED = 64
_NUMBERS = re.compile(r"(layer|block)_?(idx|id|index|number)$|^idx$|^kv_shared_layer_index$")
_MARKER = re.compile(r"(image|video|vision|audio|speech|sound|media|frame|boi|eoi|boa|eoa|bov|eov).*(id|index)$")
_PLAIN = (bool, int, float, str, type(None))

FAILURES = (RuntimeError, ValueError, TypeError, KeyError, IndexError, AttributeError, AssertionError)
"""What a model raises that does not run."""

Inputs = Mapping[str, Tensor]


@dataclass(frozen=True)
class Questions:
    """What both models are asked. Each is one call's arguments."""

    random: tuple[Inputs, ...]
    real: tuple[Inputs, ...]

    @property
    def n_random_tokens(self) -> int:
        """Tokens, or what the model reads instead of tokens."""
        return sum(_length(inputs) for inputs in self.random)

    @property
    def n_real_tokens(self) -> int:
        """Tokens of real prompts."""
        return sum(_length(inputs) for inputs in self.real)


@dataclass(frozen=True)
class Answers:
    """Logits (final states of a model without a head) for every question, and what is generated from the first."""

    scores: tuple[Tensor, ...]
    generated: Tensor | None


def ask(model: PreTrainedModel, questions: Questions, *, generate: bool = True) -> Answers:
    """Runs every question in float32, and a few greedy tokens with the cache where the model generates text."""
    with torch.no_grad(), _exact(), quiet(), _saying_out_of_memory(model.device):
        scores = tuple(_scores(model, inputs) for inputs in (*questions.random, *questions.real))
        first = (*questions.real, *questions.random)[0]
        return Answers(scores, _generated(model, first) if generate and _generates(model) else None)


@contextmanager
def reaching(layers: Mapping[str, nn.Module]) -> Iterator[None]:
    """Inside, every one of these layers has to run: a proof that does not reach what was cut proves nothing.

    Raises:
        PlanError: one did not run; the sentence names the stack it stands for.
    """
    ran: set[str] = set()
    handles = [layer.register_forward_pre_hook(lambda *_, name=name: ran.add(name)) for name, layer in layers.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
    if missed := sorted(layers.keys() - ran):
        raise PlanError(
            "The layers of {stack} are not run by text, so their export could not be proved. Skip them at run time instead "
            "(python -m analysis run-plan).",
            stack=missed[0],
        )


def difference(one: Answers, other: Answers) -> float:
    """Largest |difference| of any score; infinite where shapes or generated tokens differ, or a score is not a number."""
    same = (one.generated is None) == (other.generated is None)
    if not same or (one.generated is not None and other.generated is not None and not torch.equal(one.generated, other.generated)):
        return float("inf")
    return max(largest(a, b) for a, b in zip(one.scores, other.scores, strict=True))


def questions_for(model: PreTrainedModel, real_ids: Sequence[Sequence[int]], max_tokens: int | None) -> Questions:
    """Random input of the kind the model reads, and real prompts where it reads text."""
    generator = torch.Generator().manual_seed(20)
    length = min(N_RANDOM, max_tokens or N_RANDOM)
    allowed = _allowed(model)
    if model.main_input_name != "input_ids":
        return Questions((_to(_pictures_or_sounds(model, allowed, generator, min(length, 8)), model),), ())
    random = [allowed[torch.randint(len(allowed), (2, length), generator=generator)] for _ in range(2)]
    known = set(allowed.tolist())
    real = [torch.tensor([list(ids)[:max_tokens]]) for ids in real_ids if ids and set(ids) <= known]
    return Questions(tuple(_text(model, ids) for ids in random), tuple(_text(model, ids) for ids in real))


def real_ids(tokenizer_folder: Path | None) -> list[list[int]]:
    """A few prompts of the sample workload in the tokenizer's ids; none without a tokenizer."""
    if tokenizer_folder is None:
        return []
    encoder = Encoder.from_folder(tokenizer_folder)
    examples = sample_workload().examples[:N_EXAMPLES]
    return [encoder.encode(example, max_tokens=N_REAL, chat_template=True).input_ids.tolist() for example in examples]


def reload(folder: Path, *, device: str | torch.device, dtype: torch.dtype = torch.float32) -> PreTrainedModel:
    """The folder as plain transformers loads it.

    Raises:
        PlanError: it does not load, or weights are missing, left over or of the wrong shape.
    """
    config = read_folder_config(folder)
    options: dict[str, Any] = {} if str(device) == "cpu" else {"device_map": {"": str(device)}}
    try:
        with quiet(), _saying_out_of_memory(device):
            model, report = model_class(folder.name, config).from_pretrained(
                str(folder), dtype=dtype, local_files_only=True, use_safetensors=True, output_loading_info=True, **options
            )
    except (OSError, *FAILURES) as exc:
        raise PlanError(
            "The written model does not load ({reason}), so it was not kept. Skip these layers at run time instead "
            "(python -m analysis run-plan).",
            reason=first_line(exc),
        ) from exc
    check_keys(report)
    if str(device) != "meta":
        _align(model)
    return cast(PreTrainedModel, model.eval())


def loading_report(folder: Path, kind: type[PreTrainedModel]) -> Mapping[str, Any]:
    """Which weights of a folder find no place and which places no weight, without reading one."""
    with quiet():
        _, report = kind.from_pretrained(
            str(folder), local_files_only=True, use_safetensors=True, output_loading_info=True, device_map={"": "meta"}
        )
    return cast(Mapping[str, Any], report)


@contextmanager
def quiet() -> Iterator[None]:
    """Without the library's own progress bars and advice."""
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


@contextmanager
def _saying_out_of_memory(device: str | torch.device) -> Iterator[None]:
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as exc:
        raise ResourceError(
            "Memory ran out on {device} while the export was being proved, so it was not kept. Choose the CPU (--device cpu), or a machine "
            "with more memory.",
            device=str(device),
        ) from exc


def check_keys(report: Mapping[str, Any]) -> None:
    """Every weight found its place, and every place its weight.

    Raises:
        PlanError: not so; the sentence names one.
    """
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if keys := sorted(str(key) for key in report[kind]):
            raise PlanError(
                "The written model does not load whole: {count} weights are missing, left over or of the wrong shape, such as {key}. "
                "It was not kept. Skip these layers at run time instead (python -m analysis run-plan).",
                count=len(keys),
                key=keys[0],
            )


def read_folder_config(folder: Path) -> Any:
    """The folder's config as transformers reads it."""
    return AutoConfig.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)


def without_weights(config: Any, kind: type[PreTrainedModel]) -> PreTrainedModel:
    """The model of a config on the meta device."""
    with torch.device("meta"):
        return kind(config)


def check_settings(source: PreTrainedModel, written: PreTrainedModel, path: str, keep: Sequence[int]) -> None:
    """Every kept layer carries the settings it had: windows, kinds of attention, positions, experts.

    Args:
        source, written: both models, with or without weights.
        path: attribute path of the list of layers.
        keep: the source's layers that stand in the written model, in order.

    Raises:
        PlanError: a setting or the number of layers differs; the sentence names it.
    """
    old, new = source.get_submodule(path), written.get_submodule(path)
    n_old, n_new = len(list(old.children())), len(list(new.children()))
    if n_new != len(keep):
        raise PlanError(
            "The written config makes a model of {found} layers instead of {wanted}, so it was not kept. Skip these layers at run time "
            "instead (python -m analysis run-plan).",
            found=n_new,
            wanted=len(keep),
        )
    for index, block in enumerate(keep):
        before, after = dict(_settings(old.get_submodule(str(block)))), dict(_settings(new.get_submodule(str(index))))
        if wrong := sorted(name for name in before.keys() | after.keys() if not _agree(before.get(name), after.get(name), keep, n_old)):
            raise PlanError(
                "In the cut model, layer {block} would no longer be what it was: its setting {setting} changes. The config of this model "
                "cannot say that. Choose other layers, or skip these at run time instead (python -m analysis run-plan).",
                block=block,
                setting=wrong[0],
            )


def _agree(before: object, after: object, keep: Sequence[int], n_blocks: int) -> bool:
    """The same, or a copy of the config's list of all layers, cut."""
    if isinstance(before, list | tuple) and isinstance(after, list | tuple) and len(before) == n_blocks:
        return list(after) in ([before[block] for block in keep], list(before))
    return before == after


def _settings(block: nn.Module) -> Iterator[tuple[str, object]]:
    """Plain values that the block and the modules inside it carry, their kinds and shapes; numbers of layers left out."""
    for path, module in block.named_modules():
        yield f"{path}.class", type(module).__name__
        for name, value in vars(module).items():
            if name.startswith("_") or _NUMBERS.search(name):
                continue
            if isinstance(value, _PLAIN) or (isinstance(value, list | tuple) and all(isinstance(entry, _PLAIN) for entry in value)):
                yield f"{path}.{name}".lstrip("."), value
    for name, parameter in block.named_parameters():
        yield f"{name}.shape", tuple(parameter.shape)


def _align(model: PreTrainedModel) -> None:
    """Weights at round addresses: the processor's products may round differently at others."""
    for parameter in model.parameters():
        if parameter.device.type == "cpu" and parameter.data_ptr() % _ALIGNED:
            parameter.data = parameter.data.clone()


def in_float32(model: PreTrainedModel) -> PreTrainedModel:
    """The same model computing in float32; every value stays what it was."""
    for parameter in model.parameters():
        if parameter.is_floating_point():
            parameter.data = parameter.data.float()
    for module in model.modules():
        for name, buffer in module._buffers.items():
            if buffer is not None and buffer.dtype in (torch.bfloat16, torch.float16):
                module._buffers[name] = buffer.float()
    model.config.dtype = torch.float32
    _align(model)
    return model


# -- running -----------------------------------------------------------------------------------------------------------


def _scores(model: PreTrainedModel, inputs: Inputs) -> Tensor:
    output = model(**inputs, **({"use_cache": False} if model.main_input_name == "input_ids" and _caches(model) else {}))
    scores = getattr(output, "logits", None)
    return cast(Tensor, (output[0] if scores is None else scores).float().cpu())


def _caches(model: PreTrainedModel) -> bool:
    return bool(getattr(model.config.get_text_config(), "use_cache", False))


def _generates(model: PreTrainedModel) -> bool:
    return bool(model.can_generate()) and model.main_input_name == "input_ids"


def _generated(model: PreTrainedModel, inputs: Inputs) -> Tensor:
    config = model.config.get_text_config()
    options = GenerationConfig(
        do_sample=False,
        max_new_tokens=N_GENERATED,
        use_cache=True,
        pad_token_id=0,
        bos_token_id=getattr(config, "bos_token_id", None),
        decoder_start_token_id=getattr(model.config, "decoder_start_token_id", None),
    )
    ids = inputs["input_ids"][:1, : max(1, inputs["input_ids"].shape[1] - N_GENERATED)]
    before = model.generation_config
    model.generation_config = GenerationConfig(**{key: value for key, value in options.to_dict().items() if value is not None})
    try:
        return cast(Tensor, model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), generation_config=options)).cpu()
    finally:
        model.generation_config = before


@contextmanager
def _exact() -> Iterator[None]:
    """Without the shortcuts (TF32) that some GPUs take in float32."""
    before = (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


def largest(one: Tensor, other: Tensor) -> float:
    """Largest |difference|; infinite where shapes differ or a value is not a number."""
    if one.shape != other.shape:
        return float("inf")
    if torch.equal(one, other):
        return 0.0
    worst = float((one - other).abs().max())
    return worst if worst == worst else float("inf")


# -- questions ---------------------------------------------------------------------------------------------------------


def _allowed(model: PreTrainedModel) -> Tensor:
    """Token ids that mean words; those that stand for an image or a sound want one beside them."""
    vocab = int(getattr(model.config.get_text_config(), "vocab_size", 0) or 0)
    own = model.config.to_dict() | model.config.get_text_config().to_dict()
    marks = {value for name, value in own.items() if _MARKER.search(name) and isinstance(value, int)} if model.config.sub_configs else set()
    ids = torch.arange(vocab)
    return ids[[index for index in range(vocab) if index not in marks]] if marks else ids


def _text(model: PreTrainedModel, ids: Tensor) -> Inputs:
    both = {"decoder_input_ids": ids} if model.config.is_encoder_decoder else {}
    return _to({"input_ids": ids, "attention_mask": torch.ones_like(ids), **both}, model)


def _pictures_or_sounds(model: PreTrainedModel, allowed: Tensor, generator: torch.Generator, length: int) -> dict[str, Tensor]:
    config = model.config
    if model.main_input_name == "pixel_values":
        side = config.image_size if isinstance(config.image_size, list | tuple) else (config.image_size, config.image_size)
        return {"pixel_values": torch.randn(2, config.num_channels, *side, generator=generator)}
    if model.main_input_name == "input_features":
        sounds = torch.randn(2, config.num_mel_bins, 2 * config.max_source_positions, generator=generator)
        ids = allowed[torch.randint(len(allowed), (2, length), generator=generator)]
        return {"input_features": sounds, "decoder_input_ids": ids}
    raise ModelError(
        "{architecture} reads {input}, and no test input of that kind can be made up, so an export could not be proved. "
        "Skip the layers at run time instead (python -m analysis run-plan).",
        architecture=type(model).__name__,
        input=model.main_input_name,
    )


def _to(inputs: Mapping[str, Tensor], model: PreTrainedModel) -> dict[str, Tensor]:
    return {name: value.to(model.device) for name, value in inputs.items()}


def _length(inputs: Inputs) -> int:
    ids = next((value for name, value in inputs.items() if name.endswith("input_ids")), None)
    return next(iter(inputs.values())).shape[0] if ids is None else ids.numel()
