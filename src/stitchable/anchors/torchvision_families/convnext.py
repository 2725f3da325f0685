"""ConvNeXts of torchvision."""

from __future__ import annotations

from torch import Tensor, nn
from torchvision.models.convnext import ConvNeXt

from stitchable.anchors.registry import Family
from stitchable.anchors.split import Part, Split, submodule
from stitchable.anchors.torchvision_families.staged import alternating
from stitchable.errors import StitchError


def _head(model: ConvNeXt, x: Tensor) -> Tensor:
    out: Tensor = model.classifier(model.avgpool(x))
    return out


def split(model: nn.Module) -> Split:
    """Split a ConvNeXt into its blocks; the first block of a stage holds the down-sampling before it."""
    assert isinstance(model, ConvNeXt)
    if len(model.features) % 2:
        raise StitchError(
            "A ConvNeXt whose last stage is followed by a down-sampling has no head to put it in. "
            "Build it with out_channels=None in its last CNBlockConfig."
        )
    blocks, stages = alternating(model.features)
    return Split(
        stem=submodule("features.0"),
        blocks=blocks,
        head=Part(_head, ("avgpool", "classifier")),
        stages=stages,
    )


FAMILY = Family(
    name="ConvNeXt",
    library="torchvision",
    granularity="one ConvNeXt block",
    classes=("torchvision.models.convnext.ConvNeXt",),
    split=split,
    unsupported="a down-sampling behind the last stage",
)
