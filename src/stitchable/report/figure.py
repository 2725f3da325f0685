"""The curve as a figure for papers and pages: SVG and PNG by matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stitchable.errors import StitchError
from stitchable.evaluation.curve import CurveRow
from stitchable.report.axis import Axis, accuracy_axis, by_cost, cost_axis, cover, untrained
from stitchable.report.labels import place_labels
from stitchable.report.palette import anchor_colour
from stitchable.report.style import FAINT, GRID, INK, MUTED, STYLE, check_formats, save_figure
from stitchable.units import format_count

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_INCHES = (7.2, 4.6)
_PLOT = (450.0, 235.0)  # the axes' size in points, within a tenth


def draw_curve(
    rows: Sequence[CurveRow],
    *,
    title: str,
    path: Path | Sequence[Path],
    fitted: Sequence[CurveRow] | None = None,
    budget: int | None = None,
) -> None:
    """Draw accuracy against cost and save it.

    Every stitch is a dot, the front is marked and joined by a line, with its 95 % intervals. Anchors are
    large and named; a hollow marker shows what the anchor reached alone, before joint training.

    Args:
        rows: The measured stitches; top-1 in percent, MACs for one image.
        title: The figure's heading.
        path: Where to save it; the suffix, ``.svg`` or ``.png``, decides the format. Several paths save
            the same figure several times. Folders must exist.
        fitted: The same stitches before any training, as least squares leaves them; faint.
        budget: A cost in MACs to mark by a vertical line.

    Raises:
        StitchError: ``rows`` is empty, or a suffix is neither ``.svg`` nor ``.png``.
    """
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    paths = check_formats(path)
    if not rows:
        raise StitchError("Cannot draw a curve without rows. Measure some stitches first.")
    with rc_context(STYLE):
        figure = Figure(figsize=_INCHES, layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        cost = cost_axis(rows, also=[] if budget is None else [budget])
        accuracy = accuracy_axis(rows, fitted=fitted)
        _frame(axes, cost, accuracy)
        axes.set_title(title, loc="left", fontweight="bold", pad=8 if budget is None else 20)
        if budget is not None:
            _budget(axes, budget)
        if fitted:
            _untrained(axes, fitted, accuracy)
        _stitches(axes, rows)
        _anchors(axes, rows, cost, accuracy)
        _legend(figure, axes, rows)
        save_figure(figure, paths)


def _frame(axes: Axes, cost: Axis, accuracy: Axis) -> None:
    axes.set_xlim(cost.low, cost.high)
    axes.set_ylim(accuracy.low, accuracy.high)
    axes.set_xticks([value for value, _ in cost.ticks], [text for _, text in cost.ticks])
    axes.set_yticks([value for value, _ in accuracy.ticks], [text for _, text in accuracy.ticks])
    axes.set_xlabel(cost.label)
    axes.set_ylabel(accuracy.label)
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(MUTED)
    axes.tick_params(color=GRID, labelcolor=INK)


def _budget(axes: Axes, budget: int) -> None:
    axes.axvline(budget, color=INK, linewidth=1, linestyle=(0, (4, 3)), zorder=1.5)
    axes.annotate(
        f"budget {format_count(budget, 'MACs')}", (budget, 1), xycoords=("data", "axes fraction"),
        xytext=(0, 4), textcoords="offset points", ha="center", fontsize=9, color=INK,
    )  # fmt: skip


def _untrained(axes: Axes, fitted: Sequence[CurveRow], accuracy: Axis) -> None:
    shown, hidden = untrained(accuracy, fitted)
    label = "before training, least squares only" + (f" ({hidden} lie below)" if hidden else "")
    x, y = [row.macs for row in shown], [row.top1 for row in shown]
    axes.plot(x, y, "s", color=FAINT, alpha=0.7, markersize=3.4, markeredgewidth=0, label=label, zorder=2)


def _stitches(axes: Axes, rows: Sequence[CurveRow]) -> None:
    others = [row for row in rows if not row.on_front and row.anchor is None]
    if others:
        x, y = [row.macs for row in others], [row.top1 for row in others]
        axes.plot(x, y, "o", color=MUTED, markersize=3.6, markeredgewidth=0, label="stitch", zorder=2.5)
    front = [row for row in by_cost(rows) if row.on_front]
    if front:
        x, y = [row.macs for row in front], [row.top1 for row in front]
        low = [row.top1 - row.top1_low for row in front]
        high = [row.top1_high - row.top1 for row in front]
        axes.errorbar(x, y, yerr=[low, high], fmt="none", ecolor=INK, elinewidth=0.9, alpha=0.3, zorder=2.8)
        axes.plot(
            x,
            y,
            "o-",
            color=INK,
            markersize=4.6,
            linewidth=1.4,
            label="on the front, 95 % interval",
            zorder=3,
        )


def _anchors(axes: Axes, rows: Sequence[CurveRow], cost: Axis, accuracy: Axis) -> None:
    from matplotlib.patheffects import withStroke

    anchors = [row for row in rows if row.anchor is not None]
    for position, row in enumerate(anchors):
        colour: dict[str, Any] = {"color": anchor_colour(position), "markersize": 9, "linestyle": "none"}
        axes.errorbar(
            row.macs, row.top1, yerr=[[row.top1 - row.top1_low], [row.top1_high - row.top1]],
            fmt="none", ecolor=colour["color"], elinewidth=1, alpha=0.6, zorder=3.5,
        )  # fmt: skip
        axes.plot(row.macs, row.top1, "D", markeredgecolor="white", markeredgewidth=1, zorder=4, **colour)
        if row.original_top1 is not None:
            ends = [row.top1, row.original_top1]
            axes.plot([row.macs] * 2, ends, color=colour["color"], linewidth=1, zorder=3.9)
            axes.plot(
                row.macs,
                row.original_top1,
                "D",
                markerfacecolor="none",
                markeredgewidth=1.4,
                zorder=4.1,
                **colour,
            )
    points, originals = cover(rows, cost, accuracy, _PLOT)
    markers = [
        (cost.fraction(row.macs) * _PLOT[0], (1 - accuracy.fraction(row.top1)) * _PLOT[1], row.anchor or "")
        for row in anchors
    ]
    labels = place_labels(markers, obstacles=points, unnamed=originals, size=_PLOT, font=10)
    for position, (row, label) in enumerate(zip(anchors, labels, strict=True)):
        axes.annotate(
            row.anchor or "", (row.macs, row.top1), xytext=(label.dx, -label.dy), textcoords="offset points",
            ha={"start": "left", "middle": "center", "end": "right"}[label.align], va="baseline",
            color=anchor_colour(position), fontweight="bold", zorder=5,
            path_effects=[withStroke(linewidth=3, foreground="white")],
        )  # fmt: skip


def _legend(figure: Figure, axes: Axes, rows: Sequence[CurveRow]) -> None:
    from matplotlib.lines import Line2D

    handles, labels = axes.get_legend_handles_labels()
    handles = list(handles)
    if any(row.anchor is not None for row in rows):
        handles.append(Line2D([], [], color=INK, marker="D", markersize=7, linestyle="none"))
        labels.append("anchor in the stitched network")
    if any(row.original_top1 is not None for row in rows):
        handles.append(
            Line2D([], [], color=INK, marker="D", markersize=7, markerfacecolor="none", linestyle="none")
        )
        labels.append("anchor alone, before joint training")
    figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False, fontsize=9)
