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


class StreamBatches(BatchMaker[Sample]):
    """Batches of samples; one that does not read gives its place to the next one of its batch."""

    def read(self, item: Sample) -> tuple[Image.Image | Tensor, int]:
        """Decode."""
        return decode_bytes(item.image, lambda: item.where), item.label

    def number(self, item: Sample) -> int:
        """The position in the epoch."""
        return item.position

    def stand_ins(self, items: Sequence[Sample], place: int) -> Iterator[Sample]:
        """The image itself, then those after it in the batch; the first comes after the last."""
        return (items[(place + step) % len(items)] for step in range(len(items)))
