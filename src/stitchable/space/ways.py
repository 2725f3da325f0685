"""How many paths lead on from every cut, by what they cost: the tables behind draws from a band of costs."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stitchable.space.joint import Joint
from stitchable.space.running import RunningCosts
from stitchable.space.space import StitchingSpace
from stitchable.stitch import Stitch

Entry = tuple[str, int]
"""An anchor and the cut where it is entered."""
Counts = NDArray[Any]
"""At b: how many ways on cost at most b units. int64, or Python's own numbers for spaces beyond that."""


class Found(NamedTuple):
    """A stitch and its MACs."""

    stitch: Stitch
    macs: int


class Ways:
    """The paths of a space, counted and indexed by their costs in whole units.

    What is rounded are running sums along an anchor, so that a segment of any length is rounded once at
    each end. A path over m joints costs more than its units less m, and less than its units and 2m + 1.

    Args:
        space: Of any size.
        running: Its costs.
        unit: MACs.
        most: Units that paths of interest cost at most.
    """

    def __init__(self, space: StitchingSpace, running: RunningCosts, *, unit: int, most: int) -> None:
        self.space, self.running, self.unit = space, running, unit
        self._kind: Any = object if space.count >= 2**62 else np.int64
        self._places = max(most, 0) + 1
        entered = {(joint.end, joint.enter) for joint in space.joints}
        # One table for every number of joints that may follow at most.
        self._tables: list[dict[Entry, Counts]] = []
        for further in range(space.most_joints + 1):
            wanted = {(name, 0) for name in space.outlines} if further == space.most_joints else entered
            self._tables.append(self._count_from(wanted, self._tables[-1] if further else {}))

    def _units(self, anchor: str, start: int, stop: int) -> int:
        run = self.running.up_to[anchor]
        return run[stop] // self.unit - run[start] // self.unit

    def _count_from(self, wanted: set[Entry], after: dict[Entry, Counts]) -> dict[Entry, Counts]:
        found = {}
        for name, outline in self.space.outlines.items():
            leaving: dict[int, list[Joint]] = {}
            for joint in self.running.leaving[name] if after else ():
                leaving.setdefault(joint.leave, []).append(joint)
            # From the head backwards: the ways on from a cut behind at least one block of the segment.
            here = np.zeros(self._places, dtype=self._kind)
            _add_shifted(here, np.ones_like(here), self._units(name, outline.depth, outline.depth + 1))
            for cut in range(outline.depth, 0, -1):
                for joint in leaving.get(cut, ()):
                    units = self.running.crossing[joint] // self.unit
                    _add_shifted(here, after[joint.end, joint.enter], units)
                before = np.zeros_like(here)
                _add_shifted(before, here, self._units(name, cut - 1, cut))
                here = before
                if (name, cut - 1) in wanted:
                    found[name, cut - 1] = here.copy()
        return found

    def between(self, low: int, high: int) -> int:
        """How many paths cost ``low`` to ``high`` units, ends included."""
        return sum(self._from_start(name, low, high) for name in self.space.outlines)

    def _from_start(self, name: str, low: int, high: int) -> int:
        stem = self.running.up_to[name][0] // self.unit
        return _within(self._tables[-1][name, 0], low - stem, high - stem)

    def at(self, index: int, low: int, high: int) -> Found:
        """The path at an index below ``between(low, high)``: pass over as many as each way on holds."""
        up_to, crossing = self.running.up_to, self.running.crossing
        for name in self.space.outlines:
            ways = self._from_start(name, low, high)
            if index < ways:
                break
            index -= ways
        path: list[Joint] = []
        cut, macs = 0, up_to[name][0]
        used = macs // self.unit
        for further in range(self.space.most_joints - 1, -1, -1):
            for joint in self.running.leaving[name]:
                if joint.leave <= cut:
                    continue
                units = used + self._units(name, cut, joint.leave) + crossing[joint] // self.unit
                ways = _within(self._tables[further][joint.end, joint.enter], low - units, high - units)
                if index < ways:
                    break
                index -= ways
            else:
                break  # what is left is the one path that stays
            macs += up_to[name][joint.leave] - up_to[name][cut] + crossing[joint]
            path.append(joint)
            name, cut, used = joint.end, joint.enter, units
        macs += up_to[name][-1] - up_to[name][cut]
        return Found(self.space.through(path) if path else self.space.outlines[name].stitch, macs)


def _add_shifted(into: Counts, counts: Counts, units: int) -> None:
    if units < len(into):
        into[units:] += counts[: len(into) - units]


def _within(counts: Counts, low: int, high: int) -> int:
    """How many cost ``low`` to ``high`` units, ends included."""
    if high < max(low, 0):
        return 0
    return int(counts[min(high, len(counts) - 1)]) - (int(counts[low - 1]) if low > 0 else 0)
