"""Where MACs and latency disagree: their rank correlation, fronts that differ, and pairs that swap places."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from stitchable.evaluation.curve import CurveRow
from stitchable.evaluation.device_cost import DeviceCost
from stitchable.evaluation.pareto import front


@dataclass(frozen=True)
class Flip:
    """Two stitches of which the one with fewer MACs takes longer.

    Attributes:
        fewer: The one with fewer MACs.
        faster: The one with more MACs, which is faster.
        macs: Its MACs as a multiple of the other's, above 1.
        latency: The other's latency as a multiple of its own, above 1.
    """

    fewer: str
    faster: str
    macs: float
    latency: float


@dataclass(frozen=True)
class Overtaken:
    """A stitch on the front of MACs that is not on that of latency.

    Attributes:
        row: The stitch.
        by: The fastest one that is as accurate or more and as fast or faster.
    """

    row: CurveRow
    by: CurveRow


def spearman(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Spearman's rank correlation, ties with their mean rank; ``None`` where one side is all equal.

    Example:
        >>> round(spearman([1, 2, 3, 4], [10.0, 20.0, 40.0, 30.0]), 6)
        0.8
    """
    import numpy as np
    from scipy.stats import rankdata

    if len(set(first)) < 2 or len(set(second)) < 2:
        return None
    return float(np.corrcoef(rankdata(first), rankdata(second))[0, 1])


def flips(macs: Mapping[str, int], costs: Mapping[str, DeviceCost], *, most: int = 3) -> list[Flip]:
    """Pairs whose order by latency is the opposite of that by MACs, the widest first.

    How wide is the product of both ratios.

    Args:
        macs: Of the stitches to compare.
        costs: Of at least these stitches.
        most: How many pairs to give.
    """
    found = []
    for one, other in combinations(sorted(macs, key=lambda each: (macs[each], each)), 2):
        ratio = costs[one].p50_ms / costs[other].p50_ms
        if macs[one] < macs[other] and ratio > 1:
            found.append(Flip(one, other, macs[other] / macs[one], ratio))
    return sorted(found, key=lambda flip: -flip.macs * flip.latency)[:most]


def latency_front(rows: Sequence[CurveRow], costs: Mapping[str, DeviceCost]) -> list[bool]:
    """Which rows no other one beats in median latency and top-1 at once; see `pareto.front`."""
    return front([costs[row.stitch].p50_ms for row in rows], [row.top1 for row in rows])


def overtaken(rows: Sequence[CurveRow], costs: Mapping[str, DeviceCost]) -> list[Overtaken]:
    """The rows on the front of MACs that are not on that of latency, from cheap to dear in MACs."""
    kept = latency_front(rows, costs)
    best = [row for row, on in zip(rows, kept, strict=True) if on]
    lost = [row for row, on in zip(rows, kept, strict=True) if row.on_front and not on]
    return [
        Overtaken(
            row,
            min((each for each in best if each.top1 >= row.top1), key=lambda each: costs[each.stitch].p50_ms),
        )
        for row in sorted(lost, key=lambda row: (row.macs, row.index))
    ]
