import pkgutil

import pytest
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from stitchable.anchors.check import check_anchor
from stitchable.anchors.module import anchor_from_module
from stitchable.anchors.registry import families, family_of
from stitchable.errors import StitchError
from stitchable.input_spec import InputSpec

IMAGES = InputSpec((3, 32, 32), (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def test_families_say_what_they_are():
    for family in families():
        assert family.name
        assert family.library
        assert family.granularity
        if family.library != "transformers":  # slow and optional: see tests/families/test_hf.py
            assert all(issubclass(pkgutil.resolve_name(cls), nn.Module) for cls in family.classes)


def test_no_class_has_two_families():
    classes = [cls for family in families() for cls in family.classes]
    assert len(set(classes)) == len(classes)


def test_a_model_finds_its_family(vit, resnet):
    assert family_of(vit("v", 8).model).name == "plain ViT"
    assert family_of(resnet("r").model).name == "ResNet"
    assert vit("v", 8).split.by == "plain ViT of timm"


class Backwards(VisionTransformer):
    """Computes something else than its base class."""

    def forward_features(self, x, **options):
        return super().forward_features(x, **options).flip(1)


def test_a_subclass_has_no_family_and_is_split_by_what_it_computes():
    model = Backwards(img_size=32, depth=2, embed_dim=8, num_heads=2, num_classes=5)
    assert family_of(model) is None
    anchor = anchor_from_module(model, name="own", input_spec=IMAGES).eval()
    check_anchor(anchor)
    assert anchor.split.by == "traced graph"
    as_its_base = next(family for family in families() if family.name == "plain ViT").split(model)
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(anchor(images), model.eval()(images))
        last = anchor.run(anchor.stem(images), 0, 2)
        assert not torch.equal(as_its_base.head.run(model, last), model(images))


def test_what_a_family_refuses_stays_refused():
    model = VisionTransformer(img_size=32, depth=1, embed_dim=8, num_heads=2, dynamic_img_size=True)
    with pytest.raises(StitchError, match="no fixed grid"):
        anchor_from_module(model, name="own", input_spec=IMAGES)


def test_strangers_without_blocks_are_refused_in_one_line():
    with pytest.raises(StitchError) as error:
        anchor_from_module(nn.Linear(32, 4), name="own", input_spec=IMAGES)
    assert "Linear has no block" in str(error.value)
    assert "Describe it yourself" in str(error.value)
    assert "\n" not in str(error.value)


def test_images_that_are_not_known():
    with pytest.raises(StitchError, match="own: the model does not say which images it expects"):
        anchor_from_module(nn.Linear(3, 4), name="own")
