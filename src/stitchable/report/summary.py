"""What a curve says, in words and short numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stitchable.evaluation.curve import CurveRow
from stitchable.report.axis import by_cost
from stitchable.units import format_count


@dataclass(frozen=True)
class Move:
    """An anchor before and after joint training; top-1 in percent, ``change`` in percentage points."""

    row: CurveRow
    change: float | None


@dataclass(frozen=True)
class Summary:
    """The headline of a curve.

    Attributes:
        stitches: Number of rows.
        front: Number of rows on the front.
        between: Number of rows on the front that are not anchors.
        cheapest: Row with the least MACs.
        dearest: Row with the most MACs.
        moves: The anchors, from cheap to dear.
    """

    stitches: int
    front: int
    between: int
    cheapest: CurveRow
    dearest: CurveRow
    moves: tuple[Move, ...]


def summarize(rows: Sequence[CurveRow]) -> Summary:
    """Headline numbers of a curve with at least one row."""
    ordered = by_cost(rows)
    front = [row for row in rows if row.on_front]
    anchors = [row for row in ordered if row.anchor is not None]
    moves = [
        Move(row, None if row.original_top1 is None else row.top1 - row.original_top1) for row in anchors
    ]
    return Summary(
        len(rows),
        len(front),
        sum(row.anchor is None for row in front),
        ordered[0],
        ordered[-1],
        tuple(moves),
    )


def default_choice(rows: Sequence[CurveRow]) -> str:
    """Text id of the front's row with the median cost; of two in the middle, the cheaper."""
    front = by_cost(row for row in rows if row.on_front) or by_cost(rows)
    return front[(len(front) - 1) // 2].stitch


def row_facts(row: CurveRow) -> str:
    """The row's cost and accuracy in one line, with units.

    Example:
        >>> row = CurveRow(0, "resnet20[0:9]", 41_217_024, 272_474, 91.5, 90.94, 92.03, 0.31, 10_000, True)
        >>> row_facts(row)
        '41.2 MMACs, 272.5k parameters, top-1 91.50 % (90.94–92.03), loss 0.310'
    """
    share = row.front_probability
    sure = "" if share is None else f", on the front in {100 * share:.0f} % of samples"
    return (
        f"{format_count(row.macs, 'MACs')}, {format_count(row.params)} parameters, "
        f"top-1 {row.top1:.2f} % ({row.top1_low:.2f}–{row.top1_high:.2f}), loss {row.loss:.3f}{sure}"
    )
