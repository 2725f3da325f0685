"""The integer program whose solutions are the paths of a space within bounds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array

from stitchable.errors import StitchError
from stitchable.reassembly.flow import SINK, SOURCE, Flow
from stitchable.space.best import PathScores
from stitchable.space.space import StitchingSpace
from stitchable.stitch import Stitch

LARGEST = 1e5
"""The largest number in an objective: HiGHS takes solutions that differ by 1e-6 for equal."""
OPTIMAL, INFEASIBLE = 0, 2

Row = Mapping[int, float]
"""Coefficients by variable."""


class PathProgram:
    """Variables for the edges of a `Flow`, which make a path, and for params that several edges share.

    A param that one edge holds is counted with the edge. What several hold together is one more variable,
    no less than each of them, so that it is counted once. The true cost of each solution is looked at again,
    since a solver's numbers are rounded.

    Args:
        space: Not a list.
        scores: Finite numbers.
        params: Most params; ``None`` for no bound.
        macs: Most MACs; ``None`` for no bound.
        anchors: Whether anchors alone count.

    Attributes:
        rejected: How many solutions were not within the bounds when looked at again.
    """

    def __init__(
        self,
        space: StitchingSpace,
        scores: PathScores,
        *,
        params: int | None = None,
        macs: int | None = None,
        anchors: bool = True,
    ) -> None:
        self.space = space
        self.flow = Flow(space, scores)
        self._bounds = {"params": params, "macs": macs}
        self.rejected = 0
        self._rows: list[tuple[Row, float, float]] = []
        self._excluded: list[tuple[Row, float, float]] = []
        self._score = {number: edge.score for number, edge in enumerate(self.flow.edges) if edge.score}
        self._cost: dict[str, Row] = {
            "macs": {
                number: float(sum(part.macs for part in edge.parts))
                for number, edge in enumerate(self.flow.edges)
            },
            "params": self._count_params(),
        }
        self._conserve()
        joints = {number: 1.0 for number, edge in enumerate(self.flow.edges) if edge.joint is not None}
        self._rows.append((joints, 0.0 if anchors else 1.0, float(space.most_joints)))
        for name, bound in self._bounds.items():
            if bound is not None:
                # As shares of the bound: a row of large numbers would be met less exactly.
                share = {number: cost / max(bound, 1) for number, cost in self._cost[name].items()}
                self._rows.append((share, 0.0, bound / max(bound, 1)))

    def _count_params(self) -> Row:
        """Params by variable, with further variables behind those of the edges."""
        held: dict[str, tuple[int, dict[int, None]]] = {}
        for number, edge in enumerate(self.flow.edges):
            for part in edge.parts:
                for label, count in part.params:
                    held.setdefault(label, (count, {}))[1].setdefault(number)
        by_edges: dict[tuple[int, ...], int] = {}
        for count, edges in held.values():
            by_edges[tuple(edges)] = by_edges.get(tuple(edges), 0) + count
        row: dict[int, float] = {}
        self._variables = len(self.flow.edges)
        for together, count in by_edges.items():
            if len(together) == 1:
                row[together[0]] = float(count)
                continue
            row[self._variables] = float(count)
            self._rows += [({self._variables: 1.0, number: -1.0}, 0.0, np.inf) for number in together]
            self._variables += 1
        return row

    def _conserve(self) -> None:
        """One unit leaves the source and comes to the sink; as much leaves a node as comes to it."""
        by_node: dict[object, dict[int, float]] = {node: {} for node in self.flow.nodes}
        for number, edge in enumerate(self.flow.edges):
            by_node[edge.tail][number] = 1.0
            by_node[edge.head][number] = -1.0
        for node, row in by_node.items():
            given = 1.0 if node == SOURCE else -1.0 if node == SINK else 0.0
            self._rows.append((row, given, given))

    def best_first(self) -> Iterator[Stitch]:
        """The paths within the bounds by falling score, one solution after the other."""
        while (path := self._solve(self._score, -1)) is not None:
            self._excluded.append((dict.fromkeys(path, 1.0), 0.0, len(path) - 1.0))
            stitch = self._stitch(path)
            cost = self.space.cost(stitch)
            if all(bound is None or getattr(cost, name) <= bound for name, bound in self._bounds.items()):
                yield stitch
            else:
                self.rejected += 1

    def least(self, name: Literal["params", "macs"]) -> int | None:
        """The fewest of these that a path within the bounds has; ``None`` where there is no path."""
        path = self._solve(self._cost[name], 1)
        return None if path is None else int(getattr(self.space.cost(self._stitch(path)), name))

    def _stitch(self, path: list[int]) -> Stitch:
        joints = [joint for number in path if (joint := self.flow.edges[number].joint) is not None]
        if joints:
            return self.space.through(joints)
        return self.space.outlines[self.flow.edges[path[-1]].tail[2]].stitch

    def _solve(self, objective: Row, sign: int) -> list[int] | None:
        """Edges of the path whose objective is least, or greatest for a sign below zero."""
        rows = [*self._rows, *self._excluded]
        entries = [(at, *entry) for at, (row, _, _) in enumerate(rows) for entry in row.items()]
        at, columns, values = (np.array(each) for each in zip(*entries, strict=True))
        matrix = csr_array((values, (at, columns)), shape=(len(rows), self._variables))
        costs = np.zeros(self._variables)
        costs[list(objective)] = list(objective.values())
        largest = float(np.abs(costs).max())
        edges = len(self.flow.edges)
        found = milp(
            costs * (sign * LARGEST / largest if largest else 0.0),
            integrality=np.where(np.arange(self._variables) < edges, 1, 0),
            bounds=Bounds(0, 1),
            constraints=LinearConstraint(matrix, [low for _, low, _ in rows], [high for *_, high in rows]),
            options={"mip_rel_gap": 0.0},
        )
        if found.status == INFEASIBLE:
            return None
        if found.status != OPTIMAL or found.x is None:
            raise StitchError(f"HiGHS found no optimum: {found.message} Report this with the zoo's file.")
        return self.flow.path(np.flatnonzero(found.x[:edges] > 0.5).tolist())
