"""The page's own chart of accuracy against cost, as an inline SVG that needs no script to be read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stitchable.evaluation.curve import CurveRow
from stitchable.report.axis import Axis, accuracy_axis, by_cost, cost_axis, cover, untrained
from stitchable.report.labels import Label, place_labels
from stitchable.report.palette import anchor_variable
from stitchable.report.summary import row_facts
from stitchable.report.templating import render

_NARROW = (300.0, 240.0)  # the plot on a phone, in pixels; names that fit there fit everywhere
_GRAIN = 1000  # resolution of the dots that are drawn as one path


@dataclass(frozen=True)
class Mark:
    """One row's place in the chart: percent of the plot from the left and from the top."""

    row: CurveRow
    x: float
    y: float
    low: float
    high: float
    title: str
    colour: str = ""
    original: float | None = None
    label: Label | None = None


def scatter_chart(
    rows: Sequence[CurveRow],
    *,
    fitted: Sequence[CurveRow] | None,
    chosen: str,
    single: Sequence[CurveRow],
    positions: Mapping[str, int],
) -> str:
    """Draw the curve as one ``<svg>`` element whose points are links to the table's rows.

    Places are in percent and sizes in pixels, so the drawing fills whatever box the page gives it and its
    text keeps its size. Points have the class ``point``, and ``front`` or ``anchor`` where they are.

    Args:
        rows: Every measured stitch; the axes hold them all.
        fitted: The same before training, or ``None``.
        chosen: Text id of the stitch that is ringed.
        single: The rows of which each has a point of its own; the others are drawn as one faint path.
        positions: Row of each anchor in the family, which decides its colour.
    """
    cost, accuracy = cost_axis(rows), accuracy_axis(rows, fitted=fitted)
    alone = {row.index for row in single}
    anchors = [row for row in single if row.anchor is not None]
    labels = dict(zip((row.index for row in anchors), _labels(rows, anchors, cost, accuracy), strict=True))
    marks = [_mark(row, cost, accuracy, positions, labels.get(row.index)) for row in by_cost(single)]
    return render(
        "chart.svg.j2",
        cost=cost,
        accuracy=accuracy,
        others=[mark for mark in marks if not mark.row.on_front and mark.row.anchor is None],
        front=[mark for mark in marks if mark.row.on_front and mark.row.anchor is None],
        anchors=[mark for mark in marks if mark.row.anchor is not None],
        ring=next(mark for mark in marks if mark.row.stitch == chosen),
        line=_line([row for row in by_cost(rows) if row.on_front], cost, accuracy),
        crowd=_dots([row for row in rows if row.index not in alone], cost, accuracy),
        fitted=_dots(untrained(accuracy, fitted)[0], cost, accuracy),
    )


def _mark(
    row: CurveRow, cost: Axis, accuracy: Axis, positions: Mapping[str, int], label: Label | None
) -> Mark:
    def top(value: float) -> float:
        return 100 * (1 - accuracy.fraction(value))

    return Mark(
        row,
        100 * cost.fraction(row.macs),
        top(row.top1),
        top(row.top1_low),
        top(row.top1_high),
        f"{row.stitch}\n{row_facts(row)}",
        anchor_variable(positions[row.anchor]) if row.anchor is not None else "",
        top(row.original_top1) if row.original_top1 is not None else None,
        label,
    )


def _labels(rows: Sequence[CurveRow], anchors: Sequence[CurveRow], cost: Axis, accuracy: Axis) -> list[Label]:
    width, height = _NARROW
    points, originals = cover(rows, cost, accuracy, _NARROW)
    markers = [
        (cost.fraction(row.macs) * width, (1 - accuracy.fraction(row.top1)) * height, row.anchor or "")
        for row in anchors
    ]
    return place_labels(markers, obstacles=points, unnamed=originals, size=_NARROW, font=12.5)


def _grain(row: CurveRow, cost: Axis, accuracy: Axis) -> str:
    return f"{_GRAIN * cost.fraction(row.macs):.0f} {_GRAIN * (1 - accuracy.fraction(row.top1)):.0f}"


def _line(rows: Sequence[CurveRow], cost: Axis, accuracy: Axis) -> str:
    return "M" + "L".join(_grain(row, cost, accuracy) for row in rows) if rows else ""


def _dots(rows: Sequence[CurveRow], cost: Axis, accuracy: Axis) -> str:
    places = dict.fromkeys(_grain(row, cost, accuracy) for row in rows)
    return "".join(f"M{place}h0" for place in places)
