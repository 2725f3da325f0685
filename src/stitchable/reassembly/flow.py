"""The paths of a space as unit flows through a graph without circles, for linear programs."""

from __future__ import annotations

from collections.abc import Iterable
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from typing import NamedTuple

from stitchable.cost.parts import PartCost
from stitchable.errors import StitchError
from stitchable.space.best import PathScores
from stitchable.space.joint import Joint
from stitchable.space.space import StitchingSpace

Node = tuple[str, int, str, int]
"""Before a run of blocks (``"in"``) or behind one (``"out"``), the layer, an anchor and its cut."""
SOURCE: Node = ("source", 0, "", 0)
SINK: Node = ("sink", 0, "", 0)


class Edge(NamedTuple):
    """A stem, some blocks of an anchor, a joint, a head, or nothing at all.

    Attributes:
        tail: Where it begins.
        head: Where it leads to.
        score: What a path scores by it.
        parts: What it runs.
        joint: The joint that it is, if it is one.
    """

    tail: Node
    head: Node
    score: float = 0.0
    parts: tuple[PartCost, ...] = ()
    joint: Joint | None = None


class Flow:
    """A graph whose paths from source to sink are the paths of a space.

    Where no way leads back to where it was, as in a reassembly, this is the graph of cuts, and the number
    of joints is for the program to limit. Otherwise there is a copy of it for every number of joints taken.

    Args:
        space: Not a list.
        scores: What its paths score.

    Attributes:
        edges: Of the graph.
        nodes: Of the graph.
    """

    def __init__(self, space: StitchingSpace, scores: PathScores) -> None:
        self.space = space
        self.edges = list(self._edges(scores, 1))
        if _has_circle(self.edges):
            self.edges = list(self._edges(scores, space.most_joints + 1))
        self.nodes = tuple(dict.fromkeys(node for edge in self.edges for node in (edge.tail, edge.head)))

    def _edges(self, scores: PathScores, layers: int) -> Iterable[Edge]:
        space, step = self.space, 0 if layers == 1 else 1
        stops: dict[str, set[int]] = {name: {0, each.depth} for name, each in space.outlines.items()}
        for joint in space.joints:
            stops[joint.front].add(joint.leave)
            stops[joint.end].add(joint.enter)
        for name, outline in space.outlines.items():
            yield Edge(SOURCE, ("in", 0, name, 0), parts=(outline.stem,))
            for layer in range(layers):
                for start, stop in pairwise(sorted(stops[name])):
                    run = sum(scores.blocks[name][start:stop])
                    ends = ("in", layer, name, start), ("out", layer, name, stop)
                    yield Edge(*ends, run, outline.blocks[start:stop])
                    yield Edge(("out", layer, name, stop), ("in", layer, name, stop))
                yield Edge(("out", layer, name, outline.depth), SINK, scores.ends[name], (outline.head,))
        for joint in space.joints:
            cost = (space.joint_cost(joint),)
            for layer in range(layers - step):
                ends = ("out", layer, joint.front, joint.leave), ("in", layer + step, joint.end, joint.enter)
                yield Edge(*ends, scores.joints[joint], cost, joint)

    def path(self, chosen: Iterable[int]) -> list[int]:
        """Edges in the order in which they run.

        Args:
            chosen: Numbers of edges that carry a flow of one.
        """
        by_tail = {self.edges[number].tail: number for number in chosen}
        node, path = SOURCE, []
        while node != SINK:
            if node not in by_tail:
                raise StitchError("The solver gave a flow that is no path; report this with the zoo's file.")
            path.append(by_tail[node])
            node = self.edges[path[-1]].head
        return path


def _has_circle(edges: Iterable[Edge]) -> bool:
    sorter: TopologicalSorter[Node] = TopologicalSorter()
    for edge in edges:
        sorter.add(edge.head, edge.tail)
    try:
        sorter.prepare()
    except CycleError:
        return True
    return False
