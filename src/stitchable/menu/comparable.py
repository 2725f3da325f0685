"""Which rows of a curve may be compared: their costs are known, and they saw the same images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stitchable.errors import StitchError
from stitchable.evaluation.curve import CurveRow
from stitchable.evaluation.device_cost import DeviceCosts
from stitchable.menu.axis import Percentile, PricedRow, axis_named, price


@dataclass(frozen=True)
class Comparable:
    """The rows to choose from.

    Attributes:
        known: Every row of which all costs that are needed are known.
        whole: Those of them that saw the most images. A race stopped the others early: they were surely
            beaten on the images they saw, and the share of these says little beside that of all.
        notes: A sentence on rows whose costs are not known, if there are any.
    """

    known: list[PricedRow]
    whole: list[PricedRow]
    notes: tuple[str, ...]

    @property
    def stopped(self) -> str:
        """The rows that a race stopped, in words; empty where there are none."""
        number = len(self.known) - len(self.whole)
        if not number:
            return ""
        images = self.whole[0].row.images
        return f"stopped by a race before {images:,} images: {number} of {len(self.known)} stitches"


def comparable(
    rows: Sequence[CurveRow],
    needed: Sequence[str],
    *,
    device: DeviceCosts | None = None,
    percentile: Percentile = "p50",
) -> Comparable:
    """Put costs to rows and take those that may be compared.

    Args:
        rows: A curve.
        needed: Names of the axes along which costs have to be known.
        device: Costs on a device.
        percentile: Which latency counts.

    Raises:
        StitchError: There are no rows, or of none all costs are known.
    """
    if not rows:
        raise StitchError(
            "The curve holds no rows to choose from. Measure one first with 'stitchable sweep'."
        )
    for name in needed:
        if axis_named(name).on_device and device is None:
            raise StitchError(
                f"{name.capitalize()} is not on the curve. Measure it with 'stitchable profile'."
            )
    priced = price(rows, device, percentile=percentile)
    known = [each for each in priced if all(name in each.costs for name in needed)]
    if not known:
        raise StitchError(
            "The profile holds none of the curve's stitches. Measure again with 'stitchable profile'."
        )
    missing = len(rows) - len(known)
    notes = [f"left out, since not in the profile: {missing} of {len(rows)} stitches"] if missing else []
    most = max(each.row.images for each in known)
    return Comparable(known, [each for each in known if each.row.images == most], tuple(notes))
