"""Plain vision transformers of transformers: ViT, DINOv2, and DINOv2 with registers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from stitchable.anchors.registry import Family
from stitchable.anchors.split import Part, Split, submodule


def split_vit(model: Any) -> Split:
    """Split a ViT after its embeddings and between its blocks; the final norm belongs to the head."""

    def head(model: Any, x: Tensor) -> Tensor:
        out: Tensor = model.classifier(model.vit.layernorm(x)[:, 0, :])
        return out

    return Split(
        stem=submodule("vit.embeddings"),
        blocks=tuple(submodule(f"vit.layers.{index}") for index in range(len(model.vit.layers))),
        head=Part(head, ("vit.layernorm", "classifier")),
        stages=(0,) * len(model.vit.layers),
        prefix_tokens=1,
    )


def split_dinov2(model: Any) -> Split:
    """Split a DINOv2 likewise; its classifier reads the class token beside the mean of the patches."""
    base = model.base_model_prefix
    prefix = 1 + getattr(model.config, "num_register_tokens", 0)
    depth = len(model.base_model.encoder.layer)

    def head(model: Any, x: Tensor) -> Tensor:
        x = getattr(model, base).layernorm(x)
        out: Tensor = model.classifier(torch.cat([x[:, 0], x[:, prefix:].mean(dim=1)], dim=1))
        return out

    return Split(
        stem=submodule(f"{base}.embeddings"),
        blocks=tuple(submodule(f"{base}.encoder.layer.{index}") for index in range(depth)),
        head=Part(head, (f"{base}.layernorm", "classifier")),
        stages=(0,) * depth,
        prefix_tokens=prefix,
    )


_MODELS = "transformers.models"
_BLOCK = "one transformer block (attention and MLP)"
VIT = Family(
    name="plain ViT",
    library="transformers",
    granularity=_BLOCK,
    classes=(f"{_MODELS}.vit.modeling_vit.ViTForImageClassification",),
    split=split_vit,
)
DINOV2 = Family(
    name="DINOv2",
    library="transformers",
    granularity=_BLOCK,
    classes=(
        f"{_MODELS}.dinov2.modeling_dinov2.Dinov2ForImageClassification",
        f"{_MODELS}.dinov2_with_registers.modeling_dinov2_with_registers"
        ".Dinov2WithRegistersForImageClassification",
    ),
    split=split_dinov2,
)
