"""Predictions that add up along a path, for spaces that are searched and not listed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from stitchable.prediction.ridge import fit_ridge, out_of_fold
from stitchable.space.best import PathScores
from stitchable.space.joint import Joint
from stitchable.space.space import StitchingSpace
from stitchable.stitch import Stitch

Array = NDArray[np.float64]


class AdditiveFeatures:
    """Features whose value for a path is the sum over its end, its blocks and its joints.

    The end anchor, one column each; the share of every anchor's depth that runs; the number of joints, what
    their least squares leaves unexplained, and the share of depth at which the front is left; and one column
    for each joint, so that a joint which was measured often is known by itself.

    Args:
        space: Of any size.
        r2: R² by stitching layer; one that is not there counts as the mean of the others.
    """

    def __init__(self, space: StitchingSpace, r2: Mapping[str, float]) -> None:
        self.space = space
        anchors, joints = len(space.outlines), len(space.joints)
        mean = float(np.mean(list(r2.values()))) if r2 else 0.0
        self.columns = 2 * anchors + 3 + joints
        self.of_end: dict[str, Array] = {}
        """For ending in an anchor ``(columns,)``."""
        self.of_block: dict[str, Array] = {}
        """For each block of an anchor that runs."""
        self.of_joint: dict[Joint, Array] = {}
        """For each joint that is taken."""
        for number, (name, outline) in enumerate(space.outlines.items()):
            self.of_end[name] = self._row({number: 1.0})
            self.of_block[name] = self._row({anchors + number: 1 / outline.depth})
        for number, joint in enumerate(space.joints):
            left = joint.leave / space.outlines[joint.front].depth
            shared = {0: 1.0, 1: 1 - r2.get(joint.layer, mean), 2: left}
            own = {2 * anchors + place: value for place, value in shared.items()}
            self.of_joint[joint] = self._row({**own, 2 * anchors + 3 + number: 1.0})

    def _row(self, values: Mapping[int, float]) -> Array:
        row = np.zeros(self.columns)
        row[list(values)] = list(values.values())
        return row

    def of(self, stitch: Stitch) -> Array:
        """The features of a stitch ``(columns,)``."""
        row = self.of_end[stitch.anchors[-1]].copy()
        for segment in stitch.segments:
            row += len(segment) * self.of_block[segment.anchor]
        for joint in self.space.path(stitch):
            row += self.of_joint[joint]
        return row

    def table(self, stitches: Iterable[Stitch]) -> Array:
        """The features of some stitches ``(stitches, columns)``."""
        return np.array([self.of(stitch) for stitch in stitches])


def fit_additive(features: AdditiveFeatures, measured: Mapping[Stitch, float]) -> PathScores:
    """Fit a ridge regression whose predictions add up along a path.

    Columns are not standardised: all are shares of a whole, and one that tells few stitches apart is to be
    trusted the less.

    Args:
        features: Of the space.
        measured: A number that is better when it is more, by stitch; three or more, the anchors and paths
            over one joint or several.

    Returns:
        Scores for `stitchable.space.best`: their sum along a path is the prediction.

    Raises:
        StitchError: Too few stitches, or numbers that are not finite.
    """
    x, y = features.table(measured), np.array(list(measured.values()), dtype=np.float64)
    ridge = fit_ridge(x, y, scale=np.ones(features.columns))
    constant = ridge.offset - float(ridge.mean @ ridge.weights)
    return PathScores(
        {name: constant + float(row @ ridge.weights) for name, row in features.of_end.items()},
        {
            name: [float(row @ ridge.weights)] * features.space.outlines[name].depth
            for name, row in features.of_block.items()
        },
        {joint: float(row @ ridge.weights) for joint, row in features.of_joint.items()},
    )


def held_out(features: AdditiveFeatures, measured: Mapping[Stitch, float]) -> Array:
    """What `fit_additive` predicts for each measured stitch without having seen it, in the order given."""
    x, y = features.table(measured), np.array(list(measured.values()), dtype=np.float64)
    return out_of_fold(x, y, scale=np.ones(features.columns))
