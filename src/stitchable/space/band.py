"""Uniform draws among the stitches whose cost lies in a band, from spaces of any size."""

from __future__ import annotations

from stitchable.errors import StitchError
from stitchable.space.draw import uniform_index
from stitchable.space.prune import ListedSpace
from stitchable.space.running import RunningCosts
from stitchable.space.space import StitchingSpace
from stitchable.space.ways import Ways
from stitchable.stitch import Stitch

MEMORY_BYTES = 2**26
FEW = 4096
"""Where so few stitches may lie in a band, all of them are looked at."""
ATTEMPTS = 5000


class CostBand:
    """The stitches of a space with ``low`` to ``high`` MACs, ends included.

    Costs are rounded to units, and the ways on from every cut are counted by what they cost in units and by
    the joints that are left. From these numbers an index leads to a stitch, so a uniform draw among all whose
    rounded cost may lie in the band is a walk along one path; it is repeated until the true cost does. Where
    all costs are multiples of a unit for which the tables suffice, nothing is rounded or repeated.

    Memory depends on the space's cuts and joints and not on the number of its stitches.

    Args:
        space: Of any size; one that is a list is filtered.
        low: Fewest MACs.
        high: Most MACs.
        memory_bytes: About how much the tables may take. With less the unit is larger and draws are repeated
            more often; they stay as uniform.

    Attributes:
        at_least: No fewer stitches than this lie in the band.
        at_most: No more do; the same number where nothing was rounded.

    Raises:
        StitchError: ``low`` is negative or above ``high``, or no stitch lies between them.

    Source: Dyer 2003, "Approximate counting by dynamic programming" (rounding, then rejection), for
    knapsacks; here for paths.
    """

    def __init__(
        self, space: StitchingSpace, low: int, high: int, *, memory_bytes: int = MEMORY_BYTES
    ) -> None:
        if not 0 <= low <= high:
            raise StitchError(f"A band of costs goes from 0 or more to no less; got {low} to {high} MACs.")
        self.space, self.low, self.high = space, low, high
        self._members: list[Stitch] | None = None
        if isinstance(space, ListedSpace):
            self._keep([each for each in space if low <= space.cost(each).macs <= high])
        else:
            self._count(memory_bytes)

    def _count(self, memory_bytes: int) -> None:
        running = RunningCosts(self.space)
        unit = max(running.divisor, -(-self.high // _places(self.space, memory_bytes)))
        joints = self.space.most_joints
        # By how much a path may cost less and more than its units; see `Ways`.
        under, over = (0, 0) if unit == running.divisor else (joints, 2 * joints + 1)
        least, most = -(-self.low // unit), self.high // unit
        self._window = least - over, most + under
        self._ways = Ways(self.space, running, unit=unit, most=most + under)
        self.at_most = self._ways.between(*self._window)
        self.at_least = self._ways.between(least + under, most - over)
        if self.at_most == 0 or (over and self.at_most <= FEW):
            found = [self._ways.at(index, *self._window) for index in range(self.at_most)]
            self._keep([each.stitch for each in found if self.low <= each.macs <= self.high])

    def _keep(self, members: list[Stitch]) -> None:
        if not members:
            raise StitchError(
                f"No stitch has {self.low:,} to {self.high:,} MACs. Widen the band; 'stitchable space' shows "
                "what they cost."
            )
        self._members = members
        self.at_least = self.at_most = len(members)

    def draw(self, *key: int | str) -> Stitch:
        """A stitch of the band, each as likely as any other: a pure function of the band and ``key``.

        Raises:
            StitchError: So few of the stitches that cost about as much lie in the band that none was met.
        """
        if self._members is not None:
            return self._members[uniform_index(self.at_most, *key)]
        for attempt in range(ATTEMPTS):
            found = self._ways.at(uniform_index(self.at_most, *key, attempt), *self._window)
            if self.low <= found.macs <= self.high:
                return found.stitch
        raise StitchError(
            f"None of {ATTEMPTS:,} draws near {self.low:,} to {self.high:,} MACs lies within. Widen the "
            "band, or give its tables more memory."
        )

    def sample(self, number: int, *, seed: int = 0) -> list[Stitch]:
        """Draw ``number`` stitches uniformly, with replacement; the same for the same seed."""
        return [self.draw("band", seed, step) for step in range(number)]


def _places(space: StitchingSpace, memory_bytes: int) -> int:
    """Length of the tables that fit into so much memory."""
    entries = len({(joint.end, joint.enter) for joint in space.joints})
    tables = entries * space.most_joints + len(space.outlines) + 2
    return max(memory_bytes // (tables * (48 if space.count >= 2**62 else 8)), 64)
