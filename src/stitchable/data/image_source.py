"""What every reader of images gives: a data set with class names, by index or as a stream."""

from __future__ import annotations

import hashlib
import io
import struct
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import BinaryIO

import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor
from torch.utils.data import Dataset

from stitchable.data.skipped import CorruptImageError, Skipped

# What Pillow raises for bytes that are no image, or only a part of one.
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError)


class ImageSource(ABC):
    """Images and their labels: `IndexedImages`, or a stream.

    Attributes:
        name: What to call the source in messages: its path or its word.
        classes: Class names by label, or ``None`` where the source names none.
        mirrored_means_same: Whether an image seen in a mirror still has its label. Not so for digits.
        skipped: The images that did not read, and how many may.
    """

    mirrored_means_same = True

    def __init__(self, name: str, classes: Sequence[str] | None, *, skipped: Skipped | None = None) -> None:
        self.name = name
        self.classes = None if classes is None else tuple(classes)
        self.skipped = skipped or Skipped()

    @abstractmethod
    def __len__(self) -> int:
        """Number of images in an epoch."""

    @property
    @abstractmethod
    def class_count(self) -> int | None:
        """One more than the largest label, or the number of names; ``None`` where neither is known."""

    @property
    @abstractmethod
    def digest(self) -> str:
        """Twelve hex digits of what is known of the images without decoding any."""


class IndexedImages(ImageSource, Dataset[tuple[Image.Image | Tensor, int]]):
    """Images and their labels, by index.

    ``source[i]`` is an image and an int label. The image is a PIL image in RGB, or a tensor of shape
    ``(channels, rows, columns)``: uint8 in 0 to 255, or float32 in [0, 1]. One that does not read raises
    `CorruptImageError`.

    Attributes:
        labels: Labels of all images, known without decoding any; shape ``(N,)``, int64.
    """

    def __init__(
        self,
        name: str,
        labels: Sequence[int] | Tensor,
        classes: Sequence[str] | None,
        *,
        skipped: Skipped | None = None,
    ) -> None:
        super().__init__(name, classes, skipped=skipped)
        self.labels = torch.as_tensor(labels, dtype=torch.int64)

    def __len__(self) -> int:
        return len(self.labels)

    @abstractmethod
    def __getitem__(self, index: int) -> tuple[Image.Image | Tensor, int]:
        """Image and label at ``index``."""

    @property
    def class_count(self) -> int:
        """One more than the largest label."""
        return int(self.labels.max()) + 1

    @property
    def digest(self) -> str:
        """Of the labels, in order."""
        return hashlib.sha256(self.labels.numpy().tobytes()).hexdigest()[:12]


def decode_image(file: BinaryIO, where: Callable[[], str]) -> Image.Image:
    """Read one image whole, as RGB.

    Args:
        file: The encoded image, open for reading.
        where: Gives its path or row, asked for only in the error.

    Raises:
        CorruptImageError: The bytes are no image, or break off before its end.
    """
    try:
        # Pillow comes to WebP last; for CIFAR's small images, trying the others is a fifth of the work.
        formats = ("WEBP",) if file.read(4) == b"RIFF" else None
        file.seek(0)
        with Image.open(file, formats=formats) as image:
            if image.mode == "P" and "transparency" in image.info:
                return image.convert("RGBA").convert("RGB")  # Pillow warns on the direct way
            return image.convert("RGB")
    except _BROKEN as error:
        unknown = isinstance(error, UnidentifiedImageError)
        reason = "no known image format" if unknown else str(error) or type(error).__name__
        raise CorruptImageError(where(), reason) from error


def decode_bytes(image: bytes | None, where: Callable[[], str]) -> Image.Image:
    """Read one image from its encoded bytes; see `decode_image`.

    Raises:
        CorruptImageError: They are missing, no image, or break off before its end.
    """
    if image is None:
        raise CorruptImageError(where(), "it holds no bytes")
    return decode_image(io.BytesIO(image), where)
