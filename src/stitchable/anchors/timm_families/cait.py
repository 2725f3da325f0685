"""CaiTs of timm, whose class token enters after the blocks."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from stitchable.anchors.registry import Family
from stitchable.anchors.split import Part, Split, submodule

_HEAD = ("cls_token", "blocks_token_only", "norm", "head_drop", "head")


def _stem(model: Any, x: Tensor) -> Tensor:
    out: Tensor = model.pos_drop(model.patch_embed(x) + model.pos_embed)
    return out


def _head(model: Any, x: Tensor) -> Tensor:
    if model.blocks_token_only is not None:
        x = model.forward_cls(x)
    out: Tensor = model.forward_head(model.norm(x))
    return out


def split(model: Any) -> Split:
    """Split a CaiT between its blocks of patches; the class-attention blocks belong to the head."""
    grid = model.patch_embed.grid_size
    depth = len(model.blocks)
    return Split(
        stem=Part(_stem, ("patch_embed", "pos_embed", "pos_drop")),
        blocks=tuple(submodule(f"blocks.{index}") for index in range(depth)),
        head=Part(_head, _HEAD),
        stages=(0,) * depth,
        grid=(int(grid[0]), int(grid[1])),
    )


FAMILY = Family(
    name="CaiT",
    library="timm",
    granularity="one transformer block of patches; class attention belongs to the head",
    classes=("timm.models.cait.Cait",),
    split=split,
)
