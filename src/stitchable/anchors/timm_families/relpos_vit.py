"""ViTs with a relative position bias of timm, each block's own or shared by all."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from stitchable.anchors.registry import Family
from stitchable.anchors.split import Part, Split, submodule


def _stem(model: Any, x: Tensor) -> Tensor:
    out: Tensor = model.patch_embed(x)
    if model.cls_token is not None:
        out = torch.cat((model.cls_token.expand(out.shape[0], -1, -1), out), dim=1)
    return out


def _sharing_block(index: int) -> Part:
    """The shared bias depends on the grid alone: a block computes it again instead of being handed it."""

    def run(model: Any, x: Tensor) -> Tensor:
        out: Tensor = model.blocks[index](x, shared_rel_pos=model.shared_rel_pos.get_bias())
        return out

    return Part(run, (f"blocks.{index}", "shared_rel_pos"))


def _head(model: Any, x: Tensor) -> Tensor:
    out: Tensor = model.forward_head(model.norm(x))
    return out


def split(model: Any) -> Split:
    """Split a ViT with relative positions after its embedding and between its blocks."""
    grid = model.patch_embed.grid_size
    depth = len(model.blocks)
    own = model.shared_rel_pos is None
    return Split(
        stem=Part(_stem, ("patch_embed", "cls_token")),
        blocks=tuple(
            submodule(f"blocks.{index}") if own else _sharing_block(index) for index in range(depth)
        ),
        head=Part(_head, ("norm", "fc_norm", "head_drop", "head")),
        stages=(0,) * depth,
        prefix_tokens=model.num_prefix_tokens,
        grid=(int(grid[0]), int(grid[1])),
    )


FAMILY = Family(
    name="ViT with relative positions",
    library="timm",
    granularity="one transformer block (attention and MLP)",
    classes=("timm.models.vision_transformer_relpos.VisionTransformerRelPos",),
    split=split,
)
