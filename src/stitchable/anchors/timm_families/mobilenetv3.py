"""CNNs of timm's MobileNetV3 class: MobileNetV3, MobileNetV4, LCNet, FBNetV3, HardCoRe-NAS."""

from __future__ import annotations

from timm.models.mobilenetv3 import MobileNetV3
from torch import Tensor, nn

from stitchable.anchors.registry import Family
from stitchable.anchors.split import Part, Split, stage_blocks


def _stem(model: MobileNetV3, x: Tensor) -> Tensor:
    out: Tensor = model.bn1(model.conv_stem(x))
    return out


def _head(model: MobileNetV3, x: Tensor) -> Tensor:
    out: Tensor = model.forward_head(x)
    return out


def split(model: nn.Module) -> Split:
    """Split a MobileNetV3 or V4 into its blocks; timm's groups of blocks are the stages."""
    assert isinstance(model, MobileNetV3)
    blocks, stages = stage_blocks(model, [f"blocks.{stage}" for stage in range(len(model.blocks))])
    return Split(
        stem=Part(_stem, ("conv_stem", "bn1")),
        blocks=blocks,
        head=Part(_head, ("global_pool", "conv_head", "norm_head", "act2", "flatten", "classifier")),
        stages=stages,
    )


FAMILY = Family(
    name="MobileNetV3 / V4",
    library="timm",
    granularity="one block (inverted residual, universal inverted bottleneck or attention)",
    classes=("timm.models.mobilenetv3.MobileNetV3",),
    split=split,
)
