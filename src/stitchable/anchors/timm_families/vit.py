"""Plain vision transformers of timm: ViT, DeiT, distilled DeiT, DeiT-3, DINOv2 and their like."""

from __future__ import annotations

from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from stitchable.anchors.registry import Family
from stitchable.anchors.split import Part, Split, submodule
from stitchable.errors import StitchError

_STEM = ("patch_embed", "cls_token", "dist_token", "reg_token", "pos_embed", "pos_drop", "patch_drop")
_HEAD = ("norm", "attn_pool", "fc_norm", "head_drop", "head", "head_dist")


def _stem(model: VisionTransformer, x: Tensor) -> Tensor:
    x = model._pos_embed(model.patch_embed(x))
    out: Tensor = model.norm_pre(model.patch_drop(x))
    return out


def _head(model: VisionTransformer, x: Tensor) -> Tensor:
    out: Tensor = model.forward_head(model.norm(x))
    return out


def split(model: nn.Module) -> Split:
    """Split a plain ViT after its embedding (position, class token, pre-norm) and between its blocks."""
    assert isinstance(model, VisionTransformer)
    if model.dynamic_img_size:
        raise StitchError("A ViT built with dynamic_img_size has no fixed grid. Build it for one input size.")
    if not isinstance(model.patch_drop, nn.Identity):
        raise StitchError(
            "A ViT that drops patches changes its grid in training. Build it without patch_drop_rate."
        )
    if getattr(model, "distilled_training", False):
        raise StitchError(
            "A distilled ViT in distilled training returns two outputs. Switch distilled training off."
        )
    grid = model.patch_embed.grid_size
    depth = len(model.blocks)
    return Split(
        stem=Part(_stem, (*_STEM, "norm_pre")),
        blocks=tuple(submodule(f"blocks.{index}") for index in range(depth)),
        head=Part(_head, _HEAD),
        stages=(0,) * depth,
        prefix_tokens=model.num_prefix_tokens,
        grid=(int(grid[0]), int(grid[1])),
    )


FAMILY = Family(
    name="plain ViT",
    library="timm",
    granularity="one transformer block (attention and MLP)",
    classes=(
        "timm.models.vision_transformer.VisionTransformer",
        "timm.models.deit.VisionTransformerDistilled",
    ),
    split=split,
    unsupported="dynamic_img_size, patch_drop_rate (no fixed grid); distilled training (two outputs)",
)
