"""Centred kernel alignment with a radial basis function."""

from __future__ import annotations

from functools import partial

from torch import Tensor

from stitchable.similarity.cka import minibatch_cka
from stitchable.similarity.kernels import alignment, doubly_centred, rbf_kernel
from stitchable.similarity.moments import check


def rbf_cka(x: Tensor, y: Tensor, *, fraction: float = 0.8, biased: bool = False) -> float:
    """CKA of Gaussian kernels: rows that are near each other in one should be in the other.

    All rows are compared with all others: memory goes with their square.

    Args:
        x: ``(rows, d_x)``, any floating dtype.
        y: ``(rows, d_y)``, the same rows.
        fraction: Bandwidth in median distances, see `rbf_kernel`; of each feature by itself.
        biased: Use the estimate as first defined; otherwise HSIC₁, which is around 0 for unrelated
            features however few rows there are.

    Returns:
        At most 1 but for rounding; 0 where either does not vary.

    Raises:
        StitchError: Fewer than four rows, unequally many, or values that are not finite.

    Source: Kornblith et al. 2019.
    """
    check(x, y, least=4)
    kernel = partial(rbf_kernel, fraction=fraction)
    if not biased:
        return minibatch_cka([(x, y)], kernel=kernel)
    k, m = doubly_centred(kernel(x)), doubly_centred(kernel(y))
    return alignment((k * m).sum(), k.square().sum(), m.square().sum())
