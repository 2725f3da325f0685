"""Images of a stream on their way from the process that reads it to where they are decoded."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from PIL import Image
from torch import Tensor

from stitchable.data.batches import BatchMaker
from stitchable.data.image_source import decode_bytes


class Sample(NamedTuple):
    """An image of a stream as it comes, not decoded.

    Attributes:
        position: In the epoch, from 0.
        image: Encoded; ``None`` where the stream holds none.
        label: From 0.
        source: Name of the stream.
        key: What the stream calls it; may be empty.
    """

    position: int
    image: bytes | None
    label: int
    source: str
    key: str

    @property
    def where(self) -> str:
        """What to call it in messages: without a key, the digest of its bytes."""
        key = self.key or f"of SHA-256 {hashlib.sha256(self.image or b'').hexdigest()[:12]}"
        return f"The image {key} of {self.source}"


class StreamBatches(BatchMaker[Sequence[Sample]]):
    """Batches of samples; each comes with those that may take its place, nearest first."""

    def read(self, item: Sequence[Sample]) -> tuple[Image.Image | Tensor, int]:
        """Decode the first."""
        sample = item[0]
        return decode_bytes(sample.image, lambda: sample.where), sample.label

    def number(self, item: Sequence[Sample]) -> int:
        """The first's position in the epoch."""
        return item[0].position

    def stand_ins(self, items: Sequence[Sequence[Sample]], place: int) -> Iterator[Sequence[Sample]]:
        """Each of the place's samples alone."""
        return ((sample,) for sample in items[place])
