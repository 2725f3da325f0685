"""A stitch chosen for budgets, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from stitchable.evaluation.curve import CurveRow
from stitchable.evaluation.device_cost import Condition
from stitchable.menu.axis import Percentile, PricedRow, keyed
from stitchable.menu.evidence import Basis, Lead
from stitchable.menu.limits import Target


@dataclass(frozen=True)
class Neighbour:
    """The next stitch on the front, and the chosen one against it."""

    priced: PricedRow
    comparison: Lead

    def to_dict(self) -> dict[str, Any]:
        """As plain data; the comparison is that of the chosen stitch with this one."""
        return {**self.priced.to_dict(), "comparison": asdict(self.comparison)}


@dataclass(frozen=True)
class Choice:
    """The stitch chosen, and what lies around it.

    Attributes:
        priced: The row chosen, with its costs.
        budgets: What it keeps to, by the name of the axis.
        target: The top-1 that it reaches; ``None`` where none was asked for.
        objective: ``"top1"``: the most accurate was chosen. Else the axis along which it is the cheapest.
        along: The axis of the front on which the neighbours lie: the objective, or the budget of which
            the stitch uses the largest part.
        beyond: The row that the objective would rather have and that least fails the limits; ``None`` if
            there is none.
        cheaper: The next cheaper row on the front.
        dearer: The next dearer row on the front.
        basis: On what comparisons rest, see `stitchable.menu.evidence`.
        condition: Under which latency and memory were taken; ``None`` where they are not known.
        percentile: Which latency counts.
        profile_error: Median relative error of the profile's predictions, where it is known.
        notes: What else there is to know, in sentences.
    """

    priced: PricedRow
    budgets: Mapping[str, float]
    target: Target | None
    objective: str
    along: str
    beyond: PricedRow | None
    cheaper: Neighbour | None
    dearer: Neighbour | None
    basis: Basis
    condition: Condition | None
    percentile: Percentile
    profile_error: float | None
    notes: tuple[str, ...]

    @property
    def row(self) -> CurveRow:
        """The row chosen."""
        return self.priced.row

    @property
    def headroom(self) -> dict[str, float]:
        """What the stitch leaves unused of each budget."""
        return {name: most - self.priced.costs[name] for name, most in self.budgets.items()}

    def to_dict(self) -> dict[str, Any]:
        """The row's own fields, and all the rest under names of their own."""
        return {
            **self.row.to_dict(),
            "costs": keyed(self.priced.costs),
            "budgets": keyed(self.budgets),
            "headroom": keyed(self.headroom),
            "target": None if self.target is None else asdict(self.target),
            "objective": self.objective,
            "along": self.along,
            "condition": None if self.condition is None else asdict(self.condition),
            "percentile": self.percentile,
            "profile_error": self.profile_error,
            "basis": self.basis,
            "neighbours": {
                "cheaper": None if self.cheaper is None else self.cheaper.to_dict(),
                "dearer": None if self.dearer is None else self.dearer.to_dict(),
            },
            "beyond": None if self.beyond is None else self.beyond.to_dict(),
            "notes": list(self.notes),
        }
