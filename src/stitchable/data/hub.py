"""Data sets of the Hugging Face hub, fetched by ``datasets`` because the user names one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stitchable.data.columns import class_names, image_and_label, not_decoded
from stitchable.data.image_source import ImageSource
from stitchable.data.library import import_datasets, reading
from stitchable.data.rows import RowImages
from stitchable.data.stream import StreamImages
from stitchable.errors import StitchError, nearest


def hub_images(
    text: str, *, streaming: bool = False, count: int | None = None, cache: Path | None = None
) -> ImageSource:
    """Open ``NAME[:CONFIG][@SPLIT]``, a data set of the hub or a folder laid out like one.

    Without streaming, ``datasets`` downloads it once and keeps an Arrow copy in its cache.

    Args:
        text: The split may be left out where there is one only; it may be a slice, ``train[:10%]``.
        streaming: Read it from the hub image by image.
        count: Images of an epoch of the stream; ``None`` takes what the data set's card says.
        cache: Where to keep it instead.

    Raises:
        StitchError: ``datasets`` is not installed, the data set does not load, it has several splits and
            none is named, no image or label column, or a stream whose size nobody says.
    """
    name = f"hf:{text}"
    datasets = import_datasets(name)
    path, _, split = text.partition("@")
    path, _, config = path.partition(":")
    folder = None if cache is None else str(cache)
    with reading(name, "a data set"):
        split = split or _only_split(datasets, path, config or None, name)
        rows = datasets.load_dataset(path, config or None, split=split, streaming=streaming, cache_dir=folder)
    if not streaming:
        return RowImages(rows, name)
    if rows.features is None:
        raise StitchError(f"{name} does not say its columns before it is read. Leave out --data.streaming.")
    image, label = image_and_label(rows.features, name)
    return StreamImages(
        not_decoded(rows.select_columns([image, label]), image),
        name,
        count=count or _stated(rows, split, name),
        image=image,
        label=label,
        classes=class_names(rows.features, label),
    )


def _only_split(datasets: Any, path: str, config: str | None, name: str) -> str:
    splits = datasets.get_dataset_split_names(path, config)
    if len(splits) != 1:
        raise StitchError(f"{name} has several splits. Say which, {name}@SPLIT. {nearest('', splits)}")
    return str(splits[0])


def _stated(rows: Any, split: str, name: str) -> int:
    known = (rows.info.splits or {}).get(split)
    if known is None or not known.num_examples:
        raise StitchError(
            f"The card of {name} does not say how many images there are. "
            "Give the images of an epoch with --data.train_images or --data.val_images."
        )
    return int(known.num_examples)
