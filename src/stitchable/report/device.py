"""The page's section on a device: accuracy against latency, and where MACs tell another story."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from stitchable.evaluation.curve import CurveRow
from stitchable.evaluation.device_cost import DeviceCost, DeviceCosts
from stitchable.evaluation.disagreement import latency_front, overtaken, spearman
from stitchable.report.axis import Axis, accuracy_axis, padded_axis
from stitchable.report.labels import Label, place_labels
from stitchable.report.palette import anchor_variable
from stitchable.report.templating import render
from stitchable.units import format_count

MOST_NAMED = 12
"""Stitches that are named of those that lose their place on the front."""
_NARROW = (300.0, 240.0)


@dataclass(frozen=True)
class Spot:
    """One stitch in the chart: percent of the plot from the left and from the top, and its kind."""

    x: float
    y: float
    kind: str
    title: str
    colour: str = ""
    label: Label | None = None
    name: str = ""


def device_section(
    rows: Sequence[CurveRow], profile: Sequence[DeviceCosts], positions: Mapping[str, int]
) -> Markup:
    """A section of the page; nothing where no row was profiled.

    Args:
        rows: The curve.
        profile: Costs under one or more conditions; the chart shows the first.
        positions: Row of each anchor in the family, which decides its colour.
    """
    known = [costs for costs in profile if any(row.stitch in costs.stitches for row in rows)]
    if not known:
        return Markup("")
    costs = known[0]
    shown = [row for row in rows if row.stitch in costs.stitches]
    on_front = latency_front(shown, costs.stitches)
    lost = overtaken(shown, costs.stitches)
    names = {each.row.stitch for each in lost}
    latency = _latency_axis(shown, costs)
    accuracy = accuracy_axis(shown)
    spots = _spots(shown, costs.stitches, on_front, names, positions, (latency, accuracy))
    line = sorted((spot.x, spot.y) for spot, on in zip(spots, on_front, strict=True) if on)
    order = {"other": 0, "lost": 1, "front": 2, "anchor": 3}
    text = render(
        "device.html.j2",
        costs=costs,
        latency=latency,
        accuracy=accuracy,
        spots=sorted(spots, key=lambda spot: order[spot.kind]),
        line="M" + "L".join(f"{10 * x:.0f} {10 * y:.0f}" for x, y in line),
        lost=lost[:MOST_NAMED],
        more=max(0, len(lost) - MOST_NAMED),
        on_front=sum(row.on_front for row in shown),
        conditions=[_facts(each, rows) for each in known],
        left_out=len(rows) - len(shown),
    )
    return Markup(text)


def _spots(
    rows: Sequence[CurveRow],
    costs: Mapping[str, DeviceCost],
    on_front: Sequence[bool],
    lost: set[str],
    positions: Mapping[str, int],
    axes: tuple[Axis, Axis],
) -> list[Spot]:
    latency, accuracy = axes
    places = [(latency.fraction(costs[row.stitch].p50_ms), 1 - accuracy.fraction(row.top1)) for row in rows]
    anchors = [place for place, row in enumerate(rows) if row.anchor is not None]
    width, height = _NARROW
    dots = [(x * width, y * height) for x, y in places]
    markers = [(*dots[place], rows[place].anchor or "") for place in anchors]
    labels = place_labels(markers, obstacles=dots, unnamed=[], size=_NARROW, font=12.5)
    named = dict(zip(anchors, labels, strict=True))
    spots = []
    for place, (row, (x, y)) in enumerate(zip(rows, places, strict=True)):
        kind = "lost" if row.stitch in lost else "front" if on_front[place] else "other"
        cost = costs[row.stitch]
        title = (
            f"{row.stitch}: {cost.p50_ms:.3g} ms, 95 % under {cost.p95_ms:.3g} ms, "
            f"{format_count(cost.memory_bytes, 'B')}, top-1 {row.top1:.2f} %, "
            f"{format_count(row.macs, 'MACs')}"
        )
        spot = Spot(100 * x, 100 * y, kind, title)
        if row.anchor is not None:
            colour = anchor_variable(positions[row.anchor])
            spot = Spot(spot.x, spot.y, "anchor", title, colour, named[place], row.anchor)
        spots.append(spot)
    return spots


def _latency_axis(rows: Sequence[CurveRow], costs: DeviceCosts) -> Axis:
    batch = costs.condition.batch
    label = "Median latency, ms" if batch == 1 else f"Median latency of {batch} images, ms"
    return padded_axis([costs.stitches[row.stitch].p50_ms for row in rows], label)


def _facts(costs: DeviceCosts, rows: Sequence[CurveRow]) -> dict[str, Any]:
    """A row of the table of conditions."""
    shown = [row for row in rows if row.stitch in costs.stitches]
    times = [costs.stitches[row.stitch].p50_ms for row in shown]
    return {
        "condition": costs.condition,
        "least": min(times),
        "most": max(times),
        "error": costs.error,
        "checked": len(costs.notes.get("check", ())),
        "alike": spearman([row.macs for row in shown], times),
        "lost": len(overtaken(shown, costs.stitches)),
    }
