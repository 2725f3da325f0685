"""Some of a source's images, as a source of its own."""

from __future__ import annotations

import torch
from PIL import Image
from torch import Tensor

from stitchable.data.image_source import ImageSource, IndexedImages
from stitchable.data.loader import image_order
from stitchable.data.memory import MemoryImages
from stitchable.errors import StitchError


class SelectedImages(IndexedImages):
    """The images of a source at some indices.

    Args:
        source: Read when an image is asked for.
        indices: Shape ``(n,)``, int64.
    """

    def __init__(self, source: IndexedImages, indices: Tensor) -> None:
        super().__init__(source.name, source.labels[indices], source.classes, skipped=source.skipped)
        self.mirrored_means_same = source.mirrored_means_same
        self._source, self._indices = source, indices.tolist()

    def __getitem__(self, index: int) -> tuple[Image.Image | Tensor, int]:
        return self._source[self._indices[index]]


def set_aside(source: ImageSource, count: int) -> tuple[IndexedImages, IndexedImages]:
    """Part some images from the others; which ones depends on the source alone, see `image_order`.

    Args:
        source: Held in memory or not; so are the parts.
        count: How many to set aside.

    Returns:
        The others, and those set aside.

    Raises:
        StitchError: Nothing would be left of the others, or the source is a stream.
    """
    if not isinstance(source, IndexedImages):
        raise StitchError(
            f"No images of {source.name} can be set aside: it is a stream. Name held-out images, --data.val, "
            "and take those."
        )
    if count >= len(source):
        raise StitchError(
            f"{count} of the {len(source)} images of {source.name} cannot be set aside. Take fewer."
        )
    chosen = image_order(source, limit=count)
    left = torch.ones(len(source), dtype=torch.bool)
    left[chosen] = False
    return _select(source, left.nonzero()[:, 0]), _select(source, chosen)


def _select(source: IndexedImages, indices: Tensor) -> IndexedImages:
    if not isinstance(source, MemoryImages):
        return SelectedImages(source, indices)
    return MemoryImages(
        source.images[indices],
        source.labels[indices],
        name=source.name,
        classes=source.classes,
        mirrored_means_same=source.mirrored_means_same,
        skipped=source.skipped,
        corrupt={
            place: source.corrupt[index]
            for place, index in enumerate(indices.tolist())
            if index in source.corrupt
        },
    )
