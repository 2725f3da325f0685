"""The choice for a budget: the most accurate stitch that fits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stitchable.errors import StitchError
from stitchable.evaluation.curve import CurveRow
from stitchable.units import format_count

_UNITS = {"macs": "MACs", "params": "params"}


@dataclass(frozen=True)
class Choice:
    """The stitch chosen for a budget, and what lies beyond it.

    Attributes:
        row: The row chosen.
        macs: Budget in multiply-accumulates per image; ``None`` where MACs are free.
        params: Budget in parameters; ``None`` where parameters are free.
        beyond: The more accurate row that least exceeds the budgets, as a multiple of them; ``None`` if
            the row chosen is the most accurate of all.
    """

    row: CurveRow
    macs: int | None
    params: int | None
    beyond: CurveRow | None

    @property
    def macs_headroom(self) -> int | None:
        """MACs of the budget that the stitch leaves unused."""
        return None if self.macs is None else self.macs - self.row.macs

    @property
    def params_headroom(self) -> int | None:
        """Parameters of the budget that the stitch leaves unused."""
        return None if self.params is None else self.params - self.row.params


def pick(rows: Sequence[CurveRow], *, macs: int | None = None, params: int | None = None) -> Choice:
    """Choose the most accurate row within every budget given.

    Equally accurate rows: the one with fewer MACs, then with fewer parameters, then with the lower index.

    Args:
        rows: A curve, such as `read_curve` gives.
        macs: Most multiply-accumulates per image, by the convention of the curve.
        params: Most parameters.

    Raises:
        StitchError: No budget is given, one is below 1, there are no rows, or none fits; then the message
            names the smallest budgets that can be met.
    """
    budgets = {name: value for name, value in (("macs", macs), ("params", params)) if value is not None}
    if not budgets:
        raise StitchError("No budget was given to pick for. Give --macs, --params or both.")
    for name, value in budgets.items():
        if value < 1:
            raise StitchError(f"A budget of {value} {_UNITS[name]} holds no network. Give 1 or more.")
    if not rows:
        raise StitchError("The curve holds no rows to pick from. Measure one first with 'stitchable sweep'.")
    fitting = [row for row in rows if _fits(row, budgets)]
    if not fitting:
        raise StitchError(_nothing_fits(rows, budgets))
    chosen = min(fitting, key=lambda row: (-row.top1, row.macs, row.params, row.index))
    better = [row for row in rows if row.top1 > chosen.top1]  # none of them fits
    beyond = min(better, key=lambda row: (_excess(row, budgets), -row.top1, row.index), default=None)
    return Choice(chosen, macs, params, beyond)


def describe(choice: Choice) -> str:
    """The choice in two to four plain lines: the stitch, each budget's use, what lies beyond.

    Example::

        resnet20[0:5]+resnet56[17:27]: 92.90 % top-1 (92.38 to 93.39) on 10,000 images
        83.0 MMACs of 100 MMACs, 17.0 MMACs to spare
        more accurate: resnet56[0:27], 93.30 % at 126.8 MMACs
    """
    row, beyond = choice.row, choice.beyond
    lines = [
        f"{row.stitch}: {row.top1:.2f} % top-1 ({row.top1_low:.2f} to {row.top1_high:.2f}) "
        f"on {row.images:,} images"
    ]
    named = {
        name: value for name, value in (("macs", choice.macs), ("params", choice.params)) if value is not None
    }
    for name, budget in named.items():
        used = _cost(row, name)
        lines.append(
            f"{_count(used, name)} of {_count(budget, name)}, {_count(budget - used, name)} to spare"
        )
    if beyond is None:
        lines.append("no stitch of the curve is more accurate")
    else:
        costs = " and ".join(_count(_cost(beyond, name), name) for name in named)
        lines.append(f"more accurate: {beyond.stitch}, {beyond.top1:.2f} % at {costs}")
    return "\n".join(lines)


def _cost(row: CurveRow, name: str) -> int:
    return row.macs if name == "macs" else row.params


def _fits(row: CurveRow, budgets: dict[str, int]) -> bool:
    return all(_cost(row, name) <= budget for name, budget in budgets.items())


def _excess(row: CurveRow, budgets: dict[str, int]) -> float:
    return max(_cost(row, name) / budget for name, budget in budgets.items())


def _nothing_fits(rows: Sequence[CurveRow], budgets: dict[str, int]) -> str:
    """Say how far each budget must rise while the others stay, or where that is no way, the least of all."""
    asked = " and ".join(_count(budget, name) for name, budget in budgets.items())
    ways = []
    for name in budgets:
        others = {other: budget for other, budget in budgets.items() if other != name}
        within = [row for row in rows if _fits(row, others)]
        if within:
            least = min(within, key=lambda row: (_cost(row, name), row.index))
            kept = "".join(f" with {_count(budget, other)}" for other, budget in others.items())
            ways.append(f"{_exact(least, name)}{kept}, by {least.stitch}")
    if not ways:
        for name in budgets:
            least = min(rows, key=lambda row: (_cost(row, name), row.index))
            both = " and ".join(_exact(least, other) for other in budgets)
            ways.append(f"{both}, by {least.stitch}")
    ways = list(dict.fromkeys(ways))
    return f"No stitch fits {asked}. The smallest budget that can be met is {'; or '.join(ways)}."


def _exact(row: CurveRow, name: str) -> str:
    """The cost for reading, and unrounded for giving it as the next budget."""
    return f"{_count(_cost(row, name), name)} ({_cost(row, name)})"


def _count(value: float, name: str) -> str:
    return format_count(value, _UNITS[name])
