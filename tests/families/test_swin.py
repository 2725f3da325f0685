import pytest
import torch

from stitchable.anchors.check import check_anchor
from stitchable.anchors.load import anchor_from_timm
from stitchable.feature import FeatureSpec

SMALL = {"embed_dim": 12, "depths": (1, 2, 2, 1), "num_heads": (1, 2, 2, 3), "num_classes": 10}


@pytest.mark.parametrize(
    ("model", "size"),
    [
        ("swin_tiny_patch4_window7_224", (56, 56)),
        ("swin_tiny_patch4_window7_224", (56, 112)),
        ("swinv2_tiny_window8_256", (64, 64)),
        ("swinv2_tiny_window8_256", (64, 128)),
    ],
)
def test_recomposes_bit_for_bit(model, size):
    anchor = anchor_from_timm(model, arguments={**SMALL, "img_size": size})
    assert anchor.input_spec.size == (3, *size)
    found = check_anchor(anchor)
    assert found.parameters == sum(p.numel() for p in anchor.model.parameters())
    # Patches of 4, then half the rows and columns and twice the channels in every stage, channels last.
    rows, columns = size[0] // 4, size[1] // 4
    stages = (0, 1, 1, 2, 2, 3)
    assert anchor.split.stages == stages
    assert anchor.features == tuple(
        FeatureSpec("map", 12 << s, (-(-rows >> s), -(-columns >> s)), stage=s, channels_last=True)
        for s in (0, *stages)
    )


@pytest.mark.parametrize("model", ["swin_tiny_patch4_window7_224", "swinv2_tiny_window8_256"])
def test_merging_lies_in_the_first_block_of_a_stage(model):
    anchor = anchor_from_timm(model, arguments={**SMALL, "img_size": 64})
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        # An independent road to the feature behind a stage: timm's own stages.
        expected = anchor.model.layers[1](anchor.model.layers[0](anchor.model.patch_embed(x)))
        assert torch.equal(anchor.run(anchor.stem(x), 0, 3), expected)
    assert anchor.split.blocks[1].uses == ("layers.1.downsample", "layers.1.blocks.0")
    assert anchor.split.blocks[2].uses == ("layers.1.blocks.1",)
