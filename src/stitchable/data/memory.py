"""Images held as one tensor, so that a batch is one indexing operation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torchvision.transforms.v2.functional import pil_to_tensor

from stitchable.data.image_source import ImageSource, IndexedImages
from stitchable.data.skipped import CorruptImageError, Skipped
from stitchable.errors import StitchError


class MemoryImages(IndexedImages):
    """Images of one size in one tensor.

    Args:
        images: Shape ``(N, channels, rows, columns)``; uint8 in 0 to 255 or float32 in [0, 1].
        labels: Shape ``(N,)``, int64.
        name: What to call the source in messages.
        classes: Class names by label, or ``None``.
        mirrored_means_same: See `ImageSource`.
        skipped: See `ImageSource`.
        corrupt: Images that did not read, by index; what the tensor holds for them means nothing.

    Raises:
        StitchError: The shapes or dtypes are others, or there is no image.
    """

    def __init__(
        self,
        images: Tensor,
        labels: Tensor | Sequence[int],
        *,
        name: str = "images in memory",
        classes: Sequence[str] | None = None,
        mirrored_means_same: bool = True,
        skipped: Skipped | None = None,
        corrupt: Mapping[int, CorruptImageError] | None = None,
    ) -> None:
        super().__init__(name, labels, classes, skipped=skipped)
        self.mirrored_means_same = mirrored_means_same
        if images.ndim != 4 or len(images) != len(self.labels) or not len(images):
            raise StitchError(
                f"Images of shape {tuple(images.shape)} with {len(self.labels)} labels do not make a source. "
                "Give (images, channels, rows, columns) and one label per image."
            )
        if images.dtype not in (torch.uint8, torch.float32):
            raise StitchError(f"Images are {images.dtype}. Give uint8 in 0 to 255 or float32 in [0, 1].")
        self.images = images
        self.corrupt = dict(corrupt or {})

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        if index in self.corrupt:
            raise self.corrupt[index]
        return self.images[index], int(self.labels[index])


def hold_in_memory(source: ImageSource) -> MemoryImages:
    """Decode every image once and keep the pixels.

    For small images decoding is most of the work: a loader over the held source gives the same batches,
    bit for bit, many times faster; workers then only add the cost of copying batches between processes.
    CIFAR-10's 50,000 training images take 154 MB.

    Args:
        source: Images that all have one size. A source that is held already comes back as it is. Images
            that do not read are skipped as they would be later.

    Raises:
        StitchError: Two images differ in size, there is no image or none that reads, too many do not read,
            or the source is a stream.
    """
    if isinstance(source, MemoryImages):
        return source
    if not isinstance(source, IndexedImages):
        raise StitchError(f"{source.name} is a stream, which is not held. Leave out --data.memory.")
    if not len(source):
        raise StitchError(f"{source.name} holds no images, so there is nothing to hold in memory.")
    held: Tensor | None = None
    corrupt: dict[int, CorruptImageError] = {}
    for index in range(len(source)):
        try:
            image = source[index][0]
        except CorruptImageError as error:
            source.skipped.add([error])
            corrupt[index] = error
            continue
        pixels = image if isinstance(image, Tensor) else pil_to_tensor(image)
        if held is None:
            held = torch.zeros((len(source), *pixels.shape), dtype=pixels.dtype)
            size = _times(pixels)
        if pixels.shape != held.shape[1:]:
            raise StitchError(
                f"{source.name} has images of several sizes: the first is {size} pixels, number "
                f"{index} is {_times(pixels)}. Only images of one size can be held; read these from disk."
            )
        held[index] = pixels
    if held is None:
        raise StitchError(f"None of the {len(source)} images of {source.name} reads. Fetch them anew.")
    return MemoryImages(
        held,
        source.labels,
        name=source.name,
        classes=source.classes,
        mirrored_means_same=source.mirrored_means_same,
        skipped=source.skipped,
        corrupt=corrupt,
    )


def _times(image: Tensor) -> str:
    return f"{image.shape[1]}×{image.shape[2]}"
