"""Some of a source's images, as a source of its own."""

from __future__ import annotations

import torch
from PIL import Image
from torch import Tensor

from stitchable.data.image_source import ImageSource
from stitchable.data.loader import image_order
from stitchable.data.memory import MemoryImages
from stitchable.errors import StitchError


class SelectedImages(ImageSource):
    """The images of a source at some indices.

    Args:
        source: Read when an image is asked for.
        indices: Shape ``(n,)``, int64.
    """

    def __init__(self, source: ImageSource, indices: Tensor) -> None:
        super().__init__(source.name, source.labels[indices], source.classes)
        self.mirrored_means_same = source.mirrored_means_same
        self._source, self._indices = source, indices.tolist()

    def __getitem__(self, index: int) -> tuple[Image.Image | Tensor, int]:
        return self._source[self._indices[index]]


def set_aside(source: ImageSource, count: int) -> tuple[ImageSource, ImageSource]:
    """Part some images from the others; which ones depends on the source alone, see `image_order`.

    Args:
        source: Held in memory or not; so are the parts.
        count: How many to set aside.

    Returns:
        The others, and those set aside.

    Raises:
        StitchError: Nothing would be left of the others.
    """
    if count >= len(source):
        raise StitchError(
            f"{count} of the {len(source)} images of {source.name} cannot be set aside. Take fewer."
        )
    chosen = image_order(source, limit=count)
    left = torch.ones(len(source), dtype=torch.bool)
    left[chosen] = False
    return _select(source, left.nonzero()[:, 0]), _select(source, chosen)


def _select(source: ImageSource, indices: Tensor) -> ImageSource:
    if not isinstance(source, MemoryImages):
        return SelectedImages(source, indices)
    return MemoryImages(
        source.images[indices],
        source.labels[indices],
        name=source.name,
        classes=source.classes,
        mirrored_means_same=source.mirrored_means_same,
    )
