"""Twins of timm: PCPVT and SVT."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from stitchable.anchors.registry import Family
from stitchable.anchors.split import Part, Split


def _embed(model: Any, stage: int, x: Tensor) -> Tensor:
    """From a map with its channels first to one with its channels last."""
    x, grid = model.patch_embeds[stage](x)
    out: Tensor = model.pos_drops[stage](x)
    return out.reshape(out.shape[0], *grid, -1)


def _block(stage: int, index: int) -> Part:
    opens, places = index == 0 and stage > 0, index == 0

    def run(model: Any, x: Tensor) -> Tensor:
        if opens:
            x = _embed(model, stage, x.permute(0, 3, 1, 2).contiguous())
        shape, grid = x.shape, tuple(x.shape[1:3])
        x = model.blocks[stage][index](x.flatten(1, 2), grid)
        if places:
            x = model.pos_block[stage](x, grid)
        return x.reshape(shape)

    uses = [f"blocks.{stage}.{index}"] + [f"pos_block.{stage}"] * places
    return Part(run, (*uses, *(f"{name}.{stage}" for name in ("patch_embeds", "pos_drops") if opens)))


def _head(model: Any, x: Tensor) -> Tensor:
    out: Tensor = model.forward_head(model.norm(x.flatten(1, 2)))
    return out


def split(model: Any) -> Split:
    """Split a Twins between its blocks.

    The first block of a stage holds its patch embedding and its position encoding. The blocks want rows and
    columns, so the tokens are shown as maps with their channels last: the same numbers in the same order.
    """
    depths = [len(blocks) for blocks in model.blocks]
    return Split(
        stem=Part(lambda model, x: _embed(model, 0, x), ("patch_embeds.0", "pos_drops.0")),
        blocks=tuple(_block(stage, index) for stage, depth in enumerate(depths) for index in range(depth)),
        head=Part(_head, ("norm", "head_drop", "head")),
        stages=tuple(stage for stage, depth in enumerate(depths) for _ in range(depth)),
        channels_last=True,
    )


FAMILY = Family(
    name="Twins (PCPVT, SVT)",
    library="timm",
    granularity="one transformer block (attention and MLP)",
    classes=("timm.models.twins.Twins",),
    split=split,
)
