"""Smaller spaces: a chosen list of stitches, and rules that drop the ones not worth having."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from stitchable.cost.parts import Cost
from stitchable.errors import StitchError, nearest
from stitchable.space.draw import uniform_index
from stitchable.space.space import StitchingSpace
from stitchable.stitch import Stitch

PruneRule = Literal["deeper", "dearer", "equal"]
LARGEST_LIST = 2_000_000


class ListedSpace(StitchingSpace):
    """Some of the stitches of a space, in their old order, with new indices from 0.

    Args:
        space: The space that holds them.
        members: The stitches to keep; anchors are kept always.
    """

    def __init__(self, space: StitchingSpace, members: Iterable[Stitch | str]) -> None:
        super().__init__(list(space.outlines.values()), space.joints, most_joints=space.most_joints)
        chosen = {space.stitch(member) for member in members}
        chosen |= {outline.stitch for outline in self.outlines.values()}
        self.members = tuple(sorted(chosen, key=space.index))
        self._numbers = {stitch: number for number, stitch in enumerate(self.members)}

    @property
    def counts(self) -> tuple[int, ...]:
        """Number of members with 0, 1, 2 … joints."""
        by_joints = Counter(len(stitch.joints) for stitch in self.members)
        return tuple(by_joints[joints] for joints in range(max(by_joints) + 1))

    def __getitem__(self, index: int) -> Stitch:
        """Stitch at ``index``."""
        try:
            return self.members[index]
        except IndexError:
            raise IndexError(f"Stitch {index} is not in a list of {len(self.members)}.") from None

    def index(self, stitch: Stitch | str) -> int:
        """Position of ``stitch`` among the members."""
        return self._numbers[self.stitch(stitch)]

    def __iter__(self) -> Iterator[Stitch]:
        return iter(self.members)

    def _why_not(self, stitch: Stitch) -> str | None:
        reason = super()._why_not(stitch)
        if reason is None and stitch not in self._numbers:
            return "it was pruned or not listed"
        return reason

    def to_dict(self) -> dict[str, Any]:
        """Joints, limits and the members' ids as plain data."""
        return {**super().to_dict(), "members": [str(stitch) for stitch in self.members]}


@dataclass(frozen=True)
class Dropped:
    """A stitch that pruning dropped, and why, in words."""

    stitch: Stitch
    rule: PruneRule
    reason: str


@dataclass(frozen=True)
class Pruned:
    """The space that is left, and what was dropped from it."""

    space: ListedSpace
    dropped: tuple[Dropped, ...]

    def describe(self) -> str:
        """One line: how many were dropped by which rule."""
        by_rule = Counter(drop.rule for drop in self.dropped)
        parts = ", ".join(f"{count} {rule}" for rule, count in by_rule.items()) or "nothing"
        return f"pruning kept {self.space.count} stitches and dropped {len(self.dropped)}: {parts}"


def prune(space: StitchingSpace, rules: Sequence[PruneRule]) -> Pruned:
    """Drop stitches by rules that need no data; anchors always stay.

    - ``deeper``: runs more blocks than every one of its anchors.
    - ``dearer``: costs at least the MACs of its dearest anchor.
    - ``equal``: costs the MACs of an anchor or of a stitch with a lower index that is kept.

    Raises:
        StitchError: A rule is unknown, or the space has more stitches than can be listed.
    """
    for rule in rules:
        if rule not in get_args(PruneRule):
            raise StitchError(f"Unknown pruning rule {rule!r}. {nearest(rule, get_args(PruneRule))}")
    if space.count > LARGEST_LIST:
        raise StitchError(
            f"Pruning lists its space; {space.count:,} stitches are more than {LARGEST_LIST:,}. "
            "Allow fewer joints or a smaller kernel."
        )
    kept: list[Stitch] = []
    dropped: list[Dropped] = []
    first_of: dict[int, Stitch] = {}
    for stitch in space:
        cost = space.cost(stitch)
        drop = None if len(stitch.segments) == 1 else _judge(space, stitch, cost, rules, first_of)
        if drop:
            dropped.append(drop)
        else:
            kept.append(stitch)
            first_of.setdefault(cost.macs, stitch)
    return Pruned(ListedSpace(space, kept), tuple(dropped))


def _judge(
    space: StitchingSpace, stitch: Stitch, cost: Cost, rules: Sequence[PruneRule], first_of: dict[int, Stitch]
) -> Dropped | None:
    passed = [space.outlines[name] for name in stitch.anchors]
    deepest = max(outline.depth for outline in passed)
    dearest = max(outline.cost.macs for outline in passed)
    if "deeper" in rules and stitch.depth > deepest:
        return Dropped(stitch, "deeper", f"runs {stitch.depth} blocks; its anchors have at most {deepest}")
    if "dearer" in rules and cost.macs >= dearest:
        return Dropped(stitch, "dearer", f"costs {cost.macs:,} MACs; its dearest anchor costs {dearest:,}")
    if "equal" in rules and cost.macs in first_of:
        return Dropped(stitch, "equal", f"costs {cost.macs:,} MACs, as {first_of[cost.macs]} does")
    return None


def sample_members(space: StitchingSpace, number: int, *, seed: int = 0) -> list[Stitch]:
    """Draw ``number`` different stitches of a space, anchors included, in the order of their indices.

    All of them if the space has no more than ``number``.
    """
    if number >= space.count:
        return list(space)
    chosen: set[int] = set(range(len(space.outlines)))
    draw = 0
    while len(chosen) < max(number, len(space.outlines)):
        chosen.add(uniform_index(space.count, "members", seed, draw))
        draw += 1
    return [space[index] for index in sorted(chosen)]
