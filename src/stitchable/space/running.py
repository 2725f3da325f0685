"""What a space's paths cost on their way: running sums along every anchor, and the joints' prices."""

from __future__ import annotations

import math
from itertools import accumulate, pairwise

from stitchable.space.joint import Joint
from stitchable.space.space import StitchingSpace


class RunningCosts:
    """MACs of a space by the segments and joints that paths are made of.

    Args:
        space: Its outlines and joints are read.

    Attributes:
        up_to: By anchor: MACs of the stem and the blocks before each cut; one entry further on the whole
            anchor's, with its head.
        crossing: MACs of each joint.
        leaving: By anchor: the joints that leave it, in the space's order.
    """

    def __init__(self, space: StitchingSpace) -> None:
        self.up_to = {
            name: list(accumulate([each.stem.macs, *(block.macs for block in each.blocks), each.head.macs]))
            for name, each in space.outlines.items()
        }
        self.crossing = {joint: space.joint_cost(joint).macs for joint in space.joints}
        self.leaving: dict[str, list[Joint]] = {name: [] for name in space.outlines}
        for joint in space.joints:
            self.leaving[joint.front].append(joint)

    @property
    def divisor(self) -> int:
        """The largest number of MACs of which every cost is a multiple."""
        parts = [*self.crossing.values()]
        for run in self.up_to.values():
            parts += [run[0], *(after - before for before, after in pairwise(run))]
        return max(math.gcd(*parts), 1)
