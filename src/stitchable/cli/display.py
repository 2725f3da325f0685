"""What the commands print: numbers, tables and progress."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from stitchable.evaluation.curve import CurveRow
from stitchable.units import format_count

console = Console(highlight=False, soft_wrap=True)


def macs(value: float) -> str:
    """MACs for reading."""
    return format_count(value, "MACs")


def duration(seconds: float) -> str:
    """Seconds for reading.

    Example:
        >>> duration(124.4), duration(3.21)
        ('2 min 04 s', '3.2 s')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s"


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> None:
    """Print a plain table; ``right`` names the columns that are aligned to the right."""
    grid = Table(box=None, pad_edge=False, header_style="bold")
    for number, column in enumerate(columns):
        grid.add_column(column, justify="right" if number in right else "left", no_wrap=True)
    for row in rows:
        grid.add_row(*row)
    # A terminal may wrap lines, but nobody can use ids that were cut off.
    grid.width = console.measure(grid, options=console.options.update(max_width=1000)).maximum
    console.print(grid)


@contextmanager
def progress(label: str) -> Iterator[Progress]:
    """A progress bar with counts, elapsed time and time to go; silent where nobody watches."""
    bar = Progress(
        TextColumn(label),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
        TextColumn("to go"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=console.quiet or not Console(stderr=True).is_terminal,
    )
    with bar:
        yield bar


def curve_summary(rows: Sequence[CurveRow], *, seconds: float) -> None:
    """Print a curve's ends, its front, and how the anchors moved."""
    fronts = [row for row in rows if row.on_front]
    images = rows[0].images
    console.print(
        f"{len(rows)} stitches, {len(fronts)} on the front, {images:,} images each, {duration(seconds)}"
    )
    calibrated = [row.calibration_images for row in rows if row.calibration_images]
    if calibrated:
        console.print(
            f"BatchNorm statistics behind the joints of {len(calibrated)} adjusted on "
            f"{max(calibrated):,} training images"
        )
    cells = []
    for row in _worth_showing(rows):
        half = (row.top1_high - row.top1_low) / 2
        before = "" if row.original_top1 is None else f"(was {row.original_top1:.2f} alone)"
        cells.append([row.anchor or row.stitch, macs(row.macs), f"{row.top1:.2f} % ± {half:.2f}", before])
    table(["  stitch", "cost", "top-1", ""], [[f"  {first}", *rest] for first, *rest in cells], right=(1, 2))


def _worth_showing(rows: Sequence[CurveRow]) -> list[CurveRow]:
    fronts = sorted((row for row in rows if row.on_front), key=lambda row: row.macs)
    if len(fronts) > 9:
        fronts = [fronts[round(number * (len(fronts) - 1) / 8)] for number in range(9)]
    chosen = {row.index: row for row in [*fronts, *(row for row in rows if row.anchor)]}
    return sorted(chosen.values(), key=lambda row: row.macs)
