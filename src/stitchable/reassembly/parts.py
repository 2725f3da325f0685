"""Parts of anchors, and a zoo cut into them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Literal

from stitchable.errors import StitchError
from stitchable.feature import Cut

Size = Literal["macs", "params", "blocks"]
"""What the size of a part is. Stems and heads do not count: no cut can move them."""


@dataclass(frozen=True, order=True)
class ModelPart:
    """Consecutive blocks of one anchor.

    The first part of an anchor has its stem too, and the last one its head.

    Attributes:
        anchor: Its name.
        start: Number of the first block.
        stop: Number behind the last block.
    """

    anchor: str
    start: int
    stop: int

    def __str__(self) -> str:
        return f"{self.anchor}[{self.start}:{self.stop}]"

    @property
    def before(self) -> Cut:
        """The cut that it begins at."""
        return self.anchor, self.start

    @property
    def behind(self) -> Cut:
        """The cut that it leads to."""
        return self.anchor, self.stop


@dataclass(frozen=True)
class Partition:
    """Every anchor of a zoo as K consecutive parts, and the parts in K equivalence sets.

    Attributes:
        cuts: By anchor its K + 1 cuts, ascending from 0 to its depth.
        sets: By part the number of its equivalence set, from 0.
        medoids: By set the part that the others are most like.
        score: Sum over the parts of the similarity to the medoid of their set.

    Raises:
        StitchError: Fewer than two sets, cuts that do not ascend from 0, or sets that are not of these parts
            and medoids.
    """

    cuts: Mapping[str, tuple[int, ...]]
    sets: Mapping[ModelPart, int]
    medoids: tuple[ModelPart, ...]
    score: float

    def __post_init__(self) -> None:
        if self.count < 2:
            raise StitchError(f"A partition has two equivalence sets or more; got {self.count} medoids.")
        for anchor, cuts in self.cuts.items():
            ascend = all(start < stop for start, stop in pairwise(cuts))
            if len(cuts) != self.count + 1 or cuts[0] != 0 or not ascend:
                raise StitchError(
                    f"{anchor}: cuts {cuts} do not make {self.count} parts of a block or more. Give "
                    f"{self.count + 1} cuts that ascend from 0 to its depth."
                )
        if set(self.sets) != set(self.parts):
            raise StitchError("Equivalence sets must hold the parts of the partition, each of them once.")
        if [self.sets.get(medoid) for medoid in self.medoids] != list(range(self.count)):
            raise StitchError("Medoid k must be a part of equivalence set k, and sets are counted from 0.")
        wrong = sorted(set(self.sets.values()) - set(range(self.count)))
        if wrong:
            raise StitchError(f"Equivalence set {wrong[0]} has no medoid; {self.count} medoids were given.")

    @property
    def count(self) -> int:
        """K: parts of an anchor, and equivalence sets."""
        return len(self.medoids)

    @cached_property
    def parts(self) -> tuple[ModelPart, ...]:
        """All parts: anchor by anchor, from stem to head."""
        return tuple(
            ModelPart(anchor, start, stop)
            for anchor, cuts in self.cuts.items()
            for start, stop in pairwise(cuts)
        )
