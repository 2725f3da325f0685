"""MetaFormers of timm: PoolFormer (v1, v2), ConvFormer, CAFormer, IdentityFormer, RandFormer."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from stitchable.anchors.registry import Family
from stitchable.anchors.split import Part, Split, stage_blocks, submodules


def _on_tokens(part: Part) -> Part:
    """The blocks of an attention stage take tokens; the feature stays a map, by views alone."""
    *before, block = part.uses
    opening = submodules(*before) if before else None
    inner = submodules(block)

    def run(model: Any, x: Tensor) -> Tensor:
        if opening is not None:
            x = opening.run(model, x)
        shape = x.shape
        return inner.run(model, x.flatten(2).transpose(1, 2)).transpose(1, 2).reshape(shape)

    return Part(run, part.uses)


def _head(model: Any, x: Tensor) -> Tensor:
    out: Tensor = model.forward_head(x)
    return out


def split(model: Any) -> Split:
    """Split a MetaFormer between its blocks; the first block of a stage holds its down-sampling."""
    names = [f"stages.{index}" for index in range(len(model.stages))]
    blocks, stages = stage_blocks(model, names, opening=("downsample",), blocks="blocks")
    return Split(
        stem=submodules("stem"),
        blocks=tuple(
            block if model.stages[stage].use_nchw else _on_tokens(block)
            for block, stage in zip(blocks, stages, strict=True)
        ),
        head=Part(_head, ("head",)),
        stages=stages,
    )


FAMILY = Family(
    name="MetaFormer (PoolFormer, ConvFormer, CAFormer)",
    library="timm",
    granularity="one block (token mixer and MLP)",
    classes=("timm.models.metaformer.MetaFormer",),
    split=split,
)
