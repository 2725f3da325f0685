"""Search for the best reassembled networks by a score that does not add up along a path."""

from __future__ import annotations

from collections.abc import Callable

from stitchable.errors import StitchError
from stitchable.reassembly.program import Assembly
from stitchable.search.search import search
from stitchable.search.strategies import Evolution
from stitchable.space.extremes import dearest
from stitchable.space.space import StitchingSpace
from stitchable.stitch import Stitch

LARGEST_LIST = 100_000
"""Spaces of so many stitches are gone through for those within the bounds."""


def search_assemblies(
    space: StitchingSpace,
    score: Callable[[Stitch], float],
    *,
    params: int | None = None,
    macs: int | None = None,
    evaluations: int = 500,
    generation: int = 20,
    seed: int = 0,
    anchors: bool = True,
) -> list[Assembly]:
    """Score all stitches within the bounds where they are few, or what evolution asks for.

    Args:
        space: What can be assembled; of any size.
        score: Of a stitch; more is better. It is asked once for each.
        params: Most params.
        macs: Most MACs.
        evaluations: How many stitches to score at most.
        generation: How many evolution asks for before it looks at their scores.
        seed: Of evolution's draws.
        anchors: Whether the anchors alone are among the candidates.

    Returns:
        All that were scored, the best first; of equal scores the one that comes first in the space.

    Raises:
        StitchError: Nothing is within the bounds.

    Source: the papers search with the score itself; evolution as in `stitchable.search.strategies`.
    """
    most = space.cost(dearest(space)).macs if macs is None else macs

    def allowed(stitch: Stitch) -> bool:
        cost = space.cost(stitch)
        fits = cost.macs <= most and (params is None or cost.params <= params)
        return fits and (anchors or bool(stitch.joints))

    few = [each for each in space if allowed(each)] if space.count <= LARGEST_LIST else None
    if few is not None and len(few) <= evaluations:
        found = {each: score(each) for each in few}
    else:
        # An anchor that may not be chosen takes a place in a generation, and never becomes a parent.
        found = search(
            Evolution(space, most, seed=seed, params=params),
            lambda proposed: [score(each) if allowed(each) else float("-inf") for each in proposed],
            evaluations=evaluations,
            generation=generation,
        )
        found = {each: value for each, value in found.items() if allowed(each)}
    if not found:
        wanted = [
            f"{bound:,} {name}" for bound, name in ((params, "params"), (macs, "MACs")) if bound is not None
        ]
        if not wanted:
            raise StitchError("The space has no path over a joint. Let anchors alone count.")
        raise StitchError(f"No network was found with at most {' and '.join(wanted)}. Raise the bounds.")
    best = sorted(found, key=lambda each: (-found[each], space.index(each)))
    costs = {each: space.cost(each) for each in best}
    return [Assembly(each, found[each], costs[each].macs, costs[each].params) for each in best]
