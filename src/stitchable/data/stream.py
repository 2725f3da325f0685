"""Images that come one after the other: data sets of the hub, parquet files and tar shards as streams."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from stitchable.data.draws import ORDER, seed_of
from stitchable.data.image_source import ImageSource
from stitchable.data.samples import Sample
from stitchable.errors import StitchError

SHUFFLE_BUFFER = 2048  # encoded images that wait for their turn; about 230 MB of ImageNet's
_STAND_INS = 2  # images that may take the place of one that does not read


class StreamImages(ImageSource):
    """The rows of an ``IterableDataset`` of ``datasets``, which has neither length nor random access.

    An epoch is a declared number of images. Without a seed it is the first of the stream as stored; with
    one, ``datasets`` shuffles the order of the shards and a buffer of `SHUFFLE_BUFFER` images by
    ``(seed, epoch)``. To begin in the middle of an epoch, what comes before is read and not decoded.

    Args:
        rows: An ``IterableDataset`` with an image column that does not decode, and a label column.
        name: What to call it in messages.
        count: Images of an epoch; a stream that holds more shows others in another epoch.
        image: Name of the image column.
        label: Name of the label column.
        classes: Class names by label, or ``None``.
        sizes: Of its files in bytes, where they are at hand.

    Attributes:
        label_limit: Labels must be below it; ``None`` allows any.

    Raises:
        StitchError: The count is below 1.
    """

    def __init__(
        self,
        rows: Any,
        name: str,
        *,
        count: int,
        image: str,
        label: str,
        classes: Sequence[str] | None,
        sizes: Sequence[int] = (),
    ) -> None:
        super().__init__(name, classes)
        if count < 1:
            raise StitchError(f"{name} has {count} images to an epoch. Give 1 or more.")
        self._rows, self._count, self._image, self._label = rows, count, image, label
        self._sizes = tuple(sizes)
        self.label_limit: int | None = None

    def __len__(self) -> int:
        return self._count

    @property
    def class_count(self) -> int | None:
        """Number of class names, where the stream has any."""
        return None if self.classes is None else len(self.classes)

    @property
    def digest(self) -> str:
        """Of the name, the count, the files' sizes, and the version of ``datasets``, which shuffles."""
        from datasets import __version__

        known = (self.name, self._count, self._sizes, __version__)
        return hashlib.sha256(repr(known).encode()).hexdigest()[:12]

    def samples(
        self, *, shuffle_seed: int | None = None, epoch: int = 0, limit: int | None = None
    ) -> Iterator[Sample]:
        """The images of an epoch, encoded.

        Args:
            shuffle_seed: 0 or more, or ``None`` for the stored order.
            epoch: 0 or more.
            limit: At most this many: the first ones as stored, whatever the seed.

        Raises:
            StitchError: The stream breaks off, ends too soon, or a label is missing or too large.
        """
        count = self._count if limit is None else min(limit, self._count)
        rows = self._rows if limit is None else self._rows.take(count)
        if shuffle_seed is not None:
            rows = rows.shuffle(seed=seed_of(shuffle_seed, epoch, ORDER), buffer_size=SHUFFLE_BUFFER)
        position = -1
        for position, row in enumerate(self._as_they_come(rows, count)):
            yield self._sample(position, row)
        if position + 1 < count:
            raise StitchError(
                f"{self.name} ended after {position + 1} of {count} images. Give the number that it holds, "
                "with --data.train_images or --data.val_images."
            )

    def _as_they_come(self, rows: Any, count: int) -> Iterator[Mapping[str, Any]]:
        done = 0
        try:
            for row in islice(iter(rows), count):
                yield row
                done += 1
        except Exception as error:  # tar files, Arrow, fsspec and the hub each have their own
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise StitchError(
                f"{self.name} broke off after {done} images ({reason}). Fetch its files anew, or try again."
            ) from error

    def _sample(self, position: int, row: Mapping[str, Any]) -> Sample:
        value, label = row[self._image], row[self._label]
        image = value if isinstance(value, bytes) or value is None else value["bytes"]
        path = value.get("path") if isinstance(value, dict) else None
        key = f"{row['__key__']} in {row['__url__']}" if "__key__" in row else path or ""
        sample = Sample(position, image, -1 if label is None else int(label), self.name, key)
        if sample.label < 0:
            raise StitchError(
                f"{sample.where} has no label ({label}). Give a split with labels, numbered from 0."
            )
        if self.label_limit is not None and sample.label >= self.label_limit:
            raise StitchError(
                f"{sample.where} has label {label}; the anchors tell {self.label_limit} classes apart. "
                "Give the data set the anchors were trained on, or anchors with its classes."
            )
        return sample


class StreamOrder:
    """The batches of one rank from a stream, read in the process that iterates.

    With each image come, where the batch is to stay full, the two that follow it in the batch of all ranks;
    the first of the batch follows the last.

    Args:
        source: The stream.
        batch_size: And the others: see `stitchable.data.loader.image_loader`.
    """

    def __init__(
        self,
        source: StreamImages,
        batch_size: int,
        *,
        limit: int | None,
        shuffle_seed: int | None,
        epoch: int,
        drop_last: bool,
        start: int,
        every: int,
        rank: int,
        ranks: int,
        keep_full: bool,
    ) -> None:
        check_order(source, limit, shuffle_seed)
        self._source, self._size, self._share = source, batch_size, (rank, ranks)
        self._start, self._every = start, every
        self._candidates = 1 + _STAND_INS * keep_full
        self._limit, self._seed, self._epoch, self._drop_last = limit, shuffle_seed, epoch, drop_last
        self._count = len(source) if limit is None else min(limit, len(source))

    def __len__(self) -> int:
        return -(-self._left // self._every)

    @property
    def _left(self) -> int:
        last = not self._drop_last and self._count % self._size > self._share[0]
        return max(0, self._count // self._size + last - self._start)

    def __iter__(self) -> Iterator[list[tuple[Sample, ...]]]:
        samples = self._source.samples(shuffle_seed=self._seed, epoch=self._epoch, limit=self._limit)
        rank, ranks = self._share
        left = islice(samples, self._start * self._size, None)
        for number in range(self._left):
            batch = list(islice(left, self._size))
            if number % self._every:
                continue
            yield [
                tuple(batch[(place + step) % len(batch)] for step in range(self._candidates))
                for place in range(rank, len(batch), ranks)
            ]


def check_order(source: ImageSource, limit: int | None, shuffle_seed: int | None) -> None:
    """Make sure that a limit is 1 or more, and a seed 0 or more.

    Raises:
        StitchError: One is not.
    """
    if limit is not None and limit < 1:
        raise StitchError(f"limit is {limit}. Give 1 or more, or none to take all {len(source)} images.")
    if shuffle_seed is not None and shuffle_seed < 0:
        raise StitchError(
            f"Images are not shuffled by seed {shuffle_seed}. Give 0 or more, or none for the stored order."
        )
