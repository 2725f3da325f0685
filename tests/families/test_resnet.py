import pytest
import torch

from stitchable.anchors.check import check_anchor
from stitchable.feature import FeatureSpec

LIGHT = {"layers": [1, 2, 1, 1]}
# timm's name, changes to it, width of the stages
MODELS = [
    ("resnet18", {}, [4, 8, 12, 16]),
    ("resnet50", {}, [16, 32, 48, 64]),
    ("resnet18d", {}, [4, 8, 12, 16]),
    ("resnetblur18", {}, [4, 8, 12, 16]),
    ("resnetaa50", LIGHT, [16, 32, 48, 64]),
    ("resnext50_32x4d", {**LIGHT, "channels": [32, 64, 64, 64]}, [128, 256, 256, 256]),
    ("wide_resnet50_2", LIGHT, [16, 32, 48, 64]),
    ("seresnet18", {}, [4, 8, 12, 16]),
    ("seresnext50_32x4d", {**LIGHT, "channels": [32, 64, 64, 64]}, [128, 256, 256, 256]),
    ("ecaresnet26t", {}, [16, 32, 48, 64]),
    ("resnetrs50", LIGHT, [16, 32, 48, 64]),
]


@pytest.mark.parametrize(("model", "changes", "widths"), MODELS)
def test_recomposes_bit_for_bit(resnet, model, changes, widths):
    anchor = resnet("tiny", model, **changes)
    check_anchor(anchor)
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert torch.equal(anchor(x), anchor.model(x))
    # Half the rows and columns in the stem's convolution, in its pooling, and in every later stage.
    sizes = [8, 4, 2, 1]
    layers = [len(anchor.model.get_submodule(f"layer{stage + 1}")) for stage in range(4)]
    stages = [stage for stage in range(4) for _ in range(layers[stage])]
    assert anchor.split.stages == tuple(stages)
    assert anchor.features[1:] == tuple(
        FeatureSpec("map", widths[stage], (sizes[stage], sizes[stage]), stage=stage) for stage in stages
    )
    assert anchor.features[0].grid == (8, 8)


@pytest.mark.parametrize(("model", "depths"), [("resnet18", (2, 2, 2, 2)), ("resnet50", (3, 4, 6, 3))])
def test_blocks_are_the_papers(resnet, model, depths):
    outline = resnet("tiny", model).outline
    assert tuple(len(outline.stage_blocks(stage)) for stage in range(4)) == depths


def test_down_sampling_lies_in_the_first_block_of_a_stage(resnet):
    anchor = resnet("tiny")
    before = anchor.features[2]
    assert (before.stage, before.grid) == (0, (8, 8))
    assert (anchor.features[3].stage, anchor.features[3].grid) == (1, (4, 4))
    assert anchor.split.blocks[2].uses == ("layer2.0",)
