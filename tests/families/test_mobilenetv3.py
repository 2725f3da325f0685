import pytest

from stitchable.anchors.check import check_anchor
from stitchable.anchors.load import anchor_from_timm
from stitchable.input_spec import InputSpec

IMAGES = InputSpec((3, 64, 64), (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


# Large: table 1 of Howard et al. 2019, rows of equal width; timm counts the last 1×1 convolution too.
@pytest.mark.parametrize(
    ("model", "repeats"),
    [
        ("mobilenetv3_large_100", (1, 2, 3, 4, 2, 3, 1)),
        ("mobilenetv3_small_050", (1, 2, 3, 2, 3, 1)),
        ("mobilenetv4_conv_small_050", None),
        ("lcnet_050", None),
    ],
)
def test_recomposes_bit_for_bit(model, repeats):
    anchor = anchor_from_timm(model, input_spec=IMAGES, arguments={"num_classes": 10})
    found = check_anchor(anchor)
    assert found.parameters == sum(p.numel() for p in anchor.model.parameters())
    outline = anchor.outline
    if repeats:
        assert tuple(len(outline.stage_blocks(stage)) for stage in range(outline.stage_count)) == repeats
