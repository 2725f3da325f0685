"""Small changes to a stitch: another joint close by, one joint less, one more."""

from __future__ import annotations

from stitchable.space.draw import uniform_index
from stitchable.space.joint import Joint
from stitchable.space.space import StitchingSpace
from stitchable.stitch import Stitch

NEAREST = 8
ATTEMPTS = 50


class Mutation:
    """Changes stitches of a space, by the key that it is given and nothing else.

    A change moves one joint to one of the nearest that join the same two anchors, cuts off what lies before
    or behind a joint, or puts a joint before the first or behind the last. Every stitch can so be reached
    from every other, unless the space is a list.

    Args:
        space: Of any size.
    """

    def __init__(self, space: StitchingSpace) -> None:
        self.space = space
        self._leaving: dict[str, list[Joint]] = {name: [] for name in space.outlines}
        self._entering: dict[str, list[Joint]] = {name: [] for name in space.outlines}
        for joint in space.joints:
            self._leaving[joint.front].append(joint)
            self._entering[joint.end].append(joint)

    def __call__(self, stitch: Stitch, *key: int | str) -> Stitch:
        """Another stitch of the space, changed once.

        The stitch itself, where it cannot be changed or `ATTEMPTS` changes all led out of the space.
        """
        for attempt in range(ATTEMPTS):
            changed = self._change(stitch, *key, attempt)
            if changed is not None and changed != stitch and changed in self.space:
                return changed
        return stitch

    def _change(self, stitch: Stitch, *key: int | str) -> Stitch | None:
        path = list(self.space.path(stitch))
        kind = uniform_index(5, *key, "kind")
        if kind == 0:  # one more in front
            first = stitch.segments[0]
            before = [joint for joint in self._entering[first.anchor] if joint.enter < first.stop]
            return self._with(before, [], path, *key)
        if kind == 1:  # one more behind
            last = stitch.segments[-1]
            after = [joint for joint in self._leaving[last.anchor] if joint.leave > last.start]
            return self._with(after, path, [], *key)
        if not path:
            return None
        at = uniform_index(len(path), *key, "at")
        if kind == 2:  # cut off a joint and what lies before it, or behind it
            if uniform_index(2, *key, "side"):
                return self._through(path[:at], stitch.anchors[0])
            return self._through(path[at + 1 :], stitch.anchors[-1])
        near = self._near(path[at])  # twice as likely as each of the others
        return self._with(near, path[:at], path[at + 1 :], *key)

    def _with(
        self, choice: list[Joint], before: list[Joint], after: list[Joint], *key: int | str
    ) -> Stitch | None:
        if not choice or len(before) + 1 + len(after) > self.space.most_joints:
            return None
        joint = choice[uniform_index(len(choice), *key, "which")]
        path = [*before, joint, *after]
        if any(later.leave <= joint.enter for later in after[:1]):
            return None
        if any(joint.leave <= earlier.enter for earlier in before[-1:]):
            return None
        return self.space.through(path)

    def _through(self, path: list[Joint], alone: str) -> Stitch:
        return self.space.through(path) if path else self.space.outlines[alone].stitch

    def _near(self, joint: Joint) -> list[Joint]:
        def distance(other: Joint) -> int:
            return abs(other.leave - joint.leave) + abs(other.enter - joint.enter)

        alike = [other for other in self._leaving[joint.front] if other.end == joint.end and other != joint]
        return sorted(alike, key=distance)[:NEAREST]
