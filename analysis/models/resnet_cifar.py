"""ResNets for small images: transformers' own blocks behind the 3 x 3 stem of the CIFAR networks.

ResNet-56 is the network of Layer Pruning with Consensus (arXiv 2411.14345): three stages of nine blocks, 16, 32 and 64 channels wide.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from transformers import ResNetConfig, ResNetForImageClassification
from transformers.models.resnet.modeling_resnet import ResNetConvLayer

_WIDTHS = (16, 32, 64)


class CifarStem(nn.Module):
    """One 3 x 3 convolution with stride 1 and no pooling: a small image keeps its size."""

    def __init__(self, config: ResNetConfig) -> None:
        super().__init__()
        self.embedder = ResNetConvLayer(config.num_channels, config.embedding_size, kernel_size=3, stride=1, activation=config.hidden_act)

    def forward(self, pixel_values: Tensor) -> Tensor:
        """[batch, channels, side, side] -> [batch, width, side, side]."""
        states: Tensor = self.embedder(pixel_values)
        return states


class CifarResNetForImageClassification(ResNetForImageClassification):  # type: ignore[misc]  # transformers brings no types
    """transformers' ResNet with the small stem. Its folders name this class, and are read back by it."""

    def __init__(self, config: ResNetConfig) -> None:
        super().__init__(config)
        self.resnet.embedder = CifarStem(config)
        self.post_init()


def cifar_config(depth: int = 56, *, n_classes: int = 10, image_size: int = 32, **changes: Any) -> ResNetConfig:
    """The config of a ResNet for CIFAR: 3 stages of (depth - 2) / 6 basic blocks.

    Raises:
        ValueError: no such depth.

    Source:
        He et al., Deep Residual Learning, arXiv 1512.03385, section 4.2; shortcuts between stages are projections.

    >>> cifar_config(56).depths
    [9, 9, 9]
    """
    if depth < 8 or (depth - 2) % 6:
        raise ValueError(f"{depth} layers were asked for; 6n + 2 are possible, such as 20, 56 or 110.")
    settings = {
        "num_channels": 3,
        "embedding_size": _WIDTHS[0],
        "hidden_sizes": list(_WIDTHS),
        "depths": [(depth - 2) // 6] * 3,
        "layer_type": "basic",
        "downsample_in_first_stage": False,
        "num_labels": n_classes,
        "image_size": image_size,
        "architectures": [CifarResNetForImageClassification.__name__],
    }
    return ResNetConfig(**(settings | changes))
