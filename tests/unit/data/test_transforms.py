import dataclasses

import pytest
import torch
from timm.data import create_transform
from torchvision.transforms.v2.functional import pil_to_tensor

from stitchable.data.transforms import evaluation_transform, training_transform
from stitchable.errors import StitchError
from stitchable.input_spec import InputSpec

LARGE = InputSpec((3, 96, 96), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), crop_pct=0.875)
GREY = InputSpec((1, 8, 8), (0.3,), (0.4,))


def formula(image, spec):
    pixels = pil_to_tensor(image).float() / 255
    return (pixels - torch.tensor(spec.mean).view(-1, 1, 1)) / torch.tensor(spec.std).view(-1, 1, 1)


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("crop_pct", [0.875, 0.9, 1.0, 1.15])
@pytest.mark.parametrize("shape", [(120, 200), (200, 120), (97, 96), (50, 61)])
def test_evaluation_is_timms(picture, interpolation, crop_pct, shape):
    spec = dataclasses.replace(LARGE, interpolation=interpolation, crop_pct=crop_pct)
    image = picture(rows=shape[0], columns=shape[1])
    theirs = create_transform(
        spec.size, interpolation=interpolation, mean=spec.mean, std=spec.std, crop_pct=crop_pct
    )
    assert torch.equal(evaluation_transform(spec)(image), theirs(image))


def test_an_image_of_the_size_is_not_resampled(picture, spec):
    image = picture()
    got = evaluation_transform(dataclasses.replace(spec, crop_pct=0.875))(image)
    assert torch.equal(got, formula(image, spec))


def test_a_wide_target_is_covered(picture):
    spec = InputSpec((3, 64, 128), (0.5,) * 3, (0.5,) * 3)
    assert evaluation_transform(spec)(picture(rows=100, columns=100)).shape == (3, 64, 128)


def test_grey_from_colour_and_from_tensor(picture):
    got = evaluation_transform(GREY)(picture(rows=8, columns=8))
    assert torch.equal(got, formula(picture(rows=8, columns=8).convert("L"), GREY))
    ink = torch.rand(1, 8, 8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(evaluation_transform(GREY)(ink), (ink - 0.3) / 0.4)


def test_uint8_tensor_of_another_size_goes_as_its_picture(picture, spec):
    image = picture(rows=50, columns=40)
    assert torch.equal(evaluation_transform(spec)(pil_to_tensor(image)), evaluation_transform(spec)(image))


@pytest.mark.parametrize("target", [LARGE, GREY, InputSpec((3, 32, 32), (0.5,) * 3, (0.5,) * 3)])
@pytest.mark.parametrize("augment", ["none", "flip", "crop", "crop_flip", "rand_augment"])
def test_training_gives_the_size(picture, target, augment):
    got = training_transform(target, augment=augment)(picture(rows=150, columns=130))
    assert got.shape == target.size
    assert got.dtype == torch.float32
    assert got.isfinite().all()


def test_flip_gives_the_image_or_its_mirror(picture, spec):
    image = picture()
    straight = formula(image, spec)
    transform = training_transform(spec, augment="flip")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        results = [transform(image) for _ in range(64)]
    straights = sum(torch.equal(result, straight) for result in results)
    mirrors = sum(torch.equal(result, straight.flip(-1)) for result in results)
    assert straights + mirrors == 64
    assert 16 < mirrors < 48  # 32 ± 4 standard deviations


def test_crop_shifts_a_small_image_and_never_mirrors_it(picture, spec):
    image = picture()
    straight = formula(image, spec)
    black = formula(image.point(lambda _: 0), spec)
    transform = training_transform(spec, augment="crop")
    seen = set()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for _ in range(64):
            result = transform(image)
            padded = black[:, :1, :1].expand(3, 40, 40).clone()
            padded[:, 4:36, 4:36] = straight
            places = [
                (top, left)
                for top in range(9)
                for left in range(9)
                if torch.equal(padded[:, top : top + 32, left : left + 32], result)
            ]
            assert len(places) == 1
            seen.update(places)
    assert len(seen) > 25  # 64 draws from 81 places leave 36.6 unseen on average


@pytest.mark.parametrize(
    ("spec", "augment", "shape", "text"),
    [
        (GREY, "none", (1, 9, 9), r"shape \(1, 9, 9\), the anchors take \(1, 8, 8\)"),
        (GREY, "rand_augment", (1, 8, 8), "works on uint8 images"),
        (LARGE, "crop", (3, 96, 96), "works on uint8 images"),
    ],
)
def test_float_tensors_are_not_resampled(spec, augment, shape, text):
    with pytest.raises(StitchError, match=text):
        training_transform(spec, augment=augment)(torch.zeros(shape))


def test_unknown_augmentation_names_the_nearest():
    with pytest.raises(StitchError, match=r"Nearest: crop_flip"):
        training_transform(LARGE, augment="cropflip")


def test_five_channels_are_not_to_be_had_from_a_photo(picture):
    spec = InputSpec((5, 32, 32), (0.5,) * 5, (0.5,) * 5)
    with pytest.raises(StitchError, match="No image file gives 5 channels"):
        evaluation_transform(spec)(picture())


def test_batch_step_without_draws_says_so(spec):
    with pytest.raises(StitchError, match=r"needs draws of shape \(2, 3\)"):
        training_transform(spec, augment="flip").finish(torch.zeros(2, 3, 32, 32, dtype=torch.uint8))
