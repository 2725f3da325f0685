"""A choice in words."""

from __future__ import annotations

from stitchable.menu.axis import AXES, PricedRow
from stitchable.menu.choice import Choice, Neighbour
from stitchable.menu.evidence import Lead
from stitchable.units import format_points


def describe(choice: Choice) -> str:
    """The choice in plain lines: the stitch, each limit's use, what lies beyond, and the neighbours.

    Example::

        resnet20[0:5]+resnet56[17:27]: 92.90 % top-1 (92.38 to 93.39) on 10,000 images
        83.0 MMACs of 100.0 MMACs, 17.0 MMACs to spare
        more accurate: resnet56[0:27], 93.30 % at 126.8 MMACs
        next cheaper on the front: resnet20[0:9], 91.70 % at 41.2 MMACs; against it +1.20 points, surely
        better (+0.79 to +1.61, p = 0.00012, the same 10,000 images)
    """
    row = choice.row
    lines = [
        f"{row.stitch}: {row.top1:.2f} % top-1 ({row.top1_low:.2f} to {row.top1_high:.2f}) "
        f"on {row.images:,} images"
    ]
    for name, most in choice.budgets.items():
        show = AXES[name].show
        used, spare = choice.priced.costs[name], choice.headroom[name]
        lines.append(f"{show(used)} of {show(most)}, {show(spare)} to spare")
    if choice.target is not None:
        spare = choice.target.reach(choice.priced) - choice.target.least
        what = "the lower end" if choice.target.sure else "top-1"
        lines.append(f"{what} is {spare:.2f} points above {choice.target.least:g} %")
    if choice.objective != "top1":
        cost = AXES[choice.objective].show(choice.priced.costs[choice.objective])
        lines.append(f"the cheapest that fits, by {choice.objective}: {cost}")
    lines.append(_beyond(choice))
    lines += [
        _neighbour(side, each, choice.along)
        for side, each in (("cheaper", choice.cheaper), ("dearer", choice.dearer))
        if each is not None
    ]
    if choice.condition is not None:
        costs = choice.priced.costs
        error = choice.profile_error
        off = "" if error is None else f"; predictions are {100 * error:.1f} % off on the median"
        lines.append(
            f"{choice.percentile} latency {AXES['latency'].show(costs['latency'])}, memory "
            f"{AXES['memory'].show(costs['memory'])} on {choice.condition}{off}"
        )
    return "\n".join([*lines, *choice.notes])


def _beyond(choice: Choice) -> str:
    better = "more accurate" if choice.objective == "top1" else "cheaper"
    if choice.beyond is None:
        return f"no stitch of the curve is {better}"
    names = list(choice.budgets)
    if choice.objective != "top1" and choice.objective not in names:
        names.append(choice.objective)
    row = choice.beyond.row
    low = f" ({row.top1_low:.2f} to {row.top1_high:.2f})" if choice.target and choice.target.sure else ""
    return f"{better}: {row.stitch}, {row.top1:.2f} %{low} at {_costs(choice.beyond, names)}"


def _costs(each: PricedRow, names: list[str]) -> str:
    return " and ".join(AXES[name].show(each.costs[name]) for name in names)


def _neighbour(side: str, each: Neighbour, along: str) -> str:
    row, cost = each.priced.row, AXES[along].show(each.priced.costs[along])
    found = describe_comparison(each.comparison)
    return f"next {side} on the front: {row.stitch}, {row.top1:.2f} % at {cost}; against it {found}"


def describe_comparison(found: Lead) -> str:
    """What a comparison says, from the side of its first stitch.

    Example:
        >>> describe_comparison(Lead(1.2, True, "paired", 0.79, 1.61, 0.00012, 10_000))
        '+1.20 points, surely better (+0.79 to +1.61, p = 0.00012, the same 10,000 images)'
        >>> describe_comparison(Lead(-0.1, False, "intervals"))
        '−0.10 points, not sure (the intervals overlap)'
    """
    sure = f"surely {'better' if found.points > 0 else 'worse'}" if found.surely else "not sure"
    return f"{format_points(found.points)} points, {sure} ({_ground(found)})"


def _ground(found: Lead) -> str:
    if found.low is None or found.high is None or found.p_value is None or found.images is None:
        return f"the intervals {'do not ' if found.surely else ''}overlap"
    ends = f"{format_points(found.low)} to {format_points(found.high)}"
    return f"{ends}, p = {found.p_value:.2g}, the same {found.images:,} images"
