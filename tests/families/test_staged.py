"""The families that share one plan, and the others that need no more than it."""

import pytest
import torch

from stitchable.anchors.check import check_anchor
from stitchable.anchors.load import anchor_from_timm
from stitchable.anchors.module import anchor_from_module
from stitchable.errors import StitchError
from stitchable.input_spec import InputSpec

IMAGES = InputSpec((3, 64, 64), (0.5,) * 3, (0.5,) * 3)
TINY = {"depths": (1, 2, 1, 1), "dims": (8, 12, 16, 24), "num_classes": 10}


def small(model, **changes):
    return anchor_from_timm(model, arguments=changes, input_spec=IMAGES)


@pytest.mark.parametrize(
    "model",
    [
        "convnext_atto",
        "convnext_tiny_hnf",
        "convnextv2_atto",
        "mambaout_femto",
        "caformer_s18",
        "poolformer_s12",
    ],
)
def test_recomposes_bit_for_bit(model):
    anchor = small(model, **TINY)
    found = check_anchor(anchor)
    assert found.parameters == sum(p.numel() for p in anchor.model.parameters())
    assert anchor.split.stages == (0, 1, 1, 2, 3)
    assert [spec.width for spec in anchor.features] == [8, 8, 12, 12, 16, 24]
    assert [spec.grid for spec in anchor.features] == [(16, 16)] * 2 + [(8, 8)] * 2 + [(4, 4), (2, 2)]
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():  # an independent road to the feature behind the third stage: timm's own stages
        expected = anchor.model.stages[:3](anchor.model.stem(x))
        assert torch.equal(anchor.run(anchor.stem(x), 0, 4), expected)


@pytest.mark.parametrize("model", ["mixer_s32_224", "resmlp_12_224", "gmlp_ti16_224"])
def test_mixers(model):
    arguments = {"img_size": (64, 96), "patch_size": 16, "embed_dim": 16, "num_blocks": 2, "num_classes": 10}
    anchor = anchor_from_timm(model, arguments=arguments)
    check_anchor(anchor)
    assert anchor.input_spec.size == (3, 64, 96)
    assert [spec.grid for spec in anchor.features] == [(4, 6)] * 3


def test_vgg_blocks_are_convolutions_behind_their_pooling():
    anchor = small("vgg11_bn", mlp_ratio=0.01)
    check_anchor(anchor)
    # Simonyan & Zisserman 2014, column A: 1, 1, 2, 2, 2 convolutions, the first of them our stem.
    assert anchor.split.stages == (0, 1, 1, 2, 2, 3, 3)
    assert [spec.width for spec in anchor.features] == [64, 128, 256, 256, 512, 512, 512, 512]
    assert [spec.grid[0] for spec in anchor.features] == [64, 32, 16, 16, 8, 8, 4, 4]


def test_two_outputs_are_refused():
    anchor = small("repvit_m0_9")
    anchor.model.set_distilled_training(True)
    with pytest.raises(StitchError, match="returns two outputs"):
        anchor_from_module(anchor.model, name="again", input_spec=IMAGES)
