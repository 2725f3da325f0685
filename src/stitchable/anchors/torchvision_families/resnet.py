"""Residual CNNs of torchvision's ResNet class: ResNet, ResNeXt and Wide-ResNet."""

from __future__ import annotations

from torch import Tensor, nn
from torchvision.models.resnet import ResNet

from stitchable.anchors.registry import Family
from stitchable.anchors.split import Part, Split, stage_blocks


def _stem(model: ResNet, x: Tensor) -> Tensor:
    out: Tensor = model.maxpool(model.relu(model.bn1(model.conv1(x))))
    return out


def _head(model: ResNet, x: Tensor) -> Tensor:
    out: Tensor = model.fc(model.avgpool(x).flatten(1))
    return out


def split(model: nn.Module) -> Split:
    """Split a ResNet into its residual blocks; the first block of a stage holds its down-sampling."""
    assert isinstance(model, ResNet)
    blocks, stages = stage_blocks(model, ("layer1", "layer2", "layer3", "layer4"))
    return Split(
        stem=Part(_stem, ("conv1", "bn1", "relu", "maxpool")),
        blocks=blocks,
        head=Part(_head, ("avgpool", "fc")),
        stages=stages,
    )


FAMILY = Family(
    name="ResNet",
    library="torchvision",
    granularity="one residual block (basic or bottleneck)",
    classes=("torchvision.models.resnet.ResNet",),
    split=split,
)
