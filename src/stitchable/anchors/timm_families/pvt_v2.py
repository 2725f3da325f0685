"""Pyramid vision transformers (PVT v2) of timm."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from stitchable.anchors.registry import Family
from stitchable.anchors.split import Part, Split


def _channels_first(x: Tensor) -> Tensor:
    return x.permute(0, 3, 1, 2).contiguous()


def _block(stage: int, index: int, *, opens: bool, closes: bool) -> Part:
    def run(model: Any, x: Tensor) -> Tensor:
        holder = model.stages[stage]
        if opens:
            x = holder.downsample(_channels_first(x))
        shape = x.shape
        x = holder.blocks[index](x.flatten(1, 2), tuple(shape[1:3]))
        if closes:
            x = holder.norm(x)
        return x.reshape(shape)

    uses = [f"blocks.{index}"] + ["downsample"] * opens + ["norm"] * closes
    return Part(run, tuple(f"stages.{stage}.{name}" for name in uses))


def _head(model: Any, x: Tensor) -> Tensor:
    out: Tensor = model.forward_head(_channels_first(x))
    return out


def split(model: Any) -> Split:
    """Split a PVT v2 between its blocks.

    The first block of a stage holds its patch embedding, the last one its norm. The blocks want rows and
    columns, so the tokens are shown as maps with their channels last: the same numbers in the same order.
    """
    depths = [len(stage.blocks) for stage in model.stages]
    return Split(
        stem=Part(lambda model, x: model.patch_embed(x), ("patch_embed",)),
        blocks=tuple(
            _block(stage, index, opens=index == 0 and stage > 0, closes=index == depth - 1)
            for stage, depth in enumerate(depths)
            for index in range(depth)
        ),
        head=Part(_head, ("head_drop", "head")),
        stages=tuple(stage for stage, depth in enumerate(depths) for _ in range(depth)),
        channels_last=True,
    )


FAMILY = Family(
    name="PVT v2",
    library="timm",
    granularity="one transformer block (attention and MLP)",
    classes=("timm.models.pvt_v2.PyramidVisionTransformerV2",),
    split=split,
)
