"""How alike two parts are: what goes into them, and what comes out of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from stitchable.errors import StitchError
from stitchable.feature import Cut
from stitchable.reassembly.parts import ModelPart

Similarity = Mapping[tuple[Cut, Cut], float]
"""Of pairs of cuts, each in one order or in both; of a measure that is not symmetric, the mean counts."""


class PartSimilarity:
    """Similarity of parts: that of the cuts they begin at plus that of the cuts they lead to.

    Where two parts stand in their anchors, and whether these are the same, makes no difference. The first
    part of an anchor begins at cut 0, behind its stem: all stems take the same images.

    Args:
        cuts: Those that parts may begin at or lead to.
        similarity: Of every two of them, finite; a cut is like itself by 1, whatever is given.

    Attributes:
        number: The row of each cut.
        matrix: Similarity of cuts ``(cuts, cuts)``, symmetric.

    Raises:
        StitchError: The similarity of two cuts is missing or not finite.

    Source: Yang et al. 2022 (DeRy).

    Example:
        >>> alike = {(("a", 0), ("b", 0)): 0.9, (("a", 2), ("b", 3)): 0.5, (("a", 0), ("b", 3)): 0.1}
        >>> alike |= {(("a", 2), ("b", 0)): 0.2, (("a", 0), ("a", 2)): 0.3, (("b", 0), ("b", 3)): 0.4}
        >>> parts = PartSimilarity([("a", 0), ("a", 2), ("b", 0), ("b", 3)], alike)
        >>> parts(ModelPart("a", 0, 2), ModelPart("b", 0, 3))
        1.4
    """

    def __init__(self, cuts: Iterable[Cut], similarity: Similarity) -> None:
        self.number = {cut: row for row, cut in enumerate(dict.fromkeys(cuts))}
        self.matrix: NDArray[np.float64] = np.eye(len(self.number))
        for cut, row in self.number.items():
            for other, column in self.number.items():
                if row < column:
                    self.matrix[row, column] = self.matrix[column, row] = _between(cut, other, similarity)

    def __call__(self, part: ModelPart, other: ModelPart) -> float:
        """Similarity of two parts, 2 for equal ones."""
        before = self.matrix[self.number[part.before], self.number[other.before]]
        return float(before + self.matrix[self.number[part.behind], self.number[other.behind]])


def _between(cut: Cut, other: Cut, similarity: Similarity) -> float:
    given = [similarity[pair] for pair in ((cut, other), (other, cut)) if pair in similarity]
    value = sum(given) / len(given) if given else math.nan
    if not math.isfinite(value):
        state = f"is {value}" if given else "is missing"
        raise StitchError(
            f"The similarity of {cut[0]}@{cut[1]} and {other[0]}@{other[1]} {state}. "
            "Give a finite number for every two cuts."
        )
    return value
