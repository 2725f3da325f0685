"""Where the blocks of a family's anchors stand in a path diagram, and how joints run between them.

One row per anchor. Anchors of different depth share one width, so blocks of the same relative depth stand
above each other; where stages are known, every stage is a column of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from stitchable.errors import StitchError, nearest
from stitchable.stitch import Segment, Stitch

BOX = 22  # height of a block
PITCH = 62  # from row to row
END = 42  # width of a stem or head
GAP = 3  # between blocks
STAGE_GAP = 14
_BLOCKS = 570  # width that the blocks of a usual family share


@dataclass(frozen=True)
class PathLayout:
    """Positions in pixels.

    Attributes:
        width: Width of the whole drawing.
        height: Its height.
        tops: Top of each anchor's row.
        blocks: Left end and width of every block, by anchor.
        stem: Left end of the stems.
        head: Left end of the heads.
        columns: Left end and width of each stage's column, by stage; one column without stages.
    """

    width: float
    height: float
    tops: Mapping[str, float]
    blocks: Mapping[str, Sequence[tuple[float, float]]]
    stem: float
    head: float
    columns: Mapping[int, tuple[float, float]]

    def joint(self, front: Segment, end: Segment) -> str:
        """SVG path data of an arrow from the last block of ``front`` to the first block of ``end``."""
        left, width = self.blocks[front.anchor][front.stop - 1]
        goal, goal_width = self.blocks[end.anchor][end.start]
        x, x2 = left + width / 2, goal + goal_width / 2
        y, y2 = self.tops[front.anchor], self.tops[end.anchor]
        down = y2 > y
        y, y2 = (y + BOX, y2 - 2) if down else (y, y2 + BOX + 2)
        bend = (y2 - y) * 0.55
        tip = -6 if down else 6
        return (
            f"M{x:.1f} {y:.1f}C{x:.1f} {y + bend:.1f} {x2:.1f} {y2 - bend:.1f} {x2:.1f} {y2:.1f}"
            f"m-4 {tip}l4 {-tip}l4 {tip}"
        )


def path_layout(depths: Mapping[str, int], stages: Mapping[str, Sequence[int]] | None = None) -> PathLayout:
    """Lay out a family of anchors.

    Args:
        depths: Number of blocks of each anchor; the order is the order of the rows.
        stages: Stage index of every block of each anchor, in block order.

    Raises:
        StitchError: An anchor's stages are missing or are not as many as its blocks.
    """
    of_block = {name: _stages(name, depth, stages) for name, depth in depths.items()}
    names = sorted({stage for row in of_block.values() for stage in row})
    units = {stage: max(row.count(stage) for row in of_block.values()) for stage in names}
    unit = min(40.0, max(9.0, _BLOCKS / sum(units.values())))
    left = stem = 14 + max((len(name) for name in depths), default=0) * 7.0
    left += END + 8
    columns: dict[int, tuple[float, float]] = {}
    for stage in names:
        columns[stage] = (left, units[stage] * unit)
        left += units[stage] * unit + STAGE_GAP
    head = left - STAGE_GAP + 8 - GAP
    top = 26 if len(names) > 1 else 6
    tops = {name: float(top + row * PITCH) for row, name in enumerate(depths)}
    blocks = {
        name: [_block(row, index, columns) for index in range(len(row))] for name, row in of_block.items()
    }
    return PathLayout(
        head + END + 4, top + (len(depths) - 1) * PITCH + BOX + 6, tops, blocks, stem, head, columns
    )


def check_drawable(stitch: Stitch, depths: Mapping[str, int]) -> None:
    """Raise if ``stitch`` names an anchor or a block that ``depths`` does not have.

    Raises:
        StitchError: Naming the segment and what there is.
    """
    for segment in stitch.segments:
        if segment.anchor not in depths:
            raise StitchError(
                f"Stitch {stitch} cannot be drawn: no depth is given for {segment.anchor!r}. "
                + nearest(segment.anchor, depths)
            )
        if segment.stop > depths[segment.anchor]:
            raise StitchError(
                f"Stitch {stitch} cannot be drawn: {segment} ends behind the last block; "
                f"{segment.anchor} has {depths[segment.anchor]} blocks."
            )


def joint_key(front: Segment, end: Segment) -> str:
    """Text that two segments share with all that make the same joint, for example ``a:5+b:7``."""
    return f"{front.anchor}:{front.stop}+{end.anchor}:{end.start}"


def joint_paths(layout: PathLayout, stitches: Iterable[Stitch]) -> dict[str, str]:
    """Path data of every joint that ``stitches`` make, by `joint_key`; each joint once."""
    joints = (joint for stitch in stitches for joint in stitch.joints)
    return {joint_key(front, end): layout.joint(front, end) for front, end in joints}


def _stages(name: str, depth: int, stages: Mapping[str, Sequence[int]] | None) -> list[int]:
    if stages is None:
        return [0] * depth
    row = list(stages.get(name, ()))
    if len(row) != depth:
        raise StitchError(
            f"Anchor {name} has {depth} blocks, but stages are given for {len(row)}. "
            "Give the stage index of every block of every anchor, or no stages."
        )
    return row


def _block(row: Sequence[int], index: int, columns: Mapping[int, tuple[float, float]]) -> tuple[float, float]:
    left, width = columns[row[index]]
    share = width / row.count(row[index])
    return left + (index - row.index(row[index])) * share, share - GAP
