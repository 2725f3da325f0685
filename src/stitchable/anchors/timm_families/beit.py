"""BEiT and BEiT v2 of timm, whose relative position bias is each block's own or shared by all."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from stitchable.anchors.registry import Family
from stitchable.anchors.split import Part, Split, submodule

_STEM = ("patch_embed", "cls_token", "pos_embed", "pos_drop")
_HEAD = ("norm", "fc_norm", "head_drop", "head")


def _stem(model: Any, x: Tensor) -> Tensor:
    x = model.patch_embed(x)
    x = torch.cat((model.cls_token.expand(x.shape[0], -1, -1), x), dim=1)
    if model.pos_embed is not None:
        x = x + model.pos_embed
    out: Tensor = model.pos_drop(x)
    return out


def _sharing_block(index: int) -> Part:
    """The shared bias depends on the grid alone: a block looks it up again instead of being handed it."""

    def run(model: Any, x: Tensor) -> Tensor:
        out: Tensor = model.blocks[index](x, shared_rel_pos_bias=model.rel_pos_bias())
        return out

    return Part(run, (f"blocks.{index}", "rel_pos_bias"))


def _head(model: Any, x: Tensor) -> Tensor:
    out: Tensor = model.forward_head(model.norm(x))
    return out


def split(model: Any) -> Split:
    """Split a BEiT after its embedding and between its blocks."""
    grid = model.patch_embed.grid_size
    depth = len(model.blocks)
    own = model.rel_pos_bias is None
    return Split(
        stem=Part(_stem, _STEM),
        blocks=tuple(
            submodule(f"blocks.{index}") if own else _sharing_block(index) for index in range(depth)
        ),
        head=Part(_head, _HEAD),
        stages=(0,) * depth,
        prefix_tokens=1,
        grid=(int(grid[0]), int(grid[1])),
    )


FAMILY = Family(
    name="BEiT / BEiT v2",
    library="timm",
    granularity="one transformer block (attention and MLP)",
    classes=("timm.models.beit.Beit",),
    split=split,
)
