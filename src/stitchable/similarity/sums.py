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
from stitchable.similarity.jackknife import jackknife_interval
from stitchable.similarity.kernel_sums import KernelSums
from stitchable.similarity.kernels import LEAST_ROWS, Kernel, linear_kernel, rbf_kernel
from stitchable.similarity.moment_sums import MomentSums
from stitchable.similarity.moments import Moments
from stitchable.similarity.pair import Measure, PairSimilarity
from stitchable.similarity.procrustes import procrustes_from
from stitchable.similarity.regression import linear_r2_from
from stitchable.similarity.rows import FROM_KERNELS, FROM_MOMENTS, MEASURES, Rows
from stitchable.similarity.views import POOLED, Meeting, smaller

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
        _check(features, pairs, rows, measures, groups, bandwidth)
        self.pairs, self.rows, self.measures = tuple(pairs), rows, tuple(measures)
        self.groups, self.bandwidth = groups, bandwidth
        self.cuts: tuple[Cut, ...] = tuple(sorted({cut for pair in pairs for cut in pair}))
        self._specs = {(anchor, number): features[anchor][number] for anchor, number in self.cuts}
        self._device = torch.device(device)
        self._batches = 0
        kernels: dict[Measure, Kernel] = {
            "cka_minibatch": linear_kernel,
            "rbf_cka": partial(rbf_kernel, fraction=bandwidth),
        }
        self._kernels = KernelSums(
            self.cuts if set(measures) & set(FROM_KERNELS) else (),
            {measure: kernels[measure] for measure in measures if measure in kernels},
            groups=max(groups, 1),
            device=self._device,
        )
        self._meeting = {pair: self._met(*pair) for pair in self.pairs}
        wanted = [(meeting, *pair) for pair, meeting in self._meeting.items()]
        self._moments = MomentSums(
            self._specs,
            wanted if set(measures) & set(FROM_MOMENTS) else (),
            groups=max(groups, 1),
            device=self._device,
        )

    def _met(self, front: Cut, end: Cut) -> Meeting:
        return smaller(self._specs[front], self._specs[end]) if self.rows == "pixels" else POOLED

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
        group = (self._batches if number is None else number) % max(self.groups, 1)
        self._batches += 1
        some = {cut: features[cut].to(self._device) for cut in self.cuts}
        self._moments.update(some, group=group)
        if self.rows == "flattened":
            self._kernels.update({cut: x.flatten(1) for cut, x in some.items()}, group=group)
        else:
            self._kernels.update({cut: self._pooled(cut, x) for cut, x in some.items()}, group=group)

    def _pooled(self, cut: Cut, x: Tensor) -> Tensor:
        return rows_on(x.double(), self._specs[cut], grid=POOLED.grid, prefix=POOLED.prefix)

    def add(self, other: SimilaritySums) -> None:
        """Take in the images that another one has seen, group by group; it stays as it is.

        Raises:
            StitchError: It was made for other pairs, rows, measures, or groups.
        """
        if self._asked() != other._asked():
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

    def _asked(self) -> tuple[object, ...]:
        return self.pairs, self.rows, self.measures, self.groups, self.bandwidth, self._specs

    def values(self) -> list[PairSimilarity]:
        """Every measure of every pair, in the order in which they were asked for.

        Intervals are `None` where fewer than two groups have seen images, or too few remain without one.

        Raises:
            StitchError: Fewer than four images were seen, or by no batch of those that compare the images
                of a batch; or features that are not finite.
        """
        found: dict[Measure, dict[tuple[Cut, Cut], PairSimilarity]] = {}
        for measures, images, given in (
            (FROM_MOMENTS, self._moments.images, self._of_moments),
            (FROM_KERNELS, self._kernels.images, self._of_kernels),
        ):
            wanted = [measure for measure in self.measures if measure in measures]
            if wanted:
                found |= _with_intervals(wanted, self.pairs, images.tolist(), given)
        return [found[measure][pair] for pair in self.pairs for measure in self.measures]

    def _of_moments(self, without: int | None) -> _Values:
        moments = self._moments.moments(without=without)
        return {
            (measure, pair): of(given)
            for pair, meeting in self._meeting.items()
            for given in [moments.pair(meeting, *pair)]
            for measure, of in _OF_MOMENTS.items()
            if measure in self.measures
        }

    def _of_kernels(self, without: int | None) -> _Values:
        return self._kernels.values(self._meeting, without=without)


def _with_intervals(
    measures: Sequence[Measure],
    pairs: Sequence[tuple[Cut, Cut]],
    images: Sequence[float],
    given: Callable[[int | None], _Values],
) -> dict[Measure, dict[tuple[Cut, Cut], PairSimilarity]]:
    """The values of all images, with an interval from what they are without each group."""
    seen = int(sum(images))
    if seen < LEAST_ROWS:
        raise StitchError(f"Similarity needs batches of at least {LEAST_ROWS} images; got {seen} images.")
    groups = [group for group, count in enumerate(images) if count]
    sizes = [int(images[group]) for group in groups]
    whole = given(None)
    enough = len(groups) > 1 and seen - max(sizes) >= LEAST_ROWS
    parts = [given(group) for group in groups] if enough else []

    def entry(measure: Measure, pair: tuple[Cut, Cut]) -> PairSimilarity:
        value = whole[measure, pair]
        if not parts:
            return PairSimilarity(measure, *pair, value)
        low, high = jackknife_interval(value, [part[measure, pair] for part in parts], sizes)
        return PairSimilarity(measure, *pair, value, low, high)

    return {measure: {pair: entry(measure, pair) for pair in pairs} for measure in measures}


def _check(
    features: Mapping[str, Sequence[FeatureSpec]],
    pairs: Sequence[tuple[Cut, Cut]],
    rows: Rows,
    measures: Sequence[Measure],
    groups: int,
    bandwidth: float,
) -> None:
    for anchor, number in {cut for pair in pairs for cut in pair}:
        if anchor not in features or not 0 <= number < len(features[anchor]):
            there = {name: len(specs) - 1 for name, specs in features.items()}
            raise StitchError(f"No cut {number} of {anchor!r}; the anchors' last cuts are {there}.")
    if not pairs or not measures:
        raise StitchError("Similarity needs at least one pair of cuts and one measure.")
    if rows not in MEASURES:
        raise StitchError(f"Rows are {', '.join(MEASURES)}; got {rows!r}.")
    wrong = [measure for measure in measures if measure not in MEASURES[rows]]
    if wrong:
        raise StitchError(
            f"{', '.join(wrong)} cannot be had from {rows} rows; take {', '.join(MEASURES[rows])}."
        )
    if groups < 0 or groups == 1:
        raise StitchError(f"Intervals need at least 2 groups, or 0 for none; got {groups}.")
    if not bandwidth > 0:
        raise StitchError(f"The bandwidth is a positive share of the median distance; got {bandwidth}.")
