"""Canonical correlations and what is made of them: their mean, after truncation, and weighted."""

from __future__ import annotations

import torch
from torch import Tensor

from stitchable.similarity.moments import Moments, moments

VARIANCE = 0.99
"""Share of the variance that SVCCA keeps."""


def cca(x: Tensor, y: Tensor) -> float:
    """Mean canonical correlation.

    Divided by the smaller rank, which is the smaller width unless channels depend on each other: dead
    channels and copies change nothing. Directions whose standard deviation is below 3·10⁻⁷ of the
    largest (somewhat more for more than 450 channels) are taken for rounding. With no more rows than
    channels it is 1 whatever the features are.

    Args:
        x: ``(rows, d_x)``, any floating dtype.
        y: ``(rows, d_y)``, the same rows.

    Returns:
        Between 0 and 1 but for rounding; 0 where either does not vary. Invertible affine maps of either
        change nothing.

    Raises:
        StitchError: Fewer than two rows, unequally many, or values that are not finite.

    Source: Hotelling 1936; the mean as in Raghu et al. 2017.
    """
    return cca_from(moments(x, y))


def cca_from(given: Moments) -> float:
    """`cca` of features that only their moments are known of."""
    found = given.front.whitening.T @ given.cross @ given.end.whitening
    return _mean(found)


def svcca(x: Tensor, y: Tensor) -> float:
    """`cca` of the leading principal axes of each that hold `VARIANCE` of its variance.

    Args, returns, raises: as `cca`. Orthogonal maps change nothing; others change what is kept.

    Source: Raghu et al. 2017. Variance is squared singular values here.
    """
    return svcca_from(moments(x, y))


def svcca_from(given: Moments) -> float:
    """`svcca` of features that only their moments are known of."""

    def kept(values: Tensor) -> int:
        return int((values.cumsum(0) < VARIANCE * values.sum()).sum()) + 1

    front, end = kept(given.front.axes[0]), kept(given.end.axes[0])
    found = given.front.whitening[:, :front].T @ given.cross @ given.end.whitening[:, :end]
    return _mean(found)


def pwcca(x: Tensor, y: Tensor) -> float:
    """Canonical correlations weighted by how much of ``x`` each canonical variable accounts for.

    ``Σ αᵢ ρᵢ / Σ αᵢ`` with ``αᵢ = Σⱼ |⟨hᵢ, xⱼ⟩|`` for the canonical variables hᵢ of ``x`` and its centred
    columns xⱼ. Not symmetric. Since it sums absolute values over channels, a rotation of ``x`` changes it;
    invertible affine maps of ``y`` do not.

    Args, returns, raises: as `cca`.

    Source: Morcos, Raghu and Bengio 2018.
    """
    return pwcca_from(moments(x, y))


def pwcca_from(given: Moments) -> float:
    """`pwcca` of features that only their moments are known of."""
    whitening = given.front.whitening
    left, correlations, _ = torch.linalg.svd(
        whitening.T @ given.cross @ given.end.whitening, full_matrices=False
    )
    weights = (left.T @ whitening.T @ given.front.scatter).abs().sum(1)
    return float(weights @ correlations / weights.sum()) if len(correlations) else 0.0


def _mean(whitened: Tensor) -> float:
    """Mean singular value of the product of two features whose columns are orthonormal."""
    rank = min(whitened.shape)
    return float(torch.linalg.svdvals(whitened).sum()) / rank if rank else 0.0
