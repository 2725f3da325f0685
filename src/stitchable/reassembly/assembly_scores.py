"""Scores of reassemblies that add up: what the anchors are worth, less what the joints lose."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from stitchable.errors import StitchError, nearest
from stitchable.space.best import PathScores
from stitchable.space.space import StitchingSpace
from stitchable.stitch import Stitch


def assembly_scores(
    space: StitchingSpace, similarity: Mapping[str, float], quality: Mapping[str, float], *, weight: float
) -> PathScores:
    """Score a path by the mean quality of its blocks' anchors, less what its joints lose.

    A block counts by its share in the MACs of all blocks of its anchor. So an anchor alone scores its
    quality, and a path that runs a quarter of each of four anchors scores their mean, less ``weight`` times
    what is missing from similarity 1 at each of its joints.

    Args:
        space: The paths.
        similarity: By stitching layer what is alike at its joint: R² of its least squares, or any other
            measure that is 1 at most.
        quality: Of each anchor, such as its measured top-1.
        weight: Quality lost for a similarity of 0 instead of 1; see `fit_weight`.

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


def fit_weight(
    space: StitchingSpace,
    similarity: Mapping[str, float],
    quality: Mapping[str, float],
    measured: Mapping[Stitch, float],
) -> float:
    """The weight of `assembly_scores` that meets measured qualities best, by least squares.

    One number, so a few candidates suffice; `stitchable.prediction.additive.fit_additive` fits more freely
    where there are many.

    Args:
        space: The paths.
        similarity: As for `assembly_scores`.
        quality: As for `assembly_scores`.
        measured: By stitch, in the unit of ``quality``, such as top-1 before any training; one over a
            joint or more.

    Returns:
        The weight, 0 or more.

    Raises:
        StitchError: Nothing was measured over a joint that loses something.
    """
    anchors = assembly_scores(space, similarity, quality, weight=0.0)
    both = assembly_scores(space, similarity, quality, weight=1.0)
    lost, missing = [], []
    for stitch, value in measured.items():
        alone = anchors.of(space, stitch)
        lost.append(alone - both.of(space, stitch))
        missing.append(alone - value)
    squares = sum(each * each for each in lost)
    if squares == 0:
        raise StitchError("A weight needs a measured stitch over a joint whose similarity is below 1.")
    return max(sum(a * b for a, b in zip(lost, missing, strict=True)) / squares, 0.0)


def _check(what: str, given: Mapping[str, float], wanted: Iterable[str]) -> None:
    for name in wanted:
        if name not in given:
            raise StitchError(f"No {what} of {name!r} was given. {nearest(name, given)}")
