"""The choice for budgets: the most accurate stitch that fits, or the cheapest that is accurate enough."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from stitchable.errors import StitchError
from stitchable.evaluation.curve import CurveRow
from stitchable.evaluation.device_cost import DeviceCosts
from stitchable.evaluation.outcomes import Outcomes
from stitchable.evaluation.pareto import front
from stitchable.menu.axis import AXES, Percentile, PricedRow
from stitchable.menu.choice import Choice, Neighbour
from stitchable.menu.comparable import comparable
from stitchable.menu.evidence import Evidence
from stitchable.menu.limits import Budget, Limits, Target, nothing_fits


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
    limits = _limits({name: most for name, most in given.items() if most is not None}, top1, sure)
    objective = cheapest or ("top1" if limits.budgets else "macs" if device is None else "latency")
    needed = [each.axis.name for each in limits.budgets] + ([] if objective == "top1" else [objective])
    among = comparable(rows, needed, device=device, percentile=percentile)
    usable = among.whole if any(map(limits.met, among.whole)) else among.known
    fitting = [each for each in usable if limits.met(each)]
    if not fitting:
        raise StitchError(nothing_fits(among.known, limits))
    chosen = min(fitting, key=lambda each: _rank(each, objective))
    along = limits.tightest(chosen).axis.name if objective == "top1" else objective
    evidence = Evidence(rows, outcomes)
    cheaper, dearer = _neighbours(chosen, among.whole, along, evidence)
    notes = [*among.notes, *evidence.notes]
    if among.stopped:
        left = "left out" if usable is among.whole else "chosen from, for nothing else fits"
        notes.append(f"{left}: {among.stopped}")
    profiled = device if "latency" in chosen.costs else None
    return Choice(
        priced=chosen,
        budgets={budget.axis.name: budget.most for budget in limits.budgets},
        target=limits.target,
        objective=objective,
        along=along,
        beyond=_beyond(chosen, usable, objective, limits),
        cheaper=cheaper,
        dearer=dearer,
        basis=evidence.basis,
        condition=None if profiled is None else profiled.condition,
        percentile=percentile,
        profile_error=None if profiled is None else profiled.error,
        notes=tuple(notes),
    )


def _limits(budgets: Mapping[str, float], top1: float | None, sure: bool) -> Limits:
    if top1 is None and not budgets:
        raise StitchError(
            "No budget was given to pick for. Give --latency, --memory, --macs, --params or --top1."
        )
    if top1 is None and sure:
        raise StitchError("There is no top-1 to be sure of. Give --top1 as well, such as --top1 92.")
    return Limits(
        tuple(Budget(AXES[name], most) for name, most in budgets.items()),
        None if top1 is None else Target(top1, sure),
    )


def _rank(each: PricedRow, objective: str) -> tuple[float, ...]:
    row = each.row
    first = -row.top1 if objective == "top1" else each.costs[objective]
    return first, -row.top1, row.macs, row.params, row.index


def _beyond(chosen: PricedRow, rows: Sequence[PricedRow], objective: str, limits: Limits) -> PricedRow | None:
    """The row that is strictly better by the objective and fails the limits by least."""
    better = [each for each in rows if _rank(each, objective)[0] < _rank(chosen, objective)[0]]
    return min(better, key=lambda each: (*limits.failure(each), *_rank(each, objective)), default=None)


def _neighbours(
    chosen: PricedRow, rows: Sequence[PricedRow], along: str, evidence: Evidence
) -> tuple[Neighbour | None, Neighbour | None]:
    """The nearest rows on either side of the chosen one on the front of an axis."""

    def cost(each: PricedRow) -> float:
        return each.costs[along]

    known = [each for each in rows if along in each.costs]
    on_front = front([cost(each) for each in known], [each.row.top1 for each in known])
    fronts = [each for each, on in zip(known, on_front, strict=True) if on]
    sides = (
        max((each for each in fronts if cost(each) < cost(chosen)), key=cost, default=None),
        min((each for each in fronts if cost(each) > cost(chosen)), key=cost, default=None),
    )
    cheaper, dearer = (
        None if each is None else Neighbour(each, evidence.compare(chosen.row, each.row)) for each in sides
    )
    return cheaper, dearer
