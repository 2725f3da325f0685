"""LeViTs of timm, with linear layers or with convolutions."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from stitchable.anchors.registry import Family
from stitchable.anchors.split import Part, Split, stage_blocks, submodules
from stitchable.errors import StitchError


def _stem(model: Any, x: Tensor) -> Tensor:
    out: Tensor = model.stem(x).permute(0, 2, 3, 1)
    return out


def _block(stage: int, index: int, *, opens: bool) -> Part:
    def run(model: Any, x: Tensor) -> Tensor:
        holder = model.stages[stage]
        _, rows, columns, _ = x.shape
        x = x.flatten(1, 2)
        if opens:
            x = holder.downsample(x)
            rows, columns = (rows - 1) // 2 + 1, (columns - 1) // 2 + 1
        out: Tensor = holder.blocks[index](x)
        return out.reshape(out.shape[0], rows, columns, -1)

    block = f"stages.{stage}.blocks.{index}"
    return Part(run, (f"stages.{stage}.downsample", block) if opens else (block,))


def _head(model: Any, x: Tensor) -> Tensor:
    out: Tensor = model.forward_head(x if model.use_conv else x.flatten(1, 2))
    return out


def split(model: Any) -> Split:
    """Split a LeViT; one block is attention and MLP, and a stage's first block holds its down-sampling.

    The tokens of the plain LeViT are shown as maps with their channels last, the same numbers in the same
    order, so that a feature tells its grid.
    """
    if getattr(model, "distilled_training", False):
        raise StitchError(
            "A distilled LeViT in distilled training returns two outputs. Switch distilled training off."
        )
    blocks, stages = stage_blocks(
        model,
        [f"stages.{index}" for index in range(len(model.stages))],
        opening=("downsample",),
        blocks="blocks",
    )
    if not model.use_conv:
        blocks = tuple(
            _block(stage, index, opens=index == 0 and stage > 0)
            for stage, holder in enumerate(model.stages)
            for index in range(len(holder.blocks))
        )
    return Split(
        stem=submodules("stem") if model.use_conv else Part(_stem, ("stem",)),
        blocks=blocks,
        head=Part(_head, ("head", "head_dist") if hasattr(model, "head_dist") else ("head",)),
        stages=stages,
        channels_last=not model.use_conv,
    )


FAMILY = Family(
    name="LeViT",
    library="timm",
    granularity="one block (attention and MLP)",
    classes=("timm.models.levit.Levit", "timm.models.levit.LevitDistilled"),
    split=split,
    unsupported="distilled training (two outputs)",
)
