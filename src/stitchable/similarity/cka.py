"""Linear centred kernel alignment, without the bias that few rows give it."""

from __future__ import annotations

from torch import Tensor

from stitchable.errors import StitchError


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
        StitchError: Fewer than four rows, or unequally many.

    Source: Kornblith et al. 2019; HSIC₁ is Song et al. 2012, as Nguyen, Raghu and Kornblith 2021 use it.

    Example:
        >>> import torch
        >>> x = torch.arange(24.0).reshape(8, 3).sin()
        >>> round(linear_cka(x, 5 * x[:, [2, 0, 1]] + 7), 6)
        1.0
    """
    if len(x) != len(y) or len(x) < 4:
        raise StitchError(f"CKA needs the same rows twice, at least 4; got {len(x)} and {len(y)}.")
    # Kernels do not change HSIC₁ when rows are shifted; centred rows lose fewer digits.
    x, y = x.double() - x.double().mean(0), y.double() - y.double().mean(0)
    scale = _hsic(x, x) * _hsic(y, y)
    return _hsic(x, y) / scale**0.5 if scale > 0 else 0.0


def _hsic(x: Tensor, y: Tensor) -> float:
    """HSIC₁ but for its factor, which cancels: sums over kernels without diagonals, from the features."""
    n = len(x)
    k, m = x.square().sum(1), y.square().sum(1)  # the diagonals
    # With centred rows every row of a kernel sums to 0, so without the diagonal to minus its entry.
    trace = float((x.T @ y).square().sum() - k @ m)
    sums = float(k.sum() * m.sum()) / ((n - 1) * (n - 2))
    both = 2 * float(k @ m) / (n - 2)
    return trace + sums - both
