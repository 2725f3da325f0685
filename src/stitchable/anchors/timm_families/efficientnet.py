"""CNNs of timm's EfficientNet class: EfficientNet (v1, v2, lite), MobileNetV2, MnasNet, MixNet, TinyNet."""

from __future__ import annotations

from timm.models.efficientnet import EfficientNet
from torch import Tensor, nn

from stitchable.anchors.registry import Family
from stitchable.anchors.split import Part, Split, stage_blocks


def _stem(model: EfficientNet, x: Tensor) -> Tensor:
    out: Tensor = model.bn1(model.conv_stem(x))
    return out


def _head(model: EfficientNet, x: Tensor) -> Tensor:
    out: Tensor = model.forward_head(model.bn2(model.conv_head(x)))
    return out


def split(model: nn.Module) -> Split:
    """Split an EfficientNet into its (inverted residual) blocks; timm's groups of blocks are the stages.

    Some groups keep the grid of the one before; they are stages of their own all the same, as in the
    architecture's table.
    """
    assert isinstance(model, EfficientNet)
    blocks, stages = stage_blocks(model, [f"blocks.{stage}" for stage in range(len(model.blocks))])
    return Split(
        stem=Part(_stem, ("conv_stem", "bn1")),
        blocks=blocks,
        head=Part(_head, ("conv_head", "bn2", "global_pool", "classifier")),
        stages=stages,
    )


FAMILY = Family(
    name="EfficientNet",
    library="timm",
    granularity="one block (inverted residual, edge residual or depthwise separable)",
    classes=("timm.models.efficientnet.EfficientNet",),
    split=split,
)
