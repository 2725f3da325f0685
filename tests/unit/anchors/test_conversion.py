import dataclasses

import pytest
import torch
from PIL import Image
from torchvision.transforms.functional import normalize, pil_to_tensor

from stitchable.anchors.check import check_anchor
from stitchable.anchors.conversion import convert_images
from stitchable.anchors.store import load_saved_anchor, save_anchor
from stitchable.errors import StitchError
from stitchable.input_spec import InputSpec

OWN = InputSpec((3, 8, 8), (0.1, 0.2, 0.3), (0.5, 0.6, 0.7))
OTHER = InputSpec((3, 8, 8), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def test_normalisation_is_replaced():
    pixels = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    given, wanted = (normalize(pixels, list(spec.mean), list(spec.std)) for spec in (OTHER, OWN))
    torch.testing.assert_close(convert_images(given, OTHER, OWN), wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("side", [5, 16])
def test_size_is_changed_as_pillow_does(side):
    generator = torch.Generator().manual_seed(1)
    grey = torch.randint(0, 256, (8, 8), generator=generator, dtype=torch.uint8)
    resized = pil_to_tensor(Image.fromarray(grey.numpy()).resize((side, side), Image.Resampling.BILINEAR))
    plain = InputSpec((3, 8, 8), (0.0,) * 3, (1.0,) * 3)
    images = (grey / 255).expand(1, 3, 8, 8)
    found = convert_images(images, plain, dataclasses.replace(plain, size=(3, side, side)))
    assert (found[0, 0] - resized[0] / 255).abs().max() <= 1.001 / 255  # Pillow rounds, twice


def test_equal_specs_change_nothing():
    images = torch.rand(2, 3, 8, 8)
    assert convert_images(images, OWN, dataclasses.replace(OWN, crop_pct=0.9)) is images


@pytest.fixture
def converted(tiny_resnet):
    anchor = tiny_resnet("r", (1, 1, 1, 1), 4).eval()
    return anchor, anchor.taking(InputSpec((1, 48, 48), (0.25,), (0.125,)))


def test_an_anchor_takes_other_images(converted, noise):
    anchor, other = converted
    images = noise(2, side=48)
    with torch.no_grad():
        expected = anchor(convert_images(images, other.input_spec, anchor.input_spec))
        assert torch.equal(other(images), expected)
        assert torch.equal(other.taking(anchor.input_spec)(noise(2, side=32)), anchor(noise(2, side=32)))
    assert other.model is anchor.model
    assert other.outline == anchor.outline
    assert check_anchor(other).difference == 0
    held = other.holding(range(other.depth), stem=True, head=True)
    with torch.no_grad():
        assert torch.equal(held(images), expected)


def test_the_conversion_is_saved(converted, noise, tmp_path):
    other = converted[1]
    save_anchor(other, tmp_path)
    back = load_saved_anchor(tmp_path)
    assert (back.input_spec, back.own_input) == (other.input_spec, other.own_input)
    images = noise(2, side=48)
    with torch.no_grad():
        assert torch.equal(back(images), other(images))


def test_channels_are_not_converted(converted):
    with pytest.raises(StitchError, match="r takes 1 channels; images of 3 cannot be converted"):
        converted[0].taking(OWN)
