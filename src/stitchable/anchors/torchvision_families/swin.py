"""Swin transformers of torchvision, version 1 and 2."""

from __future__ import annotations

from torch import Tensor, nn
from torchvision.models.swin_transformer import SwinTransformer

from stitchable.anchors.registry import Family
from stitchable.anchors.split import Part, Split, submodule
from stitchable.anchors.torchvision_families.staged import alternating


def _head(model: SwinTransformer, x: Tensor) -> Tensor:
    x = model.avgpool(model.permute(model.norm(x)))
    out: Tensor = model.head(model.flatten(x))
    return out


def split(model: nn.Module) -> Split:
    """Split a Swin into its blocks; the first block of a stage holds the patch merging before it."""
    assert isinstance(model, SwinTransformer)
    blocks, stages = alternating(model.features)
    return Split(
        stem=submodule("features.0"),
        blocks=blocks,
        head=Part(_head, ("norm", "permute", "avgpool", "flatten", "head")),
        stages=stages,
        channels_last=True,
    )


FAMILY = Family(
    name="Swin",
    library="torchvision",
    granularity="one transformer block (windowed attention and MLP)",
    classes=("torchvision.models.swin_transformer.SwinTransformer",),
    split=split,
)
