"""Joints that were fitted and measured, and how well a similarity orders them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from stitchable.prediction.rank_correlation import RankCorrelation, rank_correlation
from stitchable.space.joint import Joint

FIT = "fit_r2"
"""What R² of the least-squares fit itself is called beside the measures."""


@dataclass(frozen=True)
class JointTest:
    """What the stitching test says of one joint: its layer fitted by least squares, nothing trained.

    Attributes:
        joint: Which one.
        stitch: Text id of the stitch through it.
        macs: Multiply-accumulates of that for one image.
        r2: Of the least-squares fit, over positions of the images that it was fitted to.
        top1: Accuracy of the stitch in percent.
        top1_low: Lower end of its 95 % Wilson interval, percent.
        top1_high: Upper end.
        drop: How much less accurate it is than the end anchor on the same images, percentage points.
        drop_low: Lower end of the paired 95 % interval.
        drop_high: Upper end.
        fit_images: Number of images that the layer was fitted to.
        images: Number of images that the accuracies are of.
    """

    joint: Joint
    stitch: str
    macs: int
    r2: float
    top1: float
    top1_low: float
    top1_high: float
    drop: float
    drop_low: float
    drop_high: float
    fit_images: int
    images: int

    def to_dict(self) -> dict[str, Any]:
        """The numbers as plain data, without the joint."""
        return {key: value for key, value in asdict(self).items() if key != "joint"}


@dataclass(frozen=True)
class AccuracyCorrelation:
    """Rank correlation of a measure and the accuracy of stitches, over the tested joints of two anchors.

    Attributes:
        front: The anchor that is left.
        end: The anchor that is entered.
        measure: Name of a measure, or `FIT`.
        joints: Number of tested joints.
        found: ``None`` where there are fewer than four, or all are equal.
    """

    front: str
    end: str
    measure: str
    joints: int
    found: RankCorrelation | None

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data."""
        kinds = {} if self.found is None else {"spearman": self.found.spearman, "kendall": self.found.kendall}
        return {
            "front": self.front,
            "end": self.end,
            "measure": self.measure,
            "joints": self.joints,
            **{name: each._asdict() for name, each in kinds.items()},
        }


def accuracy_correlations(
    tested: Sequence[JointTest], measures: Mapping[str, Mapping[Joint, float]], *, seed: int = 0
) -> list[AccuracyCorrelation]:
    """Hold every measure, and R² of the fit, against the measured accuracies.

    Anchors are taken two by two: accuracies of stitches into different anchors are not compared.

    Args:
        tested: Joints of any anchors.
        measures: By measure the value of every tested joint.
        seed: Of the intervals' bootstrap, which draws joints; see `rank_correlation`.
    """
    groups: dict[tuple[str, str], list[JointTest]] = {}
    for each in tested:
        groups.setdefault((each.joint.front, each.joint.end), []).append(each)
    found = []
    for (front, end), members in groups.items():
        top1 = np.array([each.top1 for each in members])
        known = {
            **{name: [values[each.joint] for each in members] for name, values in measures.items()},
            FIT: [each.r2 for each in members],
        }
        for name, values in known.items():
            enough = len(members) >= 4
            correlation = rank_correlation(np.array(values), top1, seed=seed) if enough else None
            found.append(AccuracyCorrelation(front, end, name, len(members), correlation))
    return found
