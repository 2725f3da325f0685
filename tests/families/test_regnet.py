import pytest
import torch

from stitchable.anchors.check import check_anchor
from stitchable.anchors.load import anchor_from_timm
from stitchable.feature import FeatureSpec
from stitchable.input_spec import InputSpec

IMAGES = InputSpec((3, 32, 32), (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


# Depths and widths of the four stages: Radosavovic et al. 2020, as timm's names abbreviate them.
@pytest.mark.parametrize(
    ("model", "depths", "widths"),
    [
        ("regnetx_002", (1, 1, 4, 7), (24, 56, 152, 368)),
        ("regnety_002", (1, 1, 4, 7), (24, 56, 152, 368)),
        ("regnetx_004", (1, 2, 7, 12), (32, 64, 160, 384)),
    ],
)
def test_recomposes_bit_for_bit(model, depths, widths):
    anchor = anchor_from_timm(model, input_spec=IMAGES, arguments={"num_classes": 10})
    check_anchor(anchor)
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert torch.equal(anchor(x), anchor.model(x))
    stages = tuple(stage for stage in range(4) for _ in range(depths[stage]))
    assert anchor.split.stages == stages
    # The stem halves rows and columns, and so does every stage.
    assert anchor.features == (
        FeatureSpec("map", 32, (16, 16)),
        *(FeatureSpec("map", widths[s], (8 >> s, 8 >> s), stage=s) for s in stages),
    )


def test_a_final_convolution_belongs_to_the_head():
    anchor = anchor_from_timm("regnetz_005", input_spec=IMAGES, arguments={"num_classes": 10})
    check_anchor(anchor)
    names = {name for name, _ in anchor.holding([], stem=False, head=True).model.named_parameters()}
    assert any(name.startswith("final_conv.") for name in names)
