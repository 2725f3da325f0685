"""Finished batches, made where images are decoded: in a worker or in the main process."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from stitchable.data.draws import DRAWS, PREPARE, generator_of, global_generator, seed_of
from stitchable.data.image_source import ImageSource, IndexedImages
from stitchable.data.memory import MemoryImages
from stitchable.data.skipped import CorruptImageError
from stitchable.data.transforms import ImageTransform
from stitchable.errors import StitchError

Item = TypeVar("Item")


class Batch(NamedTuple):
    """A batch on its way from where it was made.

    Attributes:
        images: Shape ``(n, *spec.size)``, float32.
        labels: Shape ``(n,)``, int64.
        corrupt: Images that did not read.
    """

    images: Tensor
    labels: Tensor
    corrupt: list[CorruptImageError]


class BatchMaker(Dataset[Any], ABC, Generic[Item]):
    """Turns a list of items into a finished batch, or into the error that prevents it.

    Args:
        source: The images.
        transform: Brings them to their size, augments and normalises them.
        seed: Of the augmentation.
        epoch: Likewise.
        full: Put another image into the place of one that does not read, with the augmentation of the
            place. Without, the batch has fewer images.
    """

    def __init__(
        self, source: ImageSource, transform: ImageTransform, *, seed: int, epoch: int, full: bool
    ) -> None:
        self._name, self._count, self._limit = source.name, len(source), source.skipped.limit
        self._transform, self._key, self._full = transform, (seed, epoch), full
        self._draws: Tensor | None = None
        if transform.augment != "none":
            self._draws = torch.rand(len(source), 3, generator=generator_of(seed, epoch, DRAWS))

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, item: Any) -> Any:
        return self.__getitems__([item])

    def __getitems__(self, items: Sequence[Item]) -> Batch | StitchError:
        try:
            pixels, labels, numbers, corrupt = self._prepared(items)
        except StitchError as error:
            return error
        if not len(pixels):
            return Batch(pixels, labels, corrupt)
        draws = None if self._draws is None else self._draws[numbers]
        return Batch(self._transform.finish(pixels, draws), labels, corrupt)

    @abstractmethod
    def read(self, item: Item) -> tuple[Image.Image | Tensor, int]:
        """Image and label of an item."""

    @abstractmethod
    def number(self, item: Item) -> int:
        """What the augmentation of an item goes by."""

    @abstractmethod
    def stand_ins(self, items: Sequence[Item], place: int) -> Iterator[Item]:
        """What to put into a place of the batch, beginning with what belongs there."""

    def _prepared(self, items: Sequence[Item]) -> tuple[Tensor, Tensor, Tensor, list[CorruptImageError]]:
        pixels: list[Tensor] = []
        labels: list[int] = []
        numbers: list[int] = []
        corrupt: dict[str, CorruptImageError] = {}
        for place, item in enumerate(items):
            for candidate in self.stand_ins(items, place):
                try:
                    image, label = self.read(candidate)
                except CorruptImageError as error:
                    corrupt[error.where] = error
                    if len(corrupt) > self._limit:  # whoever gets this batch refuses it
                        return self._joined([], [], [], corrupt)
                    if self._full:
                        continue
                    break
                number = self.number(item)
                pixels.append(self._prepare(image, number))
                labels.append(label)
                numbers.append(number)
                break
            else:
                names = "; ".join(list(corrupt)[-5:])
                raise StitchError(
                    f"No image of {self._name} reads that could stand in for others that do not: {names}. "
                    "Replace them by whole copies."
                )
        return self._joined(pixels, labels, numbers, corrupt)

    def _prepare(self, image: Image.Image | Tensor, number: int) -> Tensor:
        if not self._transform.prepares_at_random:
            return self._transform.prepare(image)
        with global_generator(seed_of(*self._key, PREPARE, number)):
            return self._transform.prepare(image)

    def _joined(
        self,
        pixels: list[Tensor],
        labels: list[int],
        numbers: list[int],
        corrupt: dict[str, CorruptImageError],
    ) -> tuple[Tensor, Tensor, Tensor, list[CorruptImageError]]:
        images = torch.stack(pixels) if pixels else torch.zeros(0, *self._transform.spec.size)
        told, places = torch.tensor(labels, dtype=torch.int64), torch.tensor(numbers, dtype=torch.int64)
        return images, told, places, list(corrupt.values())


class IndexedBatches(BatchMaker[int]):
    """Batches by index; an image that does not read gives its place to the next one, as stored."""

    def __init__(
        self, source: IndexedImages, transform: ImageTransform, *, seed: int, epoch: int, full: bool
    ) -> None:
        super().__init__(source, transform, seed=seed, epoch=epoch, full=full)
        self._source = source

    def read(self, item: int) -> tuple[Image.Image | Tensor, int]:
        """Image and label at an index."""
        return self._source[item]

    def number(self, item: int) -> int:
        """The index."""
        return item

    def stand_ins(self, items: Sequence[int], place: int) -> Iterator[int]:
        """The image itself, then those after it; the first comes after the last."""
        return ((items[place] + step) % self._count for step in range(self._count))

    def _prepared(self, items: Sequence[int]) -> tuple[Tensor, Tensor, Tensor, list[CorruptImageError]]:
        source, transform = self._source, self._transform
        if (
            isinstance(source, MemoryImages)
            and not source.corrupt
            and not transform.prepares_at_random
            and tuple(source.images.shape[1:]) == transform.spec.size
        ):
            rows = torch.as_tensor(items)
            return source.images[rows], source.labels[rows], rows, []
        return super()._prepared(items)
