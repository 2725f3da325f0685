"""The best reassemblies under bounds on params and MACs, as an integer program solved to optimality."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from stitchable.errors import StitchError
from stitchable.reassembly.path_program import PathProgram
from stitchable.space.best import PathScores
from stitchable.space.prune import ListedSpace
from stitchable.space.space import StitchingSpace
from stitchable.stitch import Stitch

TIES = 20
"""So many more are looked at, at most, where several score as much as the last that is wanted."""
EQUAL = 1e-9
"""Scores that differ by less than this share of the largest are equal."""


@dataclass(frozen=True)
class Assembly:
    """A network made of parts.

    Attributes:
        stitch: The path that it is.
        score: Sum of its scores.
        macs: Multiply-adds for one image.
        params: Those that it holds, shared ones counted once.
    """

    stitch: Stitch
    score: float
    macs: int
    params: int


def best_assemblies(
    space: StitchingSpace,
    scores: PathScores,
    *,
    params: int | None = None,
    macs: int | None = None,
    top: int = 10,
    anchors: bool = True,
) -> list[Assembly]:
    """The highest scores under both bounds, the best first; of equal scores, the fewest MACs first.

    A binary variable for each stem, joint, head and run of blocks says whether the path takes it, and flow
    conservation makes them a path; a variable for what several of them share says whether it is held. Each
    next best one follows from a constraint that excludes those before it.

    Args:
        space: Of `reassembly_space`, or any other; one that is a list is gone through.
        scores: Finite numbers that add up along a path.
        params: Most params; ``None`` for no bound.
        macs: Most MACs; ``None`` for no bound.
        top: How many; fewer where fewer are within the bounds.
        anchors: Whether anchors alone count too.

    Raises:
        StitchError: Nothing is within the bounds; the least that can be reached is named.

    Source: Yang et al. 2022 (DeRy), with scores that add up; solved by HiGHS (Huangfu and Hall
    2018) as in `scipy.optimize.milp`.
    """
    if top < 1:
        raise StitchError(f"Got top {top}; at least 1 network must be asked for.")
    found: list[Assembly] = []
    unit = 0.0
    for stitch in _best_first(space, scores, params, macs, anchors=anchors):
        each = _assembly(space, scores, stitch)
        unit = max(unit, abs(each.score) * EQUAL)
        if len(found) >= top and (each.score < found[top - 1].score - unit or len(found) >= top + TIES):
            break
        found.append(each)
    if not found:
        raise StitchError(_why_none(space, scores, params, macs, anchors=anchors))
    found.sort(key=lambda each: (-round(each.score / (unit or 1.0)), each.macs, each.params, each.stitch))
    return found[:top]


def _best_first(
    space: StitchingSpace, scores: PathScores, params: int | None, macs: int | None, *, anchors: bool
) -> Iterator[Stitch]:
    """Paths within the bounds by falling score."""
    if not isinstance(space, ListedSpace):
        return PathProgram(space, scores, params=params, macs=macs, anchors=anchors).best_first()
    listed = [_assembly(space, scores, stitch) for stitch in space if anchors or stitch.joints]
    within = [
        each
        for each in listed
        if (params is None or each.params <= params) and (macs is None or each.macs <= macs)
    ]
    return iter([each.stitch for each in sorted(within, key=lambda each: -each.score)])


def _assembly(space: StitchingSpace, scores: PathScores, stitch: Stitch) -> Assembly:
    cost = space.cost(stitch)
    return Assembly(stitch, scores.of(space, stitch), cost.macs, cost.params)


def _why_none(
    space: StitchingSpace, scores: PathScores, params: int | None, macs: int | None, *, anchors: bool
) -> str:
    """Names what each bound could be, and where it is only both together, what one of them leaves."""
    fewest = _least(space, scores, "params", None, anchors=anchors)
    cheapest = _least(space, scores, "macs", None, anchors=anchors)
    if fewest is None or cheapest is None:
        return "The space has no path over a joint, and anchors alone were not to count. Let them."
    wanted = [
        f"{bound:,} {name}" for bound, name in ((params, "params"), (macs, "MACs")) if bound is not None
    ]
    reached = f"the smallest has {fewest:,} params, the cheapest {cheapest:,} MACs"
    if params is not None and macs is not None and params >= fewest and macs >= cheapest:
        cheapest = _least(space, scores, "macs", params, anchors=anchors)
        reached = f"within {params:,} params the cheapest has {cheapest:,} MACs"
    return f"No path of the space has at most {' and '.join(wanted)}; {reached}. Raise the bounds."


def _least(
    space: StitchingSpace,
    scores: PathScores,
    cost: Literal["params", "macs"],
    params: int | None,
    *,
    anchors: bool,
) -> int | None:
    """The least that a path has within a bound on its params."""
    if not isinstance(space, ListedSpace):
        return PathProgram(space, scores, params=params, anchors=anchors).least(cost)
    stitches = _best_first(space, scores, params, None, anchors=anchors)
    return min((int(getattr(space.cost(stitch), cost)) for stitch in stitches), default=None)
