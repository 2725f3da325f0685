"""Ranges of budgets in which nothing is worth having."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stitchable.errors import StitchError
from stitchable.menu.axis import PricedRow
from stitchable.menu.evidence import Evidence, Lead


@dataclass(frozen=True)
class Gap:
    """A range of budgets in which no stitch of the cloud is surely better than one entry of the menu.

    Attributes:
        low: Cost of that entry, where the range begins.
        high: Cost of the cheapest stitch that is surely better, or where there is none, of the dearest.
        stitch: The entry.
        top1: Its top-1 in percent.
        next_stitch: The cheapest stitch that is surely better; ``None`` where there is none.
        best_stitch: The most accurate as measured that costs more than ``low`` and less than ``high`` (where
            ``next_stitch`` is ``None``: or as much); ``None`` where nothing there is more accurate.
        best_gain: That one against the entry.
    """

    low: float
    high: float
    stitch: str
    top1: float
    next_stitch: str | None
    best_stitch: str | None
    best_gain: Lead | None


def find_gaps(
    entries: Sequence[PricedRow], cloud: Sequence[PricedRow], axis: str, evidence: Evidence, *, ratio: float
) -> tuple[Gap, ...]:
    """The gaps behind the entries of a menu whose ends differ by a factor of at least ``ratio``.

    Every stitch of the cloud is compared with the entry, so it takes one comparison per entry and stitch.

    Args:
        entries: Entries on the front, by ascending cost.
        cloud: All stitches that may be compared.
        axis: Name of the cost axis.
        evidence: Compares them.
        ratio: At least 1.

    Raises:
        StitchError: ``ratio`` is below 1.
    """
    if not ratio >= 1:
        raise StitchError(f"A ratio of costs of {ratio:g} is below 1. Give 1 or more, such as 1.25.")
    gaps = []
    for entry in entries:
        low = entry.costs[axis]
        dearer = [each for each in cloud if each.costs[axis] > low]
        if not dearer:
            continue
        sure = evidence.surely_better([each.row for each in dearer], entry.row)
        better = [each for each, yes in zip(dearer, sure, strict=True) if yes]
        following = min(better, key=lambda each: (each.costs[axis], -each.row.top1), default=None)
        high = max(each.costs[axis] for each in dearer) if following is None else following.costs[axis]
        if high < ratio * low:
            continue
        inside = [
            each
            for each, yes in zip(dearer, sure, strict=True)
            if not yes and each.costs[axis] <= high and each.row.top1 > entry.row.top1
        ]
        if following is not None:
            inside = [each for each in inside if each.costs[axis] < high]
        best = max(inside, key=lambda each: (each.row.top1, -each.costs[axis]), default=None)
        gaps.append(
            Gap(
                low,
                high,
                entry.row.stitch,
                entry.row.top1,
                None if following is None else following.row.stitch,
                None if best is None else best.row.stitch,
                None if best is None else evidence.compare(best.row, entry.row),
            )
        )
    return tuple(gaps)
