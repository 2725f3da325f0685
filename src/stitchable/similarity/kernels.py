"""Kernels of few rows, and the unbiased estimate of how alike they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from stitchable.similarity.moments import centred

Kernel = Callable[[Tensor], Tensor]
"""From rows ``(rows, d)`` to a symmetric matrix ``(rows, rows)``, float64."""

LEAST_ROWS = 4
"""Below, there is no unbiased estimate."""


def linear_kernel(x: Tensor) -> Tensor:
    """``XXᵀ`` of the centred rows: no estimate here minds where the origin is."""
    x = centred(x)
    return x @ x.T


def rbf_kernel(x: Tensor, *, fraction: float = 0.8) -> Tensor:
    """``exp(−|xᵢ − xⱼ|² / 2σ²)``.

    Args:
        x: ``(rows, d)``, any floating dtype.
        fraction: σ in median distances between two different rows (the lower of two medians).

    Source: Kornblith et al. 2019, where 0.4 and 0.8 work best.
    """
    gram = linear_kernel(x)
    norms = gram.diagonal()
    squares = (norms[:, None] + norms - 2 * gram).clamp(min=0)
    others = squares[tuple(torch.triu_indices(len(x), len(x), 1, device=x.device))]
    scaled = squares / (2 * fraction**2 * others.median())
    # Where most rows are equal the median is 0: then rows are alike if equal, and else not.
    return torch.where(squares > 0, torch.exp(-scaled), 1.0)


def doubly_centred(kernel: Tensor) -> Tensor:
    """The kernel of centred features: inner products of two such are the usual, biased estimate."""
    return kernel - kernel.mean(0) - kernel.mean(1, keepdim=True) + kernel.mean()


def u_centred(kernel: Tensor) -> Tensor:
    """The kernel without its diagonal and, but for that, with rows and columns that sum to 0.

    The inner product of two such matrices is ``n (n − 3)`` times HSIC₁.

    Source: Székely and Rizzo 2014, for distances; the algebra is the same.
    """
    rows = len(kernel)
    kernel = kernel - kernel[0, -1]  # a constant goes anyway; rows that are all alike so leave exactly 0
    kernel = kernel - torch.diag(kernel.diagonal())
    sums = kernel.sum(0) / (rows - 2)
    out = kernel - sums - sums[:, None] + kernel.sum() / ((rows - 1) * (rows - 2))
    return out - torch.diag(out.diagonal())


def hsic_products(kernels: Sequence[Tensor]) -> Tensor:
    """HSIC₁ of every pair of kernels of the same rows, times the number of rows.

    Args:
        kernels: Each ``(rows, rows)``, of at least `LEAST_ROWS`.

    Returns:
        ``(kernels, kernels)``. Multiplied by the rows, so that mini-batches of unequal sizes count in sums
        for what they are.

    Source: Song et al. 2012.
    """
    flat = torch.stack([u_centred(kernel).flatten() for kernel in kernels])
    return flat @ flat.T / (len(kernels[0]) - 3)


def alignment(both: Tensor | float, front: Tensor | float, end: Tensor | float) -> float:
    """An inner product over the norms, from three inner products; 0 where one of the two is nothing."""
    scale = float(front) * float(end)
    return float(both) / scale**0.5 if scale > 0 else 0.0
