"""Images in tar shards, in the layout of webdataset: ``KEY.jpg`` beside ``KEY.cls``."""

from __future__ import annotations

import glob
import re
import tarfile
from collections.abc import Sequence
from pathlib import Path

from stitchable.data.columns import class_names, image_and_label, not_decoded
from stitchable.data.library import import_datasets, quiet, reading, scratch
from stitchable.data.stream import StreamImages
from stitchable.errors import StitchError


def shard_stream(files: Sequence[Path], *, count: int | None = None) -> StreamImages:
    """Tar shards as a stream, read by ``datasets``.

    Args:
        files: ``.tar`` files whose members with the same name up to the first dot are one image: its bytes
            under an image's ending, its label as ``.cls``.
        count: Images of an epoch; ``None`` counts them, which reads every member's header once.

    Raises:
        StitchError: ``datasets`` is not installed, a file is missing or no such shard, or there are no
            images or no labels in it.
    """
    name = str(files[0]) if len(files) == 1 else f"{files[0].parent} ({len(files)} tar shards)"
    missing = [str(file) for file in files if not file.is_file()]
    if missing:
        raise StitchError(f"{len(missing)} of {len(files)} shards are missing, such as {missing[0]}.")
    datasets = import_datasets(name)
    from datasets.packaged_modules.webdataset.webdataset import WebDataset

    with reading(name, "tar shards"), quiet(datasets):
        patterns = [glob.escape(str(file.absolute())) for file in files]
        rows = WebDataset(cache_dir=scratch(), data_files={"train": patterns}).as_streaming_dataset("train")
    total = count or sum(count_images(file) for file in files)
    image, label = image_and_label(rows.features, name)
    classes = class_names(rows.features, label)
    chosen = not_decoded(rows.select_columns([image, label, "__key__", "__url__"]), image)
    sizes = [file.stat().st_size for file in files]
    return StreamImages(chosen, name, count=total, image=image, label=label, classes=classes, sizes=sizes)


def count_images(shard: Path) -> int:
    """Number of images in a shard: of runs of members with the same name up to the first dot."""
    count, before = 0, None
    with reading(str(shard), "a tar shard"), tarfile.open(shard, "r:") as members:
        for member in members:
            folder, _, file = member.name.rpartition("/")
            key = (folder, file.partition(".")[0])
            if member.isreg() and not file.startswith((".", "__")) and "." in file and key != before:
                count, before = count + 1, key
    return count


def shard_files(text: str) -> list[Path]:
    """The files that ``train-{0000..0009}.tar`` stands for; without braces, the one.

    Example:
        >>> [str(file) for file in shard_files("train-{08..10}.tar")]
        ['train-08.tar', 'train-09.tar', 'train-10.tar']
    """
    found = re.search(r"\{(\d+)\.\.(\d+)\}", text)
    if not found:
        return [Path(text).expanduser()]
    first, last = found.groups()
    numbers = (f"{number:0{len(first)}d}" for number in range(int(first), int(last) + 1))
    each = [shard_files(text[: found.start()] + number + text[found.end() :]) for number in numbers]
    return [file for files in each for file in files]
