"""RegNets of timm."""

from __future__ import annotations

from timm.models.regnet import RegNet
from torch import Tensor, nn

from stitchable.anchors.registry import Family
from stitchable.anchors.split import Part, Split, stage_blocks, submodule


def _head(model: RegNet, x: Tensor) -> Tensor:
    out: Tensor = model.forward_head(model.final_conv(x))
    return out


def split(model: nn.Module) -> Split:
    """Split a RegNet into its residual blocks; the first block of a stage holds its down-sampling."""
    assert isinstance(model, RegNet)
    blocks, stages = stage_blocks(model, ("s1", "s2", "s3", "s4"))
    return Split(
        stem=submodule("stem"),
        blocks=blocks,
        head=Part(_head, ("final_conv", "head")),
        stages=stages,
    )


FAMILY = Family(
    name="RegNet",
    library="timm",
    granularity="one residual block",
    classes=("timm.models.regnet.RegNet",),
    split=split,
)
