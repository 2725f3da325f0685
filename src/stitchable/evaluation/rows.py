"""Rows of the curve from what was counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from stitchable.evaluation.answers import Tally
from stitchable.evaluation.curve import CurveRow
from stitchable.evaluation.pareto import front
from stitchable.evaluation.statistics import wilson_interval
from stitchable.space.space import StitchingSpace
from stitchable.stitch import Stitch


def curve_rows(
    space: StitchingSpace,
    stitches: Sequence[Stitch],
    tallies: Sequence[Tally],
    *,
    originals: Mapping[str, Tally] | None = None,
) -> list[CurveRow]:
    """One row per stitch, in the order given.

    A stitch that saw fewer images than others was stopped for being off the front, so it is not on it,
    whatever its share of these was.

    Args:
        space: The stitches' space, for their costs.
        stitches: What was measured.
        tallies: What each got right.
        originals: Tallies of the anchors before joint training, by name, on the same images.
    """
    costs = [space.cost(stitch) for stitch in stitches]
    top1 = [100 * each.correct / each.images for each in tallies]
    most = max((each.images for each in tallies), default=0)
    ran = [position for position, each in enumerate(tallies) if each.images == most]
    best = front([costs[position].macs for position in ran], [top1[position] for position in ran])
    on_front = {position for position, is_best in zip(ran, best, strict=True) if is_best}
    rows = []
    for position, (stitch, each) in enumerate(zip(stitches, tallies, strict=True)):
        low, high = wilson_interval(each.correct, each.images)
        anchor = stitch.anchors[0] if len(stitch.segments) == 1 else None
        before = (originals or {}).get(anchor) if anchor else None
        interval = wilson_interval(before.correct, before.images) if before else (None, None)
        rows.append(
            CurveRow(
                index=space.index(stitch),
                stitch=str(stitch),
                macs=costs[position].macs,
                params=costs[position].params,
                top1=top1[position],
                top1_low=low,
                top1_high=high,
                loss=each.loss / each.images,
                images=each.images,
                on_front=position in on_front,
                anchor=anchor,
                original_top1=100 * before.correct / before.images if before else None,
                original_top1_low=interval[0],
                original_top1_high=interval[1],
                original_loss=before.loss / before.images if before else None,
                calibration_images=each.calibration_images,
            )
        )
    return rows
