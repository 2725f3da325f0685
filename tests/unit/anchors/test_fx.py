import copy

import pytest
import timm
import torch
from torch import nn
from torch.nn import functional as F
from torchvision import models

from stitchable.anchors.anchor import Anchor
from stitchable.anchors.check import check_anchor
from stitchable.anchors.fx.layout import prefix_tokens
from stitchable.anchors.fx.split import split_by_tracing
from stitchable.anchors.module import anchor_from_module
from stitchable.anchors.registry import family_of
from stitchable.errors import StitchError
from stitchable.feature import FeatureSpec
from stitchable.input_spec import InputSpec


def images_of(size):
    return InputSpec((3, size, size), (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def traced(model, size=32):
    anchor = Anchor(model, split_by_tracing(model, (3, size, size)), name="t", input_spec=images_of(size))
    anchor.eval()
    check_anchor(anchor)
    return anchor


def uses(split):
    return [part.uses for part in split.blocks]


def refusal(model, size=32):
    with pytest.raises(StitchError) as error:
        split_by_tracing(model, (3, size, size))
    assert "\n" not in str(error.value)
    assert "'Your own architecture' in the README" in str(error.value)
    return str(error.value)


FAMILIAR = [
    ("vit", lambda: timm.create_model("vit_tiny_patch16_224", img_size=32, depth=2, embed_dim=24)),
    ("timm resnet", lambda: timm.create_model("resnet18", channels=[4, 8, 12, 16])),
    ("deep stem", lambda: timm.create_model("resnet18d", channels=[4, 8, 12, 16])),
    ("timm regnet", lambda: timm.create_model("regnety_002")),
    ("resnet", lambda: models.resnet18(num_classes=5)),
    ("regnet", lambda: models.regnet_y_400mf(num_classes=5)),
    ("mobilenet", lambda: models.mobilenet_v2(num_classes=5, width_mult=0.25)),
    ("torchvision vit", lambda: models.VisionTransformer(32, 16, 2, 2, 8, 16, num_classes=5)),
    ("swin", lambda: models.SwinTransformer([4, 4], 12, [2, 2], [2, 2], [2, 2], num_classes=5)),
]


@pytest.mark.parametrize("build", [build for _, build in FAMILIAR], ids=[name for name, _ in FAMILIAR])
def test_the_graph_gives_the_blocks_that_a_family_gives(build):
    """Two roads to one split: what we know of a family, and what its graph says."""
    model = build().eval()
    known, found = family_of(model).split(model), traced(model).split
    assert uses(found) == uses(known)
    assert (found.prefix_tokens, found.channels_last) == (known.prefix_tokens, known.channels_last)
    features = anchor_from_module(model, name="known", input_spec=images_of(32)).features
    assert [f.shape(1) for f in traced(model).features] == [f.shape(1) for f in features]


STRANGE = [
    ("densenet", lambda: models.DenseNet(8, (2, 2), 8, num_classes=5), 32, (0, 1)),
    ("squeezenet", lambda: models.squeezenet1_1(num_classes=5), 64, (0, 0, 1, 1, 2, 2, 2, 2)),
    ("shufflenet", lambda: models.shufflenet_v2_x0_5(num_classes=5), 64, (*(0,) * 4, *(1,) * 8, *(2,) * 4)),
    ("mnasnet", lambda: models.mnasnet0_5(num_classes=5), 64, (0,) * 3 + (1,) * 3 + (2,) * 5 + (3,) * 5),
    ("hgnet", lambda: timm.create_model("hgnetv2_b0", num_classes=5), 64, None),
    ("ghostnet", lambda: timm.create_model("ghostnet_050", num_classes=5), 64, None),
    ("mixer", lambda: timm.create_model("mixer_s32_224", img_size=64, num_classes=5), 64, (0,) * 8),
]


@pytest.mark.parametrize(
    ("build", "size", "stages"), [row[1:] for row in STRANGE], ids=[r[0] for r in STRANGE]
)
def test_models_of_no_family(build, size, stages):
    anchor = traced(build(), size)
    assert anchor.depth > 1
    if stages is not None:
        assert anchor.split.stages == stages


def test_a_dense_block_has_no_cut_inside():
    split = traced(models.DenseNet(8, (2, 2), 8, num_classes=5)).split
    assert uses(split) == [
        ("features.denseblock1.denselayer1", "features.denseblock1.denselayer2"),
        ("features.transition1", "features.denseblock2.denselayer1", "features.denseblock2.denselayer2"),
    ]


@pytest.mark.parametrize("norm", [False, True])
def test_a_plain_chain_has_a_block_per_convolution(norm):
    layers = []
    for before, after in ((3, 4), (4, 8), (8, 8)):
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU(inplace=True)]
        layers[-1:-1] = [nn.BatchNorm2d(after)] if norm else []
        layers += [nn.MaxPool2d(2)] if before != 8 else []
    model = nn.Sequential(nn.Sequential(*layers), nn.Flatten(), nn.Linear(512, 5))
    anchor = traced(model)
    step = 4 if norm else 3
    # The convolution that takes the image, its activation and its pooling are the stem; a pooling opens a
    # block; behind the last activation comes the head.
    second = tuple(f"0.{step + index}" for index in range(step - 1))
    third = tuple(f"0.{2 * step - 1 + index}" for index in range(step))
    assert uses(anchor.split) == [second, third]
    assert anchor.split.stages == (0, 1)
    assert anchor.features[1] == FeatureSpec("map", 8, (16, 16))


class Residual(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.one, self.two = nn.Conv2d(width, width, 3, padding=1), nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x):
        return x + self.two(F.relu(self.one(x)))


class Net(nn.Module):
    """Every trouble in turn, by name."""

    def __init__(self, trouble="", width=8):
        super().__init__()
        self.trouble, self.p = trouble, 0.5
        self.stem, self.fc = nn.Conv2d(3, width, 4, 4), nn.Linear(width, 5)
        self.blocks = nn.ModuleList(Residual(width) for _ in range(2))
        self.register_buffer("shift", torch.full((1, width, 1, 1), 0.5))
        self.scale = nn.Parameter(torch.ones(width, 1, 1))

    def forward(self, x, mask=None, scale=2.0):
        first = x = self.stem(x) * self.scale + self.shift
        if self.trouble == "values" and x.sum() > 0:
            x = x + 1
        for block in self.blocks:
            x = block(x)
        if self.trouble == "skip":
            x = x + first
        if self.trouble == "constant":
            x = x + torch.ones(1)
        if self.trouble == "road" and self.training:
            x = x * 2
        x = F.dropout(x.mean((2, 3)) * scale, self.p, training=self.training)
        logits = self.fc(x)
        return (logits, x) if self.trouble == "outputs" else logits


def test_parameters_buffers_and_optional_arguments():
    model = Net()
    anchor = traced(model)
    assert uses(anchor.split) == [("blocks.0",), ("blocks.1",)]
    assert set(anchor.split.stem.uses) == {"stem", "scale", "shift"}
    assert not [name for name in vars(model) if "constant" in name]


def test_a_skip_over_all_blocks_leaves_one():
    assert uses(traced(Net("skip")).split) == [("blocks.0", "blocks.1")]


def test_dropout_follows_the_mode_and_not_that_of_the_trace():
    anchor = traced(Net())
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    for training in (True, False, True):
        anchor.train(training)
        torch.manual_seed(1)
        expected = anchor.model(images)
        torch.manual_seed(1)
        assert torch.equal(anchor(images), expected)
    torch.manual_seed(2)
    assert not torch.equal(anchor(images), expected)


def test_parts_run_on_the_model_that_they_are_given():
    anchor = traced(Net())
    other = copy.deepcopy(anchor.model)
    nn.init.zeros_(other.fc.weight)
    x = torch.randn(1, 8, 8, 8)
    assert torch.equal(anchor.split.head.run(other, x), other.fc.bias[None])
    assert not torch.equal(anchor.split.head.run(anchor.model, x), other.fc.bias[None])


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        ("values", "does not trace"),
        ("constant", "makes a constant tensor in its forward"),
        ("road", "takes another road in training mode"),
        ("outputs", "does not return logits alone"),
    ],
)
def test_what_cannot_be_split_is_refused_with_the_reason(trouble, reason):
    assert reason in refusal(Net(trouble))


