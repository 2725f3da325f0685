"""Features as rows for comparison: which geometry two cuts meet in, and how few products serve all pairs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from stitchable.feature import Cut, FeatureSpec


class Meeting(NamedTuple):
    """Rows that two features both have.

    Attributes:
        grid: Rows and columns that the features' grids are resampled to.
        prefix: Prefix tokens that take part, the leading ones.
    """

    grid: tuple[int, int]
    prefix: int


View = tuple[Meeting, Cut]
"""The feature at a cut as such rows."""

POOLED = Meeting((1, 1), 0)
"""A row per image: the mean over the grid."""


class Block(NamedTuple):
    """A set of pairs that one matrix product serves: every front with every end.

    Attributes:
        meeting: The rows of all of them.
        fronts: Cuts whose features are the columns on the left.
        ends: Cuts whose features are the columns on the right.
    """

    meeting: Meeting
    fronts: tuple[Cut, ...]
    ends: tuple[Cut, ...]


def smaller(front: FeatureSpec, end: FeatureSpec) -> Meeting:
    """Where two features meet pixel by pixel: the smaller grid, and the prefix tokens that both have."""
    grid = min(front.grid, end.grid, key=lambda each: (each[0] * each[1], each))
    return Meeting(grid, min(front.prefix_tokens, end.prefix_tokens))


def blocks(pairs: Iterable[tuple[Meeting, Cut, Cut]]) -> tuple[Block, ...]:
    """Cover pairs with few blocks, each pair once; besides a block for each feature with itself.

    Pairs that differ in the order of their cuts are one.

    Example:
        >>> found = blocks((POOLED, ("a", j), ("b", k)) for j in range(2) for k in range(3))
        >>> [(len(block.fronts), len(block.ends)) for block in found]
        [(2, 3), (1, 1), (1, 1), (1, 1), (1, 1), (1, 1)]
    """
    fronts: dict[tuple[Meeting, Cut], set[Cut]] = {}
    alone: set[tuple[Meeting, Cut]] = set()
    for meeting, one, other in pairs:
        front, end = sorted((one, other))
        alone |= {(meeting, front), (meeting, end)}
        if front != end:
            fronts.setdefault((meeting, end), set()).add(front)
    ends: dict[tuple[Meeting, tuple[Cut, ...]], list[Cut]] = {}
    for (meeting, end), before in sorted(fronts.items()):
        ends.setdefault((meeting, tuple(sorted(before))), []).append(end)
    found = [Block(meeting, before, tuple(after)) for (meeting, before), after in ends.items()]
    return (*found, *(Block(meeting, (cut,), (cut,)) for meeting, cut in sorted(alone)))
