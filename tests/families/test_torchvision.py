"""Families of torchvision."""

import math

import pytest
import torch
from torch import nn
from torchvision import models

from stitchable.anchors.check import check_anchor
from stitchable.anchors.load import anchor_from_torchvision, load_anchor
from stitchable.anchors.module import anchor_from_module
from stitchable.anchors.store import load_saved_anchor, save_anchor
from stitchable.anchors.torchvision_source import TorchvisionSource
from stitchable.errors import StitchError
from stitchable.feature import FeatureSpec
from stitchable.input_spec import InputSpec

# Blocks per stage as the papers' tables have them: He et al. 2016 (table 1), Radosavovic et al. 2020
# (appendix), Liu et al. 2021 and 2022, Tan and Le 2019 and 2021, Sandler et al. 2018, Howard et al. 2019
# (rows of equal width).
DEPTHS = {
    "resnet18": (2, 2, 2, 2),
    "resnet50": (3, 4, 6, 3),
    "resnext50_32x4d": (3, 4, 6, 3),
    "wide_resnet50_2": (3, 4, 6, 3),
    "regnet_x_400mf": (1, 2, 7, 12),
    "regnet_y_400mf": (1, 3, 6, 6),
    "swin_t": (2, 2, 6, 2),
    "swin_v2_t": (2, 2, 6, 2),
    "convnext_tiny": (3, 3, 9, 3),
    "convnext_small": (3, 3, 27, 3),
    "efficientnet_b0": (1, 2, 2, 3, 3, 4, 1),
    "efficientnet_b1": (2, 3, 3, 4, 4, 5, 2),
    "efficientnet_v2_s": (2, 4, 4, 6, 9, 15),
    "mobilenet_v2": (1, 2, 3, 4, 3, 3, 1),
    "mobilenet_v3_small": (1, 2, 3, 2, 3),
    "mobilenet_v3_large": (1, 2, 3, 4, 2, 3),
    "vit_b_32": (12,),
}


