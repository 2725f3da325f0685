"""Intervals for numbers that are no means: leave out a group at a time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import t


def jackknife_interval(value: float, left_out: Sequence[float], sizes: Sequence[int]) -> tuple[float, float]:
    """95 % interval of an estimate from what it is without each of several groups.

    It says how much the estimate would differ on other images, not how far it is off on average: a biased
    estimate stays biased.

    Args:
        value: The estimate from all groups.
        left_out: What it is without each group, at least two.
        sizes: Number of images in each group.

    Returns:
        Its ends, around ``value``: Student's t with a degree of freedom less than there are groups. For means
        and equal groups that is the usual interval of the groups' means.

    Source: Busing, Meijer and van der Leeden 1999, for groups of unequal size.

    Example:
        >>> groups = [1.0, 2.0, 6.0]
        >>> low, high = jackknife_interval(3.0, [4.0, 3.5, 1.5], [10, 10, 10])
        >>> round((high - low) / 2, 3)  # 4.303 · sqrt(7 / 3)
        6.572
    """
    shares = sum(sizes) / np.asarray(sizes, dtype=float)
    pseudo = shares * value - (shares - 1) * np.asarray(left_out)
    centre = len(sizes) * value - float(((1 - 1 / shares) * np.asarray(left_out)).sum())
    variance = float(((pseudo - centre) ** 2 / (shares - 1)).mean())
    half = float(t.ppf(0.975, len(sizes) - 1)) * variance**0.5
    return value - half, value + half
