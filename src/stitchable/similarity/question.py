"""What is asked of some anchors' features, checked before any image is read."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stitchable.errors import StitchError
from stitchable.feature import Cut, FeatureSpec
from stitchable.similarity.pair import Measure
from stitchable.similarity.rows import MEASURES, Rows, check_measures
from stitchable.similarity.views import POOLED, Meeting, smaller


@dataclass(frozen=True)
class Question:
    """Which measures of which pairs of cuts, from which rows; see `SimilaritySums`.

    Attributes:
        specs: By cut.
        pairs: Cuts to compare.
        rows: What counts as a row.
        measures: Which numbers are wanted.
        groups: Number of groups of images, 0 for no intervals.
        bandwidth: Of ``rbf_cka``, in median distances.
    """

    specs: Mapping[Cut, FeatureSpec]
    pairs: tuple[tuple[Cut, Cut], ...]
    rows: Rows
    measures: tuple[Measure, ...]
    groups: int
    bandwidth: float

    def __post_init__(self) -> None:
        if not self.pairs or not self.measures:
            raise StitchError("Similarity needs at least one pair of cuts and one measure.")
        if self.rows not in MEASURES:
            raise StitchError(f"Rows are {', '.join(MEASURES)}; got {self.rows!r}.")
        check_measures(self.measures, self.rows)
        if self.groups < 0 or self.groups == 1:
            raise StitchError(f"Intervals need at least 2 groups, or 0 for none; got {self.groups}.")
        if not 0 < self.bandwidth < math.inf:
            raise StitchError(f"The bandwidth is in median distances, above 0; got {self.bandwidth}.")

    def meeting(self, front: Cut, end: Cut) -> Meeting:
        """The rows that a pair is compared by, where moments are summed."""
        return smaller(self.specs[front], self.specs[end]) if self.rows == "pixels" else POOLED


def specs_of(
    features: Mapping[str, Sequence[FeatureSpec]], pairs: Sequence[tuple[Cut, Cut]]
) -> dict[Cut, FeatureSpec]:
    """The specs of all cuts in some pairs, in the order of cuts.

    Raises:
        StitchError: A cut does not exist.
    """
    found = {}
    for anchor, number in sorted({cut for pair in pairs for cut in pair}):
        if anchor not in features:
            raise StitchError(f"No anchor {anchor!r}; there are {', '.join(features)}.")
        if not 0 <= number < len(features[anchor]):
            raise StitchError(f"{anchor} has the cuts 0 to {len(features[anchor]) - 1}; got {number}.")
        found[anchor, number] = features[anchor][number]
    return found
