"""Images in the rows of a data set of Hugging Face's ``datasets``."""

from __future__ import annotations

from typing import Any

from PIL import Image

from stitchable.data.columns import class_names, image_and_label, not_decoded
from stitchable.data.image_source import IndexedImages, decode_bytes
from stitchable.errors import StitchError


class RowImages(IndexedImages):
    """The rows of a ``datasets.Dataset``, in stored order.

    Args:
        rows: With an image and a label column, see `stitchable.data.columns.image_and_label`.
        name: What to call it in messages.

    Raises:
        StitchError: There is no image or no label column, or a label is missing.
    """

    def __init__(self, rows: Any, name: str) -> None:
        image, label = image_and_label(rows.features, name)
        labels = rows.select_columns([label]).with_format("arrow")[:][label].to_pylist()
        missing = next((row for row, value in enumerate(labels) if value is None or value < 0), None)
        if missing is not None:
            raise StitchError(
                f"Row {missing} of {name} has no label ({labels[missing]}). Give a split with labels, "
                "numbered from 0."
            )
        super().__init__(name, labels, class_names(rows.features, label))
        self._rows, self._column = not_decoded(rows.select_columns([image]), image), image

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        value = self._rows[index][self._column]
        image = value if isinstance(value, bytes) or value is None else value["bytes"]
        return decode_bytes(image, lambda: self.where(index)), int(self.labels[index])

    def where(self, index: int) -> str:
        """What to call a row in messages."""
        return f"Row {index} (from 0) of {self.name}"
