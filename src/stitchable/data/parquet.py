"""Images in parquet files, in the layout of the Hugging Face ``datasets`` library."""

from __future__ import annotations

import atexit
import functools
import glob
import io
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image

from stitchable.data.image_source import ImageSource, decode_image
from stitchable.errors import StitchError

IMAGE_COLUMNS = ("image", "img", "images", "picture", "photo")
LABEL_COLUMNS = ("label", "labels", "fine_label", "class", "target", "coarse_label")


class ParquetImages(ImageSource):
    """The rows of one or more parquet files, in stored order.

    ``datasets`` keeps an Arrow copy of the files, mapped into memory: in its own cache (the folder that
    ``HF_DATASETS_CACHE`` names), or where that cannot be written, in a temporary folder that goes with
    the process. The network is not touched: the files are read by ``Dataset.from_parquet``, since
    ``load_dataset`` reports its use to a server unless ``HF_HUB_OFFLINE`` is set.

    The image column is the one of feature type ``Image``, else one with a name in `IMAGE_COLUMNS` that
    holds bytes. The label column is the one of type ``ClassLabel``, else one with a name in
    `LABEL_COLUMNS`; where several fit, the order of those names decides.

    Args:
        files: Parquet files of one schema.

    Raises:
        StitchError: ``datasets`` is not installed, a file does not read, there is no row, no image or no
            label column, or a label is missing. Reading an image that is broken raises one that names
            its file and row.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        self._files = tuple(files)
        name = str(files[0]) if len(files) == 1 else f"{files[0].parent} ({len(files)} parquet files)"
        rows, self._counts = _read(self._files, name)
        columns = ", ".join(rows.column_names)
        self._column = _image_column(rows.features)
        label = _label_column(rows.features)
        if self._column is None:
            raise StitchError(
                f"{name} has no image column; its columns are {columns}. "
                f"Store encoded images in a column such as {IMAGE_COLUMNS[0]!r} of type Image."
            )
        if label is None:
            raise StitchError(
                f"{name} has no label column; its columns are {columns}. "
                f"Store whole numbers in a column such as {LABEL_COLUMNS[0]!r} of type ClassLabel."
            )
        labels = rows.with_format("arrow")[:][label].to_pylist()
        missing = next((row for row, value in enumerate(labels) if value is None or value < 0), None)
        if missing is not None:
            raise StitchError(
                f"Row {missing} of {name} has no label ({labels[missing]}). Give a split with labels, "
                "numbered from 0."
            )
        from datasets import Image as ImageFeature

        super().__init__(name, labels, getattr(rows.features[label], "names", None))
        self._rows = rows.select_columns([self._column]).cast_column(self._column, ImageFeature(decode=False))

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        value = self._rows[index][self._column]
        if value is None or value["bytes"] is None:
            where = self._where(index)
            raise StitchError(
                f"{where} holds no image bytes. Remove the row, or store the image in the file."
            )
        return decode_image(io.BytesIO(value["bytes"]), lambda: self._where(index)), int(self.labels[index])

    def _where(self, index: int) -> str:
        for file, count in zip(self._files, self._counts, strict=True):
            if index < count:
                return f"Row {index} (from 0) of {file}"
            index -= count
        return f"A row of {self.name}"


def _read(files: tuple[Path, ...], name: str) -> tuple[Any, list[int]]:
    """The rows of all files, and how many each holds."""
    try:
        import datasets
        from pyarrow.parquet import read_metadata  # type: ignore[import-untyped]
    except ImportError as error:
        raise StitchError(
            f"Reading {name} needs the package datasets. Run: pip install 'stitchable[parquet]'"
        ) from error
    # The names are patterns to `datasets`; escaped, brackets in a folder's name stand for themselves.
    paths = [glob.escape(str(file.absolute())) for file in files]
    try:
        counts = [read_metadata(file).num_rows for file in files]
        if sum(counts):
            cache = _cache(datasets.config.HF_DATASETS_CACHE)
            with _quiet(datasets):
                return datasets.Dataset.from_parquet(paths, cache_dir=cache), counts
    except Exception as error:  # Arrow, fsspec and datasets each have their own
        cause = error.__cause__ or error
        reason = (str(cause).splitlines() or [type(cause).__name__])[0]
        raise StitchError(
            f"{name} does not read as parquet ({reason}). Write it again or fetch it anew."
        ) from error
    raise StitchError(f"{name} holds no rows. Give a file with images.")


def _image_column(features: Any) -> str | None:
    typed = [name for name, feature in features.items() if _type(feature) == "Image"]
    named = [name for name in IMAGE_COLUMNS if name in features and _holds_bytes(features[name])]
    return next((name for name in IMAGE_COLUMNS if name in typed), None) or next(iter(typed + named), None)


def _label_column(features: Any) -> str | None:
    typed = [name for name, feature in features.items() if _type(feature) == "ClassLabel"]
    named = [name for name in LABEL_COLUMNS if name in features and _is_whole(features[name])]
    return next((name for name in LABEL_COLUMNS if name in typed), None) or next(iter(typed + named), None)


def _type(feature: Any) -> str:
    return type(feature).__name__


def _holds_bytes(feature: Any) -> bool:
    if isinstance(feature, dict):
        return "bytes" in feature and "path" in feature
    return getattr(feature, "dtype", None) in ("binary", "large_binary")


def _is_whole(feature: Any) -> bool:
    return str(getattr(feature, "dtype", "")).startswith(("int", "uint"))


def _cache(preferred: str | Path) -> str:
    """The user's cache of ``datasets`` where it can be written, else a folder for this process."""
    folder = Path(preferred)
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    return str(folder) if there.is_dir() and os.access(there, os.W_OK) else _temporary_cache()


@functools.cache
def _temporary_cache() -> str:
    folder = tempfile.mkdtemp(prefix="stitchable-datasets-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@contextmanager
def _quiet(datasets: Any) -> Iterator[None]:
    shown = not datasets.are_progress_bars_disabled()
    if shown:
        datasets.disable_progress_bars()
    try:
        yield
    finally:
        if shown:
            datasets.enable_progress_bars()
