"""Batches of images in an order that (seed, epoch) decides alone."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from stitchable.data.augment import Augment
from stitchable.data.batches import IndexedBatches
from stitchable.data.draws import ORDER, WORKERS, generator_of
from stitchable.data.image_source import ImageSource, IndexedImages
from stitchable.data.memory import MemoryImages
from stitchable.data.samples import StreamBatches
from stitchable.data.skipped import Skipped
from stitchable.data.stream import StreamImages, StreamOrder, check_order
from stitchable.data.transforms import training_transform
from stitchable.errors import StitchError
from stitchable.input_spec import InputSpec


class ImageLoader:
    """Batches of (images, labels) of a ``DataLoader``, whose workers' mistakes arrive as plain `StitchError`.

    An exception that crosses from a worker comes with its trace in its message; here the worker hands
    over the error as its batch, and it is raised on this side as it was. So are images counted that did
    not read; a batch that has no other is left out.

    Args:
        dataset: Gives a `Batch`, or the error, for each list of items.
        skipped: Where images that did not read are counted.
        empty: Give a batch of no images instead of leaving it out.
        options: Of the ``DataLoader``.
    """

    def __init__(
        self, dataset: Dataset[Any], *, skipped: Skipped, empty: bool = False, **options: Any
    ) -> None:
        self.dataset = dataset
        self._batches: DataLoader[Any] = DataLoader(dataset, **options)
        self._skipped = skipped
        self._empty = empty

    def __len__(self) -> int:
        """Number of batches, before any is left out."""
        return len(self._batches)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for batch in self._batches:
            if isinstance(batch, StitchError):
                raise batch
            self._skipped.add(batch.corrupt)
            if len(batch.images) or self._empty:
                yield batch.images, batch.labels


def image_loader(
    source: ImageSource,
    spec: InputSpec,
    *,
    batch_size: int,
    shuffle_seed: int | None = None,
    epoch: int = 0,
    augment: Augment = "none",
    workers: int = 0,
    limit: int | None = None,
    drop_last: bool = False,
    start: int = 0,
    every: int = 1,
    rank: int = 0,
    ranks: int = 1,
    keep_full: bool = False,
    keep_empty: bool = False,
) -> ImageLoader:
    """Loader of normalised batches.

    The order is a function of ``(shuffle_seed, epoch)``, and what augmentation does to an image one of
    ``(shuffle_seed, epoch, index)``: neither the number of workers or ranks, nor the batch size, nor a
    source held in memory changes a bit of any image. No global random state is read or changed.

    A stream is read in this process, and its images are decoded by the workers; so its order does not
    depend on these either. There augmentation goes by the image's position in the epoch.

    An image that does not read is counted in ``source.skipped``, which raises at its limit.

    Args:
        source: What `open_images` or `hold_in_memory` gave.
        spec: Size and normalisation that the anchors take.
        batch_size: Images per batch of all ranks together, at least one for each.
        shuffle_seed: 0 or more; ``None`` keeps the stored order (augmentation then goes by seed 0).
        epoch: 0 or more; another epoch has another order and other augmentation.
        augment: See `training_transform`.
        workers: Processes that decode; 0 decodes in this one.
        limit: At most this many images. Which ones depends on the source alone, see `image_order`.
        drop_last: Leave out a last batch that is smaller.
        start: Batches to leave out at the beginning; their images are not read.
        every: Of the batches from there on, take the first of so many; the others are not read.
        rank: Which share of each batch to read: its images ``rank``, ``rank + ranks``, ``rank + 2 ranks`` …
        ranks: Number of processes that share each batch; the shares of a batch differ by one image at most.
            A last batch of fewer images than ranks is left out by those that have no share in it. Of a
            stream, each rank reads all and decodes its share.
        keep_full: What becomes of an image that does not read: the next one that does, as stored, takes its
            place (of a stream: one of the next two of the batch of all ranks), or the batch has one less.
        keep_empty: Give a batch of which no image reads, as one of no images, instead of leaving it out.

    Returns:
        Gives (images of shape ``(n, *spec.size)``, float32; labels of shape ``(n,)``, int64).

    Raises:
        StitchError: An argument is out of range, float images have another size than ``spec``, or
            mirroring is asked for images whose label it changes. Iterating raises one where too many
            images do not read.
    """
    ranges = (
        ("batch_size", batch_size, 1),
        ("workers", workers, 0),
        ("epoch", epoch, 0),
        ("start", start, 0),
        ("every", every, 1),
        ("ranks", ranks, 1),
    )
    for name, value, least in ranges:
        if value < least:
            raise StitchError(f"{name} is {value}. Give {least} or more.")
    if not 0 <= rank < ranks:
        raise StitchError(f"rank is {rank} of {ranks}. Give 0 to {ranks - 1}.")
    if batch_size < ranks:
        raise StitchError(f"A batch of {batch_size} images has none for some of {ranks} ranks. Give {ranks}.")
    transform = training_transform(spec, augment=augment)
    if transform.mirrors and not source.mirrored_means_same:
        raise StitchError(
            f"Augmentation {augment!r} mirrors images, and in a mirror those of {source.name} mean something "
            "else. Use 'none' or 'crop'."
        )
    if isinstance(source, MemoryImages) and source.images.is_floating_point():
        transform.prepare(source.images[0])  # refuses another size now rather than in a worker
    maker: IndexedBatches | StreamBatches
    order: Iterable[list[Any]]
    seed = shuffle_seed or 0
    if isinstance(source, IndexedImages):
        maker = IndexedBatches(source, transform, seed=seed, epoch=epoch, full=keep_full)
        indices = image_order(source, limit=limit, shuffle_seed=shuffle_seed, epoch=epoch).tolist()
        whole = len(indices) - len(indices) % batch_size if drop_last else len(indices)
        shares = (
            indices[first : first + batch_size][rank::ranks]
            for first in range(start * batch_size, whole, every * batch_size)
        )
        order = [share for share in shares if share]
    else:
        assert isinstance(source, StreamImages)
        maker = StreamBatches(source, transform, seed=seed, epoch=epoch, full=keep_full)
        order = StreamOrder(
            source,
            batch_size,
            limit=limit,
            shuffle_seed=shuffle_seed,
            epoch=epoch,
            drop_last=drop_last,
            start=start,
            every=every,
            rank=rank,
            ranks=ranks,
            keep_full=keep_full,
        )
    return ImageLoader(
        maker,
        skipped=source.skipped,
        empty=keep_empty,
        batch_sampler=order,
        num_workers=workers,
        collate_fn=_as_is,
        generator=generator_of(seed, epoch, WORKERS),
        worker_init_fn=_leave_interrupts_to_the_main_process,
    )


def image_order(
    source: IndexedImages, *, limit: int | None = None, shuffle_seed: int | None = None, epoch: int = 0
) -> Tensor:
    """Indices of the images that a loader gives, in order.

    A limit always takes the same images, whatever the seed: the first ones as stored, or, where the
    source is stored class by class (as image folders are), every ``N / limit``-th one, so that each class
    keeps its share. A seed then shuffles them.

    Args:
        source: The images.
        limit: At most this many; ``None`` takes all.
        shuffle_seed: 0 or more, or ``None`` for the stored order.
        epoch: 0 or more.

    Returns:
        Shape ``(min(limit, N),)``, int64.

    Raises:
        StitchError: The limit is below 1 or the seed negative.
    """
    check_order(source, limit, shuffle_seed)
    count = len(source) if limit is None else min(limit, len(source))
    chosen = torch.arange(count)
    if count < len(source) and bool((source.labels.diff() >= 0).all()):
        chosen = chosen * len(source) // count
    if shuffle_seed is None:
        return chosen
    return chosen[torch.randperm(count, generator=generator_of(shuffle_seed, epoch, ORDER))]


def _leave_interrupts_to_the_main_process(worker: int) -> None:
    # Ctrl-C reaches every process of a terminal; the step that is going on still needs its batch.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _as_is(batch: Any) -> Any:
    return batch
