"""What ``stitchable similarity`` found, as plain data: maps, joints, and what the test says of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stitchable.prediction.tested_joint import FIT, AccuracyCorrelation, JointTest
from stitchable.similarity.pair import Measure, PairSimilarity
from stitchable.space.joint import Joint
from stitchable.space.outline import Outline

NOT_TESTED = (
    "No joint was tested, so these are similarities and no more: they do not tell which stitches are "
    "accurate. CKA alone has been seen to find 5.5 % of the good positions (arXiv 2605.29259)."
)


NAMES: dict[str, str] = {
    "cka": "Linear CKA, unbiased",
    "cka_biased": "Linear CKA, biased",
    "cka_minibatch": "Linear CKA, mean of mini-batches",
    "rbf_cka": "CKA with an RBF kernel",
    "cca": "Mean canonical correlation",
    "svcca": "SVCCA",
    "pwcca": "Projection-weighted CCA",
    "procrustes": "Procrustes similarity",
    "r2": "R² of linear regression",
    FIT: "R² of the fitted layer",
}
"""What each measure is called where there is room."""


@dataclass(frozen=True)
class SimilarityMap:
    """One measure of all pairs of cuts of two anchors.

    Attributes:
        measure: Which one.
        front: Name of the anchor whose cuts are the rows.
        end: Name of that whose cuts are the columns; ``r2`` explains its features.
        front_stages: Stage of every cut of the front.
        end_stages: Likewise.
        cells: By cut of the front and cut of the end anchor.
        chosen: Cuts of the joints that this measure chooses; empty where it chooses none.
    """

    measure: Measure
    front: str
    end: str
    front_stages: tuple[int, ...]
    end_stages: tuple[int, ...]
    cells: tuple[tuple[PairSimilarity, ...], ...]
    chosen: frozenset[tuple[int, int]] = frozenset()

    @property
    def name(self) -> str:
        """Of its files, without a suffix."""
        return f"{self.measure}_{self.front}_{self.end}"

    def to_dict(self) -> dict[str, Any]:
        """Matrices of value, low and high as plain data."""
        bounded = self.cells[0][0].low is not None
        return {
            "measure": self.measure,
            "front": self.front,
            "end": self.end,
            "front_stages": list(self.front_stages),
            "end_stages": list(self.end_stages),
            **{
                kind: [[getattr(cell, kind) for cell in row] for row in self.cells]
                for kind in (("value", "low", "high") if bounded else ("value",))
            },
        }


@dataclass(frozen=True)
class SimilarityResult:
    """Everything that was found.

    Attributes:
        outlines: The anchors, from cheap to dear.
        sources: The texts that they were loaded from, in the order given.
        options: What was asked for, as plain data.
        data: What to call the images that similarities were measured on.
        images: How many they were.
        measures: The first one chose the joints.
        maps: By two anchors, then by measure.
        similarity: By measure the value of every joint that is listed.
        chosen: The joints that the first measure chooses.
        tested: What the stitching test says; empty where none was made.
        anchors_top1: Top-1 of the anchors on the test's images, percent; empty likewise.
        correlations: Of every measure with the tested accuracies.
        note: Why nothing was tested.
    """

    outlines: Mapping[str, Outline]
    sources: Sequence[str]
    options: Mapping[str, Any]
    data: str
    images: int
    measures: Sequence[Measure]
    maps: Sequence[SimilarityMap]
    similarity: Mapping[str, Mapping[Joint, PairSimilarity]]
    chosen: Sequence[Joint]
    tested: Sequence[JointTest] = ()
    anchors_top1: Mapping[str, float] = field(default_factory=dict)
    correlations: Sequence[AccuracyCorrelation] = ()
    note: str | None = None

    @property
    def joints(self) -> list[Joint]:
        """The chosen joints and those that were tested besides, each once; the chosen ones first."""
        return list(dict.fromkeys([*self.chosen, *(each.joint for each in self.tested)]))

    @property
    def caution(self) -> str | None:
        """What must be said where nothing was tested."""
        return None if self.tested else self.note or NOT_TESTED

    def test_of(self, joint: Joint) -> JointTest | None:
        """What the test says of one joint."""
        return next((each for each in self.tested if each.joint == joint), None)

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data."""
        anchors = {
            name: {"depth": one.depth, "macs": one.cost.macs, "stages": list(one.stages)}
            for name, one in self.outlines.items()
        }
        for name, top1 in self.anchors_top1.items():
            anchors[name]["top1"] = top1
        return {
            "anchors": anchors,
            "sources": list(self.sources),
            "options": dict(self.options),
            "data": self.data,
            "images": self.images,
            "measures": list(self.measures),
            "maps": [each.to_dict() for each in self.maps],
            "joints": [self._joint(joint) for joint in self.joints],
            "correlations": [each.to_dict() for each in self.correlations],
            "note": self.caution,
        }

    def _joint(self, joint: Joint) -> dict[str, Any]:
        test = self.test_of(joint)
        return {
            "joint": str(joint),
            "chosen": joint in self.chosen,
            "similarity": {name: values[joint].value for name, values in self.similarity.items()},
            **(test.to_dict() if test else {}),
        }
