"""MobileNetV2 of torchvision."""

from __future__ import annotations

from torch import Tensor, nn
from torchvision.models.mobilenetv2 import MobileNetV2

from stitchable.anchors.registry import Family
from stitchable.anchors.split import Split, submodule
from stitchable.anchors.torchvision_families.staged import grouped, last_convolution_and


def _pooled(model: MobileNetV2, x: Tensor) -> Tensor:
    # The very function of the model: another average of the same numbers may round otherwise.
    x = nn.functional.adaptive_avg_pool2d(x, (1, 1))
    out: Tensor = model.classifier(x.flatten(1))
    return out


def split(model: nn.Module) -> Split:
    """Split a MobileNetV2 into its inverted residuals; the groups of the paper's table are the stages."""
    assert isinstance(model, MobileNetV2)
    last = len(model.features) - 1
    return Split(
        stem=submodule("features.0"),
        blocks=tuple(submodule(f"features.{index}") for index in range(1, last)),
        head=last_convolution_and(_pooled, f"features.{last}", ("classifier",)),
        stages=grouped(model.features[1:last]),
    )


FAMILY = Family(
    name="MobileNetV2",
    library="torchvision",
    granularity="one inverted residual",
    classes=("torchvision.models.mobilenetv2.MobileNetV2",),
    split=split,
)
