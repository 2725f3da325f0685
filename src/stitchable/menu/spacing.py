"""Which N points of a front stand for all of it: the choice that loses least on any budget, exactly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stitchable.errors import StitchError


@dataclass(frozen=True)
class Spacing:
    """Points chosen from a front.

    Attributes:
        chosen: Their positions, ascending; the first is 0.
        largest: The most top-1 that a budget loses by rounding it down to the next point chosen, in points.
        mean: The same on average over budgets from the cheapest to the dearest cost, evenly on a logarithmic
            scale.
    """

    chosen: tuple[int, ...]
    largest: float
    mean: float


def space_out(
    costs: Sequence[float],
    top1: Sequence[float],
    size: int,
    *,
    allowed: NDArray[np.bool_] | None = None,
    required: Sequence[int] = (),
) -> Spacing:
    """Choose at most ``size`` points of a front so that the largest loss over all budgets is least.

    Points are numbered from 0, the cheapest, to ``m``, the dearest. Whoever has a budget takes the dearest
    point chosen that it pays for, and loses top-1 against the best of the whole front. Between two neighbours
    ``i < j`` of the choice the loss is greatest just below ``c_j``: ``a_{j−1} − a_i``; behind the last one,
    ``l``, it is ``a_m − a_l``. Point 0 is always chosen, for nothing else fits a budget just above its cost.
    The largest of these losses is minimised; and among all choices that reach that, the mean loss with
    budgets log-uniform on ``[c_0, c_m]``, where ``s(k)`` is the last one chosen up to ``k``:

        ``Σ_k (a_k − a_{s(k)}) · ln(c_{k+1} / c_k) / ln(c_m / c_0)``

    One is a maximum and the other a sum over neighbours in the choice, so dynamic programming over (number
    chosen, last chosen) is exact: ``O(size · n²)`` time and ``O(n²)`` memory for ``n`` points.

    Args:
        costs: Costs ``(n,)``, above 0 and ascending, without equals.
        top1: Accuracies ``(n,)`` in percent, ascending, without equals.
        size: Most points to choose, at least 1.
        allowed: ``[i, j]``: whether ``j`` may follow ``i`` in the choice ``(n, n)``; any may where left out.
            A point that is required may always follow.
        required: Positions that must be chosen.

    Raises:
        StitchError: There is no point, they do not ascend, or ``size`` is too small.
    """
    cost, gain = np.asarray(costs, dtype=np.float64), np.asarray(top1, dtype=np.float64)
    kept = sorted({0, *required})
    if not cost.size or cost.shape != gain.shape or cost[0] <= 0:
        raise StitchError(f"{cost.size} costs and {gain.size} accuracies are no front. Give costs above 0.")
    if (np.diff(cost) <= 0).any() or (np.diff(gain) <= 0).any():
        raise StitchError("Costs and accuracies have to ascend together. Give the front, cheapest first.")
    if size < len(kept):
        raise StitchError(f"A size of {size} does not hold the {len(kept)} entries that must be. Give more.")
    losses, areas = _edges(cost, gain)
    usable = _usable(len(cost), allowed, kept)
    least = _best(np.where(usable, losses, np.inf), size, np.maximum)[1]
    within = np.where(usable & (losses <= least), areas, np.inf)
    chosen = _best(within, size, np.add)[0]
    before = np.asarray(chosen)[np.searchsorted(chosen, np.arange(len(cost)), side="right") - 1]
    lost, widths = gain - gain[before], np.diff(np.log(cost))
    mean = float(np.average(lost[:-1], weights=widths)) if widths.size else 0.0
    return Spacing(chosen, float(lost.max()), mean)


def _edges(cost: NDArray[np.float64], gain: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """Largest loss, and loss summed over the logarithm of budgets, between ``i`` and the next chosen ``j``.

    Both ``(n, n + 1)``; column ``n`` stands for no further point. What lies on or below the diagonal is
    meaningless.
    """
    scale = np.log(cost)
    scale = np.append(scale, scale[-1])
    below = np.append(0.0, np.cumsum(gain * np.diff(scale)))
    losses = np.append(gain[0], gain)[None, :] - gain[:, None]
    areas = (below[None, :] - below[:-1, None]) - gain[:, None] * (scale[None, :] - scale[:-1, None])
    return losses, np.maximum(areas, 0.0)


def _usable(points: int, allowed: NDArray[np.bool_] | None, kept: Sequence[int]) -> NDArray[np.bool_]:
    """Which point may follow which ``(n, n + 1)``: no point that must be chosen is passed over."""
    usable = np.ones((points, points + 1), dtype=bool)
    if allowed is not None:
        usable[:, :points] = allowed
    usable[:, list(kept)] = True
    usable = np.triu(usable, 1)
    for must in kept:
        usable[:must, must + 1 :] = False
    return usable


def _best(weights: NDArray[np.float64], size: int, join: np.ufunc) -> tuple[tuple[int, ...], float]:
    """The path from 0 to the end over at most ``size`` points that weighs least; the longest of equals.

    Args:
        weights: ``(n, n + 1)``, infinite where there is no step.
        size: Most points on the path.
        join: ``np.maximum`` or ``np.add``, which makes the weight of a path of those of its steps.
    """
    points = len(weights)
    value = np.full(points, np.inf)
    value[0] = 0.0
    steps: list[NDArray[np.intp]] = []
    ends: list[tuple[float, int, int]] = []
    for count in range(1, size + 1):
        to_end = join(value, weights[:, points])
        last = int(to_end.argmin())
        ends.append((float(to_end[last]), -count, last))
        through = join(value[:, None], weights[:, :points])
        steps.append(through.argmin(0))
        value = through.min(0)
    best, count, last = min(ends)
    path = [last]
    for step in reversed(steps[: -count - 1]):
        path.append(int(step[path[-1]]))
    return tuple(reversed(path)), best
