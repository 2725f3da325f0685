"""All pairs of cuts of several anchors, compared in one pass over the images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor

from stitchable.errors import StitchError
from stitchable.feature import Cut, FeatureSpec
from stitchable.layers.adapters import rows_on
from stitchable.ranks import Ranks
from stitchable.similarity.canonical import cca_from, pwcca_from, svcca_from
from stitchable.similarity.cka import biased_linear_cka_from, linear_cka_from
from stitchable.similarity.jackknife import Estimate, jackknife
from stitchable.similarity.kernel_sums import KernelSums
from stitchable.similarity.kernels import LEAST_ROWS, Kernel, linear_kernel, rbf_kernel
from stitchable.similarity.moment_sums import MomentSums
from stitchable.similarity.moments import Moments
from stitchable.similarity.pair import Measure, PairSimilarity
from stitchable.similarity.procrustes import procrustes_from
from stitchable.similarity.question import Question, specs_of
from stitchable.similarity.regression import linear_r2_from
from stitchable.similarity.rows import FROM_KERNELS, FROM_MOMENTS, Rows
from stitchable.similarity.views import POOLED

__all__ = ["Rows", "SimilaritySums"]

_Values = Mapping[tuple[Measure, tuple[Cut, Cut]], float]

_OF_MOMENTS: Mapping[Measure, Callable[[Moments], float]] = {
    "cka": linear_cka_from,
    "cka_biased": biased_linear_cka_from,
    "cca": cca_from,
    "svcca": svcca_from,
    "pwcca": pwcca_from,
    "procrustes": procrustes_from,
    "r2": linear_r2_from,
}


class SimilaritySums:
    """Sums over images from which the similarity of every pair of cuts follows, in float64.

    They stream, so memory does not depend on the number of images, and add up, so batches and processes are
    the same thing. What each kind of rows can be asked for is `rows.MEASURES`:

    - ``"pooled"``: everything. A row per image, the mean over the grid; prefix tokens take no part.
    - ``"pixels"``: all but ``cka_minibatch`` and ``rbf_cka``. A row per position of the smaller of the two
      grids, and per prefix token that both have. Positions of one image are not independent rows, so the
      unbiased ``cka`` is unbiased as far as there are many images.
    - ``"flattened"``: ``cka_minibatch`` and ``rbf_cka``. A row per image, all positions and prefix tokens
      side by side.

    All but those two are the very numbers that the plain functions give for all rows at once. Those
    two compare the images of a batch with each other (`cka.minibatch_cka`, `kernels.rbf_kernel` with the
    batch's own median), so batches should be of one size and in random order; a batch of fewer than four
    images does not count for them.

    Memory is ``8 · groups`` bytes times, for two anchors all of whose cuts are compared, the product of their
    channels over all cuts, see `nbytes`. Where that is too much, take fewer groups, or ``cka_minibatch``,
    which holds one number per pair and group.

    Args:
        features: By anchor what flows through its cuts, from cut 0 on, as `Outline.features`.
        pairs: Cuts to compare; the order matters to ``r2`` and ``pwcca``.
        rows: What counts as a row.
        measures: Which numbers are wanted.
        groups: Batches go to so many groups in turn; intervals come from leaving out one at a time. 0 for
            none.
        bandwidth: Of ``rbf_cka``, in median distances.
        device: Where the sums are kept; must know float64.

    Raises:
        StitchError: No pairs or measures, a cut that does not exist, a measure that these rows do not
            allow, or one group.

    Example:
        >>> specs = {"a": [FeatureSpec("map", 2, (1, 1))], "b": [FeatureSpec("map", 3, (1, 1))]}
        >>> sums = SimilaritySums(specs, [(("a", 0), ("b", 0))], groups=2)
        >>> for batch in torch.arange(24.0).sin().reshape(4, 6, 1, 1):
        ...     x = batch.reshape(3, 2, 1, 1)
        ...     sums.update({("a", 0): x, ("b", 0): torch.cat([-x, x[:, :1]], 1)})
        >>> [(each.measure, round(each.value, 2)) for each in sums.values()]
        [('cka', 0.96), ('r2', 1.0)]
    """

    def __init__(
        self,
        features: Mapping[str, Sequence[FeatureSpec]],
        pairs: Sequence[tuple[Cut, Cut]],
        *,
        rows: Rows = "pooled",
        measures: Sequence[Measure] = ("cka", "r2"),
        groups: int = 10,
        bandwidth: float = 0.8,
        device: torch.device | str = "cpu",
    ) -> None:
        specs = specs_of(features, pairs)
        self.question = Question(specs, tuple(pairs), rows, tuple(measures), groups, bandwidth)
        self.cuts: tuple[Cut, ...] = tuple(specs)
        self._device, self._batches = torch.device(device), 0
        kernels: dict[Measure, Kernel] = {
            "cka_minibatch": linear_kernel,
            "rbf_cka": partial(rbf_kernel, fraction=bandwidth),
        }
        compared = {measure: kernels[measure] for measure in measures if measure in FROM_KERNELS}
        meetings = [(self.question.meeting(*pair), *pair) for pair in pairs]
        apart = max(groups, 1)
        self._kernels = KernelSums(self.cuts if compared else (), compared, groups=apart, device=device)
        self._moments = MomentSums(
            specs, meetings if set(measures) & set(FROM_MOMENTS) else (), groups=apart, device=device
        )

    @property
    def nbytes(self) -> int:
        """Bytes that the sums take, whatever they have seen."""
        return sum(sums.nbytes for sums in (*self._moments.sums, self._kernels.sums))

    @torch.no_grad()
    def update(self, features: Mapping[Cut, Tensor], *, number: int | None = None) -> None:
        """Add a batch of images.

        Args:
            features: The feature of every cut in `cuts`, of any floating dtype, shaped as its spec says, of
                the same images in the same order.
            number: Of the batch, among those of all processes: decides its group. Counted here if it is not
                given; then intervals, but no values, depend on the number of processes.
        """
        group = (self._batches if number is None else number) % max(self.question.groups, 1)
        self._batches += 1
        some = {cut: features[cut].to(self._device) for cut in self.cuts}
        self._moments.update(some, group=group)
        if self._kernels.cuts:
            self._kernels.update({cut: self._per_image(cut, x) for cut, x in some.items()}, group=group)

    def _per_image(self, cut: Cut, x: Tensor) -> Tensor:
        if self.question.rows == "flattened":
            return x.flatten(1)
        return rows_on(x.double(), self.question.specs[cut], grid=POOLED.grid, prefix=POOLED.prefix)

    def add(self, other: SimilaritySums) -> None:
        """Take in the images that another one has seen, group by group; it stays as it is.

        Raises:
            StitchError: It was made for other pairs, rows, measures, or groups.
        """
        if self.question != other.question:
            raise StitchError(
                "These sums are of unlike pairs, rows or measures. Add those that were made with the same."
            )
        self._moments.add(other._moments)
        self._kernels.add(other._kernels)

    def merge(self, ranks: Ranks) -> None:
        """Make the sums of all processes one, the same bits in each.

        Args:
            ranks: All of them call this, with sums of the same question; some may have seen no images.
        """
        self._moments.merge(ranks)
        self._kernels.merge(ranks)

    def values(self) -> list[PairSimilarity]:
        """Every measure of every pair, in the order in which they were asked for.

        Intervals are `None` where fewer than two groups have seen images, or too few remain without one.

        Raises:
            StitchError: Fewer than four images were seen, or by no batch of those that compare the images
                of a batch; or features that are not finite.
        """
        estimates: dict[tuple[Measure, tuple[Cut, Cut]], Estimate] = {}
        if self._moments.blocks:
            estimates |= jackknife(self._of_moments, self._moments.images.tolist(), least=LEAST_ROWS)
        if self._kernels.cuts:
            estimates |= jackknife(self._of_kernels, self._kernels.images.tolist(), least=LEAST_ROWS)
        return [
            PairSimilarity(measure, *pair, found.value, found.low, found.high)
            for pair in self.question.pairs
            for measure in self.question.measures
            for found in [estimates[measure, pair]]
        ]

    def _of_moments(self, without: int | None) -> _Values:
        moments = self._moments.moments(without=without)
        found = {}
        for pair in self.question.pairs:
            given = moments.pair(self.question.meeting(*pair), *pair)
            for measure, of in _OF_MOMENTS.items():
                if measure in self.question.measures:
                    found[measure, pair] = of(given)
        return found

    def _of_kernels(self, without: int | None) -> _Values:
        return self._kernels.values(self.question.pairs, without=without)
