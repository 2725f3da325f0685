import pytest
from torch import nn

from stitchable.anchors.anchor import Anchor
from stitchable.anchors.doubts import doubts
from stitchable.anchors.split import Split, submodule
from stitchable.cost.parts import total
from stitchable.input_spec import InputSpec


def said(anchor, weights="file.safetensors"):
    return " | ".join(doubts(anchor, weights=weights))


def test_a_resnet(tiny_resnet):
    anchor = tiny_resnet("r", (1, 2, 1, 1), 4)
    norms = sum(isinstance(module, nn.BatchNorm2d) for module in anchor.model.modules())
    text = said(anchor)
    assert f"{norms} BatchNorms" in text
    assert "nothing negative" in text  # its blocks end in a ReLU
    assert "fused attention" not in text
    assert "drop-path" not in text
    assert "share parameters" not in text


def test_a_transformer(tiny_vit):
    text = said(tiny_vit("v", 8, drop_path_rate=0.25))
    assert "drop-path up to 0.25" in text
    assert "fused attention" in text
    assert "BatchNorm" not in text
    assert "negative" not in text
    assert "post-norm" not in text


@pytest.mark.parametrize(
    ("weights", "doubt"),
    [
        (None, "no weights"),
        ("file.safetensors", "licence of the weights unknown: a weight file"),
        ("pretrained", "licence of the weights"),
    ],
)
def test_weights_and_their_licence(tiny_vit, weights, doubt):
    found = doubts(tiny_vit("v", 8), weights=weights)
    assert found[0].startswith(doubt)
    assert sum("weights" in line for line in found) == 1


class PostNorm(nn.Module):
    """Two blocks that end in a norm, and one linear layer used in both."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 6, 4, 4), nn.Flatten(2))
        self.tokens = nn.Linear(4, 6)
        self.first = nn.Sequential(self.tokens, nn.Linear(6, 4), nn.LayerNorm(4))
        self.second = nn.Sequential(self.tokens, nn.Linear(6, 4), nn.LayerNorm(4))
        self.head = nn.Sequential(nn.Flatten(1), nn.Linear(24, 5))

    def forward(self, x):
        return self.head(self.second(self.first(self.stem(x))))


def test_post_norm_and_shared_parameters():
    model = PostNorm()
    split = Split(
        submodule("stem"), (submodule("first"), submodule("second")), submodule("head"), (0, 0), grid=(2, 3)
    )
    anchor = Anchor(model, split, name="post", input_spec=InputSpec((1, 8, 8), (0.5,), (0.5,)))
    text = said(anchor)
    assert "post-norm" in text
    assert "share parameters (tokens.bias, tokens.weight)" in text
    first, second = anchor.outline.blocks
    own = sum(p.numel() for p in [*model.first[1].parameters(), *model.first[2].parameters()])
    shared = sum(p.numel() for p in model.tokens.parameters())
    assert total([first]).params == own + shared
    assert total([first, second]).params == 2 * own + shared
