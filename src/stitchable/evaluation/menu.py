"""The menu: few stitches of a cloud that are worth having, well spaced."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stitchable.errors import StitchError
from stitchable.evaluation.axis import Percentile, PricedRow, axis_named, keyed, price, settled
from stitchable.evaluation.curve import CurveRow
from stitchable.evaluation.device_cost import DeviceCosts
from stitchable.evaluation.evidence import Evidence
from stitchable.evaluation.gaps import find_gaps
from stitchable.evaluation.menu_file import Menu, MenuEntry
from stitchable.evaluation.outcomes import Outcomes
from stitchable.evaluation.pareto import front
from stitchable.evaluation.spacing import space_out


def build_menu(
    rows: Sequence[CurveRow],
    size: int,
    *,
    axis: str = "macs",
    device: DeviceCosts | None = None,
    percentile: Percentile = "p50",
    outcomes: Outcomes | None = None,
    confidence: float = 0.95,
    keep_anchors: bool = False,
    top1: float = 0.0,
    gap_ratio: float = 1.25,
) -> Menu:
    """Choose from a curve the entries of a menu.

    Candidates are the rows on the front of accuracy against the axis. An entry may follow another one in the
    menu only if it is surely more accurate, by McNemar's exact test on the same images where ``outcomes`` are
    given and by Wilson's intervals otherwise. Among such menus `space_out` finds the one that loses least on
    any budget.

    Args:
        rows: A curve; rows that saw fewer images than others, since a race stopped them, are left out.
        size: Most entries.
        axis: ``macs``, ``params``, ``latency`` or ``memory``.
        device: Costs on a device, for the last two.
        percentile: Which latency counts.
        outcomes: What every stitch answered.
        confidence: Of each single comparison.
        keep_anchors: Have every anchor in the menu, be it better than the entry before or not.
        top1: Leave out what is less accurate, in percent.
        gap_ratio: From which ratio of costs on a range without anything surely better is a gap.

    Raises:
        StitchError: An argument is out of its range, a cost is not known, or the anchors are too many.
    """
    if size < 1:
        raise StitchError(f"A menu of {size} entries is none. Give 1 or more.")
    cloud, notes = _cloud(rows, axis, top1, price(rows, device, percentile=percentile))
    costs = [each.costs[axis] for each in cloud]
    on_front = front(costs, [each.row.top1 for each in cloud])
    best = sorted(
        (each for each, on in zip(cloud, on_front, strict=True) if on), key=lambda each: each.costs[axis]
    )
    aside = [each for each in cloud if keep_anchors and each.row.anchor and each not in best]
    kept = [at for at, each in enumerate(best) if keep_anchors and each.row.anchor]
    least = len({0, *kept}) + len(aside)
    if size < least:
        raise StitchError(
            f"A menu of {size} does not hold the cheapest stitch and the anchors. Give {least} or more."
        )
    evidence = Evidence(rows, outcomes, confidence=confidence)
    if evidence.stale:
        notes.append("the stored answers are not those of this curve; sweep again for paired comparisons")
    front_rows = [each.row for each in best]
    allowed = np.array([evidence.surely_better(front_rows, row) for row in front_rows], dtype=bool)
    spacing = space_out(
        [each.costs[axis] for each in best],
        [each.row.top1 for each in best],
        size - len(aside),
        allowed=allowed,
        required=kept,
    )
    chosen = [best[at] for at in spacing.chosen]
    entries = _entries(chosen, aside, axis, evidence)
    if len(entries) < size:
        notes.append(
            f"{size} entries were asked for; these {len(entries)} serve budgets best, since each has to be "
            "surely better than the one before"
        )
    return Menu(
        axis,
        size,
        entries,
        find_gaps(chosen, cloud, axis, evidence, ratio=gap_ratio),
        spacing.largest,
        spacing.mean,
        len(cloud),
        len(best),
        evidence.basis,
        confidence,
        device.condition if device is not None and axis_named(axis).on_device else None,
        percentile,
        tuple(notes),
    )


def _cloud(
    rows: Sequence[CurveRow], axis: str, top1: float, priced: Sequence[PricedRow]
) -> tuple[list[PricedRow], list[str]]:
    """The rows that may be compared, and notes on the others."""
    on_device = axis_named(axis).on_device
    known = [each for each in priced if axis in each.costs]
    if not known:
        raise StitchError(
            f"No {axis} is known of any stitch of the curve. Measure it with 'stitchable profile'."
            if on_device
            else "The curve holds no rows to choose from. Measure one first with 'stitchable sweep'."
        )
    whole = settled(known)
    cloud = [each for each in whole if each.row.top1 >= top1]
    if not cloud:
        most = max(each.row.top1 for each in whole)
        raise StitchError(f"No stitch reaches {top1:g} % top-1. The most is {most:.2f} %.")
    notes = []
    if len(known) < len(rows):
        missing = len(rows) - len(known)
        notes.append(f"left out, since they are not in the profile: {missing} of {len(rows)} stitches")
    if len(whole) < len(known):
        notes.append(
            f"left out, since a race stopped them before they had seen {whole[0].row.images:,} images: "
            f"{len(known) - len(whole)} stitches"
        )
    return cloud, notes


def _entries(
    chosen: Sequence[PricedRow], aside: Sequence[PricedRow], axis: str, evidence: Evidence
) -> tuple[MenuEntry, ...]:
    entries = []
    before: PricedRow | None = None
    for each in sorted([*chosen, *aside], key=lambda each: (each.costs[axis], each in aside)):
        row, on_front = each.row, each not in aside
        gain = None if before is None else evidence.compare(row, before.row)
        entries.append(
            MenuEntry(
                row.stitch,
                each.costs[axis],
                row.top1,
                row.top1_low,
                row.top1_high,
                row.images,
                keyed(each.costs),
                row.anchor,
                on_front,
                gain,
            )
        )
        before = each if on_front else before
    return tuple(entries)
