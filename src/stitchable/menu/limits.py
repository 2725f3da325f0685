"""What a pick has to keep to: budgets that costs stay under, and a top-1 that is reached."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_FLOOR

from stitchable.errors import StitchError
from stitchable.menu.axis import Axis, PricedRow, rounded


@dataclass(frozen=True)
class Budget:
    """The most that may be spent along one axis.

    Raises:
        StitchError: It holds no network.
    """

    axis: Axis
    most: float

    def __post_init__(self) -> None:
        least = 0 if self.axis.name == "latency" else 1
        if not self.most >= least or self.most == 0:
            raise StitchError(
                f"A budget of {self.axis.show(self.most)} holds no network. Give "
                f"{'more than 0' if least == 0 else '1 or more'}."
            )

    def met(self, each: PricedRow) -> bool:
        """Whether a row keeps to it."""
        return each.costs[self.axis.name] <= self.most

    def excess(self, each: PricedRow) -> float:
        """What a row costs, as a multiple of the budget."""
        return each.costs[self.axis.name] / self.most

    def nearest(self, rows: Sequence[PricedRow]) -> PricedRow:
        """The row that comes nearest to it: the cheapest."""
        return min(rows, key=lambda each: (each.costs[self.axis.name], each.row.index))

    def offer(self, each: PricedRow) -> str:
        """A row's cost for reading, and as it can be given as the next budget."""
        cost = each.costs[self.axis.name]
        return f"{self.axis.show(cost)} ({self.axis.spell(cost)})"

    def __str__(self) -> str:
        return self.axis.show(self.most)


@dataclass(frozen=True)
class Target:
    """The least accuracy.

    Attributes:
        least: Top-1 in percent.
        sure: Whether the lower end of the 95 % interval has to reach it.

    Raises:
        StitchError: It is no share in percent.
    """

    least: float
    sure: bool

    def __post_init__(self) -> None:
        if not 1 < self.least <= 100:
            raise StitchError(f"A top-1 of {self.least:g} is no target. Give percent, such as 92.")

    def met(self, each: PricedRow) -> bool:
        """Whether a row reaches it."""
        return self.reach(each) >= self.least

    def reach(self, each: PricedRow) -> float:
        """The accuracy that counts, in percent."""
        return each.row.top1_low if self.sure else each.row.top1

    def shortfall(self, each: PricedRow) -> float:
        """Points by which a row misses it; 0 where it does not."""
        return max(self.least - self.reach(each), 0.0)

    def nearest(self, rows: Sequence[PricedRow]) -> PricedRow:
        """The row that comes nearest to it: the most accurate."""
        return min(rows, key=lambda each: (-self.reach(each), each.row.index))

    def offer(self, each: PricedRow) -> str:
        """What a row reaches, and the same rounded down, for giving it as the next target."""
        reach = self.reach(each)
        return f"{self._words(reach)} ({rounded(reach, ROUND_FLOOR)})"

    def _words(self, top1: float) -> str:
        return f"{top1:.2f} % top-1{' surely' if self.sure else ''}"

    def __str__(self) -> str:
        return self._words(self.least)


@dataclass(frozen=True)
class Limits:
    """All that a pick has to keep to."""

    budgets: tuple[Budget, ...]
    target: Target | None

    @property
    def each(self) -> tuple[Budget | Target, ...]:
        """Budgets and target alike."""
        return self.budgets if self.target is None else (*self.budgets, self.target)

    def met(self, each: PricedRow) -> bool:
        """Whether a row keeps to all of it."""
        return all(limit.met(each) for limit in self.each)

    def tightest(self, each: PricedRow) -> Budget:
        """The budget of which a row uses the largest part; there must be one."""
        return max(self.budgets, key=lambda budget: budget.excess(each))

    def failure(self, each: PricedRow) -> tuple[float, float]:
        """How far a row is from keeping to it: the largest excess, 1 at least, then the points it lacks."""
        excess = max((budget.excess(each) for budget in self.budgets), default=1.0)
        return max(excess, 1.0), 0.0 if self.target is None else self.target.shortfall(each)


def nothing_fits(rows: Sequence[PricedRow], asked_for: Limits) -> str:
    """Say how far each limit must move while the others stay, or where that is no way, the least of all."""
    limits, budgets, target = asked_for.each, asked_for.budgets, asked_for.target
    ways = []
    for limit in limits:
        others = [other for other in limits if other is not limit]
        within = [each for each in rows if all(other.met(each) for other in others)]
        if within:
            kept = f" with {' and '.join(map(str, others))}" if others else ""
            best = limit.nearest(within)
            ways.append(f"{limit.offer(best)}{kept}, by {best.row.stitch}")
    if not ways:
        for limit in limits:
            best = limit.nearest(rows)
            ways.append(f"{' and '.join(other.offer(best) for other in limits)}, by {best.row.stitch}")
    asked = []
    if budgets:
        asked.append(f"fits {' and '.join(map(str, budgets))}")
    if target is not None:
        asked.append(f"reaches {target}")
    nearest = "The nearest" if target is not None else "The smallest budget"
    offers = "; or ".join(dict.fromkeys(ways))
    return f"No stitch {' and '.join(asked)}. {nearest} that can be met is {offers}."
