"""A model's config cut to the blocks that stay: the count, and everything in it that speaks of single layers.

Pure functions on the config as a dict with all defaults written out (`config.to_dict()`), so that patterns the class
works out for itself (every fourth layer sees everything) already stand there as lists. What a field says about each
kept block must be the same before and after; a field for which that cannot be had is refused by name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any, cast

from analysis.errors import PlanError

Config = dict[str, Any]

_COUNTS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers", "depth", "layers", "num_blocks", "n_blocks", "text_num_hidden_layers")
_STACK_COUNTS = {
    "encoder": ("encoder_layers", "num_encoder_layers", "encoder_num_hidden_layers", "n_encoder_layers"),
    "decoder": ("decoder_layers", "num_decoder_layers", "decoder_num_hidden_layers", "n_decoder_layers"),
}
_OTHERS_OF_ANY_LENGTH = re.compile(
    r"^(mtp_.*|architectures|torchscript|keys_to_ignore.*|.*token_ids?|.*_tokens|.*kernels?(_sizes?)?|.*strides?|.*_section|.*(mean|std)|.*_limit|"
    r"(image|patch|input|crop|tubelet|grid)_sizes?|(conv|tdnn|fc)_.*|delay_pattern|.*_channels|problem_type|labels|target_parameters)$"
)
_PER_LAYER = re.compile(
    r"(layer|block|^(num_key_value_heads|num_attention_heads|intermediate_size|head_dim|sliding_windows?|attention_window|moe_topk|num_experts|"
    r"kv_sharing_modes|indexer_types|swiglu_limits(_shared)?|activation_sparsity_pattern|moe_intermediate_size)$)"
)
_INDICES = re.compile(
    r"(mlp_only_layers|moe_layers|cross_attention_layers|rope_scaling_layers|full_attn_idxs|.*layer_(ids|indices|idxs)|"
    r".*block_(ids|indices|indexes|idxs)|global_attention_blocks|window_attention_layers|dense_layers)$"
)
_TAPS = re.compile(r"_?(out_indices|extract_layers|intermediate_layers_indices|deepstack_visual_indexes|.*feature_layers?)$")
_SOURCES = ("kv_source_layers",)
_FROM_HERE_ON = (
    "first_k_dense_replace",
    "max_window_layers",
    "num_dense_layers",
    "moe_layer_start_index",
    "num_first_full_attention_layers",
)
_LAST_ONES = ("num_kv_shared_layers", "num_last_full_attention_layers")
_PERIODS: Mapping[str, tuple[str, ...]] = {
    "decoder_sparse_step": (),
    "encoder_sparse_step": (),
    "moe_layer_interval": (),
    "moe_layer_freq": ("mlp_layer_types",),
    "moe_every_n_layers": ("mlp_layer_types",),
    "interleave_moe_layer_step": ("moe_layers",),
    "no_rope_layer_interval": ("no_rope_layers",),
    "sliding_window_pattern": ("layer_types",),
    "_sliding_window_pattern": ("layer_types",),
    "prefix_dense_sliding_window_pattern": ("layer_types",),
    "full_attention_interval": ("layer_types",),
    "global_attn_every_n_layers": ("layer_types",),
    "attn_layer_period": (),
    "expert_layer_period": (),
    "cross_attention_frequency": (),
    "cross_layer_interval": (),
    "n_layers_per_attn_res_block": (),
    "rescale_every": (),
}
"""Fields that name every n-th layer -> the lists that hold the same in full, and win where they are there."""


def cut_for_stack(config: Any, own: Any, keep: Sequence[int], *, n_blocks: int, stack: str = "") -> Any:
    """The config object of the same model with only some of a stack's blocks, a new one of the same class.

    Args:
        config: the model's config object.
        own: the config object of the stack's root (`stack.root.config`); the same one, or one of its sections.
        keep: blocks that stay, counted from 0, ascending.
        n_blocks: how many the stack has now.
        stack: the stack's name.

    Raises:
        PlanError: the config cannot say it; the sentence names the field.
    """
    section = section_of(config, own)
    cut = cut_config(config.to_dict(), keep, n_blocks=n_blocks, section=section, stack=stack)
    try:
        made = type(config).from_dict(cut)
    except Exception as exc:  # a config's own checks raise many kinds
        raise PlanError(
            "The model's own config does not allow these layers to be removed ({reason}). Choose other layers, or skip these at run time "
            "instead (python -m analysis run-plan).",
            reason=str(exc).strip().splitlines()[0][:200] if str(exc).strip() else type(exc).__name__,
        ) from exc
    _check_lists(cut, made.to_dict(), section)
    return made


def section_of(config: Any, own: Any) -> tuple[str, ...]:
    """Where in a model's config the config of one of its stacks stands; empty: it is the whole one.

    Raises:
        PlanError: it stands nowhere in it.
    """
    if own is config or (type(own) is type(config) and getattr(config, "is_encoder_decoder", False)):
        return ()  # T5 gives each of its stacks a copy
    sections = list(_sections(config))
    same = [path for path, inner in sections if inner is own] or [path for path, inner in sections if type(inner) is type(own)]
    if len(same) == 1:
        return same[0]
    raise PlanError(
        "The config of this stack is not part of the model's own config, so a model with fewer layers cannot be written. "
        "Skip the layers at run time instead (python -m analysis run-plan)."
    )


def _sections(config: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name in getattr(config, "sub_configs", {}):
        if (inner := getattr(config, name, None)) is not None:
            yield (*path, name), inner
            yield from _sections(inner, (*path, name))


def own_config(model: Any, config: Any, path: str) -> Any:
    """The part of `config` (the model's own, or a cut one of its class) that describes the stack at an attribute path."""
    parts = path.split(".")
    modules = [model.get_submodule(".".join(parts[:length])) for length in range(len(parts) - 1, -1, -1)]
    root = next(module for module in modules if hasattr(module, "config_class"))  # the smallest model of its own around the layers
    own = config
    for name in section_of(model.config, root.config):
        own = getattr(own, name)
    return own


def _check_lists(wanted: Mapping[str, Any], got: Mapping[str, Any], section: Sequence[str]) -> None:
    """The class must not have worked its lists out anew."""
    for name in section:
        wanted, got = wanted[name], got[name]
    for name, value in wanted.items():
        if isinstance(value, list | tuple) and name in got and list(got[name] or ()) != list(value):
            raise _refused(name)


def cut_config(config: Mapping[str, Any], keep: Sequence[int], *, n_blocks: int, section: Sequence[str] = (), stack: str = "") -> Config:
    """The config of the same model with only some of a stack's blocks.

    Args:
        config: the whole config with all defaults written out, as `config.to_dict()` gives it; it is not changed.
        keep: blocks that stay, counted from 0, ascending.
        n_blocks: how many the stack has now.
        section: where in it the stack's own part stands, e.g. ``("text_config",)``; empty: at the top.
        stack: the stack's name; matters where one config counts both an encoder and a decoder.

    Raises:
        PlanError: a field that speaks of single layers cannot be kept true; the sentence names it.
    """
    whole = deepcopy(dict(config))
    part = whole
    for name in section:
        part = part[name]
    count = count_field(part, n_blocks, stack)
    before = deepcopy(part)
    part[count] = len(keep)
    for name in before:
        if name != count:
            part[name] = _cut_field(name, before, keep, n_blocks)
    _rewrite_periods(part, before, keep, n_blocks)
    _rewrite_attention_types(part, before, keep)
    return whole


def count_field(config: Mapping[str, Any], n_blocks: int, stack: str = "") -> str:
    """The field that says how many blocks the stack has.

    Raises:
        PlanError: none does.
    """
    both = all(any(name in config for name in names) for names in _STACK_COUNTS.values())
    own = _STACK_COUNTS.get(stack, ()) if both or config.get("is_encoder_decoder") else ()
    names = [name for name in (*own, *_COUNTS) if _is_count(config.get(name)) and config[name] == n_blocks]
    found: str | None = next(iter(names), None)
    if found is None:
        raise PlanError(
            "The model's config does not say in one number that there are {n_blocks} layers, so a model with fewer cannot be written. "
            "Skip the layers at run time instead (python -m analysis run-plan).",
            n_blocks=n_blocks,
        )
    return found


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _cut_field(name: str, config: Mapping[str, Any], keep: Sequence[int], n_blocks: int) -> Any:
    value = config[name]
    if name in _SOURCES and isinstance(value, list | tuple):
        return _sources(name, value, keep)
    if isinstance(value, list | tuple):
        return _cut_list(name, value, keep, n_blocks)
    if name == "per_layer_config" and isinstance(value, Mapping):
        return {new: value[old] for new, old in _per_layer_keys(value, keep)}
    if name in _FROM_HERE_ON and _is_count(value):
        return sum(block < value for block in keep)
    if name in _LAST_ONES and _is_count(value):
        return _last_ones(name, config, keep, n_blocks)
    if name == "moe_layer_end_index" and _is_count(value) and value >= 0:
        return sum(block <= value for block in keep) - 1
    if name == "scale_attn_by_inverse_layer_idx" and value and list(keep) != list(range(len(keep))):
        raise _refused(name)
    return value


def _cut_list(name: str, value: Sequence[Any], keep: Sequence[int], n_blocks: int) -> Any:
    """One entry per layer: the kept ones. Numbers of layers: renumbered. Anything else: as it is."""
    if _TAPS.match(name):
        return _taps(name, value, keep, n_blocks)
    if _INDICES.match(name) and all(_is_count(entry) and 0 <= entry < n_blocks for entry in value):
        return [keep.index(block) for block in value if block in keep]
    if len(value) != n_blocks or _OTHERS_OF_ANY_LENGTH.match(name):
        return value
    if not _PER_LAYER.search(name):
        raise _refused(name)
    return [value[block] for block in keep]


def _sources(name: str, value: Sequence[int], keep: Sequence[int]) -> list[int]:
    """Which earlier block each block reads its keys and values from."""
    if any(value[block] not in keep for block in keep):
        raise _refused(name)
    return [keep.index(value[block]) for block in keep]


def _taps(name: str, value: Sequence[Any], keep: Sequence[int], n_blocks: int) -> Sequence[Any]:
    """States that other parts of the model read between the layers: only blocks behind all of them may go."""
    if all(_is_count(entry) for entry in value) and value:
        last = max(entry if entry >= 0 else entry + n_blocks + 1 for entry in value)
        if all(entry >= 0 for entry in value) and list(keep[:last]) == list(range(min(last, len(keep)))) and last <= len(keep):
            return value
        raise _refused(name)
    return value


def _last_ones(name: str, config: Mapping[str, Any], keep: Sequence[int], n_blocks: int) -> int:
    """How many at the end; those that lend them their keys and values (the last before them of each kind) have to stay."""
    first = n_blocks - int(config[name])
    kinds = config.get("layer_types") or [""] * n_blocks
    lenders = {kinds[block]: block for block in range(first)} if name == "num_kv_shared_layers" else {}
    used = {kinds[block] for block in keep if block >= first}
    if any(lenders.get(kind) not in keep for kind in used) and name == "num_kv_shared_layers":
        raise _refused(name)
    return sum(block >= first for block in keep)


def _per_layer_keys(value: Mapping[Any, Any], keep: Sequence[int]) -> Iterable[tuple[Any, Any]]:
    """New key -> old key of a mapping from layers (as numbers or digits) to their own settings."""
    for old in value:
        if not str(old).isdigit():
            yield old, old
        elif int(old) in keep:
            yield type(old)(keep.index(int(old))), old


def _rewrite_periods(part: Config, before: Mapping[str, Any], keep: Sequence[int], n_blocks: int) -> None:
    """Every n-th layer: holds still, stands in a list as well, or can be said as a list; otherwise it is refused."""
    for name, lists in _PERIODS.items():
        value = before.get(name)
        if isinstance(value, list | tuple) or any(isinstance(before.get(other), list | tuple) for other in lists):
            continue
        if isinstance(value, str) or (_is_count(value) and cast(int, value) > 1 and not _same_phase(cast(int, value), keep)):
            if name != "decoder_sparse_step" or not isinstance(before.get("mlp_only_layers"), list | tuple):
                raise _refused(name)
            dense = [block for block in range(n_blocks) if block in before["mlp_only_layers"] or (block + 1) % cast(int, value)]
            part["decoder_sparse_step"] = 1
            part["mlp_only_layers"] = [new for new, old in enumerate(keep) if old in dense]


def _same_phase(period: int, keep: Sequence[int]) -> bool:
    """Whether every kept block stands at the same place in the period as before."""
    return all(new % period == old % period for new, old in enumerate(keep))


def _rewrite_attention_types(part: Config, before: Mapping[str, Any], keep: Sequence[int]) -> None:
    """GPT-Neo writes its list of kinds as runs: [[["global", "local"], 12]]."""
    runs = before.get("attention_types")
    if isinstance(runs, list | tuple) and runs:
        kinds = [kind for group, times in runs for _ in range(times) for kind in group]
        part["attention_types"] = [[[kinds[block]], 1] for block in keep]


def _refused(name: str) -> PlanError:
    return PlanError(
        "Without these layers, the model's config can no longer say what its field {field} says about the layers that stay. "
        "Choose other layers, or skip these at run time instead (python -m analysis run-plan).",
        field=name,
    )
