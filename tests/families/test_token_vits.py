"""ViTs whose blocks fetch a rotary embedding or a shared bias, and those whose class token comes late."""

import pytest
import torch

from stitchable.anchors.check import check_anchor
from stitchable.anchors.load import anchor_from_timm
from stitchable.errors import StitchError
from stitchable.feature import FeatureSpec

SMALL = {"depth": 3, "embed_dim": 32, "num_heads": 2, "num_classes": 10}
# timm's name, prefix tokens, patch size
MODELS = [
    ("eva02_tiny_patch14_224", 1, 14),
    ("vit_small_patch16_dinov3", 5, 16),
    ("vit_small_patch16_rope_224", 1, 16),
    ("vit_small_patch16_rope_mixed_224", 1, 16),
    ("vit_small_patch16_rope_mixed_ape_224", 1, 16),
    ("vit_medium_patch16_rope_reg1_gap_256", 1, 16),
    ("vit_pe_core_tiny_patch16_384", 1, 16),
    ("beit_base_patch16_224", 1, 16),
    ("vit_relpos_small_patch16_224", 0, 16),
    ("vit_relpos_medium_patch16_cls_224", 1, 16),
    ("vit_srelpos_small_patch16_224", 0, 16),
    ("cait_xxs24_224", 0, 16),
]


def small(model, patch=16, **changes):
    return anchor_from_timm(model, arguments={**SMALL, "img_size": (2 * patch, 3 * patch), **changes})


@pytest.mark.parametrize(("model", "prefix", "patch"), MODELS)
def test_recomposes_bit_for_bit(model, prefix, patch):
    anchor = small(model, patch)
    found = check_anchor(anchor)
    assert found.parameters == sum(p.numel() for p in anchor.model.parameters())
    assert anchor.features == (FeatureSpec("tokens", 32, (2, 3), prefix_tokens=prefix),) * 4
    x = torch.randn(2, *anchor.input_spec.size, generator=torch.Generator().manual_seed(1))
    seen = []
    hooks = [block.register_forward_hook(lambda _, __, y: seen.append(y)) for block in anchor.model.blocks]
    with torch.no_grad():
        anchor.model(x)
        for hook in hooks:
            hook.remove()
        assert torch.equal(anchor.run(anchor.stem(x), 0, 1), seen[0])
        assert torch.equal(anchor.run(seen[0], 1, 3), seen[2])


def test_a_bias_shared_by_all_blocks():
    changes = {"use_rel_pos_bias": False, "use_shared_rel_pos_bias": True}
    anchor = small("beit_base_patch16_224", **changes)
    with torch.no_grad():  # it starts at zero, where it could be lost unseen
        anchor.model.rel_pos_bias.relative_position_bias_table.normal_()
    check_anchor(anchor)
    assert anchor.split.blocks[1].uses == ("blocks.1", "rel_pos_bias")
    # Every block holds the table, but a union of blocks counts it once.
    assert anchor.outline.cost.params == sum(p.numel() for p in anchor.model.parameters())


@pytest.mark.parametrize("dynamic", [False, True])
def test_learned_rotations_turn_each_block_by_its_own(dynamic):
    anchor = small("vit_small_patch16_rope_mixed_224", dynamic_img_size=dynamic)
    check_anchor(anchor)
    x = torch.randn(anchor.features[1].shape(1), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        whole = anchor.model.rope.get_embed((2, 3))
        for index, block in enumerate(anchor.model.blocks):
            assert torch.equal(anchor.run(x, index, index + 1), block(x, rope=whole[index]))


def test_class_attention_belongs_to_the_head():
    anchor = small("cait_xxs24_224")
    names = {name for name, _ in anchor.holding([], stem=False, head=True).model.named_parameters()}
    assert "cls_token" in names
    assert any(name.startswith("blocks_token_only.") for name in names)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"patch_drop_rate": 0.5}, "drops patches"),
        ({"rope_rescale_coords": 2.0}, "differ from block to block"),
    ],
)
def test_what_would_be_split_wrongly_is_refused(changes, message):
    with pytest.raises(StitchError, match=message):
        small("vit_small_patch16_dinov3", **changes)


def test_a_dynamic_vit_takes_the_size_it_was_built_for():
    anchor = small("vit_small_patch16_dinov3")
    assert anchor.model.dynamic_img_size  # timm's choice for these
    with pytest.raises(StitchError, match=r"Got images of 48×32; this ViT was built for 32×48"):
        anchor(torch.zeros(1, 3, 48, 32))
