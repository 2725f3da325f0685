"""Families whose blocks want rows and columns: the feature is a map with its channels last."""

import pytest
import torch

from stitchable.anchors.check import check_anchor
from stitchable.anchors.load import anchor_from_timm
from stitchable.feature import FeatureSpec
from stitchable.input_spec import InputSpec

HEADS = {"num_heads": (1, 2, 2, 2), "mlp_ratios": (2, 2, 2, 2), "num_classes": 10}
PVT = {"depths": (1, 2, 1, 1), "embed_dims": (8, 12, 16, 24), "sr_ratios": (8, 4, 2, 1), **HEADS}


def specs(widths, sizes, stages):
    return tuple(FeatureSpec("map", widths[s], sizes[s], stage=s, channels_last=True) for s in (0, *stages))


@pytest.mark.parametrize("model", ["pvt_v2_b0", "pvt_v2_b2_li"])
def test_pvt_v2(model):
    images = InputSpec((3, 64, 96), (0.5,) * 3, (0.5,) * 3)
    anchor = anchor_from_timm(model, arguments=PVT, input_spec=images)
    check_anchor(anchor)
    sizes = [(16, 24), (8, 12), (4, 6), (2, 3)]
    assert anchor.features == specs(PVT["embed_dims"], sizes, (0, 1, 1, 2, 3))
    x = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():  # timm's stage hands on a map with its channels first, its norm applied
        expected = anchor.model.stages[1](anchor.model.stages[0](anchor.model.patch_embed(x)))
        assert torch.equal(anchor.run(anchor.stem(x), 0, 3).permute(0, 3, 1, 2), expected)


@pytest.mark.parametrize(
    ("model", "size"), [("twins_pcpvt_small", (64, 96)), ("twins_svt_small", (224, 224))]
)
def test_twins(model, size):
    images = InputSpec((3, *size), (0.5,) * 3, (0.5,) * 3)
    arguments = {**PVT, "img_size": size, "depths": (2, 1, 2, 1)}
    anchor = anchor_from_timm(model, arguments=arguments, input_spec=images)
    check_anchor(anchor)
    sizes = [(size[0] >> s, size[1] >> s) for s in (2, 3, 4, 5)]
    assert anchor.features == specs(PVT["embed_dims"], sizes, (0, 0, 1, 2, 2, 3))


@pytest.mark.parametrize(
    ("model", "grid"), [("xcit_nano_12_p16_224", (2, 3)), ("xcit_nano_12_p8_224", (4, 6))]
)
def test_xcit(model, grid):
    arguments = {"img_size": (32, 48), "embed_dim": 32, "num_heads": 2, "depth": 2, "num_classes": 10}
    anchor = anchor_from_timm(model, arguments=arguments)
    assert anchor.input_spec.size == (3, 32, 48)
    check_anchor(anchor)
    assert anchor.features == specs([32], [grid], (0, 0))
    names = {name for name, _ in anchor.holding([], stem=False, head=True).model.named_parameters()}
    assert any(name.startswith("cls_attn_blocks.") for name in names)
