"""The families that share one plan, and the others that need no more than it."""

import pytest
import torch
from timm.layers import GatedMlp
from timm.models.convmixer import ConvMixer
from timm.models.focalnet import FocalNet
from timm.models.metaformer import Attention, LayerNorm2dNoBias, LayerNormNoBias, MetaFormer, Pooling, SepConv
from timm.models.mlp_mixer import MixerBlock, MlpMixer, ResBlock, SpatialGatingBlock

from stitchable.anchors.check import check_anchor
from stitchable.anchors.load import anchor_from_timm
from stitchable.anchors.module import anchor_from_module
from stitchable.errors import StitchError
from stitchable.input_spec import InputSpec

IMAGES = InputSpec((3, 64, 64), (0.5,) * 3, (0.5,) * 3)
TINY = {"depths": (1, 2, 1, 1), "dims": (8, 12, 16, 24), "num_classes": 10}


def small(model, **changes):
    return anchor_from_timm(model, arguments=changes, input_spec=IMAGES)


@pytest.mark.parametrize("model", ["convnext_atto", "convnext_tiny_hnf", "convnextv2_atto", "mambaout_femto"])
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


@pytest.mark.parametrize("block", [MixerBlock, ResBlock, SpatialGatingBlock])
def test_mixers(block):
    kinds = {} if block is MixerBlock else {"mlp_ratio": 4}
    if block is SpatialGatingBlock:
        kinds["mlp_layer"] = GatedMlp
    model = MlpMixer(10, (64, 96), embed_dim=16, num_blocks=2, block_layer=block, **kinds)
    anchor = anchor_from_module(
        model.eval(), name="mixer", input_spec=InputSpec((3, 64, 96), (0.5,) * 3, (0.5,) * 3)
    )
    check_anchor(anchor)
    assert [spec.grid for spec in anchor.features] == [(4, 6)] * 3


def test_metaformers_with_attention_show_maps():
    mixers = [Pooling, SepConv, Attention]
    norms = [LayerNorm2dNoBias, LayerNorm2dNoBias, LayerNormNoBias]
    model = MetaFormer(
        num_classes=10,
        depths=(1, 2, 2),
        dims=(8, 12, 32),
        token_mixers=mixers,
        norm_layers=norms,
        layer_scale_init_values=None,
        res_scale_init_values=None,
    )
    anchor = anchor_from_module(model.eval(), name="meta", input_spec=IMAGES)
    check_anchor(anchor)
    assert anchor.split.stages == (0, 1, 1, 2, 2)
    assert [spec.grid for spec in anchor.features] == [(16, 16)] * 2 + [(8, 8)] * 2 + [(4, 4)] * 2
    assert {spec.channels_last for spec in anchor.features} == {False}


@pytest.mark.parametrize(
    ("model", "stages", "grids"),
    [
        (FocalNet(num_classes=10, embed_dim=8, depths=(1, 2, 1, 1)), (0, 1, 1, 2, 3), (16, 16, 8, 8, 4, 2)),
        (ConvMixer(dim=8, depth=2, patch_size=8, num_classes=10), (0, 0), (8, 8, 8)),
    ],
)
def test_by_class(model, stages, grids):
    anchor = anchor_from_module(model.eval(), name="own", input_spec=IMAGES)
    check_anchor(anchor)
    assert anchor.split.stages == stages
    assert tuple(spec.grid[0] for spec in anchor.features) == grids


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
