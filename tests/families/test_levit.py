import pytest

from stitchable.anchors.check import check_anchor
from stitchable.anchors.load import anchor_from_timm
from stitchable.anchors.module import anchor_from_module
from stitchable.errors import StitchError
from stitchable.feature import FeatureSpec
from stitchable.input_spec import InputSpec

SMALL = {
    "embed_dim": (16, 24, 32),
    "key_dim": 8,
    "depth": (2, 1, 2),
    "num_heads": (2, 3, 4),
    "num_classes": 10,
}


def small(model, rows=64, columns=64):
    images = InputSpec((3, rows, columns), (0.5,) * 3, (0.5,) * 3)
    arguments = {**SMALL, "img_size": (rows, columns)}
    return anchor_from_timm(model, arguments=arguments, input_spec=images)


@pytest.mark.parametrize("model", ["levit_128s", "levit_256d", "levit_conv_128s"])
@pytest.mark.parametrize(("rows", "columns"), [(64, 64), (96, 64)])
def test_recomposes_bit_for_bit(model, rows, columns):
    anchor = small(model, rows, columns)
    found = check_anchor(anchor)
    assert found.parameters == sum(p.numel() for p in anchor.model.parameters())
    assert anchor.split.stages == (0, 0, 1, 2, 2)

    # The stem divides by 16; every later stage keeps every other row and column.
    def grid(stage):
        return -(-(rows // 16) // 2**stage), -(-(columns // 16) // 2**stage)

    last = "conv" not in model
    assert anchor.features == tuple(
        FeatureSpec("map", (16, 24, 32)[s], grid(s), stage=s, channels_last=last) for s in (0, 0, 0, 1, 2, 2)
    )


def test_distilled_training_is_refused():
    anchor = small("levit_128s")
    anchor.model.set_distilled_training(True)
    with pytest.raises(StitchError, match="returns two outputs"):
        anchor_from_module(anchor.model, name="again", input_spec=anchor.input_spec)
