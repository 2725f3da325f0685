"""Where a marker's name goes, so that names cover neither each other nor the points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

_GLYPH = 0.58  # mean advance of a sans-serif glyph, in font sizes
_Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Label:
    """Offset of a text's baseline from its marker in pixels, x to the right and y down, and its alignment."""

    dx: float
    dy: float
    align: Literal["start", "middle", "end"]


def place_labels(
    markers: Sequence[tuple[float, float, str]],
    *,
    obstacles: Sequence[tuple[float, float]],
    size: tuple[float, float],
    font: float = 12.0,
    unnamed: Sequence[tuple[float, float]] = (),
) -> list[Label]:
    """Choose a side for every marker's name, one after the other.

    Twelve places around each marker are tried in a fixed order; the first with the least cover wins.

    Args:
        markers: x, y (pixels, y down) and name of each marker.
        obstacles: x, y of points that a name had better not cover.
        size: Width and height of the plot in pixels; leaving it costs most.
        font: Font size in pixels.
        unnamed: x, y of other large markers, which no name may cover.

    Returns:
        One label for each marker, in order.
    """
    taken: list[_Box] = [
        (x - 9, y - 9, x + 9, y + 9) for x, y in [*((x, y) for x, y, _ in markers), *unnamed]
    ]
    labels = []
    for x, y, name in markers:
        options = [(label, _box(x, y, name, label, font)) for label in _places(font)]
        costs = [_cost(box, taken, obstacles, size) for _, box in options]
        label, box = options[costs.index(min(costs))]
        labels.append(label)
        taken.append(box)
    return labels


def _places(font: float) -> list[Label]:
    up, down, level, side = -13.0, 13.0 + 0.75 * font, 0.35 * font, 13.0
    return [
        Label(0, up, "middle"),
        Label(0, down, "middle"),
        Label(side, level, "start"),
        Label(-side, level, "end"),
        Label(-4, up, "start"),
        Label(4, up, "end"),
        Label(-4, down, "start"),
        Label(4, down, "end"),
        Label(0, up - 11, "middle"),
        Label(0, down + 11, "middle"),
        Label(-4, up - 11, "start"),
        Label(4, up - 11, "end"),
    ]


def _box(x: float, y: float, name: str, label: Label, font: float) -> _Box:
    width = _GLYPH * font * len(name)
    left = x + label.dx - {"start": 0.0, "middle": 0.5, "end": 1.0}[label.align] * width
    base = y + label.dy
    return (left, base - 0.8 * font, left + width, base + 0.25 * font)


def _cost(
    box: _Box, taken: Sequence[_Box], obstacles: Sequence[tuple[float, float]], size: tuple[float, float]
) -> float:
    left, top, right, bottom = box
    outside = max(0, -left) + max(0, right - size[0]) + max(0, -top) + max(0, bottom - size[1])
    covered = sum(_overlap(box, other) for other in taken)
    points = sum(left - 3 <= x <= right + 3 and top - 3 <= y <= bottom + 3 for x, y in obstacles)
    return 100 * outside + 10 * covered + points


def _overlap(a: _Box, b: _Box) -> float:
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
