"""The stitching space as a graph: count, index, enumerate and sample paths without listing them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import accumulate, pairwise, zip_longest
from typing import Any

from stitchable.cost.joint import stitching_cost
from stitchable.cost.parts import Cost, PartCost, total
from stitchable.errors import StitchError, nearest
from stitchable.feature import FeatureSpec
from stitchable.space.draw import uniform_index
from stitchable.space.joint import Joint
from stitchable.space.outline import Outline
from stitchable.space.steps import Span, Step, path_spans, path_steps
from stitchable.stitch import Segment, Stitch


class StitchingSpace:
    """All paths from a stem to a head over at most ``most_joints`` joints.

    The nodes of the graph are the anchors' cuts; its edges are blocks and joints. A stitch is told by
    its first anchor and the joints it takes, and a joint may follow another where at least one block
    lies between them. Stitches are ordered by their number of joints, then by the joints' positions in
    ``joints``, so the anchors come first. Counting is dynamic programming over the joints.

    Args:
        outlines: The anchors, in the order of their indices.
        joints: Every joint, in the order that the indices follow.
        most_joints: Largest number of joints in one stitch.

    Raises:
        StitchError: Two anchors of one name, a joint that its anchors do not have, two of the same cuts, or
            a layer that is shared by joints of unlike features.

    Example:
        `stitchable.space.build.build_space` makes one from anchors and options.
    """

    def __init__(self, outlines: Sequence[Outline], joints: Sequence[Joint], *, most_joints: int = 1) -> None:
        self.outlines = {outline.name: outline for outline in outlines}
        if len(self.outlines) < len(outlines):
            names = ", ".join(outline.name for outline in outlines)
            raise StitchError(f"Anchor names must differ; got {names}. Name them like 'small=…'.")
        self.joints = tuple(joints)
        self.most_joints = most_joints
        self._position = {
            (joint.front, joint.leave, joint.end, joint.enter): number
            for number, joint in enumerate(self.joints)
        }
        if len(self._position) < len(self.joints):
            raise StitchError("Two joints connect the same two cuts. Give every pair of cuts one joint.")
        self._by_front: dict[str, list[int]] = {name: [] for name in self.outlines}
        for number, joint in enumerate(self.joints):
            self._check(joint)
            self._by_front[joint.front].append(number)
        for first, *others in self.layers.values():
            for joint in others:
                if any(map(_unlike, self.features(first), self.features(joint))):
                    raise StitchError(
                        f"{first} and {joint} share the layer {first.layer!r} and carry unlike features. "
                        "Give each a layer of its own."
                    )

    def _check(self, joint: Joint) -> None:
        front, end = self.outlines.get(joint.front), self.outlines.get(joint.end)
        if front is None or end is None or front is end:
            raise StitchError(f"Joint {joint} does not lead from one anchor of the space to another.")
        if not (1 <= joint.leave <= front.depth and 0 <= joint.enter < end.depth):
            raise StitchError(f"Joint {joint} leads to a cut that its anchors do not have.")

    # Counting

    def _successors(self, number: int) -> list[int]:
        """Joints that may follow: they leave the entered anchor after at least one of its blocks."""
        joint = self.joints[number]
        return [after for after in self._by_front[joint.end] if self.joints[after].leave > joint.enter]

    @cached_property
    def _ways(self) -> list[list[int]]:
        """``_ways[n][e]``: how many paths take exactly n further joints after joint e."""
        ways = [[1] * len(self.joints)]
        for _ in range(self.most_joints - 1):
            # Suffix sums over the cut that is left: one bisection per joint instead of a scan.
            sums: dict[str, tuple[list[int], list[int]]] = {}
            for name, numbers in self._by_front.items():
                ordered = sorted(numbers, key=lambda number: self.joints[number].leave)
                leaves = [self.joints[number].leave for number in ordered]
                sums[name] = leaves, [0, *accumulate(ways[-1][number] for number in ordered)]
            row = []
            for joint in self.joints:
                leaves, partial = sums[joint.end]
                row.append(partial[-1] - partial[bisect_right(leaves, joint.enter)])
            ways.append(row)
        return ways

    @cached_property
    def _firsts(self) -> list[list[int]]:
        """Running totals over the first joint, for every number of joints."""
        if self.most_joints < 1:
            return []
        return [list(accumulate(row)) for row in self._ways]

    @cached_property
    def counts(self) -> tuple[int, ...]:
        """Number of stitches with 0, 1, 2 … joints."""
        return (len(self.outlines), *(row[-1] if row else 0 for row in self._firsts))

    @property
    def count(self) -> int:
        """Number of stitches, anchors included. Exact for spaces of any size."""
        return sum(self.counts)

    def __len__(self) -> int:
        return self.count

    # Indexing

    def __getitem__(self, index: int) -> Stitch:
        """Stitch at ``index``; negative indices count from the end."""
        rest = index + self.count if index < 0 else index
        if not 0 <= rest < self.count:
            raise IndexError(
                f"Stitch {index} is not in a space of {self.count}; allowed: 0 to {self.count - 1}."
            )
        joints = 0
        while rest >= self.counts[joints]:
            rest -= self.counts[joints]
            joints += 1
        if joints == 0:
            return list(self.outlines.values())[rest].stitch
        running = self._firsts[joints - 1]
        first = bisect_right(running, rest)
        rest -= running[first] - self._ways[joints - 1][first]
        path = [first]
        for further in range(joints - 2, -1, -1):
            for after in self._successors(path[-1]):
                if rest < self._ways[further][after]:
                    break
                rest -= self._ways[further][after]
            path.append(after)
        return self.through([self.joints[number] for number in path])

    def index(self, stitch: Stitch | str) -> int:
        """Position of ``stitch``: the inverse of indexing.

        Raises:
            StitchError: The stitch is not in the space; the message names the nearest ones.
        """
        stitch = self.stitch(stitch)
        path = [self._position[key] for key in _keys(stitch)]
        if not path:
            return list(self.outlines).index(stitch.anchors[0])
        before = sum(self.counts[: len(path)])
        before += self._firsts[len(path) - 1][path[0]] - self._ways[len(path) - 1][path[0]]
        for further, (number, after) in zip(range(len(path) - 2, -1, -1), pairwise(path), strict=True):
            before += sum(self._ways[further][other] for other in self._successors(number) if other < after)
        return before

    def __iter__(self) -> Iterator[Stitch]:
        for outline in self.outlines.values():
            yield outline.stitch
        for joints in range(1, len(self.counts)):
            for number in range(len(self.joints)):
                yield from self._extend([number], joints - 1)

    def _extend(self, path: list[int], further: int) -> Iterator[Stitch]:
        if further == 0:
            yield self.through([self.joints[number] for number in path])
            return
        for after in self._successors(path[-1]):
            if self._ways[further - 1][after]:
                yield from self._extend([*path, after], further - 1)

    def through(self, path: Sequence[Joint]) -> Stitch:
        """The stitch that takes these joints, one or more."""
        segments, start = [], 0
        for joint in path:
            segments.append(Segment(joint.front, start, joint.leave))
            start = joint.enter
        segments.append(Segment(path[-1].end, start, self.outlines[path[-1].end].depth))
        return Stitch(tuple(segments))

    # Membership

    def __contains__(self, stitch: object) -> bool:
        return isinstance(stitch, Stitch) and self._why_not(stitch) is None

    def _why_not(self, stitch: Stitch) -> str | None:
        for segment in stitch.segments:
            if segment.anchor not in self.outlines:
                return f"there is no anchor {segment.anchor!r}. {nearest(segment.anchor, self.outlines)}"
        last = stitch.segments[-1]
        if last.stop != self.outlines[last.anchor].depth:
            return f"{last.anchor} has {self.outlines[last.anchor].depth} blocks and must run to its last"
        if len(stitch.joints) > self.most_joints:
            return f"it has {len(stitch.joints)} joints and the space allows {self.most_joints}"
        for key in _keys(stitch):
            if key not in self._position:
                return f"the joint {Joint(*key, layer='')} is not in the space. {self._near(key)}"
        return None

    def _near(self, key: tuple[str, int, str, int]) -> str:
        front, leave, end, enter = key
        same = [joint for joint in self.joints if (joint.front, joint.end) == (front, end)]
        same.sort(key=lambda joint: abs(joint.leave - leave) + abs(joint.enter - enter))
        if not same:
            return f"Nothing joins {front} to {end}; allowed: {', '.join(sorted(self._directions))}."
        return f"Nearest: {', '.join(str(self.through([joint])) for joint in same[:3])}."

    @property
    def _directions(self) -> set[str]:
        return {f"{joint.front} to {joint.end}" for joint in self.joints}

    def stitch(self, stitch: Stitch | str) -> Stitch:
        """Resolve a text id, or an anchor's bare name, to a stitch of this space.

        Raises:
            StitchError: It does not read or is not in the space.
        """
        if isinstance(stitch, str):
            if stitch not in self.outlines and "[" not in stitch:
                raise StitchError(
                    f"{stitch!r} is no anchor, and no stitch id such as {self[self.count - 1]}. "
                    f"{nearest(stitch, self.outlines)}"
                )
            stitch = self.outlines[stitch].stitch if stitch in self.outlines else Stitch.parse(stitch)
        reason = self._why_not(stitch)
        if reason:
            raise StitchError(f"Stitch {stitch} is not in the space: {reason}")
        return stitch

    def joint(self, front: Segment, end: Segment) -> Joint:
        """The joint between two neighbouring segments of a stitch of this space."""
        return self.joints[self._position[front.anchor, front.stop, end.anchor, end.start]]

    def path(self, stitch: Stitch) -> tuple[Joint, ...]:
        """The joints that a stitch of this space takes, in order."""
        return tuple(self.joint(front, end) for front, end in stitch.joints)

    def steps(self, stitch: Stitch | str) -> tuple[Step, ...]:
        """Everything that a stitch of this space runs, in order: stem, blocks, layers and head."""
        stitch = self.stitch(stitch)
        layers = [joint.layer for joint in self.path(stitch)]
        return path_steps(stitch, layers)

    def spans(self, stitch: Stitch | str) -> tuple[Span, ...]:
        """What `steps` says, with the blocks of each segment as one entry."""
        stitch = self.stitch(stitch)
        return path_spans(stitch, [joint.layer for joint in self.path(stitch)])

    # Layers and costs

    @cached_property
    def layers(self) -> dict[str, tuple[Joint, ...]]:
        """Every stitching layer's id with the joints that share it."""
        shared: dict[str, list[Joint]] = {}
        for joint in self.joints:
            shared.setdefault(joint.layer, []).append(joint)
        return {layer: tuple(joints) for layer, joints in shared.items()}

    def features(self, joint: Joint) -> tuple[FeatureSpec, FeatureSpec]:
        """What ``joint`` carries: the front's feature and the one that the end anchor expects."""
        return self.outlines[joint.front].features[joint.leave], self.outlines[joint.end].features[
            joint.enter
        ]

    def joint_cost(self, joint: Joint) -> PartCost:
        """Cost of crossing ``joint``."""
        front, end = self.features(joint)
        return stitching_cost(front, end, layer=joint.layer)

    def parts(self, stitch: Stitch | str) -> tuple[PartCost, ...]:
        """Costs of everything that a stitch of this space runs, one for each of its `steps`."""
        stitch = self.stitch(stitch)
        parts = [self.outlines[stitch.anchors[0]].stem]
        for segment, joint in zip_longest(stitch.segments, self.path(stitch)):
            parts += self.outlines[segment.anchor].blocks[segment.start : segment.stop]
            if joint is not None:
                parts.append(self.joint_cost(joint))
        return (*parts, self.outlines[stitch.anchors[-1]].head)

    def cost(self, stitch: Stitch | str) -> Cost:
        """MACs and params of a stitch: the sum of what it runs, shared params counted once."""
        return total(self.parts(stitch))

    # Sampling and storing

    def sample(self, number: int, *, seed: int = 0) -> list[Stitch]:
        """Draw ``number`` stitches uniformly, with replacement; the same for the same seed."""
        return [self[uniform_index(self.count, seed, step)] for step in range(number)]

    def to_dict(self) -> dict[str, Any]:
        """Joints and limits as plain data; the outlines are not part of it."""
        return {
            "most_joints": self.most_joints,
            "joints": [[j.front, j.leave, j.end, j.enter, j.layer] for j in self.joints],
        }


def _unlike(a: FeatureSpec, b: FeatureSpec) -> bool:
    return a.width != b.width or bool(a.differences(b))


def _keys(stitch: Stitch) -> list[tuple[str, int, str, int]]:
    return [(front.anchor, front.stop, end.anchor, end.start) for front, end in stitch.joints]
