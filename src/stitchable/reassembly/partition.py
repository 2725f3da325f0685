"""Cutting a zoo of anchors into parts, and the parts into sets of which each does the same work."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import get_args

import numpy as np

from stitchable.errors import StitchError, nearest
from stitchable.reassembly.climb import State, Zoo, climb
from stitchable.reassembly.even_cuts import EvenCuts
from stitchable.reassembly.part_similarity import PartSimilarity, Similarity
from stitchable.reassembly.parts import ModelPart, Partition, Size
from stitchable.space.draw import distinct, uniform_index
from stitchable.space.outline import Outline


def partition_zoo(
    outlines: Sequence[Outline],
    similarity: Similarity,
    *,
    parts: int = 4,
    epsilon: float = 0.2,
    restarts: int = 200,
    seed: int = 0,
    size: Size = "macs",
) -> Partition:
    """Choose cuts and equivalence sets so that parts are most like the medoids of their sets.

    Maximised is the sum over the parts of the similarity to the medoid of their set, see `PartSimilarity`,
    by `climb` from random cuts and medoids. The best of the restarts is given, the first of equal ones.
    Sets are numbered by the mean position of their parts, from the stem on.

    Args:
        outlines: The anchors, of names that differ.
        similarity: Of every two of the cuts that `cuts_in_reach` gives.
        parts: Parts of each anchor, and number of sets, K.
        epsilon: A part's size may be so much less or more than an even share, which is 1/K of its own
            anchor's total. An anchor whose blocks are too coarse for that is cut as evenly as they allow;
            `epsilon_by_anchor` says which ones.
        restarts: How many random partitions are made better.
        seed: Of the draws. The same arguments give the same partition.
        size: Of a part: ``"macs"`` of its blocks, their ``"params"``, or their number, ``"blocks"``. MACs by
            default, which most families spread evenly over depth; of a CNN's params most lie in its last
            stage.

    Raises:
        StitchError: Numbers out of range, an anchor with fewer blocks than parts, or a similarity that is
            missing.

    Source: Yang et al. 2022 (DeRy).
    """
    if restarts < 1:
        raise StitchError(f"Got {restarts} restarts; at least 1 partition must be made.")
    even = even_cuts(outlines, parts=parts, epsilon=epsilon, size=size)
    zoo = zoo_of(even, PartSimilarity(_in_reach(even), similarity))
    cuts = [[each.draw("cuts", seed, turn, name) for name, each in even.items()] for turn in range(restarts)]

    def medoids(turn: int) -> list[int]:
        places = len(even) * parts
        return distinct(lambda attempt: uniform_index(places, "medoid", seed, turn, attempt), parts)

    start = State(np.array(cuts), np.array([medoids(turn) for turn in range(restarts)]))
    state, history = climb(zoo, start)
    best = int(history[-1].argmax())
    return _partition(tuple(even), zoo, State(state.cuts[[best]], state.medoids[[best]]))


def cuts_in_reach(
    outlines: Sequence[Outline], *, parts: int = 4, epsilon: float = 0.2, size: Size = "macs"
) -> tuple[tuple[str, int], ...]:
    """The cuts that a part may begin at or lead to: those whose similarities `partition_zoo` asks for."""
    return _in_reach(even_cuts(outlines, parts=parts, epsilon=epsilon, size=size))


def epsilon_by_anchor(
    outlines: Sequence[Outline], *, parts: int = 4, epsilon: float = 0.2, size: Size = "macs"
) -> dict[str, float]:
    """The ε that holds for each anchor: the given one, or more where its blocks are too coarse for it."""
    even = even_cuts(outlines, parts=parts, epsilon=epsilon, size=size)
    return {name: each.epsilon for name, each in even.items()}


def even_cuts(
    outlines: Sequence[Outline], *, parts: int, epsilon: float, size: Size
) -> Mapping[str, EvenCuts]:
    """By anchor the ways to cut it, after a look at the arguments; see `partition_zoo`."""
    if size not in get_args(Size):
        raise StitchError(f"Unknown size {size!r}. {nearest(size, get_args(Size))}")
    if parts < 2 or not 0 <= epsilon < math.inf:
        raise StitchError(f"Got {parts} parts and ε = {epsilon}; allowed: 2 parts or more, ε 0 or more.")
    names = [outline.name for outline in outlines]
    if not names or len(set(names)) < len(names):
        raise StitchError(f"A zoo has one anchor or more, of names that differ; got {', '.join(names)}.")
    return {each.name: EvenCuts(each, parts=parts, epsilon=epsilon, size=size) for each in outlines}


def _in_reach(even: Mapping[str, EvenCuts]) -> tuple[tuple[str, int], ...]:
    return tuple((name, cut) for name, each in even.items() for cut in each.reached)


def zoo_of(even: Mapping[str, EvenCuts], alike: PartSimilarity) -> Zoo:
    """What partitions are judged by, with the anchors' cuts one behind the other."""
    counts = [each.outline.depth + 1 for each in even.values()]
    first = dict(zip(even, np.cumsum([0, *counts[:-1]]).tolist(), strict=True))
    # Cuts that are out of reach are in no partition; their similarities are not known, nor asked for.
    matrix = np.full((sum(counts), sum(counts)), np.nan)
    rows = [first[name] + cut for name, cut in alike.number]
    matrix[np.ix_(rows, rows)] = alike.matrix
    fits = np.zeros((len(even), max(counts), max(counts)), dtype=np.bool_)
    for place, (count, each) in enumerate(zip(counts, even.values(), strict=True)):
        fits[place, :count, :count] = each.fits
    return Zoo(matrix, np.array(list(first.values())), fits)


def _partition(names: Sequence[str], zoo: Zoo, state: State) -> Partition:
    """Plain data of one partition, its sets in the order of their parts' mean position."""
    near = zoo.to_medoids(state)[0]
    count = near.shape[1]
    chosen = near.argmax(1)
    chosen[state.medoids[0]] = np.arange(count)  # of medoids that are equal, each is in its own set
    places = np.arange(len(chosen)) % count
    mean = [float(places[chosen == number].mean()) for number in range(count)]
    order = sorted(range(count), key=lambda number: (mean[number], int(state.medoids[0][number])))
    cuts = {name: tuple(at) for name, at in zip(names, state.cuts[0].tolist(), strict=True)}
    parts = [ModelPart(name, *ends) for name, at in cuts.items() for ends in pairwise(at)]
    return Partition(
        cuts=cuts,
        sets={part: order.index(int(number)) for part, number in zip(parts, chosen, strict=True)},
        medoids=tuple(parts[int(state.medoids[0][number])] for number in order),
        score=float(zoo.score(state)[0]),
    )
