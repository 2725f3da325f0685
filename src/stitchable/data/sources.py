"""From what the user names to a source of images."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from stitchable.data.image_source import ImageSource
from stitchable.errors import StitchError, nearest

DIGITS = "digits"
_DIGITS_SPLITS: dict[str, Literal["train", "val"]] = {"train": "train", "val": "val"}


def open_images(path: str | Path, *, split: str | None = None) -> ImageSource:
    """Open the images that a path or a word names. Nothing is downloaded.

    Args:
        path: One of

            - a folder with one folder per class, ``CLASS/*.jpg``, or with such folders per split;
            - a ``.parquet`` file with an image and a label column, or a folder of them (or with them in
              its folder ``data``), named by split as in ``train-00000-of-00002.parquet``;
            - the text ``digits:train`` or ``digits:val``, scikit-learn's handwritten digits. A folder
              called so is ``./digits`` or a `Path`.
        split: Which split of a folder, or of the digits, such as ``"train"``.

    Returns:
        A map-style data set of (PIL image in RGB or tensor, int label) with ``classes``, ``labels`` and
        ``len``; see `ImageSource`.

    Raises:
        StitchError: The path is missing, is of no kind above, is empty, lacks the split, or needs one.
    """
    word, _, part = str(path).partition(":")
    if isinstance(path, str) and word == DIGITS:
        return _open_digits(part or None, split)
    path = Path(path).expanduser()
    if not path.exists():
        raise StitchError(
            f"No images at {path}. Give a folder of CLASS/image.jpg, a .parquet file, or 'digits:train'."
        )
    if path.is_dir():
        return _open_folder(path, split)
    if path.suffix.lower() != ".parquet":
        raise StitchError(
            f"{path} is not parquet. Give a folder of CLASS/image.jpg, a .parquet file, or 'digits:train'."
        )
    if split is not None:
        raise StitchError(
            f"{path} is one file, without split {split!r}. Give its folder, or leave out split."
        )
    from stitchable.data.parquet import ParquetImages

    return ParquetImages([path])


def _open_folder(folder: Path, split: str | None) -> ImageSource:
    from stitchable.data.folder import SPLIT_WORDS, FolderImages

    files = sorted(folder.glob("*.parquet")) or sorted(folder.glob("data/*.parquet"))
    if not files:
        if split is not None and not (folder / split).is_dir():
            found = sorted(entry.name for entry in folder.iterdir() if entry.is_dir())
            raise StitchError(f"{folder} has no split {split!r}. {nearest(split, found)}".strip())
        return FolderImages(folder if split is None else folder / split)
    from stitchable.data.parquet import ParquetImages

    splits = {file: _split_of(file) for file in files}
    known = sorted({word for word in splits.values() if word in SPLIT_WORDS})
    if split is None and len(known) > 1:
        raise StitchError(
            f"{folder} holds the splits {', '.join(known)}. Say which, such as split={known[0]!r}."
        )
    chosen = [file for file in files if split is None or splits[file] == split]
    if not chosen:
        raise StitchError(
            f"{folder} has no split {split!r}. {nearest(str(split), sorted(set(splits.values())))}"
        )
    return ParquetImages(chosen)


def _split_of(file: Path) -> str:
    """``train`` for ``train.parquet`` and ``train-00000-of-00002.parquet``."""
    return file.stem.split("-")[0].split(".")[0]


def _open_digits(part: str | None, split: str | None) -> ImageSource:
    if part is not None and split is not None and part != split:
        raise StitchError(f"'digits:{part}' and split={split!r} contradict each other. Give one of them.")
    chosen = _DIGITS_SPLITS.get(part or split or "")
    if chosen is None:
        got = f"{DIGITS}:{part or split}" if part or split else DIGITS
        raise StitchError(f"{got!r} names no split of the digits. Allowed: digits:train, digits:val.")
    from stitchable.data.digits import digits
    from stitchable.data.memory import MemoryImages

    images, labels = digits(chosen)
    return MemoryImages(
        images,
        labels,
        name=f"{DIGITS}:{chosen}",
        classes=[str(digit) for digit in range(10)],
        mirrored_means_same=False,
    )
