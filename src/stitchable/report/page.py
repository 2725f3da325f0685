"""The report: one HTML file that stands alone, to be read, sent and kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from markupsafe import Markup

from stitchable.errors import StitchError, nearest
from stitchable.evaluation.agreement import Agreement
from stitchable.evaluation.curve import CurveRow
from stitchable.evaluation.device_cost import DeviceCosts
from stitchable.report.axis import accuracy_axis, by_cost, untrained
from stitchable.report.certainty import certainty, heat_map
from stitchable.report.chart import scatter_chart
from stitchable.report.device import device_section
from stitchable.report.palette import DARK, LIGHT, anchor_variable
from stitchable.report.path_diagram import path_diagram
from stitchable.report.path_layout import check_drawable, joint_paths, path_layout
from stitchable.report.summary import default_choice, row_facts, summarize
from stitchable.report.templating import render
from stitchable.stitch import Stitch

LARGEST_TABLE = 200
"""Rows up to which every stitch is listed; above, only the front, the anchors and the chosen one."""


def write_report(
    path: Path,
    *,
    title: str,
    rows: Sequence[CurveRow],
    fitted: Sequence[CurveRow] | None,
    depths: Mapping[str, int],
    facts: Mapping[str, str],
    macs_note: str,
    chosen: str | None = None,
    stages: Mapping[str, Sequence[int]] | None = None,
    device: Sequence[DeviceCosts] = (),
    agreement: Agreement | None = None,
    classes: Sequence[str] = (),
) -> None:
    """Write the curve as a page: headline, chart, path diagram and table, with no file or network beside.

    Without scripts the page shows everything but the other stitches' path diagrams and sorting.

    Args:
        path: The HTML file; it appears whole or not at all. Its folder must exist.
        title: The page's heading.
        rows: Every measured stitch. Above `LARGEST_TABLE` rows, those that are neither anchors nor on the
            front are dots in the chart only, and the page says how many they are.
        fitted: The same stitches before training, or ``None``.
        depths: Number of blocks of each anchor, in the order of the diagram's rows.
        facts: What was measured, as names and values: data set, images, date, versions.
        macs_note: The convention by which MACs were counted, as a sentence.
        chosen: Text id of the stitch whose path is shown first; by default the front's median in cost.
        stages: Stage index of every block of each anchor, to group the blocks in the diagram.
        device: Costs on a device, under one condition or more; the first is drawn.
        agreement: How often stitches of the front answer alike, for the heat map; none without it.
        classes: Their names, in the order of the logits; without them the worst class has its number.

    Raises:
        StitchError: ``rows`` is empty, ``chosen`` is not among them, or a stitch does not fit ``depths``.
    """
    if not rows:
        raise StitchError("Cannot report a curve without rows. Measure some stitches first.")
    if chosen is None:
        chosen = default_choice(rows)
    picked = next((row for row in rows if row.stitch == chosen), None)
    if picked is None:
        raise StitchError(
            f"Stitch {chosen!r} is not on the curve. {nearest(chosen, (r.stitch for r in rows))}"
        )
    listed = [row for row in rows if len(rows) <= LARGEST_TABLE or _matters(row, chosen)]
    stitches = {row.index: Stitch.parse(row.stitch) for row in by_cost(listed)}
    for stitch in stitches.values():
        check_drawable(stitch, depths)
    positions = {name: position for position, name in enumerate(depths)}
    page = render(
        "report.html.j2",
        title=title,
        facts=facts,
        macs_note=macs_note,
        summary=summarize(rows),
        images=sorted({row.images for row in rows}),
        chart=Markup(scatter_chart(rows, fitted=fitted, chosen=chosen, single=listed, positions=positions)),
        fitted=bool(fitted),
        hidden=untrained(accuracy_axis(rows, fitted=fitted), fitted)[1],
        diagram=Markup(path_diagram(stitches[picked.index], depths, stages)),
        picked=picked,
        picked_facts=row_facts(picked),
        joints=joint_paths(path_layout(depths, stages), stitches.values()),
        table=[
            (row, _strip(stitches[row.index], positions, max(depths.values()))) for row in by_cost(listed)
        ],
        left_out=len(rows) - len(listed),
        device=device_section(rows, device, positions),
        certainty=certainty(rows),
        heat=heat_map(agreement) if agreement else None,
        classes=classes,
        colours=list(zip(LIGHT, DARK, strict=True)),
    )
    beside = path.with_name(path.name + ".partial")
    beside.write_text(page, encoding="utf-8")
    beside.replace(path)


def _matters(row: CurveRow, chosen: str) -> bool:
    return row.on_front or row.anchor is not None or row.stitch == chosen


def _strip(stitch: Stitch, positions: Mapping[str, int], longest: int) -> str:
    """CSS of a bar as long as the stitch is deep, coloured by the anchors that it passes."""
    stops, done = [], 0
    for segment in stitch.segments:
        start, done = done, done + len(segment)
        colour = anchor_variable(positions[segment.anchor])
        stops.append(f"{colour} {100 * start / stitch.depth:.0f}% {100 * done / stitch.depth:.0f}%")
    width = 100 * min(1.0, stitch.depth / longest)
    return f"width:{width:.0f}%;background:linear-gradient(90deg,{','.join(stops)})"
