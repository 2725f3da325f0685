"""Sums over rows, from which the moments of all pairs of cuts follow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from stitchable.errors import StitchError
from stitchable.feature import Cut, FeatureSpec
from stitchable.layers.adapters import rows_on
from stitchable.ranks import Ranks
from stitchable.similarity.centred_moments import CentredMoments
from stitchable.similarity.moments import extended, moved
from stitchable.similarity.views import Block, Meeting, View, blocks

ROWS_AT_ONCE = 4096
"""Rows that are turned to float64 and multiplied together; bounds the extra memory of an update."""


class MomentSums:
    """The products of `moments.extended` features, summed over rows in float64, by group of images.

    All pairs between two anchors come from one matrix product. Features are taken minus a fixed shift, the
    mean of the first rows: unlike raw sums these lose no digits where means are large, and they still add up.

    Args:
        specs: By cut.
        pairs: Which cuts meet, and where.
        groups: Number of groups, each with sums of its own.
        device: Where the sums are kept.
    """

    def __init__(
        self,
        specs: Mapping[Cut, FeatureSpec],
        pairs: Sequence[tuple[Meeting, Cut, Cut]],
        *,
        groups: int,
        device: torch.device | str,
    ) -> None:
        self._specs = specs
        self.blocks = blocks(pairs)
        self._place: dict[tuple[Meeting, Cut, Cut], tuple[int, int, int]] = {
            (block.meeting, front, end): (number, left, right)
            for number, block in enumerate(self.blocks)
            for left, front in enumerate(block.fronts)
            for right, end in enumerate(block.ends)
        }
        self._shift: dict[View, Tensor] = {}

        def size(cuts: Sequence[Cut]) -> int:
            return sum(specs[cut].width + 1 for cut in cuts) + 1

        self.sums = [
            torch.zeros(groups, size(block.fronts), size(block.ends), dtype=torch.float64, device=device)
            for block in self.blocks
        ]
        self.images = torch.zeros(groups, dtype=torch.float64, device=device)

    def update(self, features: Mapping[Cut, Tensor], *, group: int) -> None:
        """Add the features of some images to the sums of a group."""
        views: dict[Meeting, list[Cut]] = {}
        self.images[group] += len(next(iter(features.values())))
        for block in self.blocks:
            if block.fronts == block.ends:  # every view has one such block
                views.setdefault(block.meeting, []).append(block.fronts[0])
        for meeting, cuts in views.items():
            positions = meeting.prefix + meeting.grid[0] * meeting.grid[1]
            at_once = max(ROWS_AT_ONCE // positions, 1)
            for start in range(0, len(features[cuts[0]]), at_once):
                some = {cut: self._rows(meeting, cut, features[cut][start : start + at_once]) for cut in cuts}
                self._add(meeting, some, group)

    def _rows(self, meeting: Meeting, cut: Cut, x: Tensor) -> Tensor:
        rows = rows_on(x.double(), self._specs[cut], grid=meeting.grid, prefix=meeting.prefix)
        if (meeting, cut) not in self._shift:
            self._shift[meeting, cut] = rows.mean(0)
        return rows - self._shift[meeting, cut]

    def _add(self, meeting: Meeting, rows: Mapping[Cut, Tensor], group: int) -> None:
        made: dict[tuple[Cut, ...], Tensor] = {}
        for block, total in zip(self.blocks, self.sums, strict=True):
            if block.meeting == meeting:
                for cuts in (block.fronts, block.ends):
                    if cuts not in made:
                        made[cuts] = extended([rows[cut] for cut in cuts])
                total[group].addmm_(made[block.fronts].T, made[block.ends])

    def add(self, other: MomentSums) -> None:
        """Take in the rows that another one of the same pairs has seen; it stays as it is."""
        if not self._shift:
            self._centre_on(other._shift)
        for ours, theirs in zip(self.sums, other._on(self._shift), strict=True):
            ours += theirs
        self.images += other.images

    def merge(self, ranks: Ranks) -> None:
        """Make the sums of all processes one, the same bits in each; some may have seen no rows."""
        if ranks.count == 1:
            return
        shifts = ranks.gather({view: shift.cpu() for view, shift in self._shift.items()})
        self._centre_on(next((shift for shift in shifts if shift), {}))
        ranks.add(self.images, *self.sums)

    def _centre_on(self, shift: Mapping[View, Tensor]) -> None:
        self.sums = self._on(shift)
        self._shift = {view: new.to(self.sums[0].device) for view, new in shift.items()}

    def _on(self, shift: Mapping[View, Tensor]) -> list[Tensor]:
        """The sums of features minus another shift."""
        if not self._shift:
            return self.sums  # no rows were seen, and every sum is zero

        def steps(block: Block, cuts: Sequence[Cut]) -> list[Tensor]:
            old = [self._shift[block.meeting, cut] for cut in cuts]
            return [
                each - shift[block.meeting, cut].to(each.device) for each, cut in zip(old, cuts, strict=True)
            ]

        return [
            torch.stack([moved(each, steps(block, block.fronts), steps(block, block.ends)) for each in total])
            for block, total in zip(self.blocks, self.sums, strict=True)
        ]

    def moments(self, *, without: int | None = None) -> CentredMoments:
        """What the rows say of every pair: all of them, or all but those of a group.

        Raises:
            StitchError: Features were not finite.
        """
        for block, sums in zip(self.blocks, self.sums, strict=True):
            if block.fronts == block.ends and not torch.isfinite(sums).all():
                anchor, number = block.fronts[0]
                raise StitchError(
                    f"{anchor}'s features at cut {number} are not finite. "
                    "Check the weights and the images' normalisation."
                )
        return CentredMoments(
            self.blocks,
            self._place,
            {view: shift.cpu() for view, shift in self._shift.items()},
            [_left(sums, without).cpu() for sums in self.sums],
            self._specs,
        )


def _left(sums: Tensor, without: int | None) -> Tensor:
    """The sum over groups, but for one; no more than two groups' worth of memory."""
    return sums.sum(0) if without is None else sums.sum(0) - sums[without]
