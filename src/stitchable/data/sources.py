"""From what the user names to a source of images."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple

from stitchable.data.image_source import ImageSource, IndexedImages
from stitchable.errors import StitchError, nearest

DIGITS, HUB = "digits", "hf"
_ALLOWED = (
    "Give a folder of CLASS/image.jpg, a .parquet file, tar shards such as train-{0000..0009}.tar, "
    "'hf:NAME@SPLIT' or 'digits:train'."
)
_DIGITS_SPLITS: dict[str, Literal["train", "val"]] = {"train": "train", "val": "val"}


def open_images(
    path: str | Path,
    *,
    split: str | None = None,
    corrupt_limit: int = 0,
    streaming: bool = False,
    images: int | None = None,
    cache: str | Path | None = None,
) -> ImageSource:
    """Open the images that a path or a word names. Nothing is downloaded but what ``hf:`` names.

    Args:
        path: One of

            - a folder with one folder per class, ``CLASS/*.jpg``, or with such folders per split;
            - a ``.parquet`` file with an image and a label column, or a folder of them (or with them in
              its folder ``data``), named by split as in ``train-00000-of-00002.parquet``;
            - tar shards as webdataset writes them, a ``.tar`` file, ``train-{0000..0009}.tar``, or a folder
              of them, named by split; they are always a stream;
            - the text ``hf:NAME[:CONFIG][@SPLIT]``, a data set of the Hugging Face hub;
            - the text ``digits:train`` or ``digits:val``, scikit-learn's handwritten digits. A folder
              called so is ``./digits`` or a `Path`.
        split: Which split of a folder, or of the digits, such as ``"train"``.
        corrupt_limit: How many images that do not read are skipped; 0 refuses the first.
        streaming: Read parquet files or a data set of the hub one image after the other; image folders and
            digits have no other way than by number.
        images: How many images of a stream are an epoch; ``None`` takes all, where their number is known.
        cache: Folder for Arrow copies of parquet files, or of a data set of the hub.

    Returns:
        `IndexedImages`, a map-style data set of (PIL image in RGB or tensor, int label), or a stream;
        with ``classes`` and ``len``; see `ImageSource`.

    Raises:
        StitchError: The path is missing, is of no kind above, is empty, lacks the split, or needs one; or
            these images are no stream.
    """
    how = _How(split, streaming, images, None if cache is None else Path(cache).expanduser())
    source = _open(path, how)
    source.skipped.limit = corrupt_limit
    if isinstance(source, IndexedImages) and images is not None:
        raise StitchError(
            f"{source.name} is no stream, so all of its images are an epoch. "
            "Leave out --data.train_images and --data.val_images."
        )
    return source


class _How(NamedTuple):
    split: str | None
    streaming: bool
    images: int | None
    cache: Path | None


def _open(path: str | Path, how: _How) -> ImageSource:
    word, _, part = str(path).partition(":")
    if isinstance(path, str) and word == DIGITS:
        return _open_digits(part or None, how.split)
    if isinstance(path, str) and word == HUB and part:
        from stitchable.data.hub import hub_images

        text = part if how.split is None else f"{part}@{how.split}"
        return hub_images(text, streaming=how.streaming, count=how.images, cache=how.cache)
    path = Path(path).expanduser()
    if path.suffix.lower() == ".tar":
        from stitchable.data.shards import shard_files

        return _open_files(shard_files(str(path)), how)
    if not path.exists():
        raise StitchError(f"No images at {path}. {_ALLOWED}")
    if path.is_dir():
        return _open_folder(path, how)
    if path.suffix.lower() != ".parquet":
        raise StitchError(f"{path} is neither parquet nor a tar shard. {_ALLOWED}")
    if how.split is not None:
        raise StitchError(
            f"{path} is one file, without split {how.split!r}. Give its folder, or leave out split."
        )
    return _open_files([path], how)


def _open_files(files: list[Path], how: _How) -> ImageSource:
    if files[0].suffix.lower() == ".tar":
        from stitchable.data.shards import shard_stream

        return shard_stream(files, count=how.images)
    from stitchable.data.parquet import ParquetImages, parquet_stream

    return parquet_stream(files, count=how.images) if how.streaming else ParquetImages(files, cache=how.cache)


def _open_folder(folder: Path, how: _How) -> ImageSource:
    from stitchable.data.folder import SPLIT_WORDS, FolderImages

    split = how.split
    patterns = ("*.parquet", "data/*.parquet", "*.tar")
    files = next((found for each in patterns if (found := sorted(folder.glob(each)))), None)
    if not files:
        if split is not None and not (folder / split).is_dir():
            names = sorted(entry.name for entry in folder.iterdir() if entry.is_dir())
            raise StitchError(f"{folder} has no split {split!r}. {nearest(split, names)}".strip())
        return FolderImages(folder if split is None else folder / split)
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
    return _open_files(chosen, how)


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