def test_an_input_size_that_does_not_fit():
    assert "Net does not run on images of shape (3, 2, 2)" in refusal(Net(), size=2)


def test_auxiliary_outputs_are_refused():
    assert "takes another road" in refusal(models.GoogLeNet(num_classes=5, init_weights=False))


class Sideways(nn.Module):
    def __init__(self, width=8):
        super().__init__()
        self.stem, self.fc = nn.Conv2d(3, width, 4, 4), nn.Linear(width, 5)
        self.blocks = nn.ModuleList(Residual(width) for _ in range(2))

    def forward(self, x):
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return self.fc(x.permute(0, 2, 3, 1)).mean((1, 2))


def test_axes_of_one_size_cannot_be_told_apart():
    """A map of 8 channels, 8 rows and 8 columns that also runs with its channels last."""
    assert "has no block" in refusal(Sideways())
    assert traced(Sideways(width=12)).features[0] == FeatureSpec("map", 12, (8, 8))


@pytest.mark.parametrize(
    ("tokens", "image", "prefix"), [(197, 224, 1), (196, 224, 0), (198, 224, 2), (201, 224, 5), (5, 32, 1)]
)
def test_prefix_tokens(tokens, image, prefix):
    assert prefix_tokens(tokens, (image, image)) == prefix


@pytest.mark.parametrize(("tokens", "image"), [(203, (224, 224)), (9, (28, 28)), (197, (224, 112))])
def test_tokens_that_are_no_grid(tokens, image):
    with pytest.raises(StitchError, match=f"{tokens} tokens .* are not a square grid"):
        prefix_tokens(tokens, image)
