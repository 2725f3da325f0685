"""How sure the front is: what its panel on the page shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stitchable.evaluation.agreement import Agreement
from stitchable.evaluation.curve import CurveRow
from stitchable.report.axis import by_cost

LIKELY = 0.2
"""Share of samples from which a stitch off the front is worth naming."""

SURE = "more accurate"
"""The verdict of a test that is below 0.05."""

LARGEST_HEAT_MAP = 12
"""Stitches that are compared with each other; of a longer front so many, evenly spread."""


@dataclass(frozen=True)
class Step:
    """One step up the front, from a stitch to the next dearer one.

    Attributes:
        row: The dearer one, with its gain.
        dearer: Its cost as a multiple of the cheaper one's, less 1, in percent.
        low: Where its interval begins in the drawing, percent from the left.
        middle: Where the gain itself lies.
        high: Where the interval ends.
        verdict: What the test says, in words.
    """

    row: CurveRow
    dearer: float
    low: float
    middle: float
    high: float
    verdict: str


@dataclass(frozen=True)
class Certainty:
    """The panel.

    Attributes:
        steps: From cheap to dear.
        sure: How many of them the test calls real.
        zero: Where no difference lies in the drawing, percent from the left.
        bottom: Least gain that the drawing shows, percentage points.
        top: Largest.
        likely: Rows off the front that are on it in many of the samples, the likeliest first.
    """

    steps: tuple[Step, ...]
    sure: int
    zero: float
    bottom: float
    top: float
    likely: tuple[CurveRow, ...]


def certainty(rows: Sequence[CurveRow]) -> Certainty | None:
    """What the rows' statistics say about their front; ``None`` where they have none."""
    if all(row.front_probability is None for row in rows):
        return None
    likely = [row for row in rows if not row.on_front and (row.front_probability or 0) >= LIKELY]
    likely.sort(key=lambda row: (-(row.front_probability or 0), row.index))
    of_stitch = {row.stitch: row for row in rows}
    steps = [row for row in by_cost(rows) if row.on_front and row.gain_over in of_stitch and _compared(row)]
    ends = [0.0, *(end for row in steps for end in (row.gain_low, row.gain_high) if end is not None)]
    pad = 0.06 * (max(ends) - min(ends) or 1)
    bottom, top = min(ends) - pad, max(ends) + pad

    def place(value: float | None) -> float:
        return 100 * ((value or 0) - bottom) / (top - bottom)

    drawn = tuple(
        Step(
            row,
            100 * (row.macs / of_stitch[row.gain_over or ""].macs - 1),
            place(row.gain_low),
            place(row.gain),
            place(row.gain_high),
            _verdict(row),
        )
        for row in steps
    )
    sure = sum(step.verdict == SURE for step in drawn)
    return Certainty(drawn, sure, place(0), bottom, top, tuple(likely[:6]))


def _compared(row: CurveRow) -> bool:
    return None not in (row.gain, row.gain_low, row.gain_high, row.gain_p, row.churn, row.negative_flips)


def _verdict(row: CurveRow) -> str:
    if row.gain_p is None or row.gain_p >= 0.05:
        return "may be equal"
    return SURE if (row.gain or 0) > 0 else "less accurate"


def spread_front(rows: Sequence[CurveRow]) -> list[str]:
    """Text ids of the front from cheap to dear, at most `LARGEST_HEAT_MAP` of them, both ends included."""
    front = [row.stitch for row in by_cost(rows) if row.on_front]
    if len(front) <= LARGEST_HEAT_MAP:
        return front
    last = LARGEST_HEAT_MAP - 1
    return [front[round(place * (len(front) - 1) / last)] for place in range(LARGEST_HEAT_MAP)]


@dataclass(frozen=True)
class Cell:
    """One pair in the heat map: percent of images, and how strongly it is coloured, 10 to 100."""

    churn: float
    negative_flips: float
    shade: float


def heat_map(found: Agreement) -> list[tuple[str, list[Cell | None]]]:
    """Rows of the table: a stitch and its cells; ``None`` where it would meet itself or nothing is known."""
    apart = [
        value for (row, column), value in np.ndenumerate(found.churn) if row != column and value == value
    ]
    least, most = min(apart, default=0.0), max(apart, default=0.0)
    rows: list[tuple[str, list[Cell | None]]] = []
    for row, name in enumerate(found.stitches):
        cells: list[Cell | None] = []
        for column in range(len(found.stitches)):
            churn, flips = float(found.churn[row, column]), float(found.negative_flips[row, column])
            here = row == column or churn != churn
            shade = 10 + 90 * (churn - least) / (most - least or 1.0)
            cells.append(None if here else Cell(churn, flips, shade))
        rows.append((name, cells))
    return rows
