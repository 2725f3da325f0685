"""Families of timm that share one plan: a stem, stages of a down-sampling and blocks, and a head.

They differ in names alone, so each is a row here. What a row cannot say has a file of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from stitchable.anchors.registry import Family
from stitchable.anchors.split import Part, Split, stage_blocks, submodules
from stitchable.errors import StitchError

_TWO_OUTPUTS = "distilled training (two outputs)"


def _family(
    name: str,
    path: str,
    granularity: str,
    *,
    stem: Sequence[str] = ("stem",),
    stages: str = "stages",
    opening: Sequence[str] = ("downsample",),
    blocks: str = "blocks",
    end: Sequence[str] = (),
    head: Sequence[str] = ("head",),
    channels_last: bool = False,
    unsupported: str = "",
) -> Family:
    """One row: ``end`` runs before ``forward_head``, ``head`` is what that reads."""

    def split(model: nn.Module) -> Split:
        if any(getattr(module, "distilled_training", False) for module in (model, *model.children())):
            raise StitchError(
                f"A {name} in distilled training returns two outputs. Switch distilled training off."
            )
        names = [f"{stages}.{child}" for child, _ in model.get_submodule(stages).named_children()]
        parts, numbers = stage_blocks(model, names, opening=opening, blocks=blocks)
        return Split(
            stem=submodules(*stem),
            blocks=parts,
            head=Part(run_head, (*end, *head)),
            stages=numbers,
            channels_last=channels_last,
        )

    def run_head(model: Any, x: Tensor) -> Tensor:
        for child in end:
            x = getattr(model, child)(x)
        out: Tensor = model.forward_head(x)
        return out

    return Family(name, "timm", granularity, (f"timm.models.{path}",), split, unsupported)


_SWIN: dict[str, Any] = {
    "stem": ("patch_embed",),
    "stages": "layers",
    "end": ("norm",),
    "channels_last": True,
}
_POOLED = ("global_pool", "flatten", "head")

FAMILIES = (
    _family("Swin", "swin_transformer.SwinTransformer", "one (shifted) window block", **_SWIN),
    _family("Swin V2", "swin_transformer_v2.SwinTransformerV2", "one (shifted) window block", **_SWIN),
    _family("ConvNeXt (V1, V2)", "convnext.ConvNeXt", "one block", end=("norm_pre",)),
    _family(
        "EdgeNeXt", "edgenext.EdgeNeXt", "one block (convolution or transposed attention)", end=("norm_pre",)
    ),
    _family("InceptionNeXt", "inception_next.MetaNeXt", "one block"),
    _family("DaViT", "davit.DaVit", "one dual block (window and channel attention)", end=("norm_pre",)),
    _family("FocalNet", "focalnet.FocalNet", "one block", stages="layers", end=("norm",)),
    _family("MambaOut", "mambaout.MambaOut", "one gated convolution block", channels_last=True),
    _family("MaxViT / CoAtNet", "maxxvit.MaxxVit", "one block", opening=(), end=("norm",)),
    _family(
        "FastViT", "fastvit.FastVit", "one block", opening=("downsample", "pos_emb"), end=("final_conv",)
    ),
    _family(
        "EfficientFormerV2",
        "efficientformer_v2.EfficientFormerV2",
        "one block",
        end=("norm",),
        head=("head_drop", "head", "head_dist"),
        unsupported=_TWO_OUTPUTS,
    ),
    _family(
        "SwiftFormer",
        "swiftformer.SwiftFormer",
        "one block",
        end=("norm",),
        head=("head_drop", "head", "head_dist"),
        unsupported=_TWO_OUTPUTS,
    ),
    _family("EfficientViT (MIT)", "efficientvit_mit.EfficientVit", "one block", opening=()),
    _family("RepViT", "repvit.RepVit", "one block", head=("head_drop", "head"), unsupported=_TWO_OUTPUTS),
    _family("SHViT", "shvit.SHViT", "one block", stem=("patch_embed",), head=_POOLED),
    _family(
        "FasterNet",
        "fasternet.FasterNet",
        "one partial-convolution block",
        stem=("patch_embed",),
        head=("global_pool", "conv_head", "act", "flatten", "classifier"),
    ),
    _family(
        "StarNet", "starnet.StarNet", "one block", opening=("0",), blocks="", end=("norm",), head=_POOLED
    ),
    _family("HGNet (V1, V2)", "hgnet.HighPerfGpuNet", "one aggregation block"),
    _family("VoVNet", "vovnet.VovNet", "one one-shot aggregation block", opening=("pool",)),
    _family("ResNetV2 / BiT", "resnetv2.ResNetV2", "one residual block", opening=(), end=("norm",)),
    _family(
        "GhostNet (V1, V2, V3)",
        "ghostnet.GhostNet",
        "one ghost bottleneck",
        stem=("conv_stem", "bn1", "act1"),
        stages="blocks",
        opening=(),
        blocks="",
        head=("global_pool", "conv_head", "act2", "flatten", "classifier"),
    ),
    _family(
        "NFNet",
        "nfnet.NormFreeNet",
        "one residual block",
        opening=(),
        blocks="",
        end=("final_conv", "final_act"),
    ),
    _family(
        "ByobNet (RepVGG, MobileOne, MobileViT, GENet and others)",
        "byobnet.ByobNet",
        "one block",
        opening=(),
        blocks="",
        end=("final_conv",),
    ),
)
