"""RegNets of timm."""

from __future__ import annotations

from timm.models.regnet import RegNet
from torch import Tensor, nn

from stitchable.anchors.registry import Family
from stitchable.anchors.split import Part, Split, submodule


def _head(model: RegNet, x: Tensor) -> Tensor:
    out: Tensor = model.forward_head(model.final_conv(x))
    return out


def split(model: nn.Module) -> Split:
    """Split a RegNet into its residual blocks; the first block of a stage holds its down-sampling."""
    assert isinstance(model, RegNet)
    names, stages = [], []
    for stage, name in enumerate(("s1", "s2", "s3", "s4")):
        for child, _ in model.get_submodule(name).named_children():
            names.append(f"{name}.{child}")
            stages.append(stage)
    return Split(
        stem=submodule("stem"),
        blocks=tuple(submodule(name) for name in names),
        head=Part(_head, ("final_conv", "head")),
        stages=tuple(stages),
    )


FAMILY = Family(
    name="RegNet",
    library="timm",
    granularity="one residual block",
    classes=(RegNet,),
    split=split,
)
