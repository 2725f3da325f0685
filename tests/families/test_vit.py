import pytest
import torch

from stitchable.anchors.check import check_anchor
from stitchable.anchors.load import anchor_from_timm
from stitchable.anchors.module import anchor_from_module
from stitchable.errors import StitchError
from stitchable.feature import FeatureSpec

SMALL = {"img_size": 32, "depth": 2, "embed_dim": 24, "num_heads": 2, "num_classes": 10}
# timm's name, changes to it, prefix tokens, grid
MODELS = [
    ("vit_tiny_patch16_224", {"patch_size": 8}, 1, (4, 4)),
    ("vit_tiny_patch16_224", {"img_size": (32, 48)}, 1, (2, 3)),
    ("vit_base_patch32_clip_224", {"img_size": 64}, 1, (2, 2)),
    ("vit_base_patch16_siglip_224", {}, 0, (2, 2)),
    ("vit_base_patch16_rpn_224", {}, 0, (2, 2)),
    ("deit_tiny_patch16_224", {}, 1, (2, 2)),
    ("deit_tiny_distilled_patch16_224", {}, 2, (2, 2)),
    ("deit3_small_patch16_224", {}, 1, (2, 2)),
    ("vit_small_patch14_dinov2", {"img_size": 28}, 1, (2, 2)),
    ("vit_small_patch14_reg4_dinov2", {"img_size": 42}, 5, (3, 3)),
]


def small(model, **changes):
    return anchor_from_timm(model, arguments={**SMALL, **changes})


@pytest.mark.parametrize(("model", "changes", "prefix", "grid"), MODELS)
def test_recomposes_bit_for_bit(model, changes, prefix, grid):
    anchor = small(model, **changes)
    found = check_anchor(anchor)
    assert found.parameters == sum(p.numel() for p in anchor.model.parameters())
    assert anchor.features == (FeatureSpec("tokens", 24, grid, prefix_tokens=prefix),) * 3
    x = torch.randn(2, *anchor.input_spec.size, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert torch.equal(anchor(x), anchor.model(x))
        # An independent road to the features: timm's own forward hooks.
        seen = []
        hooks = [
            block.register_forward_hook(lambda _, __, y: seen.append(y)) for block in anchor.model.blocks
        ]
        anchor.model(x)
        for hook in hooks:
            hook.remove()
        assert torch.equal(anchor.run(anchor.stem(x), 0, 1), seen[0])
        assert torch.equal(anchor.run(seen[0], 1, 2), seen[1])


def test_models_that_were_scaled_per_layer_are_covered():
    # DeiT-3 and DINOv2 scale their residual branches; a split that lost it would still recompose.
    names = {name for name, _ in small("deit3_small_patch16_224").model.named_parameters()}
    assert "blocks.0.ls1.gamma" in names


def test_input_is_read_from_timm_with_the_size_that_was_built():
    spec = anchor_from_timm("deit_tiny_patch16_224", arguments={**SMALL, "img_size": (32, 48)}).input_spec
    assert spec.size == (3, 32, 48)
    assert (spec.mean, spec.std) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert (spec.interpolation, spec.crop_pct) == ("bicubic", 0.9)


def test_the_final_norm_belongs_to_the_head():
    anchor = small("deit_tiny_patch16_224")
    names = {name for name, _ in anchor.holding([], stem=False, head=True).model.named_parameters()}
    assert names == {"norm.weight", "norm.bias", "head.weight", "head.bias"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dynamic_img_size": True}, "no fixed grid"),
        ({"patch_drop_rate": 0.5}, "drops patches"),
    ],
)
def test_vits_without_a_fixed_grid_are_refused(changes, message):
    with pytest.raises(StitchError, match=message):
        small("vit_tiny_patch16_224", **changes)


def test_distilled_training_is_refused():
    anchor = small("deit_tiny_distilled_patch16_224")
    anchor.model.set_distilled_training(True)
    with pytest.raises(StitchError, match="returns two outputs"):
        anchor_from_module(anchor.model, name="again")


def test_grey_images():
    anchor = small("vit_tiny_patch16_224", in_chans=1)
    check_anchor(anchor)
    assert anchor.input_spec.size == (1, 32, 32)
    assert anchor.input_spec.mean == pytest.approx((0.5,))
