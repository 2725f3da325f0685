"""How surely one stitch of a curve is more accurate than another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from stitchable.errors import StitchError
from stitchable.evaluation.curve import CurveRow
from stitchable.evaluation.outcomes import Outcomes
from stitchable.evaluation.paired import difference_interval, mcnemar_each
from stitchable.evaluation.statistics import wilson_interval

Basis = Literal["paired", "intervals"]
_ROUNDING = 1e-6


@dataclass(frozen=True)
class Lead:
    """One stitch against another.

    Attributes:
        points: Accuracy of the first less that of the second, in points; on the images that both have seen
            where ``basis`` is ``"paired"``.
        surely: Whether the difference, either way, is sure at the confidence asked for.
        basis: ``"paired"``: McNemar's exact test. ``"intervals"``: Wilson's intervals do not overlap, which
            asks for more than a test does.
        low: Lower end of the paired interval, in points; ``None`` without paired answers.
        high: Upper end.
        p_value: Of McNemar's exact test, two-sided.
        images: Number of images that both have seen.
    """

    points: float
    surely: bool
    basis: Basis
    low: float | None = None
    high: float | None = None
    p_value: float | None = None
    images: int | None = None


class Evidence:
    """Compares rows of one curve.

    Args:
        rows: All rows that will be compared.
        outcomes: What the stitches answered. Without it, or where it is not that of these rows, comparisons
            rest on Wilson's intervals.
        confidence: Of every single comparison, between 0 and 1.

    Raises:
        StitchError: ``confidence`` is out of its range.
    """

    def __init__(
        self, rows: Sequence[CurveRow], outcomes: Outcomes | None, *, confidence: float = 0.95
    ) -> None:
        if not 0 < confidence < 1:
            raise StitchError(f"confidence is {confidence}. Give a share between 0 and 1, such as 0.95.")
        self.confidence = confidence
        self._outcomes = outcomes if outcomes is not None and _belongs(outcomes, rows) else None
        stale = "the stored answers are not those of this curve; sweep again for paired comparisons"
        self.notes = (stale,) if outcomes is not None and self._outcomes is None else ()
        self._rows = {} if outcomes is None else {stitch: at for at, stitch in enumerate(outcomes.stitches)}
        if self._outcomes is not None:
            self._right, self._seen = self._outcomes.right, self._outcomes.seen
        self._intervals: dict[tuple[float, int], tuple[float, float]] = {}

    @property
    def basis(self) -> Basis:
        """On what comparisons rest."""
        return "intervals" if self._outcomes is None else "paired"

    def compare(self, a: CurveRow, b: CurveRow) -> Lead:
        """By how much ``a`` is more accurate than ``b``, and whether that is sure."""
        if self._outcomes is None:
            lows, highs = zip(self._interval(a), self._interval(b), strict=True)
            return Lead(a.top1 - b.top1, max(lows) > min(highs), "intervals")
        first, second = (int(count[0]) for count in self._told_apart([a], b))
        images = int((self._seen[self._rows[a.stitch]] & self._seen[self._rows[b.stitch]]).sum())
        low, high = difference_interval(first, second, images, confidence=self.confidence)
        p_value = float(mcnemar_each(np.array([first]), np.array([second]))[0])
        surely = p_value < 1 - self.confidence
        return Lead(100 * (first - second) / images, surely, "paired", low, high, p_value, images)

    def surely_better(self, rows: Sequence[CurveRow], than: CurveRow) -> NDArray[np.bool_]:
        """Which of many rows are surely more accurate than one ``(rows,)``."""
        if self._outcomes is None:
            high = self._interval(than)[1]
            return np.array([self._interval(row)[0] > high for row in rows], dtype=bool)
        first, second = self._told_apart(rows, than)
        return np.asarray((mcnemar_each(first, second) < 1 - self.confidence) & (first > second))

    def _told_apart(
        self, rows: Sequence[CurveRow], than: CurveRow
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """On how many images that both have seen only a row is right, and only ``than`` ``(rows,)``."""
        at, it = [self._rows[row.stitch] for row in rows], self._rows[than.stitch]
        right, seen = self._right[at], self._seen[at]
        first = (right & (self._seen[it] & ~self._right[it])).sum(1)
        second = (seen & ~right & self._right[it]).sum(1)
        return first, second

    def _interval(self, row: CurveRow) -> tuple[float, float]:
        key = row.top1, row.images
        if key not in self._intervals:
            correct = round(row.top1 * row.images / 100)
            self._intervals[key] = wilson_interval(correct, row.images, confidence=self.confidence)
        return self._intervals[key]


def _belongs(outcomes: Outcomes, rows: Sequence[CurveRow]) -> bool:
    """Whether the answers give the rows' own accuracies."""
    seen, right = outcomes.seen.sum(1), outcomes.right.sum(1)
    found = {
        stitch: (100 * int(correct) / max(int(images), 1), int(images))
        for stitch, correct, images in zip(outcomes.stitches, right, seen, strict=True)
    }
    return all(
        row.stitch in found
        and found[row.stitch][1] == row.images
        and abs(found[row.stitch][0] - row.top1) < _ROUNDING
        for row in rows
    )
