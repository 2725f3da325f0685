"""A stitch spelled out: the steps that run, each a key that equal work shares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from stitchable.space.joint import Joint
from stitchable.stitch import Stitch


class Step(NamedTuple):
    """One step of a path.

    Two paths whose first steps are equal compute the same features up to there.

    Attributes:
        kind: What runs.
        name: The anchor's name, or the stitching layer's id.
        block: The block's id; 0 for the others.
        joint: The last joint taken before a block or a head, which may have norms of its own; empty before
            any, and for stems and layers.
    """

    kind: Literal["stem", "block", "layer", "head"]
    name: str
    block: int = 0
    joint: str = ""


def path_steps(stitch: Stitch, layers: Sequence[str]) -> tuple[Step, ...]:
    """Steps of ``stitch`` whose joints cross the stitching layers ``layers``.

    Example:
        >>> [step.kind for step in path_steps(Stitch.parse("a[0:1]+b[1:2]"), ["a>b:0-0"])]
        ['stem', 'block', 'layer', 'block', 'head']
    """
    steps = [Step("stem", stitch.anchors[0])]
    for name, start, stop, layer, joint in path_spans(stitch, layers):
        steps += [Step("block", name, block, joint) for block in range(start, stop)]
        if layer is not None:
            steps.append(Step("layer", layer))
    return (*steps, Step("head", stitch.anchors[-1], joint=joint))


class Span(NamedTuple):
    """Blocks of one anchor that run one after the other, and the stitching layer behind them.

    Attributes:
        anchor: The anchor's name.
        start: Its first block that runs.
        stop: The block behind the last one that runs.
        layer: Id of the stitching layer that follows; ``None`` before the head.
        joint: The joint by which the anchor was entered; empty for the first.
    """

    anchor: str
    start: int
    stop: int
    layer: str | None
    joint: str = ""


def path_spans(stitch: Stitch, layers: Sequence[str]) -> tuple[Span, ...]:
    """Spans of ``stitch`` whose joints cross the stitching layers ``layers``.

    They say the same as `path_steps`, in as few entries as a path has segments.

    Example:
        >>> path_spans(Stitch.parse("a[0:5]+b[5:12]"), ["a>b:0-4"])[0]
        Span(anchor='a', start=0, stop=5, layer='a>b:0-4', joint='')
    """
    joints = [str(Joint(a.anchor, a.stop, b.anchor, b.start, layer="")) for a, b in stitch.joints]
    return tuple(
        Span(segment.anchor, segment.start, segment.stop, layer, joint)
        for segment, layer, joint in zip(stitch.segments, [*layers, None], ["", *joints], strict=True)
    )
