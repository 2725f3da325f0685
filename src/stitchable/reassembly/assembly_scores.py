"""Scores of reassemblies that add up: what the anchors are worth, less what the joints lose."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from stitchable.errors import StitchError, nearest
from stitchable.space.best import PathScores
from stitchable.space.space import StitchingSpace


def assembly_scores(
    space: StitchingSpace, similarity: Mapping[str, float], quality: Mapping[str, float], *, weight: float
) -> PathScores:
    """Score a path by the quality of its blocks' anchors, less what its joints lose.

    A block gives its share in the MACs of all blocks of its anchor, times that anchor's quality. So an anchor
    alone scores its quality, and a path that runs a quarter of each of four anchors scores their mean, less
    ``weight`` times what is missing from similarity 1 at each of its joints. Shares along a path add up to 1
    as far as the parts are of even size: within ε of it, and a path that runs more scores more.

    Args:
        space: The paths.
        similarity: By stitching layer what is alike at its joint: R² of its least squares, or any other
            measure that is 1 at most.
        quality: Of each anchor, such as its measured top-1.
        weight: Quality lost for a similarity of 0 instead of 1.

    Raises:
        StitchError: An anchor or a layer is missing.
    """
    _check("quality", quality, space.outlines)
    _check("similarity", similarity, space.layers)
    blocks = {}
    for name, outline in space.outlines.items():
        macs = [block.macs for block in outline.blocks]
        whole = sum(macs)
        blocks[name] = [quality[name] * (each / whole if whole else 1 / len(macs)) for each in macs]
    joints = {joint: -weight * (1 - similarity[joint.layer]) for joint in space.joints}
    return PathScores(dict.fromkeys(space.outlines, 0.0), blocks, joints)


def _check(what: str, given: Mapping[str, float], wanted: Iterable[str]) -> None:
    for name in wanted:
        if name not in given:
            raise StitchError(f"No {what} of {name!r} was given. {nearest(name, given)}")
