"""Configs cut to the layers that stay: what they say about each kept layer is the same before and after."""

from __future__ import annotations

from typing import Any

import pytest
import transformers as tf
from hypothesis import given
from hypothesis import strategies as st

from analysis.errors import PlanError
from analysis.surgery.config_cut import count_field, cut_config, cut_for_stack, section_of

N = 6


def cut(config: dict[str, Any], keep: list[int], **options: Any) -> dict[str, Any]:
    return cut_config({"num_hidden_layers": N, **config}, keep, n_blocks=N, **options)


@pytest.mark.parametrize("name", ["num_hidden_layers", "n_layer", "n_layers", "num_layers"])
def test_the_count_is_found_by_any_of_its_names(name: str) -> None:
    assert cut_config({name: N, "hidden_size": N}, [0, 2], n_blocks=N) == {name: 2, "hidden_size": N}


def test_encoder_and_decoder_are_counted_apart() -> None:
    bart = {"encoder_layers": N, "decoder_layers": N}
    assert cut_config(bart, [0], n_blocks=N, stack="decoder") == {"encoder_layers": N, "decoder_layers": 1}
    assert cut_config(bart, [0], n_blocks=N, stack="encoder") == {"encoder_layers": 1, "decoder_layers": N}
    t5 = {"num_layers": N, "num_decoder_layers": N, "is_encoder_decoder": True}
    assert cut_config(t5, [0], n_blocks=N, stack="decoder")["num_layers"] == N
    assert cut_config(t5, [0], n_blocks=N, stack="encoder")["num_decoder_layers"] == N


def test_a_config_without_a_count_is_refused() -> None:
    with pytest.raises(PlanError, match="does not say in one number that there are 6 layers"):
        count_field({"depths": [2, 4]}, N)


def test_the_source_is_not_changed() -> None:
    config = {"num_hidden_layers": N, "layer_types": list("abcdef")}
    cut_config(config, [0], n_blocks=N)
    assert config == {"num_hidden_layers": N, "layer_types": list("abcdef")}


@given(st.sets(st.integers(0, N - 1), min_size=1))
def test_every_list_by_layer_keeps_its_entries(kept: set[int]) -> None:
    keep = sorted(kept)
    names = (
        "layer_types",
        "mlp_layer_types",
        "no_rope_layers",
        "layers_block_type",
        "layer_rope_theta",
        "sliding_window",
        "intermediate_size",
    )
    found = cut({name: [f"{name}{block}" for block in range(N)] for name in names}, keep)
    assert all(found[name] == [f"{name}{block}" for block in keep] for name in names)


@given(st.sets(st.integers(0, N - 1), min_size=1), st.sets(st.integers(0, N - 1)))
def test_numbers_of_layers_are_renumbered(kept: set[int], named: set[int]) -> None:
    keep = sorted(kept)
    for name in ("mlp_only_layers", "full_attn_idxs", "cross_attention_layers", "moe_layers"):
        found = cut({name: sorted(named)}, keep)[name]
        assert [keep[index] for index in found] == sorted(named & kept)


@given(st.sets(st.integers(0, N - 1), min_size=1), st.integers(0, N))
def test_a_prefix_of_layers_stays_the_same_layers(kept: set[int], first: int) -> None:
    keep = sorted(kept)
    for name in ("first_k_dense_replace", "max_window_layers", "num_dense_layers"):
        assert [block >= first for block in keep] == [index >= cut({name: first}, keep)[name] for index in range(len(keep))]


@given(st.sets(st.integers(0, N - 1), min_size=1), st.sets(st.integers(0, N - 1)), st.integers(1, 4))
def test_sparse_steps_become_a_list_of_the_dense_layers(kept: set[int], dense: set[int], step: int) -> None:
    def is_sparse(config: dict[str, Any], block: int) -> bool:
        return block not in config["mlp_only_layers"] and (block + 1) % config["decoder_sparse_step"] == 0

    config = {"mlp_only_layers": sorted(dense), "decoder_sparse_step": step}
    keep = sorted(kept)
    found = cut(config, keep)
    assert [is_sparse(found, index) for index in range(len(keep))] == [is_sparse(config, block) for block in keep]


