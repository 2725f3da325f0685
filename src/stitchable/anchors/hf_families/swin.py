"""Swin transformers of transformers.

The library passes sequences and the grid's size from layer to layer. Here the features are maps with their
channels last, which are views of these sequences: the grid is then part of the feature, also where it is no
square, and Swins of different libraries can be joined.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from stitchable.anchors.registry import Family
from stitchable.anchors.split import Part, Split


def _stem(model: Any, x: Tensor) -> Tensor:
    tokens, (rows, columns) = model.swin.embeddings(x)
    out: Tensor = tokens.view(tokens.shape[0], rows, columns, -1)
    return out


def _block(stage: int, block: int) -> Part:
    def run(model: Any, x: Tensor) -> Tensor:
        stages = model.swin.encoder.layers
        if block == 0 and stage > 0:
            rows, columns = (x.shape[1] + 1) // 2, (x.shape[2] + 1) // 2
            merged = stages[stage - 1].downsample(x.flatten(1, 2), (x.shape[1], x.shape[2]))
            x = merged.view(merged.shape[0], rows, columns, -1)
        tokens, _ = stages[stage].blocks[block](x.flatten(1, 2), (x.shape[1], x.shape[2]))
        out: Tensor = tokens.view(x.shape)
        return out

    opening = (f"swin.encoder.layers.{stage - 1}.downsample",) if block == 0 and stage > 0 else ()
    return Part(run, (*opening, f"swin.encoder.layers.{stage}.blocks.{block}"))


def _head(model: Any, x: Tensor) -> Tensor:
    tokens = model.swin.layernorm(x.flatten(1, 2))
    out: Tensor = model.classifier(model.swin.pooler(tokens.transpose(1, 2)).flatten(1))
    return out


def split(model: Any) -> Split:
    """Split a Swin into its blocks; the first block of a stage holds the patch merging before it."""
    places = [
        (stage, block)
        for stage, layer in enumerate(model.swin.encoder.layers)
        for block in range(len(layer.blocks))
    ]
    return Split(
        stem=Part(_stem, ("swin.embeddings",)),
        blocks=tuple(_block(stage, block) for stage, block in places),
        head=Part(_head, ("swin.layernorm", "swin.pooler", "classifier")),
        stages=tuple(stage for stage, _ in places),
        channels_last=True,
    )


FAMILY = Family(
    name="Swin",
    library="transformers",
    granularity="one transformer block (windowed attention and MLP)",
    classes=("transformers.models.swin.modeling_swin.SwinForImageClassification",),
    split=split,
)
