"""The search itself: generation by generation, until so many stitches have been measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from stitchable.errors import StitchError
from stitchable.search.strategies import Strategy
from stitchable.stitch import Stitch

Measure = Callable[[Sequence[Stitch]], Sequence[float]]
"""Measures the stitches of a generation: one number each, better when it is more."""


def search(
    strategy: Strategy,
    measure: Measure,
    *,
    evaluations: int,
    generation: int = 20,
    measured: Mapping[Stitch, float] | None = None,
) -> dict[Stitch, float]:
    """Measure what a strategy proposes.

    Args:
        strategy: Says what to measure next.
        measure: Measures a generation; its stitches begin alike more often than not, so it can share work.
        evaluations: How many stitches to measure, those of ``measured`` included.
        generation: How many at a time.
        measured: What an earlier search has measured, in its order; a search that is continued is the
            search that was never cut off, if it was cut off between two generations.

    Returns:
        All that was measured, in order; fewer than ``evaluations`` where the space has no more.

    Raises:
        StitchError: A number is below 1.
    """
    if evaluations < 1 or generation < 1:
        raise StitchError(f"Got {evaluations} evaluations, {generation} at a time; both must be at least 1.")
    found = dict(measured or {})
    while len(found) < evaluations:
        proposed = strategy(found, min(generation, evaluations - len(found)))
        if not proposed:
            break
        found.update(zip(proposed, measure(proposed), strict=True))
    return found
