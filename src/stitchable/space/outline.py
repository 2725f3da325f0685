"""An anchor as the stitching space sees it: names, shapes and costs, no weights."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from stitchable.cost.parts import Cost, PartCost, total
from stitchable.feature import FeatureSpec
from stitchable.stitch import Segment, Stitch


@dataclass(frozen=True)
class Outline:
    """Outline of one anchor with ``depth`` blocks.

    Attributes:
        name: The anchor's name in stitch ids.
        features: ``depth + 1`` specs, one per cut; cut ``i`` lies before block ``i``.
        stages: Stage of every block, non-decreasing from 0.
        stem: Cost of the stem.
        blocks: Cost of every block.
        head: Cost of the head.
    """

    name: str
    features: tuple[FeatureSpec, ...]
    stages: tuple[int, ...]
    stem: PartCost
    blocks: tuple[PartCost, ...]
    head: PartCost

    @property
    def depth(self) -> int:
        """Number of blocks."""
        return len(self.blocks)

    @cached_property
    def cost(self) -> Cost:
        """Cost of the anchor alone."""
        return total((self.stem, *self.blocks, self.head))

    @property
    def stitch(self) -> Stitch:
        """The anchor alone, as a stitch."""
        return Stitch((Segment(self.name, 0, self.depth),))

    def stage_blocks(self, stage: int) -> range:
        """Ids of the blocks of ``stage``; empty if there is no such stage."""
        ids = [index for index, block_stage in enumerate(self.stages) if block_stage == stage]
        return range(ids[0], ids[-1] + 1) if ids else range(0)

    @property
    def stage_count(self) -> int:
        """Number of stages; 1 for a plain ViT."""
        return max(self.stages) + 1
