"""Images in parquet files, in the layout of the Hugging Face ``datasets`` library."""

from __future__ import annotations

import glob
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stitchable.data.columns import class_names, image_and_label, not_decoded
from stitchable.data.library import import_datasets, quiet, reading, scratch, writable
from stitchable.data.rows import RowImages
from stitchable.data.stream import StreamImages
from stitchable.errors import StitchError

IN_MEMORY = 2 << 30  # bytes of files that are held in memory as they are, encoded


class ParquetImages(RowImages):
    """The rows of one or more parquet files, in stored order.

    Files of `IN_MEMORY` together are held in memory, encoded as they are. Parquet gives no single row, so
    larger ones are either a stream, see `parquet_stream`, or ``datasets`` writes an Arrow copy of them into
    a folder that the user names, and maps it into memory. The network is not touched: the files are
    read without ``load_dataset``, which reports its use to a server unless ``HF_HUB_OFFLINE`` is set.

    Args:
        files: Parquet files of one schema.
        cache: Folder for Arrow copies; ``None`` holds the files in memory.

    Raises:
        StitchError: ``datasets`` is not installed, a file does not read, there is no row, no image or no
            label column, a label is missing, or the files are large and no folder is named.
    """

    def __init__(self, files: Sequence[Path], *, cache: Path | None = None) -> None:
        self._files, name = tuple(files), _name(files)
        rows, self._counts = _read(self._files, name, cache)
        super().__init__(rows, name)

    def where(self, index: int) -> str:
        """Row and file."""
        for file, count in zip(self._files, self._counts, strict=True):
            if index < count:
                return f"Row {index} (from 0) of {file}"
            index -= count
        return f"A row of {self.name}"


def parquet_stream(files: Sequence[Path], *, count: int | None = None) -> StreamImages:
    """Parquet files as a stream: nothing is held or copied.

    Args:
        files: Parquet files of one schema.
        count: Images of an epoch; ``None`` takes the number of rows.

    Raises:
        StitchError: As for `ParquetImages`.
    """
    name = _name(files)
    datasets = import_datasets(name)
    from datasets.packaged_modules.parquet.parquet import Parquet

    with reading(name, "parquet"), quiet(datasets):
        total = sum(_row_counts(files))
        builder = Parquet(cache_dir=scratch(), data_files={"train": _patterns(files)})
        rows = builder.as_streaming_dataset(split="train") if total else None
    if rows is None:
        raise StitchError(f"{name} holds no rows. Give a file with images.")
    image, label = image_and_label(rows.features, name)
    classes = class_names(rows.features, label)
    chosen = not_decoded(rows.select_columns([image, label]), image)
    return StreamImages(
        chosen,
        name,
        count=count or total,
        image=image,
        label=label,
        classes=classes,
        sizes=[file.stat().st_size for file in files],
    )


def _read(files: tuple[Path, ...], name: str, cache: Path | None) -> tuple[Any, list[int]]:
    """The rows of all files, and how many each holds."""
    datasets = import_datasets(name)
    with reading(name, "parquet"), quiet(datasets):
        counts = _row_counts(files)
        if sum(counts) and cache is not None and writable(cache):
            return datasets.Dataset.from_parquet(_patterns(files), cache_dir=str(cache)), counts
    if not sum(counts):
        raise StitchError(f"{name} holds no rows. Give a file with images.")
    size = sum(file.stat().st_size for file in files)
    if cache is not None:
        raise StitchError(f"{cache} cannot be written. Give --data.cache another folder.")
    if size > IN_MEMORY:
        raise StitchError(
            f"{name} holds {size / 2**30:.1f} GiB, more than the {IN_MEMORY / 2**30:g} GiB that are held in "
            "memory. Name a folder for an Arrow copy, --data.cache FOLDER, or read it as a stream, "
            "--data.streaming true."
        )
    with reading(name, "parquet"):
        return _held(datasets, files, name), counts


def _held(datasets: Any, files: Sequence[Path], name: str) -> Any:
    from datasets.table import InMemoryTable
    from pyarrow import concat_tables
    from pyarrow.parquet import ParquetFile, read_schema

    features = datasets.Features.from_arrow_schema(read_schema(files[0]))
    columns = list(image_and_label(features, name))
    tables = [ParquetFile(file).read(columns=columns) for file in files]
    # A name of its own, or all bytes would be hashed for one.
    fingerprint = hashlib.sha256("".join(str(file) for file in files).encode()).hexdigest()[:16]
    return datasets.Dataset(InMemoryTable(concat_tables(tables)), fingerprint=fingerprint)


def _row_counts(files: Sequence[Path]) -> list[int]:
    from pyarrow.parquet import read_metadata

    return [read_metadata(file).num_rows for file in files]


def _patterns(files: Sequence[Path]) -> list[str]:
    # The names are patterns to `datasets`; escaped, brackets in a folder's name stand for themselves.
    return [glob.escape(str(file.absolute())) for file in files]


def _name(files: Sequence[Path]) -> str:
    return str(files[0]) if len(files) == 1 else f"{files[0].parent} ({len(files)} parquet files)"
