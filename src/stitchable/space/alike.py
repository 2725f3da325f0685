"""Joints of every two cuts of two anchors, and those of them that a similarity would choose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

from stitchable.errors import StitchError
from stitchable.feature import Cut
from stitchable.space.draw import permuted_index
from stitchable.space.joint import Joint
from stitchable.space.outline import Outline


def front_end_pairs(outlines: Sequence[Outline]) -> list[tuple[Outline, Outline]]:
    """Every two anchors, the one of fewer MACs first; of equal ones the first given."""
    return list(combinations(sorted(outlines, key=lambda outline: outline.cost.macs), 2))


def every_joint(front: Outline, end: Outline) -> list[Joint]:
    """A joint, with a layer of its own, from every cut that can be left to every one that can be entered.

    At least a block of the front runs before the joint and one of the end anchor behind it.
    """
    return [
        Joint(front.name, leave, end.name, enter, f"{front.name}>{end.name}:{leave}-{enter}")
        for enter in range(end.depth)
        for leave in range(1, front.depth + 1)
    ]


def alike_joints(
    front: Outline, end: Outline, similarity: Mapping[tuple[Cut, Cut], float]
) -> dict[Joint, float]:
    """For every cut of the end anchor the most similar one of the front, as joints with their similarity.

    Args:
        front: The anchor to leave.
        end: The anchor to enter.
        similarity: By cut of the front and cut of the end anchor. Of equal ones the earliest is taken,
            which leaves the front soonest.

    Returns:
        A joint per cut of the end anchor but its last, in their order.

    Raises:
        StitchError: The similarity of two cuts is not given.

    Example:
        >>> from stitchable.cost.parts import PartCost
        >>> from stitchable.feature import FeatureSpec
        >>> part, spec = PartCost(1, ()), FeatureSpec("map", 4, (8, 8))
        >>> def anchor(name, depth):
        ...     return Outline(name, (spec,) * (depth + 1), (0,) * depth, part, (part,) * depth, part)
        >>> near = {(("a", j), ("b", k)): -abs(2 * j - k) for j in range(3) for k in range(5)}
        >>> [str(joint) for joint in alike_joints(anchor("a", 2), anchor("b", 4), near)]
        ['a@1>b@0', 'a@1>b@1', 'a@1>b@2', 'a@1>b@3']
    """
    chosen: dict[int, tuple[float, Joint]] = {}
    for joint in every_joint(front, end):
        cuts = (front.name, joint.leave), (end.name, joint.enter)
        if cuts not in similarity:
            raise StitchError(
                f"No similarity is known of {cuts[0]} and {cuts[1]}. Measure every pair of cuts."
            )
        value = similarity[cuts]
        if joint.enter not in chosen or value > chosen[joint.enter][0]:
            chosen[joint.enter] = value, joint
    return {joint: value for value, joint in chosen.values()}


def with_others(
    chosen: Sequence[Joint], joints: Sequence[Joint], others: int, *, seed: int = 0
) -> list[Joint]:
    """Some joints, and besides them a uniform draw of the rest, in the order of all.

    Args:
        chosen: Among ``joints``.
        joints: All of them.
        others: How many to draw without replacement; all where there are no more.
        seed: Of the draw.
    """
    taken = set(chosen)
    rest = [joint for joint in joints if joint not in taken]
    places = range(min(others, len(rest)))
    taken |= {rest[permuted_index(len(rest), place, "other joints", seed)] for place in places}
    return [joint for joint in joints if joint in taken]
