"""Sums over mini-batches of how alike the kernels of all cuts are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from stitchable.errors import StitchError
from stitchable.feature import Cut
from stitchable.ranks import Ranks
from stitchable.similarity.kernels import LEAST_ROWS, Kernel, alignment, hsic_products
from stitchable.similarity.pair import Measure


class KernelSums:
    """HSIC₁ of all pairs of cuts, by measure and group of images; see `cka.minibatch_cka`.

    Kernels are of the rows of one mini-batch, one for each cut; one matrix product gives all pairs.

    Args:
        cuts: In order.
        kernels: By measure.
        groups: Number of groups, each with sums of its own.
        device: Where the sums are kept.
    """

    def __init__(
        self,
        cuts: Sequence[Cut],
        kernels: Mapping[Measure, Kernel],
        *,
        groups: int,
        device: torch.device | str,
    ) -> None:
        self.cuts, self._kernels = tuple(cuts), kernels
        self._number = {cut: number for number, cut in enumerate(cuts)}
        shape = (groups, len(kernels), len(cuts), len(cuts))
        self.sums = torch.zeros(shape, dtype=torch.float64, device=device)
        self.images = torch.zeros(groups, dtype=torch.float64, device=device)

    def update(self, rows: Mapping[Cut, Tensor], *, group: int) -> None:
        """Add a mini-batch ``(images, d)`` of every cut; one of fewer than four images is left out."""
        images = len(rows[self.cuts[0]])
        if images < LEAST_ROWS:
            return
        self.images[group] += images
        for number, kernel in enumerate(self._kernels.values()):
            self.sums[group, number] += hsic_products([kernel(rows[cut]) for cut in self.cuts])

    def add(self, other: KernelSums) -> None:
        """Take in the mini-batches that another one of the same cuts has seen."""
        self.sums += other.sums
        self.images += other.images

    def merge(self, ranks: Ranks) -> None:
        """Make the sums of all processes one, the same bits in each."""
        ranks.add(self.images, self.sums)

    def values(
        self, pairs: Iterable[tuple[Cut, Cut]], *, without: int | None = None
    ) -> dict[tuple[Measure, tuple[Cut, Cut]], float]:
        """What the mini-batches say: all of them, or all but those of a group.

        Raises:
            StitchError: Features were not finite.
        """
        if not torch.isfinite(self.sums).all():
            raise StitchError("Features are not finite. Check the weights and the images' normalisation.")
        kept = [group for group in range(len(self.images)) if group != without]
        tables = dict(zip(self._kernels, self.sums[kept].sum(0).cpu(), strict=True))
        found = {}
        for front, end in pairs:
            x, y = self._number[front], self._number[end]
            for measure, table in tables.items():
                found[measure, (front, end)] = alignment(table[x, y], table[x, x], table[y, y])
        return found
