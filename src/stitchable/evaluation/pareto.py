"""The front of a curve: the entries that no other one beats in cost and accuracy at once."""

from __future__ import annotations

import math
from collections.abc import Sequence

from stitchable.errors import StitchError


def front(macs: Sequence[float], top1: Sequence[float]) -> list[bool]:
    """Which entries lie on the Pareto front.

    An entry is on the front if no other costs as little or less and is as accurate or more, with at
    least one of the two strict. Of entries equal in both, only the first is on the front: the others add
    nothing to choose from.

    Args:
        macs: Costs, in any unit; less is better.
        top1: Accuracies, in any unit; more is better. One per cost.

    Returns:
        One truth value per entry, in the order given. Takes O(n log n).

    Raises:
        StitchError: The lengths differ, or a value is not a number.

    Source: the skyline of Kung, Luccio and Preparata 1975, in two dimensions.

    Example:
        >>> front([1, 2, 2, 3], [60.0, 70.0, 65.0, 70.0])
        [True, True, False, False]
    """
    if len(macs) != len(top1):
        raise StitchError(f"{len(macs)} costs and {len(top1)} accuracies do not pair up. Give one of each.")
    for place, pair in enumerate(zip(macs, top1, strict=True)):
        if any(math.isnan(value) for value in pair):
            raise StitchError(
                f"Entry {place} is not a number (cost {pair[0]}, accuracy {pair[1]}). Leave it out."
            )
    on_front = [False] * len(macs)
    best: float | None = None
    for place in sorted(range(len(macs)), key=lambda place: (macs[place], -top1[place], place)):
        if best is None or top1[place] > best:
            on_front[place] = True
            best = top1[place]
    return on_front
