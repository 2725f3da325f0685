"""A similarity of all pairs of cuts as a heat map for papers and pages: SVG and PNG by matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from stitchable.report.similarity_result import NAMES, SimilarityMap
from stitchable.report.similarity_table import stage_runs
from stitchable.report.style import INK, STYLE, check_formats, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WIDTH, _PLOT = 6.4, 4.9  # inches, of the figure and of the cells in it
_HEIGHTS = (1.3, 5.2)


def draw_similarity(found: SimilarityMap, *, path: Path | Sequence[Path]) -> None:
    """Draw one measure of two anchors and save it.

    Rows are cuts of the front from the top down, columns those of the end anchor. The colours run from 0 to 1
    in every map, so that maps can be compared; what lies outside has the colour of the nearer end. Stages are
    parted by lines, and dots are the joints that the measure chooses.

    Args:
        found: The values.
        path: Where to save it, ``.svg`` or ``.png``; several paths save the same figure. Folders must exist.

    Raises:
        StitchError: A suffix is neither ``.svg`` nor ``.png``.
    """
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    paths = check_formats(path)
    values = np.array([[cell.value for cell in row] for row in found.cells])
    height = float(np.clip(_PLOT * len(values) / len(values[0]), *_HEIGHTS))
    with rc_context(STYLE):
        figure = Figure(figsize=(_WIDTH, height + 1.25), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        # Vector cells without seams: an image would be blurred by what shows the SVG.
        cells = axes.pcolormesh(values, cmap="viridis", vmin=0, vmax=1, antialiased=False)
        axes.invert_yaxis()
        _cuts(axes, found)
        _stages(axes, found)
        chosen = np.array(sorted(found.chosen)).reshape(-1, 2) + 0.5
        size = min(4.5, 72 * _PLOT / len(values[0]) / 3)
        axes.plot(
            chosen[:, 1], chosen[:, 0], "o", color="white", markersize=size, markeredgecolor=INK,
            markeredgewidth=0.8,
        )  # fmt: skip
        bar = figure.colorbar(cells, ax=axes, pad=0.03, aspect=18, ticks=[0, 0.2, 0.4, 0.6, 0.8, 1])
        bar.ax.spines["outline"].set_visible(False)
        axes.set_title(NAMES[found.measure], loc="left", fontweight="bold", pad=20)
        save_figure(figure, paths)


def _cuts(axes: Axes, found: SimilarityMap) -> None:
    for axis, name, count in (
        (axes.yaxis, found.front, len(found.front_stages)),
        (axes.xaxis, found.end, len(found.end_stages)),
    ):
        step = next(each for each in (1, 2, 3, 4, 5, 6, 10, 20, 50, count) if count / each <= 15)
        cuts = range(0, count, step)
        axis.set_ticks([cut + 0.5 for cut in cuts], [str(cut) for cut in cuts])
        axis.set_label_text(f"cut of {name}")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _stages(axes: Axes, found: SimilarityMap) -> None:
    for position, size in stage_runs(found.end_stages):
        axes.annotate(
            f"stage {found.end_stages[position]}" if size > 2 else str(found.end_stages[position]),
            (position + size / 2, 1), xycoords=("data", "axes fraction"), xytext=(0, 4),
            textcoords="offset points", ha="center", fontsize=8.5, color=INK,
        )  # fmt: skip
        if position:
            axes.axvline(position, color="white", linewidth=1.4)
    for position, size in stage_runs(found.front_stages):
        axes.annotate(
            f"stage {found.front_stages[position]}" if size > 2 else str(found.front_stages[position]),
            (1, position + size / 2), xycoords=("axes fraction", "data"), xytext=(4, 0),
            textcoords="offset points", va="center", rotation=270, fontsize=8.5, color=INK,
        )  # fmt: skip
        if position:
            axes.axhline(position, color="white", linewidth=1.4)
