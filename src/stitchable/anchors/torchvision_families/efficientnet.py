"""EfficientNets of torchvision, version 1 and 2."""

from __future__ import annotations

from torch import Tensor, nn
from torchvision.models.efficientnet import EfficientNet

from stitchable.anchors.registry import Family
from stitchable.anchors.split import Split, stage_blocks, submodule
from stitchable.anchors.torchvision_families.staged import last_convolution_and


def _pooled(model: EfficientNet, x: Tensor) -> Tensor:
    out: Tensor = model.classifier(model.avgpool(x).flatten(1))
    return out


def split(model: nn.Module) -> Split:
    """Split an EfficientNet into its (inverted residual) blocks; torchvision's groups are the stages.

    Some groups keep the grid of the one before; they are stages of their own all the same, as in the
    architecture's table.
    """
    assert isinstance(model, EfficientNet)
    last = len(model.features) - 1
    blocks, stages = stage_blocks(model, [f"features.{stage}" for stage in range(1, last)])
    return Split(
        stem=submodule("features.0"),
        blocks=blocks,
        head=last_convolution_and(_pooled, f"features.{last}", ("avgpool", "classifier")),
        stages=stages,
    )


FAMILY = Family(
    name="EfficientNet",
    library="torchvision",
    granularity="one block (inverted residual, fused or not)",
    classes=("torchvision.models.efficientnet.EfficientNet",),
    split=split,
)
