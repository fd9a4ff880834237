"""Vision models in stages: ResNet-56 with the small stem shows the arithmetic of Layer Pruning with Consensus, block by block."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path

import pytest
import torch
from transformers import ResNetConfig, ResNetForImageClassification

from analysis.contracts import ModelInfo, ModelRef, ModelSource, Plan, Provenance, Prune
from analysis.errors import PlanError
from analysis.models.load import describe_model, load_model
from analysis.models.resnet_cifar import CifarResNetForImageClassification, cifar_config
from analysis.models.stack import Identity, assemble
from analysis.planning import check_plan, project
from analysis.planning.staged import removable
from analysis.surgery.staged import prune_stages

PAPER_MACS = 125_747_840
"""Of ResNet-56, by the authors' released files (methods of arXiv 2411.14345)."""


def described(model: torch.nn.Module) -> ModelInfo:
    return assemble(model, Identity("resnet", ModelSource(kind="folder", location="x"), "c" * 40))[0]


@pytest.fixture(scope="module")
def resnet56() -> tuple[CifarResNetForImageClassification, ModelInfo]:
    torch.manual_seed(0)
    model = CifarResNetForImageClassification(cifar_config(56)).eval()
    return model, described(model)


def test_resnet56_costs_what_the_paper_says(resnet56: tuple[CifarResNetForImageClassification, ModelInfo]) -> None:
    info = resnet56[1]
    assert info.flops_per_image == 2 * PAPER_MACS
    stack = info.stacks[0]
    assert [sum(block.stage == stage for block in stack.blocks) for stage in range(3)] == [9, 9, 9]
    assert [block.index for block in stack.blocks if block.fixed] == [9, 18]
    shares = {round(100 * block.flops_per_image / info.flops_per_image, 4) for block in stack.blocks if not block.fixed}
    assert shares == {3.7524}


def test_twenty_one_removals_are_the_papers_78_80_percent_and_no_twenty_second_is_allowed(
    resnet56: tuple[CifarResNetForImageClassification, ModelInfo],
) -> None:
    info = resnet56[1]
    stack, removed = info.stacks[0], list[int]()
    while allowed := removable(stack, removed):
        removed.append(allowed[0])
    assert len(removed) == 21
    after = project(info, (Prune(blocks=tuple(removed)),)).flops_per_image
    assert after is not None
    assert round(100 * after.saved_share, 2) == 78.80


def test_the_projection_is_what_the_shortened_model_is_counted_to_cost(
    resnet56: tuple[CifarResNetForImageClassification, ModelInfo],
) -> None:
    model, info = resnet56
    removed = (1, 2, 10, 20, 26)
    projected = project(info, (Prune(blocks=removed),))
    counted = described(prune_stages(model, info.stacks[0], removed))
    assert projected.flops_per_image is not None
    assert counted.flops_per_image == projected.flops_per_image.after
    assert counted.n_parameters == projected.n_parameters.after
    assert counted.stacks[0].n_blocks == projected.n_blocks.after


def test_a_block_of_zeros_between_others_can_go_without_a_difference(
    resnet56: tuple[CifarResNetForImageClassification, ModelInfo],
) -> None:
    model, info = resnet56
    image = torch.rand(2, 3, 32, 32)
    last = model.get_submodule("resnet.encoder.stages.0.layers.4.layer.1.normalization")
    assert isinstance(last, torch.nn.BatchNorm2d)
    with torch.no_grad():
        before = last.weight.clone()
        last.weight.zero_()
        whole = model(pixel_values=image).logits
        shorter = prune_stages(model, info.stacks[0], (4,))(pixel_values=image).logits
        last.weight.copy_(before)
    assert torch.equal(whole, shorter)


def test_a_shortened_model_reads_back_from_its_folder_as_it_was(
    resnet56: tuple[CifarResNetForImageClassification, ModelInfo], tmp_path: Path
) -> None:
    model, info = resnet56
    removed = tuple(block for block in range(27) if block % 9 not in (0, 1))
    shorter = prune_stages(model, info.stacks[0], removed).eval()
    shorter.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["depths"] == [2, 2, 2]
    loaded = load_model(ModelSource(kind="folder", location=str(tmp_path)), device="cpu", dtype="float32")
    image = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(loaded.model(pixel_values=image).logits, shorter(pixel_values=image).logits)
    assert describe_model(ModelSource(kind="folder", location=str(tmp_path))).info.flops_per_image == loaded.info.flops_per_image


@pytest.mark.parametrize(
    ("removed", "said"),
    [((9,), "cannot be taken out"), (range(1, 9), "leaves 1 layers in stage 0"), ((27,), "Layer 27 is not in this model")],
)
def test_what_a_stage_needs_is_refused_in_a_sentence(
    resnet56: tuple[CifarResNetForImageClassification, ModelInfo], removed: Collection[int], said: str
) -> None:
    model, info = resnet56
    with pytest.raises(PlanError, match=said):
        prune_stages(model, info.stacks[0], removed)
    ref = ModelRef(
        name=info.name, source=info.source, commit=info.commit, architecture=info.architecture, n_blocks=27, stack=info.stacks[0].name
    )
    plan = Plan(model=ref, operations=(Prune(blocks=tuple(removed)),), provenance=Provenance(criterion="consensus", amount="1 layer"))
    assert any(said in problem.in_english() for problem in check_plan(plan, info))


def test_transformers_own_resnet_is_found_too_and_its_profile_refused_in_words() -> None:
    config = ResNetConfig(embedding_size=8, hidden_sizes=[16, 32], depths=[2, 3], layer_type="bottleneck", num_labels=4)
    info = described(ResNetForImageClassification(config).eval())
    assert (info.image_size, info.hidden_size, info.stacks[0].n_blocks) == (224, 32, 5)
    assert info.refusal is not None
    assert "pixel_values" in info.refusal.in_english()


def test_depths_that_no_such_network_has_are_refused() -> None:
    with pytest.raises(ValueError, match="6n \\+ 2"):
        cifar_config(57)