def test_runs_of_attention_kinds_are_written_out() -> None:
    found = cut({"attention_types": [[["global", "local"], 3]]}, [0, 2, 5])["attention_types"]
    assert [kind for group, times in found for _ in range(times) for kind in group] == ["global", "global", "local"]


def test_settings_by_number_of_layer_are_renumbered() -> None:
    assert cut({"per_layer_config": {"1": "one", "4": "four"}}, [0, 4])["per_layer_config"] == {"1": "four"}


def test_lists_of_the_same_length_that_mean_something_else_stay() -> None:
    others = {"eos_token_id": list(range(N)), "architectures": ["A"] * N, "conv_kernel": [3] * N, "mtp_layer_types": ["full_attention"] * N}
    assert cut(others, [1]) == {"num_hidden_layers": 1, **others}


def test_a_list_of_that_length_that_nobody_knows_is_refused_by_name() -> None:
    with pytest.raises(PlanError, match="field quux says"):
        cut({"quux": [0.5] * N}, [1, 2])


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"attn_layer_period": 3}, "attn_layer_period"),
        ({"encoder_sparse_step": 2}, "encoder_sparse_step"),
        ({"sliding_window_pattern": 3}, "sliding_window_pattern"),
        ({"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx"),
        ({"kv_source_layers": [0, 0, 2, 2, 4, 4]}, "kv_source_layers"),
        ({"num_kv_shared_layers": 3, "layer_types": ["a", "b", "b", "a", "b", "a"]}, "num_kv_shared_layers"),
        ({"out_indices": [2, 4]}, "out_indices"),
    ],
)
def test_what_cannot_be_kept_true_is_refused_by_name(config: dict[str, Any], field: str) -> None:
    with pytest.raises(PlanError, match=f"field {field} says"):
        cut(config, [1, 3, 5])


def test_a_pattern_that_a_cut_leaves_whole_is_kept() -> None:
    assert cut({"attn_layer_period": 3}, [0, 1, 2])["attn_layer_period"] == 3
    assert cut({"sliding_window_pattern": 3, "layer_types": list("abcdef")}, [1, 4])["layer_types"] == ["b", "e"]


def test_shared_caches_keep_their_lenders() -> None:
    shared = {"num_kv_shared_layers": 2, "layer_types": ["a", "b", "a", "b", "a", "b"]}
    assert cut(shared, [2, 3, 5])["num_kv_shared_layers"] == 1
    assert cut({"kv_source_layers": [0, 0, 2, 2, 4, 4]}, [2, 3, 4])["kv_source_layers"] == [0, 0, 2]


def test_a_section_of_a_larger_config_is_cut_alone() -> None:
    config = tf.Gemma3Config(text_config={"num_hidden_layers": N}, vision_config={"num_hidden_layers": N})
    assert section_of(config, config.text_config) == ("text_config",)
    found = cut_for_stack(config, config.text_config, [0, 5], n_blocks=N, stack="decoder")
    assert (found.text_config.num_hidden_layers, found.vision_config.num_hidden_layers) == (2, N)
    assert found.text_config.layer_types == [config.text_config.layer_types[block] for block in (0, 5)]


def test_a_config_from_elsewhere_is_refused() -> None:
    with pytest.raises(PlanError, match="is not part of the model's own config"):
        section_of(tf.LlamaConfig(), tf.GPT2Config())


def test_a_cut_that_the_class_itself_refuses_is_said_in_its_words() -> None:
    class Even(tf.LlamaConfig):
        @classmethod
        def from_dict(cls, config_dict: dict[str, Any], **kwargs: Any) -> Any:
            raise ValueError("only even numbers of layers")

    config = Even(num_hidden_layers=N)
    with pytest.raises(PlanError, match=r"does not allow these layers to be removed \(only even numbers of layers\)"):
        cut_for_stack(config, config, [0], n_blocks=N)
