"""What the least-squares sums are of: features at cuts, in pairs, with few products for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from stitchable.space.joint import Joint
from stitchable.space.space import StitchingSpace


class View(NamedTuple):
    """The feature at a cut in the geometry of a least-squares problem: the end anchor's grid.

    Attributes:
        anchor: The anchor's name.
        cut: The number of the cut.
        grid: Rows and columns that the feature's grid is resampled to.
        prefix: Prefix tokens that take part: those that front and end both have.
    """

    anchor: str
    cut: int
    grid: tuple[int, int]
    prefix: int


Pair = tuple[View, View]


class Product(NamedTuple):
    """A set of pairs that one matrix product serves: every front with every end.

    Attributes:
        fronts: Features that are added up on the left.
        ends: Features that are added up on the right.
    """

    fronts: tuple[View, ...]
    ends: tuple[View, ...]


def view_pair(space: StitchingSpace, joint: Joint) -> Pair:
    """What ``joint`` reads and what it is to give, with one row per position that both have."""
    front, end = space.features(joint)
    kept = min(front.prefix_tokens, end.prefix_tokens)
    return View(joint.front, joint.leave, end.grid, kept), View(joint.end, joint.enter, end.grid, kept)


def products(pairs: Sequence[Pair]) -> tuple[Product, ...]:
    """Cover the pairs that share a layer with few products, each pair once.

    (X₁ + X₂)ᵀ(Y₁ + Y₂) is the sum of four cross products at the price of one. Ends that follow the same
    fronts go together, so a window of any width costs at most two products.

    Example:
        >>> window = [(1, 2), (2, 1), (2, 2)]
        >>> pairs = [(View("a", j, (8, 8), 0), View("b", k, (8, 8), 0)) for j, k in window]
        >>> for product in products(pairs):
        ...     print([front.cut for front in product.fronts], [end.cut for end in product.ends])
        [1, 2] [2]
        [2] [1]
    """
    fronts: dict[View, list[View]] = {}
    for front, end in pairs:
        fronts.setdefault(end, []).append(front)
    ends: dict[tuple[View, ...], list[View]] = {}
    for end, before in fronts.items():
        ends.setdefault(tuple(sorted(before)), []).append(end)
    return tuple(Product(before, tuple(after)) for before, after in ends.items())
