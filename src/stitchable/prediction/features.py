"""What is known of a stitch before it is trained, as numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stitchable.errors import StitchError
from stitchable.evaluation.curve import CurveRow
from stitchable.space.space import StitchingSpace
from stitchable.stitch import Stitch

FEATURES = {
    "unexplained": "sum over the joints of 1 − R² of their least-squares fit",
    "dissimilarity": "sum over the joints of 1 − linear CKA of the features they join",
    "untrained_top1": "top-1 of the stitch before training, in %",
    "untrained_loss": "its cross-entropy before training, in nats",
    "macs_share": "its MACs, as a share of the dearest anchor's",
    "kept_of_end": "share of the last anchor's blocks that run",
    "joints": "number of joints",
    "anchors_top1": "top-1 of its anchors alone before training, weighed by the blocks that run, in %",
}


@dataclass(frozen=True)
class Known:
    """What a run knows of its space before training. What is not known is left empty.

    Attributes:
        r2: R² of the least-squares fit by stitching layer.
        cka: Linear CKA by joint, written as `Joint` is.
        untrained: Rows of the curve before training, by stitch.
    """

    r2: Mapping[str, float]
    cka: Mapping[str, float]
    untrained: Mapping[str, CurveRow]


@dataclass(frozen=True)
class FeatureTable:
    """Features of some stitches.

    Attributes:
        stitches: In the rows' order.
        names: Keys of `FEATURES`, in the columns' order; those of which something is not known for one of
            the stitches are left out.
        values: ``(stitches, features)``.
    """

    stitches: tuple[Stitch, ...]
    names: tuple[str, ...]
    values: NDArray[np.float64]


def feature_table(space: StitchingSpace, stitches: Sequence[Stitch], known: Known) -> FeatureTable:
    """Gather what is known of each stitch.

    Args:
        space: Holds the stitches.
        stitches: One or more.
        known: Of the same space.

    Raises:
        StitchError: No stitch is given.
    """
    if not stitches:
        raise StitchError("No stitch was given of which something could be known.")
    alone = {row.anchor: row.top1 for row in known.untrained.values() if row.anchor}
    rows = [_features(space, stitch, known, alone) for stitch in stitches]
    names = tuple(name for name in FEATURES if all(name in row for row in rows))
    values = np.array([[row[name] for name in names] for row in rows], dtype=np.float64)
    return FeatureTable(tuple(stitches), names, values.reshape(len(rows), len(names)))


def _features(
    space: StitchingSpace, stitch: Stitch, known: Known, alone: Mapping[str, float]
) -> dict[str, float]:
    """What is known of one stitch; ``alone`` is the top-1 of each anchor before training."""
    joints = space.path(stitch)
    last = stitch.segments[-1]
    dearest = max(outline.cost.macs for outline in space.outlines.values())
    found = {
        "macs_share": space.cost(stitch).macs / dearest,
        "kept_of_end": len(last) / space.outlines[last.anchor].depth,
        "joints": float(len(joints)),
    }
    if all(joint.layer in known.r2 for joint in joints):
        found["unexplained"] = sum(1 - known.r2[joint.layer] for joint in joints)
    if all(str(joint) in known.cka for joint in joints):
        found["dissimilarity"] = sum(1 - known.cka[str(joint)] for joint in joints)
    if str(stitch) in known.untrained:
        row = known.untrained[str(stitch)]
        found |= {"untrained_top1": row.top1, "untrained_loss": row.loss}
    if all(name in alone for name in stitch.anchors):
        weighed = sum(len(segment) * alone[segment.anchor] for segment in stitch.segments)
        found["anchors_top1"] = weighed / stitch.depth
    return found
