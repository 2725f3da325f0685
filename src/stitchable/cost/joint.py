"""What crossing a joint costs."""

from __future__ import annotations

import math

from stitchable.cost.parts import PartCost
from stitchable.feature import FeatureSpec


def stitching_cost(front: FeatureSpec, end: FeatureSpec, *, layer: str) -> PartCost:
    """Cost of a stitching layer from ``front`` to ``end``.

    An affine map at every position that both features have: at the fewer positions where grids differ, and
    at the prefix tokens that both have. A grid that shrinks along both sides is average-pooled, which the
    convention counts by input element. The layer holds the map, its bias, and the missing prefix tokens.
    """
    weights = front.width * end.width
    kept = min(front.prefix_tokens, end.prefix_tokens)
    positions = kept + min(math.prod(front.grid), math.prod(end.grid))
    pooled = 0
    if front.grid != end.grid and end.grid[0] <= front.grid[0] and end.grid[1] <= front.grid[1]:
        pooled = math.prod(front.grid) * front.width
    held = weights + end.width * (1 + end.prefix_tokens - kept)
    return PartCost(positions * weights + pooled, ((layer, held),))
