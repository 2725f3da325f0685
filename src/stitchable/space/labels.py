"""Partial paths as labels: what they cost, what they score, and how they came here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stitchable.space.joint import Joint


class Labels(NamedTuple):
    """Partial paths that meet at one place.

    Those that `front` gives are ordered by rising MACs, and so by rising score.

    Attributes:
        macs: MACs so far ``(labels,)``.
        score: Score so far ``(labels,)``.
        origin: How the anchor was entered that they are in ``(labels,)``, see `Origins`.
    """

    macs: NDArray[np.int64]
    score: NDArray[np.float64]
    origin: NDArray[np.int64]

    @classmethod
    def start(cls, macs: int) -> Labels:
        """One label behind a stem."""
        return cls(np.array([macs], dtype=np.int64), np.zeros(1), np.full(1, -1, dtype=np.int64))

    @classmethod
    def none(cls) -> Labels:
        """No label."""
        return cls(np.zeros(0, dtype=np.int64), np.zeros(0), np.zeros(0, dtype=np.int64))

    @classmethod
    def front(cls, several: Sequence[Labels]) -> Labels:
        """Of all labels those that no other one beats; of equal ones, the first."""
        merged = cls(*(np.concatenate(column) for column in zip(*several, strict=True)))
        order = np.lexsort((-merged.score, merged.macs))
        best = np.maximum.accumulate(merged.score[order])
        better = np.ones(len(order), dtype=bool)
        better[1:] = best[1:] > best[:-1]
        return merged._at(order[better])

    def _at(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> Labels:
        return Labels(self.macs[rows], self.score[rows], self.origin[rows])

    def moved(self, macs: int, score: float) -> Labels:
        """The same paths, one step further."""
        return Labels(self.macs + macs, self.score + score, self.origin)

    def within(self, macs: int | None) -> Labels:
        """Those with at most so many MACs; ``None`` keeps all."""
        return self if macs is None else self._at(self.macs <= macs)

    def thinned(self, most: int) -> tuple[Labels, float]:
        """About ``most`` labels of a front, and the most that another scores above a cheaper one of them."""
        if len(self.macs) <= most:
            return self, 0.0
        step = float(self.score[-1] - self.score[0]) / most
        bands = np.floor((self.score - self.score[0]) / step)
        first = np.ones(len(bands), dtype=bool)
        first[1:] = bands[1:] > bands[:-1]
        return self._at(first), step


class Origins:
    """Remembers how labels came to where they are: by which joint, and from which label.

    Args:
        joints: Every joint of the space.
    """

    def __init__(self, joints: Sequence[Joint]) -> None:
        self._joints = tuple(joints)
        self._number = {joint: number for number, joint in enumerate(joints)}
        self._by: list[NDArray[np.int64]] = []
        self._rows = 0

    def mark(self, joint: Joint, labels: Labels) -> Labels:
        """Labels that have crossed ``joint``; what they keep is for `keep` alone."""
        # One number for both: the joint's, and the row before, which is -1 where there is none.
        return labels._replace(origin=(labels.origin + 1) * len(self._joints) + self._number[joint])

    def keep(self, marked: Labels) -> Labels:
        """Remember marked labels; their origins become rows of this memory."""
        rows = np.arange(self._rows, self._rows + len(marked.origin), dtype=np.int64)
        self._by.append(marked.origin)
        self._rows += len(rows)
        return marked._replace(origin=rows)

    def path(self, origin: int) -> list[Joint]:
        """The joints that a label has crossed, in order."""
        if len(self._by) > 1:
            self._by = [np.concatenate(self._by)]
        path: list[Joint] = []
        while origin >= 0:
            before, number = divmod(int(self._by[0][origin]), len(self._joints))
            path.append(self._joints[number])
            origin = before - 1
        return path[::-1]
