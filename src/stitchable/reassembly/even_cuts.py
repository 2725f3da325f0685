"""The ways to cut an anchor into parts of about equal size."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stitchable.errors import StitchError
from stitchable.reassembly.parts import Size
from stitchable.space.draw import uniform_index
from stitchable.space.outline import Outline

ROUNDING = 1e-9
"""Shares that differ by less are equal."""


class EvenCuts:
    """All ways to cut one anchor into parts whose sizes are within 1 ± ε of an even share of its own total.

    Where the anchor's blocks are too coarse for ε, its own is the least ε at which it can be cut: its parts
    are as even as its blocks allow.

    Args:
        outline: The anchor.
        parts: How many, K.
        epsilon: ε, 0 or more.
        size: What is shared evenly.

    Attributes:
        least_epsilon: The smallest ε at which there is a way.
        epsilon: The ε that holds for this anchor, the given one or ``least_epsilon``.
        fits: Whether blocks ``start`` to ``stop`` may be a part ``(depth + 1, depth + 1)``.

    Raises:
        StitchError: The anchor has fewer blocks than parts are wanted.
    """

    def __init__(self, outline: Outline, *, parts: int, epsilon: float, size: Size) -> None:
        if outline.depth < parts:
            raise StitchError(
                f"{outline.name} has {outline.depth} blocks and cannot be cut into {parts} parts. "
                f"Ask for {outline.depth} parts or fewer, or leave {outline.name} out."
            )
        self.outline, self.parts = outline, parts
        off = _off_even(outline, parts, size)
        # From the stem on: the least that the largest deviation can be, by the cut that is reached.
        reached = np.where(np.arange(outline.depth + 1) == 0, 0.0, np.inf)
        for _ in range(parts):
            reached = np.maximum(reached[:, None], off).min(0)
        self.least_epsilon = float(reached[-1])
        self.epsilon = max(epsilon, self.least_epsilon)
        self.fits: NDArray[np.bool_] = off <= self.epsilon + ROUNDING
        # ways[n][c]: in how many ways the blocks from cut c on make n parts. Python's own whole numbers.
        edges: NDArray[Any] = self.fits.astype(object)
        last: NDArray[Any] = np.array([0] * outline.depth + [1], dtype=object)
        self._ways = [last]
        for _ in range(parts):
            self._ways.append(edges @ self._ways[-1])

    @property
    def count(self) -> int:
        """How many ways there are."""
        return int(self._ways[-1][0])

    def draw(self, *key: int | str) -> tuple[int, ...]:
        """One of the ways, each as likely as any other: K + 1 cuts from 0 to the depth."""
        rest = uniform_index(self.count, *key)
        cuts = [0]
        for left in range(self.parts - 1, -1, -1):
            for cut in np.flatnonzero(self.fits[cuts[-1]]).tolist():
                if rest < self._ways[left][cut]:
                    break
                rest -= self._ways[left][cut]
            cuts.append(cut)
        return tuple(cuts)

    @property
    def reached(self) -> tuple[int, ...]:
        """The cuts that are in one of the ways or more, both ends included, in order."""
        here = {0}
        seen = {0}
        for left in range(self.parts - 1, -1, -1):
            here = {
                cut
                for before in here
                for cut in np.flatnonzero(self.fits[before]).tolist()
                if self._ways[left][cut]
            }
            seen |= here
        return tuple(sorted(seen))


def _off_even(outline: Outline, parts: int, size: Size) -> NDArray[np.float64]:
    """By how much of an even share blocks ``start`` to ``stop`` differ from it; infinite for none."""
    # By label, since a parameter that several blocks share counts once.
    held = [
        block.params if size == "params" else ((str(number), block.macs if size == "macs" else 1),)
        for number, block in enumerate(outline.blocks)
    ]
    sizes = np.full((outline.depth + 1, outline.depth + 1), np.inf)
    for start in range(outline.depth):
        union: dict[str, int] = {}
        for stop in range(start + 1, outline.depth + 1):
            union.update(held[stop - 1])
            sizes[start, stop] = sum(union.values())
    even = sizes[0, -1] / parts
    return np.abs(sizes / even - 1) if even else np.where(np.isfinite(sizes), 0.0, np.inf)
