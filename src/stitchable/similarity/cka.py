"""Linear centred kernel alignment: biased, unbiased, and from mini-batches."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from stitchable.errors import StitchError
from stitchable.similarity.kernels import LEAST_ROWS, Kernel, alignment, hsic_products, linear_kernel
from stitchable.similarity.moments import Moments, check, moments


def linear_cka(x: Tensor, y: Tensor) -> float:
    """Unbiased linear CKA of the same rows seen twice.

    ``HSIC₁(K, L) / sqrt(HSIC₁(K, K) · HSIC₁(L, L))`` for the kernels ``K = XXᵀ`` and ``L = YYᵀ``. Each HSIC₁
    is an unbiased estimate where rows are independent: around 0 for unrelated features, where the usual
    estimate is far above it if rows are not many times the widths. No matrix of rows by rows is made.

    Args:
        x: ``(rows, d_x)``, any floating dtype. A row is what the caller takes for one: an image, a position.
        y: ``(rows, d_y)``, the same rows.

    Returns:
        At most 1 but for rounding; 0 where either does not vary, or by chance a little below.

    Raises:
        StitchError: Fewer than four rows, unequally many, or values that are not finite.

    Source: Kornblith et al. 2019; HSIC₁ is Song et al. 2012, as Nguyen, Raghu and Kornblith 2021 use it.

    Example:
        >>> import torch
        >>> x = torch.arange(24.0).reshape(8, 3).sin()
        >>> round(linear_cka(x, 5 * x[:, [2, 0, 1]] + 7), 6)
        1.0
    """
    return linear_cka_from(moments(x, y, least=LEAST_ROWS))


def linear_cka_from(given: Moments) -> float:
    """`linear_cka` of features that only their moments are known of."""
    return alignment(_hsic(given.product), _hsic(given.front.product), _hsic(given.end.product))


def _hsic(product: Tensor) -> float:
    """HSIC₁ but for its factor, which cancels: sums over kernels without diagonals, from the features."""
    rows, diagonals = float(product[-1, -1]), float(product[-2, -2])
    # With centred rows every row of a kernel sums to 0, so without the diagonal to minus its entry.
    trace = float(product[:-2, :-2].square().sum()) - diagonals
    sums = float(product[-2, -1] * product[-1, -2]) / ((rows - 1) * (rows - 2))
    return trace + sums - 2 * diagonals / (rows - 2)


def biased_linear_cka(x: Tensor, y: Tensor) -> float:
    """Linear CKA as first defined: ``‖XᵀY‖²_F / (‖XᵀX‖_F ‖YᵀY‖_F)`` of centred columns.

    With few rows for the widths it is near 1 whatever the features are; see `linear_cka`.

    Args:
        x: ``(rows, d_x)``, any floating dtype.
        y: ``(rows, d_y)``, the same rows.

    Returns:
        Between 0 and 1; 0 where either does not vary.

    Raises:
        StitchError: Fewer than two rows, unequally many, or values that are not finite.

    Source: Kornblith et al. 2019.
    """
    return biased_linear_cka_from(moments(x, y))


def biased_linear_cka_from(given: Moments) -> float:
    """`biased_linear_cka` of features that only their moments are known of."""
    both, front, end = (each.square().sum() for each in (given.cross, given.front.scatter, given.end.scatter))
    return alignment(both, front, end)


def minibatch_cka(batches: Iterable[tuple[Tensor, Tensor]], *, kernel: Kernel = linear_kernel) -> float:
    """Unbiased CKA from mini-batches: sums of HSIC₁ over them, and the ratio in the end.

    Rows are compared within their batch only, so memory does not grow with their number, and features may be
    far wider than there are rows. Batches count by their rows; those of fewer than four are left out.

    Args:
        batches: Pairs ``(rows, d_x)`` and ``(rows, d_y)`` of the same rows, in random order.
        kernel: What compares two rows.

    Returns:
        At most 1 but for rounding; 0 where either does not vary.

    Raises:
        StitchError: No batch has four rows; or as `linear_cka`.

    Source: Nguyen, Raghu and Kornblith 2021, with batches of one size.
    """
    total = torch.zeros(2, 2, dtype=torch.float64)
    seen = 0
    for x, y in batches:
        check(x, y, least=0)
        if len(x) >= LEAST_ROWS:
            total = hsic_products([kernel(x), kernel(y)]).cpu() + total
            seen += 1
    if not seen:
        raise StitchError(f"Mini-batch CKA needs batches of at least {LEAST_ROWS} rows; there was none.")
    return alignment(total[0, 1], total[0, 0], total[1, 1])
