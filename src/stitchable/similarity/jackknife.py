"""Intervals for numbers that are no means: leave out a group at a time."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
from scipy.stats import t

from stitchable.errors import StitchError

_Key = TypeVar("_Key", bound=Hashable)


class Estimate(NamedTuple):
    """A number, and the ends of its 95 % interval where there is one."""

    value: float
    low: float | None = None
    high: float | None = None


def jackknife(
    values: Callable[[int | None], Mapping[_Key, float]], images: Sequence[float], *, least: int
) -> dict[_Key, Estimate]:
    """Estimates with their intervals.

    Args:
        values: All of them, from all images (``None``) or without those of a group.
        images: Number of images in each group, from group 0 on; groups of none are left alone.
        least: Images that values need.

    Raises:
        StitchError: There are fewer images.
    """
    seen = int(sum(images))
    if seen < least:
        raise StitchError(
            f"Similarity needs at least {least} images, and so many in each batch that counts; got {seen}."
        )
    groups = [group for group, count in enumerate(images) if count]
    sizes = [int(images[group]) for group in groups]
    whole = values(None)
    if len(groups) < 2 or seen - max(sizes) < least:
        return {key: Estimate(value) for key, value in whole.items()}
    parts = [values(group) for group in groups]
    return {
        key: Estimate(value, *jackknife_interval(value, [part[key] for part in parts], sizes))
        for key, value in whole.items()
    }


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
