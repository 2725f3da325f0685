"""ViTs with rotary position embedding of timm: EVA, EVA-02, DINOv3, RoPE-ViT, Perception Encoder."""

from __future__ import annotations

from typing import Any

from timm.layers.pos_embed_sincos import get_mixed_freqs
from torch import Tensor

from stitchable.anchors.registry import Family
from stitchable.anchors.split import Part, Split
from stitchable.errors import StitchError

_STEM = ("patch_embed", "cls_token", "reg_token", "pos_embed", "pos_drop", "norm_pre", "rope")
_HEAD = ("norm", "attn_pool", "fc_norm", "head_drop", "head")


def _stem(model: Any, x: Tensor) -> Tensor:
    built = model.patch_embed.img_size
    if tuple(x.shape[-2:]) != tuple(built):
        raise StitchError(
            f"Got images of {x.shape[-2]}×{x.shape[-1]}; this ViT was built for {built[0]}×{built[1]}. "
            "Build it anew with img_size, even if it has dynamic_img_size: the cuts have one grid."
        )
    x, _ = model._pos_embed(model.patch_embed(x))
    out: Tensor = model.norm_pre(x)
    return out


def _block(index: int, grid: tuple[int, int] | None) -> Part:
    """The rotary embedding depends on the grid alone: a block fetches it instead of being handed it."""

    def run(model: Any, x: Tensor) -> Tensor:
        out: Tensor = model.blocks[index](x, rope=_rotation(model, index, grid))
        return out

    return Part(run, (f"blocks.{index}", "rope"))


def _rotation(model: Any, index: int, grid: tuple[int, int] | None) -> Tensor | None:
    rope = model.rope
    if rope is None:
        return None
    if not getattr(model, "rope_mixed", False):
        out: Tensor = rope.get_embed(grid)
    elif grid is None:  # learned frequencies per depth: those of this block alone
        out = get_mixed_freqs(rope.freqs[:, index], rope.t_x, rope.t_y)
    else:
        out = rope.get_embed(grid)[index]
    return out


def _head(model: Any, x: Tensor) -> Tensor:
    out: Tensor = model.forward_head(model.norm(x))
    return out


def split(model: Any) -> Split:
    """Split a ViT with rotary embedding after its embedding and between its blocks.

    With ``dynamic_img_size`` it takes the size alone for which it was built.
    """
    if model.patch_drop is not None:
        raise StitchError(
            "A ViT that drops patches changes its grid in training. Build it without patch_drop_rate."
        )
    if getattr(model.rope, "aug_active", False):
        raise StitchError(
            "Rotary coordinates drawn anew in training would differ from block to block. "
            "Build the ViT without rope_shift_coords, rope_jitter_coords and rope_rescale_coords."
        )
    grid = (int(model.patch_embed.grid_size[0]), int(model.patch_embed.grid_size[1]))
    known = hasattr(model.rope, "feat_shape") and not model.dynamic_img_size  # else it asks for the grid
    depth = len(model.blocks)
    return Split(
        stem=Part(_stem, _STEM),
        blocks=tuple(_block(index, None if known else grid) for index in range(depth)),
        head=Part(_head, _HEAD),
        stages=(0,) * depth,
        prefix_tokens=model.num_prefix_tokens,
        grid=grid,
    )


FAMILY = Family(
    name="EVA-02 / DINOv3 (ViT with RoPE)",
    library="timm",
    granularity="one transformer block (attention and MLP)",
    classes=("timm.models.eva.Eva",),
    split=split,
    unsupported="patch_drop_rate (no fixed grid); rotary coordinates drawn at random (anew for each block)",
)
