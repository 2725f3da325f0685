"""The menu: few stitches of a cloud that are worth having, well spaced."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stitchable.errors import StitchError
from stitchable.evaluation.curve import CurveRow
from stitchable.evaluation.device_cost import DeviceCosts
from stitchable.evaluation.outcomes import Outcomes
from stitchable.evaluation.pareto import front
from stitchable.menu.axis import AXES, Percentile, PricedRow, keyed
from stitchable.menu.comparable import comparable
from stitchable.menu.evidence import Evidence
from stitchable.menu.gaps import find_gaps
from stitchable.menu.menu_file import Menu, MenuEntry
from stitchable.menu.spacing import Spacing, space_out


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
    among = comparable(rows, [axis], device=device, percentile=percentile)
    cloud = [each for each in among.whole if each.row.top1 >= top1]
    if not cloud:
        most = max(each.row.top1 for each in among.whole)
        raise StitchError(f"No stitch reaches {top1:g} % top-1. The most is {most:.2f} %.")
    on_front = front([each.costs[axis] for each in cloud], [each.row.top1 for each in cloud])
    best = [each for each, on in zip(cloud, on_front, strict=True) if on]
    best.sort(key=lambda each: each.costs[axis])
    anchors = [each for each in cloud if keep_anchors and each.row.anchor]
    evidence = Evidence(rows, outcomes, confidence=confidence)
    spacing = _spaced(best, anchors, size, axis, evidence)
    chosen = [best[at] for at in spacing.chosen]
    entries = _entries(chosen, [each for each in anchors if each not in best], axis, evidence)
    notes = [*among.notes, *evidence.notes]
    if among.stopped:
        notes.append(f"left out: {among.stopped}")
    if len(entries) < size:
        notes.append(
            f"{size} asked for, {len(entries)} worth having: each has to be surely better than the one "
            "before; more images, or a lower --confidence, tell more apart"
        )
    return Menu(
        axis=axis,
        size=size,
        entries=entries,
        gaps=find_gaps(chosen, cloud, axis, evidence, ratio=gap_ratio),
        largest_loss=spacing.largest,
        mean_loss=spacing.mean,
        cloud=len(cloud),
        front=len(best),
        basis=evidence.basis,
        confidence=confidence,
        condition=device.condition if device is not None and AXES[axis].on_device else None,
        percentile=percentile,
        notes=tuple(notes),
    )


def _spaced(
    best: Sequence[PricedRow], anchors: Sequence[PricedRow], size: int, axis: str, evidence: Evidence
) -> Spacing:
    """Which points of the front to take; anchors that lie elsewhere take up a place each."""
    required = [at for at, each in enumerate(best) if each in anchors]
    aside = len(anchors) - len(required)
    least = len({0, *required}) + aside
    if size < least:
        raise StitchError(
            f"A menu of {size} does not hold the cheapest stitch and the anchors. Give {least} or more."
        )
    rows = [each.row for each in best]
    return space_out(
        [each.costs[axis] for each in best],
        [row.top1 for row in rows],
        size - aside,
        allowed=np.array([evidence.surely_better(rows, row) for row in rows], dtype=bool),
        required=required,
    )


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
                stitch=row.stitch,
                cost=each.costs[axis],
                top1=row.top1,
                top1_low=row.top1_low,
                top1_high=row.top1_high,
                images=row.images,
                costs=keyed(each.costs),
                anchor=row.anchor,
                on_front=on_front,
                gain=gain,
            )
        )
        before = each if on_front else before
    return tuple(entries)
