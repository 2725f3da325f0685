"""How well one list of numbers orders another, and how surely."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stitchable.errors import StitchError

DRAWS = 2000


class Interval(NamedTuple):
    """An estimate with the ends of its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def includes_zero(self) -> bool:
        """Whether the data do not tell it from no relation at all."""
        return self.low <= 0 <= self.high

    def __str__(self) -> str:
        return f"{self.value:.2f} ({self.low:.2f} to {self.high:.2f})".replace("-", "−")


class RankCorrelation(NamedTuple):
    """Rank correlations of two lists.

    Attributes:
        spearman: Pearson correlation of the ranks.
        kendall: Kendall's tau-b.
        pairs: Length of the lists.
    """

    spearman: Interval
    kendall: Interval
    pairs: int

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data."""
        return {
            "spearman": self.spearman._asdict(),
            "kendall": self.kendall._asdict(),
            "pairs": self.pairs,
        }


def rank_correlation(
    x: NDArray[np.float64], y: NDArray[np.float64], *, draws: int = DRAWS, seed: int = 0
) -> RankCorrelation | None:
    """Spearman's and Kendall's rank correlation with 95 % percentile-bootstrap intervals.

    The pairs are drawn again with replacement. Where ``x`` are predictions they are taken as given: nothing
    is fitted again.

    Args:
        x: ``(pairs,)``.
        y: ``(pairs,)``.
        draws: Bootstrap samples; those in which either list is constant are left out.
        seed: Of the samples.

    Returns:
        ``None`` where a list is constant: it orders nothing.

    Raises:
        StitchError: Fewer than four pairs, lists of unequal length, or numbers that are not finite.

    Source: Kendall 1945 for tau-b; Efron 1979 for the bootstrap.
    """
    if len(x) != len(y) or len(x) < 4:
        raise StitchError(f"A rank correlation needs four pairs or more; got {len(x)} and {len(y)} numbers.")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise StitchError("A rank correlation needs finite numbers. Leave out the pairs that have none.")
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return None
    picked = np.random.default_rng(seed).integers(len(x), size=(draws, len(x)))
    picked = np.concatenate([np.arange(len(x))[None], picked])  # the lists as they are come first
    picked = picked[(np.ptp(x[picked], axis=1) > 0) & (np.ptp(y[picked], axis=1) > 0)]
    return RankCorrelation(
        _interval(_spearman(x[picked], y[picked])), _interval(_kendall(x, y, picked)), len(x)
    )


def _interval(values: NDArray[np.float64]) -> Interval:
    low, high = np.percentile(values[1:], [2.5, 97.5]) if len(values) > 1 else (np.nan, np.nan)
    return Interval(float(values[0]), float(low), float(high))


def _spearman(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy.stats import rankdata

    x, y = rankdata(x, axis=1), rankdata(y, axis=1)
    x, y = x - x.mean(1, keepdims=True), y - y.mean(1, keepdims=True)
    correlation: NDArray[np.float64] = (x * y).sum(1) / np.sqrt((x**2).sum(1) * (y**2).sum(1))
    return correlation


def _kendall(
    x: NDArray[np.float64], y: NDArray[np.float64], picked: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Tau-b of resampled pairs: how often each was drawn weighs the signs of all differences."""
    often = np.zeros((len(picked), len(x)))
    np.add.at(often, (np.arange(len(picked))[:, None], picked), 1.0)
    up, right = np.sign(x[:, None] - x), np.sign(y[:, None] - y)

    def weighed(signs: NDArray[np.float64]) -> NDArray[np.float64]:
        total: NDArray[np.float64] = ((often @ signs) * often).sum(1)
        return total

    tau: NDArray[np.float64] = weighed(up * right) / np.sqrt(weighed(np.abs(up)) * weighed(np.abs(right)))
    return tau
