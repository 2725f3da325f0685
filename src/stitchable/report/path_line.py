"""One stitch as a line of text: how long each anchor runs, and where the path crosses over."""

from __future__ import annotations

from collections.abc import Sequence

from stitchable.stitch import Stitch

SHADES = "▓░█▒"
LONGEST = 24


def path_line(stitch: Stitch, anchors: Sequence[str]) -> str:
    """A bar for each segment, as long as it has blocks, in its anchor's shade, with a ``│`` at each joint.

    Paths of more than `LONGEST` blocks are shortened in proportion; no segment goes away.

    Args:
        stitch: The path.
        anchors: All anchors of its family; their places give the shades, which repeat behind the fourth.

    Example:
        >>> path_line(Stitch.parse("small[0:3]+large[4:6]"), ["small", "large"])
        'small ▓▓▓│large ░░'
        >>> path_line(Stitch.parse("large[0:48]"), ["small", "large"])
        'large ░░░░░░░░░░░░░░░░░░░░░░░░'
    """
    scale = min(1.0, LONGEST / stitch.depth)
    bars = [
        f"{segment.anchor} "
        + SHADES[anchors.index(segment.anchor) % len(SHADES)] * max(1, round(scale * len(segment)))
        for segment in stitch.segments
    ]
    return "│".join(bars)
