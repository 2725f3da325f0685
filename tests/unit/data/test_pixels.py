import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import functional as vision

from stitchable.data.pixels import normalise, shift_and_mirror
from stitchable.input_spec import InputSpec


def test_normalise_is_the_plain_formula_for_every_grey_level(spec):
    levels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    images = np.repeat(levels, 3, axis=0)
    mean = np.array(spec.mean, dtype=np.float32).reshape(3, 1, 1)
    std = np.array(spec.std, dtype=np.float32).reshape(3, 1, 1)
    expected = (images.astype(np.float32) / np.float32(255) - mean) / std
    got = normalise(torch.from_numpy(images), spec)
    assert got.dtype == torch.float32
    assert torch.equal(got, torch.from_numpy(expected))


def test_normalise_leaves_its_input_and_takes_floats_as_they_are():
    grey = InputSpec((1, 8, 8), (0.25,), (0.5,))
    images = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    before = images.clone()
    assert torch.equal(normalise(images, grey), (before - 0.25) / 0.5)
    assert torch.equal(images, before)


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize(("rows", "columns", "pad"), [(32, 32, 4), (8, 12, 1), (5, 3, 0)])
def test_shift_and_mirror_is_pad_crop_flip_image_by_image(rows, columns, pad, mirror):
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (40, 3, rows, columns), dtype=torch.uint8, generator=generator)
    draws = torch.rand(40, 3, generator=generator)
    got = shift_and_mirror(images, draws, pad=pad, mirror=mirror)
    for image, draw, result in zip(images, draws.tolist(), got, strict=True):
        top, left = int(draw[0] * (2 * pad + 1)), int(draw[1] * (2 * pad + 1))
        expected = vision.crop(vision.pad(image, [pad]), top, left, rows, columns)
        if mirror and draw[2] < 0.5:
            expected = vision.horizontal_flip(expected)
        assert torch.equal(result, expected)


def test_the_largest_draw_stays_inside():
    draws = torch.full((1, 3), float(np.nextafter(np.float32(1), np.float32(0))))
    image = torch.ones(1, 1, 8, 8)
    assert shift_and_mirror(image, draws, pad=1, mirror=True).sum() == 49
