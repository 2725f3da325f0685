"""What all figures have in common: inks, matplotlib's settings, and how they are saved."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stitchable.errors import StitchError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK, MUTED, FAINT, GRID = "#1c2430", "#8a94a3", "#d9a76a", "#e3e7ec"
STYLE: dict[Any, Any] = {
    "figure.constrained_layout.h_pad": 0.07,
    "figure.constrained_layout.w_pad": 0.12,
    "font.size": 10.0,
    "svg.fonttype": "path",
    "svg.hashsalt": "stitchable",  # the same figure gives the same bytes
    "text.parse_math": False,  # titles and names are text, dollars included
}


def check_formats(path: Path | Sequence[Path]) -> list[Path]:
    """The paths as a list.

    Raises:
        StitchError: A suffix is neither ``.svg`` nor ``.png``.
    """
    paths = [path] if isinstance(path, Path) else list(path)
    for target in paths:
        if target.suffix not in (".svg", ".png"):
            raise StitchError(f"Cannot draw {target.name!r}: give a name that ends in .svg or .png.")
    return paths


def save_figure(figure: Figure, paths: Sequence[Path]) -> None:
    """Save the same figure under every path, on white and without a date."""
    for target in paths:
        metadata = {"Date": None} if target.suffix == ".svg" else None
        figure.savefig(target, dpi=200, metadata=metadata, facecolor="white")
