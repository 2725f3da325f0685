"""The cheapest and the dearest stitch of a space of any size."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import accumulate
from operator import itemgetter
from typing import Any

from stitchable.space.joint import Joint
from stitchable.space.prune import ListedSpace
from stitchable.space.space import StitchingSpace
from stitchable.stitch import Stitch

_Way = tuple[int, tuple[Joint, ...]]  # MACs, and the joints that are taken


def cheapest(space: StitchingSpace) -> Stitch:
    """The stitch with the fewest MACs; a space that is not a list already is not listed."""
    return _extreme(space, min)


def dearest(space: StitchingSpace) -> Stitch:
    """The stitch with the most MACs, likewise."""
    return _extreme(space, max)


def _extreme(space: StitchingSpace, choose: Callable[..., Any]) -> Stitch:
    if isinstance(space, ListedSpace):
        listed: Stitch = choose(space, key=lambda stitch: space.cost(stitch).macs)
        return listed
    # MACs add up along a path, so the best way on from a joint depends on nothing before it.
    before = {
        name: [0, *accumulate(part.macs for part in outline.blocks)]
        for name, outline in space.outlines.items()
    }
    best: dict[Joint, _Way] = {}
    for _ in range(space.most_joints):
        best = {
            joint: choose(_ways_on(space, before, joint, best), key=itemgetter(0)) for joint in space.joints
        }
    ways: list[tuple[int, Any]] = [(outline.cost.macs, outline.stitch) for outline in space.outlines.values()]
    ways += [
        (space.outlines[joint.front].stem.macs + before[joint.front][joint.leave] + macs, path)
        for joint, (macs, path) in best.items()
    ]
    chosen = choose(ways, key=itemgetter(0))[1]
    return chosen if isinstance(chosen, Stitch) else space.through(chosen)


def _ways_on(
    space: StitchingSpace, before: Mapping[str, list[int]], joint: Joint, best: Mapping[Joint, _Way]
) -> Iterator[_Way]:
    """From a joint to the head: by the end anchor alone, or by one of the joints that may follow."""
    running = before[joint.end]
    crossing = space.joint_cost(joint).macs - running[joint.enter]
    yield crossing + running[-1] + space.outlines[joint.end].head.macs, (joint,)
    for after, (macs, path) in best.items():
        if after.front == joint.end and after.leave > joint.enter:
            yield crossing + running[after.leave] + macs, (joint, *path)
