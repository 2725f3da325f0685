"""The choice for budgets: the most accurate stitch that fits, or the cheapest that is accurate enough."""

from __future__ import annotations

from collections.abc import Sequence

from stitchable.errors import StitchError
from stitchable.evaluation.axis import AXES, Percentile, PricedRow, axis_named, price, settled
from stitchable.evaluation.choice import Choice, Neighbour
from stitchable.evaluation.curve import CurveRow
from stitchable.evaluation.device_cost import DeviceCosts
from stitchable.evaluation.evidence import Evidence
from stitchable.evaluation.limits import Budget, Target, nothing_fits
from stitchable.evaluation.outcomes import Outcomes
from stitchable.evaluation.pareto import front


def pick(
    rows: Sequence[CurveRow],
    *,
    macs: float | None = None,
    params: float | None = None,
    latency: float | None = None,
    memory: float | None = None,
    top1: float | None = None,
    sure: bool = False,
    cheapest: str | None = None,
    device: DeviceCosts | None = None,
    percentile: Percentile = "p50",
    outcomes: Outcomes | None = None,
) -> Choice:
    """Choose among the rows that keep to every budget and reach the top-1.

    With ``cheapest`` it is the cheapest of them along that axis; without it, the most accurate where a
    budget is given, and else the cheapest: by latency if ``device`` is given, by MACs if not. Equal rows:
    the more accurate, then the one with fewer MACs, then fewer parameters, then the lower index.

    Rows that saw fewer images than others, since a race stopped them, are chosen only where no other fits.

    Args:
        rows: A curve, such as `read_curve` gives.
        macs: Most multiply-accumulates per image, by the convention of the curve.
        params: Most parameters.
        latency: Longest time in milliseconds for a batch of the condition's size.
        memory: Most memory in bytes.
        top1: Least top-1 in percent.
        sure: The lower end of the 95 % interval has to reach ``top1``, and not only the measured value.
        cheapest: ``macs``, ``params``, ``latency`` or ``memory``.
        device: Costs on a device, for ``latency`` and ``memory``.
        percentile: Which latency counts, ``p50`` or ``p95``.
        outcomes: What every stitch answered, for paired comparisons with the neighbours.

    Raises:
        StitchError: No limit is given, one is out of its range or lacks what it needs, there are no rows, or
            none fits; then the message names the smallest budgets that can be met.
    """
    given = {"latency": latency, "memory": memory, "macs": macs, "params": params}
    budgets = [Budget(AXES[name], most) for name, most in given.items() if most is not None]
    target = None if top1 is None else Target(top1, sure)
    if target is None and not budgets:
        raise StitchError(
            "No budget was given to pick for. Give --latency, --memory, --macs, --params or --top1."
        )
    if sure and target is None:
        raise StitchError("There is no top-1 to be sure of. Give --top1 as well, such as --top1 92.")
    if not rows:
        raise StitchError("The curve holds no rows to pick from. Measure one first with 'stitchable sweep'.")
    objective = cheapest or ("top1" if budgets else "macs" if device is None else "latency")
    needed = [each.axis.name for each in budgets] + ([] if objective == "top1" else [objective])
    known, notes = _known(price(rows, device, percentile=percentile), needed, device)

    def fits(each: PricedRow) -> bool:
        return all(budget.met(each) for budget in budgets) and (target is None or target.met(each))

    whole = settled(known)
    comparable = whole if any(map(fits, whole)) else known
    fitting = [each for each in comparable if fits(each)]
    if not fitting:
        raise StitchError(nothing_fits(known, budgets, target))
    if len(whole) < len(known):
        notes.append(_about_the_race(len(known) - len(whole), whole[0].row.images, comparable is whole))
    chosen = min(fitting, key=lambda each: _rank(each, objective))
    tightest = max(budgets, key=lambda budget: budget.excess(chosen), default=None)
    along = tightest.axis.name if objective == "top1" and tightest else objective
    evidence = Evidence(rows, outcomes)
    if evidence.stale:
        notes.append("the stored answers are not those of this curve; sweep again for paired comparisons")
    cheaper, dearer = _neighbours(chosen, whole, along, evidence)
    profiled = device if "latency" in chosen.costs else None
    return Choice(
        chosen,
        {budget.axis.name: budget.most for budget in budgets},
        target,
        objective,
        along,
        _beyond(chosen, comparable, objective, budgets, target),
        cheaper,
        dearer,
        evidence.basis,
        None if profiled is None else profiled.condition,
        percentile,
        None if profiled is None else profiled.error,
        tuple(notes),
    )


def _known(
    rows: list[PricedRow], needed: Sequence[str], device: DeviceCosts | None
) -> tuple[list[PricedRow], list[str]]:
    """Rows of which every cost that is needed is known, and a note on the others."""
    for name in needed:
        if axis_named(name).on_device and device is None:
            raise StitchError(
                f"{name.capitalize()} is not on the curve. Give the costs of 'stitchable profile' for it."
            )
    known = [each for each in rows if all(name in each.costs for name in needed)]
    if not known:
        raise StitchError(
            "The profile holds none of the curve's stitches. Measure again with 'stitchable profile'."
        )
    missing = len(rows) - len(known)
    return known, [
        f"left out, since they are not in the profile: {missing} of {len(rows)} stitches"
    ] if missing else []


def _rank(each: PricedRow, objective: str) -> tuple[float, ...]:
    row = each.row
    first = -row.top1 if objective == "top1" else each.costs[objective]
    return first, -row.top1, row.macs, row.params, row.index


def _beyond(
    chosen: PricedRow,
    rows: Sequence[PricedRow],
    objective: str,
    budgets: Sequence[Budget],
    target: Target | None,
) -> PricedRow | None:
    """The row that is strictly better by the objective and fails the limits by least."""
    better = [each for each in rows if _rank(each, objective)[0] < _rank(chosen, objective)[0]]

    def failure(each: PricedRow) -> tuple[float, ...]:
        excess = max((budget.excess(each) for budget in budgets), default=0.0)
        shortfall = 0.0 if target is None else target.shortfall(each)
        return max(excess, 1.0), shortfall, *_rank(each, objective)

    return min(better, key=failure, default=None)


def _neighbours(
    chosen: PricedRow, rows: Sequence[PricedRow], along: str, evidence: Evidence
) -> tuple[Neighbour | None, Neighbour | None]:
    """The nearest rows on either side of the chosen one on the front of an axis."""
    known = [each for each in rows if along in each.costs]
    costs = [each.costs[along] for each in known]
    on_front = front(costs, [each.row.top1 for each in known])
    fronts = [each for each, on in zip(known, on_front, strict=True) if on]
    at = chosen.costs[along]
    sides = (
        max(
            (each for each in fronts if each.costs[along] < at),
            key=lambda each: each.costs[along],
            default=None,
        ),
        min(
            (each for each in fronts if each.costs[along] > at),
            key=lambda each: each.costs[along],
            default=None,
        ),
    )
    cheaper, dearer = (
        None if each is None else Neighbour(each, evidence.compare(chosen.row, each.row)) for each in sides
    )
    return cheaper, dearer


def _about_the_race(stopped: int, images: int, left_out: bool) -> str:
    what = "left out, since" if left_out else "chosen from, for nothing else fits, though"
    return f"{what} a race stopped them before they had seen {images:,} images: {stopped} stitches"
