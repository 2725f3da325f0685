"""The images of a run, checked against its anchors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from torch import Tensor

from stitchable.anchors.anchor import Anchor
from stitchable.data.image_source import ImageSource
from stitchable.data.loader import image_loader
from stitchable.data.memory import hold_in_memory
from stitchable.data.sources import open_images
from stitchable.data.stream import StreamImages
from stitchable.errors import StitchError
from stitchable.input_spec import InputSpec
from stitchable.network import StitchedNetwork
from stitchable.ranks import ALONE, Ranks
from stitchable.runs.config import DataConfig
from stitchable.training.options import StepOptions, TrainOptions
from stitchable.training.step import Batches

ImageSplit = Literal["train", "val"]


def open_for(network: StitchedNetwork | Anchor, data: DataConfig, split: ImageSplit) -> ImageSource:
    """Open the images that ``data`` names and check that the anchors can tell their classes apart.

    Raises:
        StitchError: No path is given, it does not open, or its classes are not the anchors'.
    """
    source = open_split(data, split)
    count, found = network.class_count, source.class_count
    if found is not None and found > count:
        raise StitchError(
            f"{source.name} has labels up to {found - 1}; the anchors tell {count} classes apart. "
            "Give the data set the anchors were trained on, or anchors with its classes."
        )
    if isinstance(source, StreamImages):
        source.label_limit = count  # seen as they come
    for number, (theirs, ours) in enumerate(zip(source.classes or (), network.classes or (), strict=False)):
        if theirs != ours:
            raise StitchError(
                f"Class {number} is {theirs!r} in {source.name} and {ours!r} for the anchors. "
                "Bring the data's classes into the anchors' order."
            )
    return hold_in_memory(source) if data.memory else source


def training_batches(
    source: ImageSource,
    spec: InputSpec,
    options: StepOptions,
    *,
    seed: int,
    workers: int,
    ranks: Ranks = ALONE,
) -> tuple[Batches, int]:
    """What a training loop asks for: its batches by epoch and from one on, and their number in an epoch.

    Args:
        source: The training images; fewer than ``options.batch_size`` make one batch.
        spec: Size and normalisation that the model takes.
        options: See `StepOptions`.
        seed: Of the images' order and augmentation.
        workers: Processes that read images.
        ranks: The processes that train together; the batches are then this one's shares.

    Raises:
        StitchError: A batch has not enough images for all processes.
    """
    batch_size = min(options.batch_size, len(source))
    check_shares(batch_size, options, ranks)

    def batches(epoch: int, start: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        yield from image_loader(
            source,
            spec,
            batch_size=batch_size,
            shuffle_seed=seed,
            epoch=epoch,
            augment=options.augment,
            workers=workers,
            drop_last=True,
            start=start,
            rank=ranks.rank,
            ranks=ranks.count,
            keep_full=True,
        )

    return batches, len(source) // batch_size


def small_batch(source: ImageSource, options: StepOptions) -> list[str]:
    """A line where the images are fewer than a batch is to have."""
    if len(source) >= options.batch_size:
        return []
    return [
        f"{options.section}.batch_size is {options.batch_size:,}, and the {len(source):,} training images "
        "make one smaller batch"
    ]


def check_shares(batch_size: int, options: StepOptions, ranks: Ranks) -> None:
    """Make sure that every process gets a share of a batch that it can use.

    Raises:
        StitchError: It does not.
    """
    section, count = options.section, ranks.count
    if batch_size < count:
        raise StitchError(
            f"A batch of {batch_size} images has none for some of {count} processes. Set "
            f"{section}.batch_size to {count} at least, or start fewer."
        )
    if isinstance(options, TrainOptions) and options.shard and batch_size // count < options.accumulate:
        raise StitchError(
            f"With train.shard all processes pass their shares in as many pieces; {batch_size} images are "
            f"too few for {options.accumulate} in each of {count}. Lower {section}.accumulate."
        )
    whole = 2 * options.accumulate * count
    if isinstance(options, TrainOptions) and options.objective.mixes and batch_size % whole:
        raise StitchError(
            f"mixup and cutmix pair the images of each process; {batch_size} images make no even pieces for "
            f"{count} processes. Set {section}.batch_size to a multiple of {whole}."
        )


def open_split(data: DataConfig, split: ImageSplit) -> ImageSource:
    """Open the images that ``data`` names, whatever their classes.

    Raises:
        StitchError: No path is given, or it does not open.
    """
    path = data.train if split == "train" else data.val
    if not path:
        raise StitchError(
            f"No images named. Give --data.{split}, a folder, a .parquet file or 'digits:{split}'."
        )
    count = data.train_images if split == "train" else data.val_images
    return open_images(
        path, corrupt_limit=data.corrupt_limit, streaming=data.streaming, images=count, cache=data.cache
    )
