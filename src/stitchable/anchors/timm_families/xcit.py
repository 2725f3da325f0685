"""XCiTs of timm, whose class token enters after the blocks."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from stitchable.anchors.registry import Family
from stitchable.anchors.split import Part, Split

_HEAD = ("cls_token", "cls_attn_blocks", "norm", "head_drop", "head")


def _stem(model: Any, x: Tensor) -> Tensor:
    x, grid = model.patch_embed(x)
    if model.pos_embed is not None:
        place = model.pos_embed(x.shape[0], *grid)
        x = x + place.reshape(x.shape[0], -1, x.shape[1]).permute(0, 2, 1)
    out: Tensor = model.pos_drop(x)
    return out.reshape(out.shape[0], *grid, -1)


def _block(index: int) -> Part:
    def run(model: Any, x: Tensor) -> Tensor:
        out: Tensor = model.blocks[index](x.flatten(1, 2), *x.shape[1:3])
        return out.reshape(x.shape)

    return Part(run, (f"blocks.{index}",))


def _head(model: Any, x: Tensor) -> Tensor:
    x = x.flatten(1, 2)
    if model.cls_attn_blocks is not None:
        x = model.forward_cls(x)
    out: Tensor = model.forward_head(model.norm(x))
    return out


def split(model: Any) -> Split:
    """Split an XCiT between its blocks of patches; the class-attention blocks belong to the head.

    Its blocks want rows and columns, so the tokens are shown as a map with its channels last: the same
    numbers in the same order.
    """
    depth = len(model.blocks)
    return Split(
        stem=Part(_stem, ("patch_embed", "pos_embed", "pos_drop")),
        blocks=tuple(_block(index) for index in range(depth)),
        head=Part(_head, _HEAD),
        stages=(0,) * depth,
        channels_last=True,
    )


FAMILY = Family(
    name="XCiT",
    library="timm",
    granularity="one cross-covariance block; class attention belongs to the head",
    classes=("timm.models.xcit.Xcit",),
    split=split,
)
