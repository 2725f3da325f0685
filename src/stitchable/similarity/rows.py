"""What counts as a row when features are compared, and which measures can be had from such rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from stitchable.errors import StitchError
from stitchable.similarity.pair import Measure

Rows = Literal["pooled", "pixels", "flattened"]
"""``pooled``: a row per image, the mean over its grid. ``pixels``: a row per position of the smaller grid,
and per prefix token that both have. ``flattened``: a row per image, all positions and tokens side by side."""

FROM_MOMENTS: tuple[Measure, ...] = ("cka", "cka_biased", "cca", "svcca", "pwcca", "procrustes", "r2")
"""Measures that follow from sums of products of channels: of all rows, at the price of width by width."""

FROM_KERNELS: tuple[Measure, ...] = ("cka_minibatch", "rbf_cka")
"""Measures that compare every row of a mini-batch with every other one: for rows of any width, but few."""

MEASURES: Mapping[Rows, tuple[Measure, ...]] = {
    "pooled": FROM_MOMENTS + FROM_KERNELS,
    "pixels": FROM_MOMENTS,
    "flattened": FROM_KERNELS,
}
"""The measures that there are for each kind of rows."""


def check_measures(measures: Sequence[Measure], rows: Rows) -> None:
    """Refuse measures that cannot be had from such rows.

    Raises:
        StitchError: One cannot; those that can are named.
    """
    wrong = [measure for measure in measures if measure not in MEASURES[rows]]
    if wrong:
        raise StitchError(
            f"{', '.join(wrong)} cannot be had from {rows} rows. Allowed: {', '.join(MEASURES[rows])}."
        )
