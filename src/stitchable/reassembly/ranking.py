"""Reassembled networks in the order of what they reach before any training."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from stitchable.prediction.rank_correlation import RankCorrelation, rank_correlation
from stitchable.reassembly.parts import Partition


@dataclass(frozen=True)
class Candidate:
    """A network made of parts, or an anchor beside them.

    Attributes:
        stitch: Its text id.
        macs: Multiply-adds for one image.
        params: Those that it holds.
        score: What it was chosen by; ``None`` for an anchor, which nobody chose.
        top1: Measured before any training, percent; ``None`` where it has not been measured yet.
        top1_low: Lower end of the 95 % interval of ``top1``.
        top1_high: Upper end.
    """

    stitch: str
    macs: int
    params: int
    score: float | None = None
    top1: float | None = None
    top1_low: float | None = None
    top1_high: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """As plain data; a score that is not finite is left out, JSON does not know it."""
        values = {key: value for key, value in asdict(self).items() if value is not None}
        if self.score is not None and not math.isfinite(self.score):
            del values["score"]
        return values


@dataclass(frozen=True)
class Ranking:
    """What became of a zoo.

    Attributes:
        partition: How it was cut.
        candidates: The shortlist, the highest top-1 first; by score before it is measured.
        anchors: The zoo's anchors, measured on the same images.
        correlation: Rank correlation over the shortlist of score and top-1; ``None`` where fewer than four
            were measured, or all alike.
    """

    partition: Partition
    candidates: tuple[Candidate, ...]
    anchors: tuple[Candidate, ...]
    correlation: RankCorrelation | None

    def to_dict(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Everything as plain data, with the options that led to it."""
        return {
            "options": dict(options),
            "partition": {
                "cuts": {name: list(cuts) for name, cuts in self.partition.cuts.items()},
                "sets": {str(part): number for part, number in self.partition.sets.items()},
                "medoids": [str(part) for part in self.partition.medoids],
                "score": self.partition.score,
            },
            "candidates": [each.to_dict() for each in self.candidates],
            "anchors": [each.to_dict() for each in self.anchors],
            "correlation": self.correlation and self.correlation.to_dict(),
        }

    def describe(self) -> str:
        """In a line, how far the score can be believed."""
        if self.correlation is None:
            return (
                "Too few networks were measured, or they are all alike, to say whether the score orders them."
            )
        found = self.correlation
        line = (
            f"Rank correlation of score and top-1 before training, over {found.pairs} networks: Spearman "
            f"{found.spearman}, Kendall {found.kendall}"
        )
        if found.spearman.includes_zero:
            return f"{line}. The interval reaches 0: these data do not show that the score orders them."
        return f"{line}."


def ranked(
    partition: Partition, candidates: Sequence[Candidate], anchors: Sequence[Candidate], *, seed: int = 0
) -> Ranking:
    """Put measured networks in order.

    Args:
        partition: That of the zoo.
        candidates: The shortlist; those without ``top1`` keep their order behind the others.
        anchors: The anchors.
        seed: Of the bootstrap behind the correlation's intervals.
    """
    pairs = [
        (each.score, each.top1)
        for each in candidates
        if each.score is not None and each.top1 is not None and math.isfinite(each.score)
    ]
    correlation = None
    if len(pairs) >= 4:
        score, top1 = np.array(pairs, dtype=np.float64).T
        correlation = rank_correlation(score, top1, seed=seed)
    order = sorted(candidates, key=lambda each: (each.top1 is None, -(each.top1 or 0.0), each.macs))
    if not pairs:
        order = list(candidates)
    return Ranking(partition, tuple(order), tuple(anchors), correlation)
