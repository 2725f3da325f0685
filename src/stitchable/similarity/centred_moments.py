"""The moments of every pair of cuts, from sums over rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from stitchable.feature import Cut, FeatureSpec
from stitchable.rounding import spread_by_rounding
from stitchable.similarity.moments import Moments, Spread, moved
from stitchable.similarity.views import Block, Meeting, View


class CentredMoments:
    """Moments of every pair about the means of the rows that some sums are of."""

    def __init__(
        self,
        of: Sequence[Block],
        place: Mapping[tuple[Meeting, Cut, Cut], tuple[int, int, int]],
        shift: Mapping[View, Tensor],
        totals: Sequence[Tensor],
        specs: Mapping[Cut, FeatureSpec],
    ) -> None:
        self._place, self._specs, self._blocks = place, specs, of
        self._spread: dict[View, Spread] = {}
        means: dict[View, Tensor] = {}
        for block, total in zip(of, totals, strict=True):
            if block.fronts == block.ends:
                means[block.meeting, block.fronts[0]] = total[-1, :-2] / total[-1, -1]
        self._products = [
            moved(
                total,
                [-means[block.meeting, cut] for cut in block.fronts],
                [-means[block.meeting, cut] for cut in block.ends],
            )
            for block, total in zip(of, totals, strict=True)
        ]
        for (meeting, cut), mean in means.items():
            rows = int(totals[place[meeting, cut, cut][0]][-1, -1])
            floor = spread_by_rounding(shift[meeting, cut] + mean, rows)
            product = self._products[place[meeting, cut, cut][0]]
            self._spread[meeting, cut] = Spread(product, floor=floor)

    def pair(self, meeting: Meeting, front: Cut, end: Cut) -> Moments:
        """Moments of two features; of the first with the second in the order asked for."""
        turned = (meeting, front, end) not in self._place
        number, left, right = self._place[(meeting, end, front) if turned else (meeting, front, end)]
        block, product = self._blocks[number], self._products[number]
        some = product[self._columns(block.fronts, left)][:, self._columns(block.ends, right)]
        return Moments(self._spread[meeting, front], self._spread[meeting, end], some.T if turned else some)

    def _columns(self, cuts: Sequence[Cut], number: int) -> Tensor:
        """Where one of several features lies: its channels, its squared norm, and 1."""
        widths = [self._specs[cut].width for cut in cuts]
        start, total = sum(widths[:number]), sum(widths)
        return torch.tensor([*range(start, start + widths[number]), total + number, total + len(cuts)])
