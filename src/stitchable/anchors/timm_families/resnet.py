"""Residual CNNs of timm's ResNet class: ResNet, ResNeXt, Wide-ResNet, SE-ResNet and their like."""

from __future__ import annotations

from timm.models.resnet import ResNet
from torch import Tensor, nn

from stitchable.anchors.registry import Family
from stitchable.anchors.split import Part, Split, stage_blocks


def _stem(model: ResNet, x: Tensor) -> Tensor:
    out: Tensor = model.maxpool(model.act1(model.bn1(model.conv1(x))))
    return out


def _head(model: ResNet, x: Tensor) -> Tensor:
    out: Tensor = model.forward_head(x)
    return out


def split(model: nn.Module) -> Split:
    """Split a ResNet into its residual blocks; the first block of a stage holds its down-sampling."""
    assert isinstance(model, ResNet)
    blocks, stages = stage_blocks(model, ("layer1", "layer2", "layer3", "layer4"))
    return Split(
        stem=Part(_stem, ("conv1", "bn1", "act1", "maxpool")),
        blocks=blocks,
        head=Part(_head, ("global_pool", "fc")),
        stages=stages,
    )


FAMILY = Family(
    name="ResNet",
    library="timm",
    granularity="one residual block (basic or bottleneck)",
    classes=("timm.models.resnet.ResNet",),
    split=split,
)
