"""From an image as stored to the tensor that anchors take.

Two steps: `ImageTransform.prepare` brings one image to its size, `ImageTransform.finish` shifts, mirrors
and normalises a whole batch at once. A random number enters the second step only as an argument, so that
the loader can make it a pure function of (seed, epoch, image).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, get_args

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import InterpolationMode, v2
from torchvision.transforms.v2 import functional as vision

from stitchable.data.augment import Augment
from stitchable.data.pixels import normalise, shift_and_mirror
from stitchable.errors import StitchError, nearest
from stitchable.input_spec import InputSpec

SMALL = 64  # images with a side below this many pixels are shifted, larger ones cut and resized
_CROPPED = ("crop", "crop_flip", "rand_augment")
_MIRRORED = ("flip", "crop_flip", "rand_augment")


@dataclass(frozen=True)
class ImageTransform:
    """Carries images to the tensors of ``spec``; make one by `evaluation_transform` or `training_transform`.

    Called on one image (PIL, uint8 or float32 tensor of shape ``(channels, rows, columns)``) it gives a
    float32 tensor of shape ``spec.size``. Where the augmentation is random, it draws from torch's global
    generator, as torchvision's transforms do.
    """

    spec: InputSpec
    augment: Augment = "none"

    def __post_init__(self) -> None:
        if self.augment not in get_args(Augment):
            raise StitchError(
                f"Unknown augmentation {self.augment!r}. {nearest(self.augment, get_args(Augment))}"
            )

    @property
    def small(self) -> bool:
        """Whether cropping shifts the image by an eighth of its size instead of resizing a part of it."""
        return min(self.spec.size[1:]) < SMALL

    @property
    def mirrors(self) -> bool:
        """Whether half of the images are mirrored left to right."""
        return self.augment in _MIRRORED

    @property
    def prepares_at_random(self) -> bool:
        """Whether `prepare` draws from torch's global generator."""
        return self.augment == "rand_augment" or (self.augment in _CROPPED and not self.small)

    def __call__(self, image: Image.Image | Tensor) -> Tensor:
        """One image, ready for an anchor; shape ``spec.size``, float32."""
        prepared = self.prepare(image).unsqueeze(0)
        return (
            self.finish(prepared, torch.rand(1, 3))[0] if self.augment != "none" else self.finish(prepared)[0]
        )

    def prepare(self, image: Image.Image | Tensor) -> Tensor:
        """Bring one image to ``spec.size``: resize and cut, and RandAugment where asked.

        An image that has the size already is not resampled.

        Args:
            image: PIL image, or tensor of shape ``(channels, rows, columns)``: uint8 in 0 to 255, or
                float32 in [0, 1], which must have the size, since values are not resampled.

        Returns:
            Shape ``spec.size``; uint8, or float32 for float32.

        Raises:
            StitchError: A float tensor has another size, or the channels are not to be had from an image.
        """
        if isinstance(image, Tensor):
            ready = tuple(image.shape) == self.spec.size
            if ready and not self.prepares_at_random:
                return image
            if image.dtype != torch.uint8:
                raise StitchError(_float_refusal(tuple(image.shape), self.spec.size, self.augment))
            image = vision.to_pil_image(image)
        picture = self._in_channels(image)
        resizes_a_part = self.augment in _CROPPED and not self.small
        picture = self._cut(picture) if resizes_a_part else fit(picture, self.spec)
        if self.augment == "rand_augment":
            picture = self._rand_augment(picture)
        pixels: Tensor = vision.pil_to_tensor(picture)
        return pixels

    def finish(self, images: Tensor, draws: Tensor | None = None) -> Tensor:
        """Shift, mirror and normalise a batch.

        Args:
            images: Shape ``(N, *spec.size)``; uint8 in 0 to 255 or float32 in [0, 1].
            draws: Shape ``(N, 3)``, uniform in [0, 1): row and column of the shift, and the mirror (below
                one half). Needed unless the augmentation is ``"none"``.

        Returns:
            Shape ``(N, *spec.size)``, float32.
        """
        if self.augment != "none":
            if draws is None:
                raise StitchError(f"Augmentation {self.augment!r} needs draws of shape ({len(images)}, 3).")
            pad = min(self.spec.size[1:]) // 8 if self.small and self.augment in _CROPPED else 0
            images = shift_and_mirror(images, draws, pad=pad, mirror=self.mirrors)
        return normalise(images, self.spec)

    def _in_channels(self, image: Any) -> Image.Image:
        modes = {1: "L", 3: "RGB"}
        if self.spec.size[0] not in modes:
            raise StitchError(
                f"No image file gives {self.spec.size[0]} channels. Allowed: 1 (grey) or 3 (RGB)."
            )
        converted: Image.Image = image.convert(modes[self.spec.size[0]])
        return converted

    @cached_property
    def _cut(self) -> v2.RandomResizedCrop:
        return v2.RandomResizedCrop(
            self.spec.size[1:], interpolation=InterpolationMode(self.spec.interpolation)
        )

    @cached_property
    def _rand_augment(self) -> v2.RandAugment:
        return v2.RandAugment()


def evaluation_transform(spec: InputSpec) -> ImageTransform:
    """Resize by ``spec.crop_pct``, centre crop, normalise. Nothing is random.

    An image of the size asked is only normalised: no resampling, whatever ``crop_pct`` is.

    Source: the evaluation protocol of timm, ``timm.data.create_transform(crop_mode="center")``.
    """
    return ImageTransform(spec)


def training_transform(spec: InputSpec, *, augment: Augment) -> ImageTransform:
    """The evaluation transform with random changes that keep an image's label.

    Args:
        spec: What the anchors take.
        augment: One of

            - ``"none"``: as in evaluation;
            - ``"flip"``: mirror half of the images left to right;
            - ``"crop"``: below 64 pixels, shift by up to an eighth of the size each way, black coming in
              (He et al. 2016, section 4.2); from 64 on, cut 8 to 100 % of the area at an aspect ratio
              between 3/4 and 4/3 and resize it (Szegedy et al. 2015, section 6);
            - ``"crop_flip"``: both;
            - ``"rand_augment"``: both, and two of the operations of RandAugment at magnitude 9 of 31
              (Cubuk et al. 2020), torchvision's; for images from files.

    Raises:
        StitchError: ``augment`` is another word.
    """
    return ImageTransform(spec, augment)


def fit(image: Image.Image, spec: InputSpec) -> Image.Image:
    """Resize so that the image covers ``floor(size / crop_pct)``, then cut the centre.

    The side that has more than needed keeps the image's proportions, rounded down to whole pixels. An
    image of the size asked comes back untouched.
    """
    rows, columns = spec.size[1:]
    if (image.height, image.width) == (rows, columns):
        return image
    cover = [math.floor(side / spec.crop_pct) for side in (rows, columns)]
    if image.height * cover[1] <= image.width * cover[0]:
        resized = [cover[0], cover[0] * image.width // image.height]
    else:
        resized = [cover[1] * image.height // image.width, cover[1]]
    image = vision.resize(image, resized, interpolation=InterpolationMode(spec.interpolation))
    centre: Image.Image = vision.center_crop(image, [rows, columns])
    return centre


def _float_refusal(got: tuple[int, ...], wanted: tuple[int, int, int], augment: Augment) -> str:
    if got != wanted:
        return (
            f"The images are float tensors of shape {got}, the anchors take {wanted}. "
            "Float tensors are not resampled: give images of the size, or uint8."
        )
    return f"Augmentation {augment!r} works on uint8 images, not on float tensors. Use 'none', or give uint8."
