"""The batches of an epoch of a stream, cut into shares."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from stitchable.data.image_source import ImageSource
from stitchable.data.samples import Sample
from stitchable.data.stream import StreamImages
from stitchable.errors import StitchError

_STAND_INS = 2  # images that may take the place of one that does not read


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
        rank: int,
        ranks: int,
        keep_full: bool,
    ) -> None:
        check_order(source, limit, shuffle_seed)
        self._source, self._size, self._start, self._share = source, batch_size, start, (rank, ranks)
        self._candidates = 1 + _STAND_INS * keep_full
        self._limit, self._seed, self._epoch, self._drop_last = limit, shuffle_seed, epoch, drop_last
        self._count = len(source) if limit is None else min(limit, len(source))

    def __len__(self) -> int:
        last = not self._drop_last and self._count % self._size > self._share[0]
        return max(0, self._count // self._size + last - self._start)

    def __iter__(self) -> Iterator[list[tuple[Sample, ...]]]:
        samples = self._source.samples(shuffle_seed=self._seed, epoch=self._epoch, limit=self._limit)
        rank, ranks = self._share
        left = islice(samples, self._start * self._size, None)
        for _ in range(len(self)):
            batch = list(islice(left, self._size))
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
        raise StitchError(f"shuffle_seed is {shuffle_seed}. Give 0 or more, or none for the stored order.")
