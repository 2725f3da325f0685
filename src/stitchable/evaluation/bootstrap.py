"""How surely a stitch is on the front: the images are drawn again, and the front with them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from stitchable.errors import StitchError
from stitchable.evaluation.outcomes import Outcomes

_CHUNK_BYTES = 32 * 2**20  # of an array of some samples


def front_probability(
    macs: Sequence[float], outcomes: Outcomes, *, draws: int = 1000, seed: int = 0
) -> NDArray[np.float64]:
    """Share of bootstrap samples in which each stitch is on the front of accuracy against cost.

    A sample holds as many images as there are, drawn with replacement, the same for all stitches: what they
    share, such as an image that is hard for all, moves them together as it would in another test set. In each
    sample the front is that of `stitchable.evaluation.pareto.front`, ties included. A stitch that was shown
    only some of the images, since it was off the front, is compared on these with all that saw them too, and
    beats none that saw more.

    Args:
        macs: Cost of each stitch of ``outcomes``, in any unit.
        outcomes: The answers of all stitches.
        draws: Number of samples. The share found has a standard error of at most ``0.5 / sqrt(draws)``.
        seed: Of the samples.

    Returns:
        One share from 0 to 1 per stitch, float64 ``(stitches,)``. A stitch that has seen no image has 0.

    Raises:
        StitchError: The lengths differ, a cost is not a number, or there are no images or no draws.

    Source: B. Efron 1979, "Bootstrap methods: another look at the jackknife", The Annals of Statistics 7.
    """
    count, images = outcomes.predicted.shape
    costs = np.asarray(macs, np.float64)
    if len(costs) != count:
        raise StitchError(f"{len(costs)} costs and {count} stitches do not pair up. Give one of each.")
    if np.isnan(costs).any():
        raise StitchError("A cost is not a number. Leave its stitch out.")
    if images < 1 or draws < 1:
        raise StitchError(f"{draws} draws of {images} images give no share. Give at least one of each.")
    order = np.argsort(costs, kind="stable")  # equal costs stay in the order given, which decides ties
    starts = np.flatnonzero(np.append(True, costs[order][1:] != costs[order][:-1]))
    right, seen = outcomes.right[order], outcomes.seen[order]
    on_front = np.zeros(count)
    groups = _groups(seen)
    for weights in _weights(images, draws, seed, width=max(images, count)):
        for members, shown in groups:
            rivals = np.flatnonzero(seen[:, shown].all(1))
            accuracy = np.full((len(weights), count), -1.0)
            accuracy[:, rivals] = _accuracy(weights[:, shown], right[np.ix_(rivals, shown)])
            on_front[members] += (~_beaten(accuracy, starts)[:, members]).sum(0)
    probability = np.empty(count)
    probability[order] = on_front / draws
    return probability


def _groups(seen: NDArray[np.bool_]) -> list[tuple[list[int], NDArray[np.bool_]]]:
    """Stitches that were shown the same images, and which; none that was shown none."""
    groups: dict[bytes, list[int]] = {}
    for place, row in enumerate(np.packbits(seen, axis=1)):
        groups.setdefault(row.tobytes(), []).append(place)
    return [(places, seen[places[0]]) for places in groups.values() if seen[places[0]].any()]


def _weights(images: int, draws: int, seed: int, *, width: int) -> Iterator[NDArray[np.floating]]:
    """How often each image is drawn ``(samples, images)``, some samples at a time."""
    generator = np.random.default_rng(seed)
    dtype = np.float32 if images < 2**24 else np.float64
    chunk = max(1, _CHUNK_BYTES // (8 * width))
    for start in range(0, draws, chunk):
        size = min(chunk, draws - start)
        drawn = generator.integers(0, images, (size, images))
        drawn += images * np.arange(size)[:, None]
        yield np.bincount(drawn.ravel(), minlength=size * images).reshape(size, images).astype(dtype)


def _accuracy(weights: NDArray[np.floating], right: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Share of right answers in each sample ``(samples, stitches)``; −1 in samples of no image."""
    # Whole numbers below 2²⁴ are exact in float32, and so equal accuracies are equal.
    total = weights.sum(1, dtype=np.float64)[:, None]
    found = np.empty((len(weights), len(right)))
    block = max(1, _CHUNK_BYTES // (4 * right.shape[1]))
    for start in range(0, len(right), block):
        rows = slice(start, start + block)
        found[:, rows] = weights @ right[rows].T.astype(weights.dtype)
    return np.where(total > 0, found / np.maximum(total, 1), -1.0)


def _beaten(accuracy: NDArray[np.float64], starts: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Who is off the front in each sample ``(samples, stitches)``; columns go from cheap to dear.

    An earlier column beats what is not more accurate; a later one of the same cost (a group of columns begins
    at each of ``starts``) what is less so. Accuracies below 0 beat nobody and are not beaten.
    """
    before = np.maximum.accumulate(accuracy, axis=1)
    before = np.concatenate([np.full((len(before), 1), -1.0), before[:, :-1]], axis=1)
    sizes = np.diff(starts, append=accuracy.shape[1])
    alike = np.repeat(np.maximum.reduceat(accuracy, starts, axis=1), sizes, axis=1)
    return (accuracy >= 0) & ((accuracy <= before) | (accuracy < alike))
