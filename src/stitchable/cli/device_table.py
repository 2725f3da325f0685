"""What ``stitchable profile`` prints of one condition."""

from __future__ import annotations

from collections.abc import Sequence

from stitchable.cli.display import console, table
from stitchable.evaluation.curve import CurveRow
from stitchable.evaluation.device_cost import DeviceCosts
from stitchable.evaluation.disagreement import flips, latency_front, overtaken, spearman
from stitchable.units import format_count

_ROWS = 6
_QUIET = (0.8, 1.25)


def milliseconds(value: float) -> str:
    """Milliseconds for reading, three digits.

    Example:
        >>> milliseconds(0.4567), milliseconds(12.34), milliseconds(1234.5)
        ('0.457', '12.3', '1234')
    """
    decimals = 3 if value < 1 else 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:.{decimals}f}"


def print_costs(costs: DeviceCosts, rows: Sequence[CurveRow] | None) -> None:
    """Print the ends of a condition, some of its front, the error, and where MACs and latency disagree.

    Args:
        costs: What was measured.
        rows: The run's curve, where there is one.
    """
    console.print(f"[bold]{costs.condition}[/bold]")
    _print_stitches(costs, [] if rows is None else [row for row in rows if row.stitch in costs.stitches])
    checked = costs.notes["check"]
    if costs.error is not None:
        console.print(
            f"  predicted medians are off by {costs.error:.1%} (median) on {len(checked)} stitches "
            "measured whole"
        )
    scale = costs.notes["scale"].values()
    if costs.condition.runtime == "eager" and not all(_QUIET[0] < each < _QUIET[1] for each in scale):
        console.print(
            "  the machine was busy: anchors took "
            f"{', '.join(f'{each:.2f}' for each in scale)} times the sum of their parts; better measure again"
        )
    if rows is not None:
        _print_disagreement(costs, [row for row in rows if row.stitch in costs.stitches])


def _print_stitches(costs: DeviceCosts, rows: Sequence[CurveRow]) -> None:
    known = {row.stitch: row for row in rows}
    by_latency = sorted(costs.stitches, key=lambda each: costs.stitches[each].p50_ms)
    front = [row.stitch for row, on in zip(rows, latency_front(rows, costs.stitches), strict=True) if on]
    front.sort(key=lambda each: costs.stitches[each].p50_ms)
    if len(front) > _ROWS:
        front = [front[round(place * (len(front) - 1) / (_ROWS - 1))] for place in range(_ROWS)]
    shown = {by_latency[0], by_latency[-1], *(front or by_latency[:: max(1, len(by_latency) // _ROWS)])}
    lines = []
    for stitch in by_latency:
        if stitch not in shown:
            continue
        cost, row = costs.stitches[stitch], known.get(stitch)
        lines.append(
            [
                f"  {stitch}",
                milliseconds(cost.p50_ms),
                milliseconds(cost.p95_ms),
                format_count(cost.memory_bytes),
                format_count(row.macs) if row else "",
                f"{row.top1:.2f}" if row else "",
            ]
        )
    head = ["  stitch", "p50 ms", "p95 ms", "bytes", "MACs", "top-1 %"]
    table(head, lines, right=(1, 2, 3, 4, 5))


def _print_disagreement(costs: DeviceCosts, rows: Sequence[CurveRow]) -> None:
    alike = spearman([row.macs for row in rows], [costs.stitches[row.stitch].p50_ms for row in rows])
    lost = overtaken(rows, costs.stitches)
    on_front = sum(row.on_front for row in rows)
    if alike is not None:
        console.print(
            f"  rank correlation of MACs and latency {alike:.3f}; {len(lost)} of the {on_front} stitches on "
            "the front of MACs are not on that of latency"
        )
    for flip in flips({row.stitch: row.macs for row in rows if row.on_front}, costs.stitches):
        console.print(
            f"  {flip.fewer} takes {flip.latency - 1:.1%} longer than {flip.faster}, which has "
            f"{flip.macs - 1:.1%} more MACs"
        )
