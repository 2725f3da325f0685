"""RegNets of torchvision."""

from __future__ import annotations

from torch import Tensor, nn
from torchvision.models.regnet import RegNet

from stitchable.anchors.registry import Family
from stitchable.anchors.split import Part, Split, stage_blocks, submodule


def _head(model: RegNet, x: Tensor) -> Tensor:
    out: Tensor = model.fc(model.avgpool(x).flatten(1))
    return out


def split(model: nn.Module) -> Split:
    """Split a RegNet into its residual blocks; the first block of a stage holds its down-sampling."""
    assert isinstance(model, RegNet)
    names = [f"trunk_output.{name}" for name, _ in model.trunk_output.named_children()]
    blocks, stages = stage_blocks(model, names)
    return Split(
        stem=submodule("stem"),
        blocks=blocks,
        head=Part(_head, ("avgpool", "fc")),
        stages=stages,
    )


FAMILY = Family(
    name="RegNet",
    library="torchvision",
    granularity="one residual block",
    classes=("torchvision.models.regnet.RegNet",),
    split=split,
)
