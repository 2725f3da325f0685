"""Batches of images in an order that (seed, epoch) decides alone."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from stitchable.data.augment import Augment
from stitchable.data.image_source import ImageSource
from stitchable.data.memory import MemoryImages
from stitchable.data.transforms import ImageTransform, training_transform
from stitchable.errors import StitchError
from stitchable.input_spec import InputSpec

# Streams of random numbers that must not resemble each other.
_ORDER, _DRAWS, _PREPARE, _WORKERS = range(4)


class ImageLoader(DataLoader[Any]):
    """A ``DataLoader`` of (images, labels) whose workers' mistakes arrive as plain `StitchError`.

    An exception that crosses from a worker comes with its trace in its message; here the worker hands
    over the error as its batch, and it is raised on this side as it was.
    """

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:  # type: ignore[override]
        for batch in super().__iter__():
            if isinstance(batch, StitchError):
                raise batch
            yield batch


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
    rank: int = 0,
    ranks: int = 1,
) -> ImageLoader:
    """Loader of normalised batches.

    The order is a function of ``(shuffle_seed, epoch)``, and what augmentation does to an image one of
    ``(shuffle_seed, epoch, index)``: neither the number of workers or ranks, nor the batch size, nor a
    source held in memory changes a bit of any image. No global random state is read or changed.

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
        rank: Which share of each batch to read: its images ``rank``, ``rank + ranks``, ``rank + 2 ranks`` …
        ranks: Number of processes that share each batch; the shares of a batch differ by one image at most.
            A last batch of fewer images than ranks is left out by those that have no share in it.

    Returns:
        Gives (images of shape ``(n, *spec.size)``, float32; labels of shape ``(n,)``, int64).

    Raises:
        StitchError: An argument is out of range, float images have another size than ``spec``, or
            mirroring is asked for images whose label it changes. Iterating raises one for an image that
            does not read.
    """
    ranges = (
        ("batch_size", batch_size, 1),
        ("workers", workers, 0),
        ("epoch", epoch, 0),
        ("start", start, 0),
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
    order = image_order(source, limit=limit, shuffle_seed=shuffle_seed, epoch=epoch)
    seed = shuffle_seed or 0
    return ImageLoader(
        _Batches(source, transform, seed, epoch),
        batch_sampler=[
            batch[rank::ranks].tolist()
            for batch in order.split(batch_size)[start:]
            if len(batch) > rank and not (drop_last and len(batch) < batch_size)
        ],
        num_workers=workers,
        collate_fn=_as_is,
        generator=_generator(seed, epoch, _WORKERS),
        worker_init_fn=_leave_interrupts_to_the_main_process,
    )


def image_order(
    source: ImageSource, *, limit: int | None = None, shuffle_seed: int | None = None, epoch: int = 0
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
    if limit is not None and limit < 1:
        raise StitchError(f"limit is {limit}. Give 1 or more, or none to take all {len(source)} images.")
    if shuffle_seed is not None and shuffle_seed < 0:
        raise StitchError(f"shuffle_seed is {shuffle_seed}. Give 0 or more, or none for the stored order.")
    count = len(source) if limit is None else min(limit, len(source))
    chosen = torch.arange(count)
    if count < len(source) and bool((source.labels.diff() >= 0).all()):
        chosen = chosen * len(source) // count
    if shuffle_seed is None:
        return chosen
    return chosen[torch.randperm(count, generator=_generator(shuffle_seed, epoch, _ORDER))]


class _Batches(Dataset[Any]):
    """Turns a list of indices into a finished batch, or into the error that prevents it."""

    def __init__(self, source: ImageSource, transform: ImageTransform, seed: int, epoch: int) -> None:
        self._source = source
        self._transform = transform
        self._key = (seed, epoch)
        self._draws: Tensor | None = None
        if transform.augment != "none":
            self._draws = torch.rand(len(source), 3, generator=_generator(seed, epoch, _DRAWS))

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> Any:
        return self.__getitems__([index])

    def __getitems__(self, indices: Sequence[int]) -> tuple[Tensor, Tensor] | StitchError:
        rows = torch.as_tensor(indices)
        try:
            images = self._prepared(indices, rows)
        except StitchError as error:
            return error
        draws = None if self._draws is None else self._draws[rows]
        return self._transform.finish(images, draws), self._source.labels[rows]

    def _prepared(self, indices: Sequence[int], rows: Tensor) -> Tensor:
        source, transform = self._source, self._transform
        if (
            isinstance(source, MemoryImages)
            and not transform.prepares_at_random
            and tuple(source.images.shape[1:]) == transform.spec.size
        ):
            return source.images[rows]
        return torch.stack([self._prepare(index) for index in indices])

    def _prepare(self, index: int) -> Tensor:
        image = self._source[index][0]
        if not self._transform.prepares_at_random:
            return self._transform.prepare(image)
        with _global_generator(_seed(*self._key, _PREPARE, index)):
            return self._transform.prepare(image)


def _leave_interrupts_to_the_main_process(worker: int) -> None:
    # Ctrl-C reaches every process of a terminal; the step that is going on still needs its batch.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _as_is(batch: Any) -> Any:
    return batch


def _seed(*key: int) -> int:
    """One 64-bit seed from several small numbers; keys that differ a little give seeds that differ a lot."""
    return int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0])


def _generator(*key: int) -> torch.Generator:
    return torch.Generator().manual_seed(_seed(*key))


@contextmanager
def _global_generator(seed: int) -> Iterator[None]:
    """Put the CPU generator from which torchvision draws at ``seed``, and back afterwards."""
    state = torch.default_generator.get_state()
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        torch.default_generator.set_state(state)
