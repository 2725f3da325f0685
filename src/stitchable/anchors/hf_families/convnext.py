"""ConvNeXts of transformers, version 1 and 2."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from stitchable.anchors.registry import Family
from stitchable.anchors.split import Part, Split, submodule, submodules


def split(model: Any) -> Split:
    """Split a ConvNeXt into its blocks; the first block of a stage holds the down-sampling before it."""
    base = model.base_model_prefix
    blocks, stages = [], []
    for index, stage in enumerate(model.base_model.encoder.stages):
        place = f"{base}.encoder.stages.{index}"
        opening = [f"{place}.downsampling_layer.{layer}" for layer in range(len(stage.downsampling_layer))]
        for block in range(len(stage.layers)):
            names = [*(opening if block == 0 else []), f"{place}.layers.{block}"]
            blocks.append(submodules(*names))
            stages.append(index)

    def head(model: Any, x: Tensor) -> Tensor:
        out: Tensor = model.classifier(getattr(model, base).layernorm(x.mean([-2, -1])))
        return out

    return Split(
        stem=submodule(f"{base}.embeddings"),
        blocks=tuple(blocks),
        head=Part(head, (f"{base}.layernorm", "classifier")),
        stages=tuple(stages),
    )


FAMILY = Family(
    name="ConvNeXt",
    library="transformers",
    granularity="one ConvNeXt block",
    classes=(
        "transformers.models.convnext.modeling_convnext.ConvNextForImageClassification",
        "transformers.models.convnextv2.modeling_convnextv2.ConvNextV2ForImageClassification",
    ),
    split=split,
)
