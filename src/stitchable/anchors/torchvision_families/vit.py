"""Vision transformers of torchvision."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchvision.models.vision_transformer import VisionTransformer

from stitchable.anchors.registry import Family
from stitchable.anchors.split import Part, Split, stage_blocks


def _stem(model: VisionTransformer, x: Tensor) -> Tensor:
    x = model._process_input(x)
    x = torch.cat([model.class_token.expand(x.shape[0], -1, -1), x], dim=1)
    out: Tensor = model.encoder.dropout(x + model.encoder.pos_embedding)
    return out


def _head(model: VisionTransformer, x: Tensor) -> Tensor:
    out: Tensor = model.heads(model.encoder.ln(x)[:, 0])
    return out


def split(model: nn.Module) -> Split:
    """Split a ViT after its embedding (position, class token) and between its blocks."""
    assert isinstance(model, VisionTransformer)
    blocks, stages = stage_blocks(model, ("encoder.layers",))
    side = model.image_size // model.patch_size
    return Split(
        stem=Part(_stem, ("conv_proj", "class_token", "encoder.pos_embedding", "encoder.dropout")),
        blocks=blocks,
        head=Part(_head, ("encoder.ln", "heads")),
        stages=stages,
        prefix_tokens=1,
        grid=(side, side),
    )


FAMILY = Family(
    name="plain ViT",
    library="torchvision",
    granularity="one transformer block (attention and MLP)",
    classes=("torchvision.models.vision_transformer.VisionTransformer",),
    split=split,
)