def images_of(size):
    return InputSpec((3, size, size), (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def with_random_head(model):
    """Some of these start with a head of zeros, which would make any two of them equal."""
    torch.manual_seed(0)
    for layer in model.modules():
        if isinstance(layer, nn.Linear) and not layer.weight.any():
            nn.init.normal_(layer.weight)
    return model


@pytest.mark.parametrize("model", DEPTHS)
def test_blocks_are_the_papers(model):
    anchor = load_anchor(f"torchvision:{model}", structure_only=True)
    stages = [stage for stage, depth in enumerate(DEPTHS[model]) for _ in range(depth)]
    assert anchor.split.stages == tuple(stages)


def small_swin(**changes):
    options = {
        "patch_size": [4, 4],
        "embed_dim": 8,
        "depths": [2, 2],
        "num_heads": [2, 2],
        "window_size": [2, 2],
        "num_classes": 10,
    }
    return models.SwinTransformer(**options, **changes)


def small_convnext(last=None):
    block = models.convnext.CNBlockConfig
    return models.ConvNeXt([block(8, 12, 1), block(12, last, 2)], num_classes=10)


SMALL = {
    "vit": (
        lambda: models.VisionTransformer(32, 16, 2, 2, 8, 16, num_classes=10),
        (FeatureSpec("tokens", 8, (2, 2), prefix_tokens=1),) * 3,
    ),
    "swin": (
        small_swin,
        (
            *[FeatureSpec("map", 8, (8, 8), channels_last=True)] * 3,
            *[FeatureSpec("map", 16, (4, 4), stage=1, channels_last=True)] * 2,
        ),
    ),
    "swin v2": (
        lambda: small_swin(
            block=models.swin_transformer.SwinTransformerBlockV2,
            downsample_layer=models.swin_transformer.PatchMergingV2,
        ),
        (
            *[FeatureSpec("map", 8, (8, 8), channels_last=True)] * 3,
            *[FeatureSpec("map", 16, (4, 4), stage=1, channels_last=True)] * 2,
        ),
    ),
    "convnext": (
        small_convnext,
        (*[FeatureSpec("map", 8, (8, 8))] * 2, *[FeatureSpec("map", 12, (4, 4), stage=1)] * 2),
    ),
    "efficientnet v2": (
        lambda: models.EfficientNet(
            [
                models.efficientnet.FusedMBConvConfig(2, 3, 1, 8, 8, 2),
                models.efficientnet.MBConvConfig(4, 3, 2, 8, 16, 1),
            ],
            0.2,
            num_classes=10,
        ),
        (*[FeatureSpec("map", 8, (16, 16))] * 3, FeatureSpec("map", 16, (8, 8), stage=1)),
    ),
}


@pytest.mark.parametrize("kind", SMALL)
def test_small_models_recompose_bit_for_bit(kind):
    build, features = SMALL[kind]
    anchor = anchor_from_module(with_random_head(build()), name="small", input_spec=images_of(32)).eval()
    check_anchor(anchor)
    assert anchor.features == features
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        logits = anchor.model(x)
        assert torch.equal(anchor(x), logits)
    assert logits.std() > 0


def test_the_first_block_of_a_stage_holds_its_down_sampling():
    anchor = anchor_from_module(small_swin(), name="small", input_spec=images_of(32))
    assert anchor.split.blocks[2].uses == ("features.2", "features.3.0")


def test_a_convnext_that_ends_in_a_down_sampling_is_refused():
    with pytest.raises(StitchError, match="down-sampling has no head"):
        anchor_from_module(small_convnext(last=16), name="small", input_spec=images_of(32))


# Published as `_ops` (in 10⁹ multiply-adds) and `num_params` of torchvision's weights.
@pytest.mark.parametrize(
    ("model", "norms"),
    [
        ("resnet18", 0.03),
        ("resnet50", 0.03),
        ("regnet_y_400mf", 0.1),
        ("convnext_tiny", 0.03),
        ("vit_b_16", 0.03),
        ("mobilenet_v2", 0.1),
    ],
)
def test_costs_are_those_that_torchvision_publishes(model, norms):
    with torch.device("meta"):
        anchor = anchor_from_torchvision(model)
    published = models.get_model_weights(model).DEFAULT.meta
    assert anchor.outline.cost.params == published["num_params"]
    # torchvision counts no norms and no pooling, which weigh most where convolutions are cheap, and rounds to
    # three digits behind the point.
    assert -0.001 < anchor.outline.cost.macs / 1e9 - published["_ops"] < norms * published["_ops"] + 0.001


def test_input_is_read_from_the_record_of_the_weights():
    spec = TorchvisionSource("efficientnet_b0").input_spec(nn.Identity())
    assert spec.size == (3, 224, 224)
    assert spec.interpolation == "bicubic"
    assert (spec.mean, spec.std) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert anchor_from_torchvision("vit_b_32", arguments={"image_size": 64}).input_spec.size == (3, 64, 64)


def test_every_record_gives_the_very_sizes_that_torchvision_resizes_to():
    names = models.list_models(module=models)
    assert len(names) > 70
    for name in names:
        record = models.get_model_weights(name).DEFAULT.transforms()
        spec = TorchvisionSource(name).input_spec(nn.Identity())
        assert spec.size == (3, record.crop_size[0], record.crop_size[0])
        assert math.floor(spec.size[1] / spec.crop_pct) == record.resize_size[0], name


def test_anchors_are_saved_as_their_names_and_read_back(tmp_path):
    arguments = {"width_mult": 0.25, "num_classes": 5}
    anchor = anchor_from_torchvision("mobilenet_v2", arguments=arguments, input_spec=images_of(32))
    save_anchor(anchor, tmp_path / "saved")
    again = load_saved_anchor(tmp_path / "saved")
    assert again.source == TorchvisionSource("mobilenet_v2", arguments)
    assert again.input_spec == anchor.input_spec
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert torch.equal(again(x), anchor(x))
        weights = anchor_from_torchvision(
            "mobilenet_v2", arguments=arguments, weights=tmp_path / "saved" / "model.safetensors"
        )
        assert torch.equal(weights(x), anchor(x))


def test_the_short_form_names_a_model_and_its_weights():
    anchor = load_anchor("m=torchvision:mobilenet_v3_small@random", need_weights=True)
    assert (anchor.name, type(anchor.model)) == ("m", models.MobileNetV3)
    with pytest.raises(StitchError, match="or torchvision:resnet18@pretrained for the library's own"):
        load_anchor("torchvision:resnet18", need_weights=True)


def test_unknown_names_offer_the_nearest():
    with pytest.raises(StitchError, match=r"Unknown torchvision model 'resnet81'\. Nearest: resnet18"):
        anchor_from_torchvision("resnet81")


def test_refused_arguments_are_told_in_one_line():
    with pytest.raises(StitchError, match=r"torchvision cannot build resnet18 \{'deep': 3\}"):
        anchor_from_torchvision("resnet18", arguments={"deep": 3})


def test_class_names_are_imagenets():
    names = TorchvisionSource("resnet18").classes()
    assert len(names) == 1000
    assert names[0] == "tench"
