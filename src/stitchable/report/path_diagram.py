"""The picture of one stitch: which blocks of which anchors run, and where the path crosses over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from stitchable.report.palette import anchor_variable
from stitchable.report.path_layout import BOX, END, PathLayout, check_drawable, path_layout
from stitchable.stitch import Stitch

_STYLE = (
    ".path-diagram{font:10.5px system-ui,sans-serif;color:var(--ink,#1c2430)}"
    ".path-diagram .name{font-size:12.5px;fill:currentColor}"
    ".path-diagram rect{fill:none;stroke:var(--c);stroke-opacity:.45}"
    ".path-diagram rect.on{fill:var(--c);stroke-opacity:1}"
    ".path-diagram .in{fill:currentColor;fill-opacity:.6;text-anchor:middle}"
    ".path-diagram .on+.in{fill:var(--page,#fff);fill-opacity:1}"
    ".path-diagram .stage{fill:currentColor;fill-opacity:.7}"
    ".path-diagram .joint{fill:none;stroke:currentColor;stroke-width:2;"
    "stroke-linecap:round;stroke-linejoin:round}"
)


def path_diagram(
    stitch: Stitch, depths: Mapping[str, int], stages: Mapping[str, Sequence[int]] | None = None
) -> str:
    """Draw the path of ``stitch`` through its family as an SVG element.

    One row per anchor of ``depths`` with its stem, blocks and head; those that run are filled (class
    ``on``), and every joint is an arrow (class ``joint``). A block that the path runs twice is one box.
    The colours follow the CSS variables of the page around it, where it sets them.

    Args:
        stitch: The path to draw.
        depths: Number of blocks of every anchor, in the order of the rows.
        stages: Stage index of every block of each anchor; blocks of one stage are drawn as one group.

    Returns:
        One ``<svg>`` element, well-formed on its own, with no ids and no scripts.

    Raises:
        StitchError: The stitch does not fit ``depths``, or ``stages`` do not.

    Example:
        >>> svg = path_diagram(Stitch.parse("small[0:2]+large[3:4]"), {"small": 3, "large": 4})
        >>> svg.count('class="block on"'), svg.count('class="joint"')
        (3, 1)
    """
    check_drawable(stitch, depths)
    layout = path_layout(depths, stages)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="path-diagram" role="img" '
        f'viewBox="0 0 {layout.width:.0f} {layout.height:.0f}" width="{layout.width:.0f}" '
        f'aria-label="{escape(describe_path(stitch))}"><style>{_STYLE}</style>'
    ]
    if len(layout.columns) > 1:
        parts += [
            f'<text class="stage" x="{left:.1f}" y="14">stage {stage}</text>'
            for stage, (left, _) in layout.columns.items()
        ]
    parts += [_row(position, name, stitch, layout) for position, name in enumerate(depths)]
    parts += [f'<path class="joint" d="{layout.joint(front, end)}"/>' for front, end in stitch.joints]
    return "".join(parts) + "</svg>"


def describe_path(stitch: Stitch) -> str:
    """The path in words.

    Example:
        >>> describe_path(Stitch.parse("small[0:2]+large[3:4]"))
        'stem and blocks 0 to 1 of small; stitching layer; block 3 and head of large'
    """
    words = []
    for number, segment in enumerate(stitch.segments):
        last = segment.stop - 1
        parts = [f"block {last}" if len(segment) == 1 else f"blocks {segment.start} to {last}"]
        if number == 0:
            parts.insert(0, "stem")
        if number == len(stitch.segments) - 1:
            parts.append("head")
        listed = ", ".join(parts[:-1]) + " and " + parts[-1] if len(parts) > 1 else parts[0]
        words.append(f"{listed} of {segment.anchor}")
    return "; stitching layer; ".join(words)


def _row(position: int, name: str, stitch: Stitch, layout: PathLayout) -> str:
    top = layout.tops[name]
    runs = {
        block
        for segment in stitch.segments
        if segment.anchor == name
        for block in range(segment.start, segment.stop)
    }
    boxes = [_box("stem", layout.stem, END, top, stitch.segments[0].anchor == name, "stem")]
    for block, (left, width) in enumerate(layout.blocks[name]):
        boxes.append(_box("block", left, width, top, block in runs, str(block) if width >= 16 else ""))
    boxes.append(_box("head", layout.head, END, top, stitch.segments[-1].anchor == name, "head"))
    return (
        f'<g data-anchor="{escape(name)}" style="--c:{anchor_variable(position)}">'
        f'<text class="name" x="2" y="{top + 15.5:.1f}">{escape(name)}</text>{"".join(boxes)}</g>'
    )


def _box(kind: str, left: float, width: float, top: float, runs: bool, text: str) -> str:
    rect = (
        f'<rect class="{kind}{" on" if runs else ""}" x="{left:.1f}" y="{top:.1f}" '
        f'width="{width:.1f}" height="{BOX}" rx="{3 if kind == "block" else 10}"/>'
    )
    middle = f'x="{left + width / 2:.1f}" y="{top + 15:.1f}"'
    return rect + (f'<text class="in" {middle}>{escape(text)}</text>' if text else "")
