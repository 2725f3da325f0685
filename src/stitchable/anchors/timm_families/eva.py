"""ViTs with rotary position embedding of timm: EVA, EVA-02, DINOv3, RoPE-ViT, Perception Encoder."""

from __future__ import annotations

from typing import Any

from timm.layers.pos_embed_sincos import get_mixed_freqs
from timm.models.eva import Eva
from torch import Tensor, nn

from stitchable.anchors.registry import Family
from stitchable.anchors.split import Part, Split
from stitchable.errors import StitchError

_STEM = ("patch_embed", "cls_token", "reg_token", "pos_embed", "pos_drop", "norm_pre", "rope")
_HEAD = ("norm", "attn_pool", "fc_norm", "head_drop", "head")


def _stem(model: Eva, x: Tensor) -> Tensor:
    x, _ = model._pos_embed(model.patch_embed(x))
    out: Tensor = model.norm_pre(x)
    return out


def _block(index: int) -> Part:
    """The rotary embedding depends on the grid alone: a block fetches it instead of being handed it."""

    def run(model: Any, x: Tensor) -> Tensor:
        out: Tensor = model.blocks[index](x, rope=_rotation(model, index))
        return out

    return Part(run, (f"blocks.{index}", "rope"))


def _rotation(model: Any, index: int) -> Tensor | None:
    rope = model.rope
    if rope is None:
        return None
    if getattr(model, "rope_mixed", False):  # learned frequencies per depth: those of this block alone
        mixed: Tensor = get_mixed_freqs(rope.freqs[:, index], rope.t_x, rope.t_y)
        return mixed
    shape = () if hasattr(rope, "feat_shape") else (model.patch_embed.grid_size,)
    out: Tensor = rope.get_embed(*shape)
    return out


def _head(model: Eva, x: Tensor) -> Tensor:
    out: Tensor = model.forward_head(model.norm(x))
    return out


def split(model: nn.Module) -> Split:
    """Split a ViT with rotary embedding after its embedding and between its blocks."""
    assert isinstance(model, Eva)
    if model.dynamic_img_size:
        raise StitchError("A ViT built with dynamic_img_size has no fixed grid. Build it for one input size.")
    if model.patch_drop is not None:
        raise StitchError(
            "A ViT that drops patches changes its grid in training. Build it without patch_drop_rate."
        )
    if getattr(model.rope, "aug_active", False):
        raise StitchError(
            "Rotary coordinates drawn anew in training would differ from block to block. "
            "Build the ViT without rope_shift_coords, rope_jitter_coords and rope_rescale_coords."
        )
    grid = model.patch_embed.grid_size
    depth = len(model.blocks)
    return Split(
        stem=Part(_stem, _STEM),
        blocks=tuple(_block(index) for index in range(depth)),
        head=Part(_head, _HEAD),
        stages=(0,) * depth,
        prefix_tokens=model.num_prefix_tokens,
        grid=(int(grid[0]), int(grid[1])),
    )


FAMILY = Family(
    name="EVA-02 / DINOv3 (ViT with RoPE)",
    library="timm",
    granularity="one transformer block (attention and MLP)",
    classes=("timm.models.eva.Eva",),
    split=split,
    unsupported="dynamic_img_size, patch_drop_rate (no fixed grid); rotary coordinates drawn at random",
)
