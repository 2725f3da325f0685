"""MLPs and convolutions of one width of timm: MLP-Mixer, ResMLP, gMLP, and ConvMixer."""

from __future__ import annotations

from typing import Any

from timm.models.convmixer import ConvMixer
from timm.models.mlp_mixer import MlpMixer
from torch import Tensor, nn

from stitchable.anchors.registry import Family
from stitchable.anchors.split import Part, Split, stage_blocks, submodules


def _mlp_head(model: MlpMixer, x: Tensor) -> Tensor:
    out: Tensor = model.forward_head(model.norm(x))
    return out


def _conv_head(model: Any, x: Tensor) -> Tensor:
    out: Tensor = model.forward_head(x)
    return out


def split_mlp(model: nn.Module) -> Split:
    """Split an MLP-Mixer, ResMLP or gMLP between its blocks."""
    assert isinstance(model, MlpMixer)
    blocks, stages = stage_blocks(model, ("blocks",))
    rows, columns = model.stem.grid_size
    return Split(
        stem=submodules("stem"),
        blocks=blocks,
        head=Part(_mlp_head, ("norm", "head_drop", "head")),
        stages=stages,
        grid=(int(rows), int(columns)),
    )


def split_conv(model: nn.Module) -> Split:
    """Split a ConvMixer between its blocks."""
    assert isinstance(model, ConvMixer)
    blocks, stages = stage_blocks(model, ("blocks",))
    return Split(
        stem=submodules("stem"),
        blocks=blocks,
        head=Part(_conv_head, ("global_pool", "head_drop", "head")),
        stages=stages,
    )


FAMILIES = (
    Family(
        name="MLP-Mixer / ResMLP / gMLP",
        library="timm",
        granularity="one block (token and channel MLP)",
        classes=("timm.models.mlp_mixer.MlpMixer",),
        split=split_mlp,
    ),
    Family(
        name="ConvMixer",
        library="timm",
        granularity="one block (depthwise and pointwise convolution)",
        classes=("timm.models.convmixer.ConvMixer",),
        split=split_conv,
    ),
)
