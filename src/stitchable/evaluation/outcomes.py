"""What every stitch answered on every image: the file that paired tests, bootstraps and calibration read."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stitchable.errors import StitchError, writing

NOT_SEEN = -1
"""In ``predicted``, where a stitch has not seen an image."""


@dataclass(frozen=True)
class Outcomes:
    """Answers of some stitches on the same images, in the same order.

    Attributes:
        stitches: Text ids, one per row.
        labels: The images' classes ``(images,)``, int32.
        predicted: Class of the largest logit ``(stitches, images)``, int32; `NOT_SEEN` where a stitch
            was not shown an image.
        confidence: Softmax probability of that class ``(stitches, images)``, float32; 0 where not seen.
    """

    stitches: tuple[str, ...]
    labels: NDArray[np.int32]
    predicted: NDArray[np.int32]
    confidence: NDArray[np.float32]

    def __post_init__(self) -> None:
        shape = (len(self.stitches), len(self.labels))
        if self.predicted.shape != shape or self.confidence.shape != shape:
            raise StitchError(
                f"Outcomes of {shape[0]} stitches on {shape[1]} images need arrays of that shape; got "
                f"{self.predicted.shape} and {self.confidence.shape}."
            )

    @property
    def seen(self) -> NDArray[np.bool_]:
        """Which stitch was shown which image ``(stitches, images)``."""
        return np.not_equal(self.predicted, NOT_SEEN)

    @property
    def right(self) -> NDArray[np.bool_]:
        """Which stitch was right on which image ``(stitches, images)``; false where it was not seen."""
        return np.equal(self.predicted, self.labels)

    def row(self, stitch: str) -> int:
        """Position of a stitch.

        Raises:
            StitchError: It was not measured.
        """
        if stitch not in self.stitches:
            raise StitchError(f"{stitch} is not among the {len(self.stitches)} stitches that were measured.")
        return self.stitches.index(stitch)


def write_outcomes(path: str | Path, outcomes: Outcomes) -> None:
    """Write a ``.safetensors`` file; it appears whole or not at all."""
    from safetensors.numpy import save_file

    path = Path(path)
    arrays: dict[str, NDArray[Any]] = {
        "labels": outcomes.labels,
        "predicted": outcomes.predicted,
        "confidence": outcomes.confidence,
    }
    arrays = {name: np.ascontiguousarray(each) for name, each in arrays.items()}
    beside = path.with_name(path.name + ".partial")
    with writing(path):
        save_file(arrays, beside, metadata={"stitches": json.dumps(outcomes.stitches)})
    beside.replace(path)


def read_outcomes(path: str | Path) -> Outcomes:
    """Read what `write_outcomes` wrote.

    Raises:
        StitchError: The file is missing or damaged.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    if not path.is_file():
        raise StitchError(f"No answers at {path}. Measure again with 'stitchable sweep'.")
    try:
        with safe_open(path, framework="numpy") as file:
            stitches = tuple(json.loads(file.metadata()["stitches"]))
            arrays = [file.get_tensor(name) for name in ("labels", "predicted", "confidence")]
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise StitchError(
            f"{path} does not read ({error}). Measure again with 'stitchable sweep'."
        ) from error
    return Outcomes(stitches, *arrays)
