"""Making partitions better, step by step and many at a time: cuts move by one block, medoids change."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]
Reals = NDArray[np.float64]
LEAST_GAIN = 1e-12
"""A gain below this is rounding."""
AT_ONCE = 2_000_000
"""About so many similarities are looked up together; bounds the memory."""


class State(NamedTuple):
    """Partitions that are climbing, for zoos of A anchors with K parts each.

    Attributes:
        cuts: Of every anchor ``(partitions, A, K + 1)``.
        medoids: Of every set, the number of a part: anchor · K + position ``(partitions, K)``.
    """

    cuts: Numbers
    medoids: Numbers


class Zoo(NamedTuple):
    """What partitions of a zoo are judged by.

    Attributes:
        alike: Similarity of all cuts of all anchors, one anchor behind the other ``(cuts, cuts)``.
        first: Row of each anchor's cut 0 ``(A,)``.
        fits: Whether blocks ``start`` to ``stop`` of an anchor may be a part ``(A, most, most)``.
    """

    alike: Reals
    first: Numbers
    fits: NDArray[np.bool_]

    def ends(self, state: State) -> tuple[Numbers, Numbers]:
        """Rows of the cuts before and behind each part, ``(partitions, A · K)`` both."""
        rows = state.cuts + self.first[:, None]
        return rows[:, :, :-1].reshape(len(rows), -1), rows[:, :, 1:].reshape(len(rows), -1)

    def to_medoids(self, state: State) -> Reals:
        """Similarity of each part to each medoid ``(partitions, A · K, K)``."""
        sides = [(rows[:, :, None], _at(rows, state.medoids)[:, None, :]) for rows in self.ends(state)]
        return sum((self.alike[part, medoid] for part, medoid in sides), np.zeros(()))

    def score(self, state: State) -> Reals:
        """Sum over the parts of the similarity to the medoid that is most alike ``(partitions,)``."""
        return np.asarray(self.to_medoids(state).max(2).sum(1))


def climb(zoo: Zoo, state: State) -> tuple[State, list[Reals]]:
    """Change partitions for as long as a change makes them better.

    In turns, the cut that gains most moves by one block, and the medoid that gains most is exchanged for
    another part. Every part always belongs to the medoid that it is most like, so re-assigning is part of
    either; to re-centre a set on its medoid is one of the exchanges.

    Args:
        zoo: What they are judged by.
        state: Partitions whose parts all fit.

    Returns:
        Partitions that no single move or exchange makes better, and the scores ``(partitions,)`` at first
        and after each turn; they never fall.

    Source: Yang et al. 2022 (DeRy); for the exchanges PAM, Kaufman and Rousseeuw 1990.
    """
    medoids, history = state.medoids.copy(), [zoo.score(state)]
    state = State(state.cuts.copy(), medoids)
    climbing = np.arange(len(medoids))
    while len(climbing):
        part = State(state.cuts[climbing], state.medoids[climbing])
        before = history[-1][climbing]
        part, moved = _move_cuts(zoo, part, before)
        part, after = _exchange_medoids(zoo, part, moved)
        state.cuts[climbing], state.medoids[climbing] = part
        history.append(history[-1].copy())
        history[-1][climbing] = after
        climbing = climbing[after > before]
    return state, history


def _move_cuts(zoo: Zoo, state: State, scores: Reals) -> tuple[State, Reals]:
    """Move that cut of each partition which gains most by one block, where one does."""
    partitions, anchors, _ = state.cuts.shape
    steps = _steps(anchors, state.medoids.shape[1])
    moved = state.cuts[:, None] + steps
    fitting = zoo.fits[np.arange(anchors)[:, None], moved[..., :-1], moved[..., 1:]].all((2, 3))
    which, step = np.nonzero(fitting)
    gained = np.full(fitting.shape, -np.inf)
    candidates = State(moved[which, step], state.medoids[which])
    size = max(AT_ONCE // (anchors * state.medoids.shape[1] ** 2), 1)
    for start in range(0, len(which), size):
        some = slice(start, start + size)
        gained[which[some], step[some]] = zoo.score(State(candidates.cuts[some], candidates.medoids[some]))
    best = gained.argmax(1)
    found = gained[np.arange(partitions), best]
    better = found > scores + LEAST_GAIN
    cuts = np.where(better[:, None, None], moved[np.arange(partitions), best], state.cuts)
    return State(cuts, state.medoids), np.where(better, found, scores)


def _steps(anchors: int, parts: int) -> Numbers:
    """Every cut between two parts one block back or one on ``(moves, anchors, parts + 1)``."""
    moves = [(anchor, cut, by) for anchor in range(anchors) for cut in range(1, parts) for by in (-1, 1)]
    steps = np.zeros((len(moves), anchors, parts + 1), dtype=np.int64)
    for number, (anchor, cut, by) in enumerate(moves):
        steps[number, anchor, cut] = by
    return steps


def _exchange_medoids(zoo: Zoo, state: State, scores: Reals) -> tuple[State, Reals]:
    """Exchange that medoid of each partition for a part which gains most, where one does."""
    near = zoo.to_medoids(state)
    partitions, parts, sets = near.shape
    sides = zoo.ends(state)
    alike = sum((zoo.alike[rows[:, :, None], rows[:, None, :]] for rows in sides), np.zeros(()))
    gained = np.empty((partitions, sets, parts))
    for number in range(sets):
        others = np.delete(near, number, axis=2).max(2)
        gained[:, number] = np.maximum(others[:, :, None], alike).sum(1)
    best = gained.reshape(partitions, -1).argmax(1)
    found = gained.reshape(partitions, -1)[np.arange(partitions), best]
    better = np.flatnonzero(found > scores + LEAST_GAIN)
    medoids = state.medoids.copy()
    medoids[better, best[better] // parts] = best[better] % parts
    return State(state.cuts, medoids), np.where(found > scores + LEAST_GAIN, found, scores)


def _at(rows: NDArray[Any], places: Numbers) -> Numbers:
    return np.take_along_axis(rows, places, axis=1)
