"""Images as files in one folder per class."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PIL import Image
from torchvision.datasets import ImageFolder
from torchvision.datasets.folder import IMG_EXTENSIONS

from stitchable.data.image_source import IndexedImages, decode_image
from stitchable.data.skipped import CorruptImageError
from stitchable.errors import StitchError

SPLIT_WORDS = ("train", "training", "val", "valid", "validation", "dev", "test")


class FolderImages(IndexedImages):
    """The images of ``folder/CLASS/*.jpg``, in the order of class names and then file names.

    Reading is torchvision's ``ImageFolder``; this class adds labels at hand and errors that say what to
    do. timm's reader of folders would change what is there: it sorts classes and files by the numbers in
    their names (``class2`` before ``class10``), which renumbers classes and reorders training, takes the
    innermost folder for the class, and knows fewer file endings. Orientation tags of cameras are not
    applied, as in torchvision and timm.

    Args:
        folder: Holds one folder per class, each with at least one image.

    Raises:
        StitchError: The folder holds no class folder, its folders are splits and not classes, or a class
            is empty.
    """

    def __init__(self, folder: Path) -> None:
        try:
            self._images: Any = ImageFolder(folder, loader=_load, allow_empty=True)
        except FileNotFoundError as error:
            raise StitchError(
                f"{folder} holds no class folders. Lay it out as {folder / 'CLASS' / 'image.jpg'}, "
                "or give a .parquet file."
            ) from error
        classes = self._images.classes
        super().__init__(str(folder), self._images.targets, classes)
        splits = [name for name in classes if name.lower() in SPLIT_WORDS]
        if len(splits) == len(classes):
            raise StitchError(
                f"{folder} holds splits ({', '.join(splits)}), not classes. "
                f"Give one of them: {folder / splits[0]}, or split={splits[0]!r}."
            )
        filled = set(self._images.targets)
        empty = [name for label, name in enumerate(classes) if label not in filled]
        if empty:
            shown = ", ".join(empty[:5]) + (", …" if len(empty) > 5 else "")
            raise StitchError(
                f"{len(empty)} of {len(classes)} class folders in {folder} hold no image: {shown}. "
                f"Fill or remove them; images end in {', '.join(IMG_EXTENSIONS)}."
            )

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        image, label = self._images[index]
        return image, label


def _load(path: str) -> Image.Image:
    try:
        with Path(path).open("rb") as file:
            return decode_image(file, lambda: path)
    except OSError as error:  # gone since, or a bad sector
        raise CorruptImageError(path, error.strerror or str(error)) from error
