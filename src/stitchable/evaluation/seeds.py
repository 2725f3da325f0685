"""Several runs of one space with different seeds: what of a curve is the space's, and what is chance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import mean, stdev
from typing import Any

from stitchable.errors import StitchError
from stitchable.evaluation.curve import CurveRow, stopped_early
from stitchable.evaluation.pareto import front


@dataclass(frozen=True)
class SeedsRow:
    """One stitch over several seeds.

    Attributes:
        index: Position in the stitching space.
        stitch: Text id.
        macs: Multiply-accumulates for one image.
        params: Learnable parameters.
        seeds: Number of seeds.
        top1: Mean of top-1 over the seeds, percent.
        deviation: Standard deviation of top-1 over the seeds (n − 1), percentage points.
        top1_low: Lower end of the 95 % t interval of the mean, percent.
        top1_high: Upper end.
        on_front: In how many of the seeds the stitch is on the front.
        on_mean_front: Whether it is on the front of the means.
        anchor: Name of the anchor if this is an anchor alone.
    """

    index: int
    stitch: str
    macs: int
    params: int
    seeds: int
    top1: float
    deviation: float
    top1_low: float
    top1_high: float
    on_front: int
    on_mean_front: bool
    anchor: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The row as plain data."""
        return asdict(self)


def across_seeds(curves: Sequence[Sequence[CurveRow]], *, confidence: float = 0.95) -> list[SeedsRow]:
    """Mean, spread and interval of every stitch over curves that differ in the seed alone.

    The interval of the mean is Student's, ``mean ± t · s / sqrt(n)`` with n − 1 degrees of freedom. It tells
    what another seed would give on the same images, and nothing about other images.

    Args:
        curves: Two or more, of the same stitches on equally many images.
        confidence: Two-sided coverage of the intervals, between 0 and 1.

    Returns:
        One row per stitch, by index.

    Raises:
        StitchError: There are fewer than two curves, they are not of the same stitches and images, or one is
            of a race, see `check_not_raced`.

    Source: Student 1908, "The probable error of a mean", Biometrika 6.
    """
    if len(curves) < 2:
        raise StitchError(f"{len(curves)} curve shows no spread. Give the curves of two seeds or more.")
    if not 0 < confidence < 1:
        raise StitchError(f"confidence is {confidence}. Give a share between 0 and 1, such as 0.95.")
    from scipy.stats import t

    for number, curve in enumerate(curves, start=1):
        check_not_raced(curve, f"Curve {number}")
    stitches = [{row.stitch: row for row in curve} for curve in curves]
    for number, other in enumerate(stitches[1:], start=2):
        _check_same(stitches[0], other, number)
    groups = [[curve[name] for curve in stitches] for name in stitches[0]]
    groups.sort(key=lambda rows: rows[0].index)
    means = [mean(row.top1 for row in rows) for rows in groups]
    best = front([rows[0].macs for rows in groups], means)
    factor = float(t.ppf((1 + confidence) / 2, len(curves) - 1)) / math.sqrt(len(curves))
    found = []
    for rows, middle, on_front in zip(groups, means, best, strict=True):
        first, spread = rows[0], stdev(row.top1 for row in rows)
        found.append(
            SeedsRow(
                index=first.index,
                stitch=first.stitch,
                macs=first.macs,
                params=first.params,
                seeds=len(rows),
                top1=middle,
                deviation=spread,
                top1_low=middle - factor * spread,
                top1_high=middle + factor * spread,
                on_front=sum(row.on_front for row in rows),
                on_mean_front=on_front,
                anchor=first.anchor,
            )
        )
    return found


def pooled_deviation(rows: Sequence[SeedsRow]) -> float:
    """Typical spread over seeds: root of the mean variance over the stitches, percentage points.

    A deviation from three seeds is hardly known; that of all stitches together is.
    """
    return math.sqrt(mean(row.deviation**2 for row in rows))


def check_not_raced(curve: Sequence[CurveRow], name: str) -> None:
    """Make sure that every stitch of a curve saw all images.

    A race stops a stitch where it does badly, and on other images with every seed. So a mean over the seeds
    in which one was stopped is none of top-1, and one over the seeds in which it was not is too high.

    Args:
        curve: Its rows.
        name: What to call it in the message.

    Raises:
        StitchError: Some of its stitches saw fewer images than others.
    """
    stopped = stopped_early(curve)
    if stopped:
        most = max(row.images for row in curve)
        raise StitchError(
            f"{name} is of a race, which stopped {len(stopped):,} of {len(curve):,} stitches before they had "
            f"seen all {most:,} images: no mean over seeds is fair to them. Sweep every run with --target "
            "all; the same --stitches in each make that shorter."
        )


def _check_same(first: dict[str, CurveRow], other: dict[str, CurveRow], number: int) -> None:
    odd = next(iter(sorted(first.keys() ^ other.keys())), None)
    if odd is not None:
        raise StitchError(
            f"Curves 1 and {number} are of different spaces: only one of them has {odd}. Give runs of the "
            "same anchors and space, all stitches measured."
        )
    for name, row in first.items():
        for field in ("macs", "params", "images"):
            if getattr(row, field) != getattr(other[name], field):
                raise StitchError(
                    f"Curves 1 and {number} differ in the {field} of {name}: {getattr(row, field):,} and "
                    f"{getattr(other[name], field):,}. Give runs of the same space and images."
                )
