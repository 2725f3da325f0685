"""What a measure says of two cuts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from stitchable.feature import Cut

Measure = Literal[
    "cka", "cka_biased", "cka_minibatch", "rbf_cka", "cca", "svcca", "pwcca", "procrustes", "r2"
]
"""All are at most 1, and 1 for features that are the same up to what the measure does not see."""

ASYMMETRIC: tuple[Measure, ...] = ("pwcca", "r2")
"""Measures that another order of the two features changes."""


@dataclass(frozen=True)
class PairSimilarity:
    """How alike the features at two cuts are.

    Attributes:
        measure: Which number it is.
        front: The first cut. ``r2`` explains the second one's features by those of the first; ``pwcca``
            weighs canonical correlations by what they account for in the first.
        end: The second cut.
        value: Dimensionless, at most 1 but for rounding.
        low: Lower end of a 95 % interval over images; ``None`` where none was asked for.
        high: Its upper end.
    """

    measure: Measure
    front: Cut
    end: Cut
    value: float
    low: float | None = None
    high: float | None = None
