import importlib.util
import pkgutil

import pytest
from timm.models.resnet import BasicBlock, ResNet
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from stitchable.anchors.module import anchor_from_module
from stitchable.anchors.registry import families, family_of
from stitchable.errors import StitchError


def test_families_say_what_they_are():
    for family in families():
        assert family.name
        assert family.library
        assert family.granularity
        if importlib.util.find_spec(family.library.replace("-", "_")):
            assert all(issubclass(pkgutil.resolve_name(cls), nn.Module) for cls in family.classes)


def test_no_class_has_two_families():
    classes = [cls for family in families() for cls in family.classes]
    assert len(set(classes)) == len(classes)


def test_a_model_finds_its_family(vit, resnet):
    assert family_of(vit("v", 8).model).name == "plain ViT"
    assert family_of(resnet("r").model).name == "ResNet"


class Backwards(VisionTransformer):
    """Computes something else than its base class."""

    def forward_features(self, x):
        return super().forward_features(x).flip(1)


@pytest.mark.parametrize(
    ("model", "name", "known"),
    [
        (lambda: Backwards(img_size=32, depth=1, embed_dim=8, num_heads=2), "Backwards", "Allowed: Beit, "),
        (lambda: type("OwnResNet", (ResNet,), {})(BasicBlock, (1, 1, 1, 1)), "OwnResNet", "Nearest: ResNet"),
        (lambda: nn.Linear(3, 4), "Linear", ""),
    ],
)
def test_subclasses_and_strangers_are_refused_in_one_line(model, name, known):
    with pytest.raises(StitchError) as error:
        anchor_from_module(model(), name="own", input_spec=object())
    assert f"No family splits models of class {name}. {known}" in str(error.value)
    assert "Describe it yourself" in str(error.value)
    assert "\n" not in str(error.value)


def test_images_that_are_not_known():
    with pytest.raises(StitchError, match="own: the model does not say which images it expects"):
        anchor_from_module(nn.Linear(3, 4), name="own")
