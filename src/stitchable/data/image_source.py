"""What every reader of images gives: a map-style data set with class names and labels at hand."""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import BinaryIO

import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor
from torch.utils.data import Dataset

from stitchable.errors import StitchError

# What Pillow raises for bytes that are no image, or only a part of one.
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError)


class ImageSource(Dataset[tuple[Image.Image | Tensor, int]], ABC):
    """Images and their labels, by index.

    ``source[i]`` is an image and an int label. The image is a PIL image in RGB, or a tensor of shape
    ``(channels, rows, columns)``: uint8 in 0 to 255, or float32 in [0, 1].

    Attributes:
        name: What to call the source in messages: its path or its word.
        labels: Labels of all images, known without decoding any; shape ``(N,)``, int64.
        classes: Class names by label, or ``None`` where the source names none.
        mirrored_means_same: Whether an image seen in a mirror still has its label. Not so for digits.
    """

    mirrored_means_same = True

    def __init__(self, name: str, labels: Sequence[int] | Tensor, classes: Sequence[str] | None) -> None:
        self.name = name
        self.labels = torch.as_tensor(labels, dtype=torch.int64)
        self.classes = None if classes is None else tuple(classes)

    def __len__(self) -> int:
        return len(self.labels)

    @abstractmethod
    def __getitem__(self, index: int) -> tuple[Image.Image | Tensor, int]:
        """Image and label at ``index``."""


def decode_image(file: BinaryIO, where: Callable[[], str]) -> Image.Image:
    """Read one image whole, as RGB.

    Args:
        file: The encoded image, open for reading.
        where: Gives its path or row, asked for only in the error.

    Raises:
        StitchError: The bytes are no image, or break off before its end.
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
        raise StitchError(
            f"{where()} does not read as an image ({reason}). Remove it or replace it by a whole copy."
        ) from error
