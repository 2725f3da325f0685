"""MobileNetV3 of torchvision."""

from __future__ import annotations

from torch import Tensor, nn
from torchvision.models.mobilenetv3 import MobileNetV3

from stitchable.anchors.registry import Family
from stitchable.anchors.split import Split, submodule
from stitchable.anchors.torchvision_families.staged import grouped, last_convolution_and


def _pooled(model: MobileNetV3, x: Tensor) -> Tensor:
    out: Tensor = model.classifier(model.avgpool(x).flatten(1))
    return out


def split(model: nn.Module) -> Split:
    """Split a MobileNetV3 into its inverted residuals; the groups of the paper's table are the stages."""
    assert isinstance(model, MobileNetV3)
    last = len(model.features) - 1
    return Split(
        stem=submodule("features.0"),
        blocks=tuple(submodule(f"features.{index}") for index in range(1, last)),
        head=last_convolution_and(_pooled, f"features.{last}", ("avgpool", "classifier")),
        stages=grouped(model.features[1:last]),
    )


FAMILY = Family(
    name="MobileNetV3",
    library="torchvision",
    granularity="one inverted residual",
    classes=("torchvision.models.mobilenetv3.MobileNetV3",),
    split=split,
)
