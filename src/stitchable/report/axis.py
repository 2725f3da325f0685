"""Axes for accuracy against cost: ranges, round ticks and units, shared by the figure and the page."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from stitchable.evaluation.curve import CurveRow
from stitchable.units import prefix_for


@dataclass(frozen=True)
class Axis:
    """A linear axis.

    Attributes:
        low: Value at the axis' start, in units.
        high: Value at its end, in units.
        ticks: Values with the text that stands beside each.
        label: What is drawn, with its unit.
    """

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    label: str

    def fraction(self, value: float) -> float:
        """Position of ``value`` along the axis: 0 at ``low``, 1 at ``high``.

        Example:
            >>> Axis(40.0, 140.0, (), "").fraction(65.0)
            0.25
        """
        return (value - self.low) / (self.high - self.low)


def round_ticks(low: float, high: float, *, count: int = 6) -> list[float]:
    """About ``count`` evenly spaced round values within ``[low, high]``.

    Example:
        >>> round_ticks(41.2, 126.8)
        [60.0, 80.0, 100.0, 120.0]
        >>> round_ticks(91.4, 93.6)
        [91.5, 92.0, 92.5, 93.0, 93.5]
    """
    rough = (high - low) / count
    power = math.floor(math.log10(rough))
    step = next(s * 10.0**power for s in (1, 2, 2.5, 5, 10) if s * 10.0**power >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(i * step, max(0, 2 - power)) for i in range(first, last + 1)]


def cost_axis(rows: Sequence[CurveRow], *, also: Iterable[int] = ()) -> Axis:
    """Axis of MACs for one image that holds every row and every cost in ``also``."""
    costs = [row.macs for row in rows] + list(also)
    low, high = _padded(min(costs), max(costs), share=0.06, least=max(costs) * 0.1 or 1.0)
    low = max(low, 0.0)
    prefix, factor = prefix_for(max(costs))
    ticks = tuple((tick * factor, text) for tick, text in _written(round_ticks(low / factor, high / factor)))
    return Axis(low, high, ticks, f"{prefix}MACs per image")


def padded_axis(values: Sequence[float], label: str) -> Axis:
    """Axis of any positive quantity that holds every value."""
    low, high = _padded(min(values), max(values), share=0.06, least=max(values) * 0.1 or 1.0)
    low = max(low, 0.0)
    return Axis(low, high, tuple(_written(round_ticks(low, high))), label)


def accuracy_axis(rows: Sequence[CurveRow], *, fitted: Sequence[CurveRow] | None = None) -> Axis:
    """Axis of top-1 in percent that holds every row with its interval, and the anchors' originals.

    Untrained rows (``fitted``) may stretch the axis to twice its length downwards, never further, so that
    a hopeless one does not flatten the curve; those below are counted instead of drawn, see `untrained`.
    """
    originals = [row.original_top1 for row in rows if row.original_top1 is not None]
    low = min([row.top1_low for row in rows] + originals)
    high = max([row.top1_high for row in rows] + originals)
    if fitted:
        reach = low - max(high - low, 0.5)
        low = min([low, *(row.top1 for row in fitted if row.top1 >= reach)])
        high = max(high, *(row.top1 for row in fitted))
    low, high = _padded(low, high, share=0.07, least=0.5)
    high += 0.08 * (high - low)  # room for the best anchor's name
    ticks = _written([tick for tick in round_ticks(low, high) if 0 <= tick <= 100])
    return Axis(low, high, tuple(ticks), "Top-1 accuracy, %")


def cover(
    rows: Sequence[CurveRow], cost: Axis, accuracy: Axis, size: tuple[float, float]
) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    """Where the curve's ink lies in a plot of ``size`` pixels, for placing names around it.

    Returns:
        x, y (y down) of the points, samples of the front's line and of the anchors' intervals; and of the
        anchors' original values.
    """

    def place(macs: float, top1: float) -> tuple[float, float]:
        return cost.fraction(macs) * size[0], (1 - accuracy.fraction(top1)) * size[1]

    points = [place(row.macs, row.top1) for row in rows]
    front = [place(row.macs, row.top1) for row in by_cost(rows) if row.on_front]
    for (x, y), (x2, y2) in pairwise(front):
        steps = int(max(abs(x2 - x), abs(y2 - y)) / 6) + 1
        points += [(x + (x2 - x) * i / steps, y + (y2 - y) * i / steps) for i in range(1, steps)]
    anchors = [row for row in rows if row.anchor is not None]
    points += [place(row.macs, end) for row in anchors for end in (row.top1_low, row.top1_high)]
    originals = [place(row.macs, row.original_top1) for row in anchors if row.original_top1 is not None]
    return points, originals


def by_cost(rows: Iterable[CurveRow]) -> list[CurveRow]:
    """Rows from cheap to dear; equal costs in the order of the space."""
    return sorted(rows, key=lambda row: (row.macs, row.index))


def untrained(axis: Axis, fitted: Sequence[CurveRow] | None) -> tuple[list[CurveRow], int]:
    """Untrained rows to draw, and how many lie below the accuracy axis; anchors need no fit: left out."""
    stitches = [row for row in fitted or () if row.anchor is None]
    shown = [row for row in stitches if row.top1 >= axis.low]
    return shown, len(stitches) - len(shown)


def _written(ticks: Sequence[float]) -> list[tuple[float, str]]:
    """Each tick with its text, all with the same number of decimals."""
    decimals = max((len(f"{tick:.6f}".rstrip("0").split(".")[1]) for tick in ticks), default=0)
    return [(tick, f"{tick:.{decimals}f}") for tick in ticks]


def _padded(low: float, high: float, *, share: float, least: float) -> tuple[float, float]:
    pad = max((high - low) * share, (least - (high - low)) / 2)
    return low - pad, high + pad
