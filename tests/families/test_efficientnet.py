import pytest

from stitchable.anchors.check import check_anchor
from stitchable.anchors.load import anchor_from_timm
from stitchable.input_spec import InputSpec

IMAGES = InputSpec((3, 32, 32), (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
# Repeats per stage, from the architectures' papers; lite and B0 repeat their shared table.
MODELS = [
    ("efficientnet_b0", (1, 2, 2, 3, 3, 4, 1)),
    ("tf_efficientnet_lite0", (1, 2, 2, 3, 3, 4, 1)),
    ("tf_efficientnetv2_b0", (1, 2, 2, 3, 5, 8)),
    ("mobilenetv2_100", (1, 2, 3, 4, 3, 3, 1)),
    ("mnasnet_100", (1, 3, 3, 3, 2, 4, 1)),
]


@pytest.mark.parametrize(("model", "repeats"), MODELS)
def test_recomposes_bit_for_bit(model, repeats):
    anchor = anchor_from_timm(model, input_spec=IMAGES, arguments={"num_classes": 10})
    found = check_anchor(anchor)
    assert found.parameters == sum(p.numel() for p in anchor.model.parameters())
    outline = anchor.outline
    assert tuple(len(outline.stage_blocks(stage)) for stage in range(outline.stage_count)) == repeats


def test_the_last_convolution_belongs_to_the_head():
    anchor = anchor_from_timm("tf_efficientnet_lite0", input_spec=IMAGES)
    names = {name for name, _ in anchor.holding([], stem=False, head=True).model.named_parameters()}
    assert names == {"conv_head.weight", "bn2.weight", "bn2.bias", "classifier.weight", "classifier.bias"}
