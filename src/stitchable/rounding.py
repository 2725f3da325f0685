"""What is rounding and no more, in float64 sums over features that were computed in float32."""

from __future__ import annotations

import torch
from torch import Tensor

_RANK = 1e-13  # of sums of squares: float32 features tell no more directions apart
_CONSTANT = 1e-12  # what varies by less than this share of its mean is constant


def least_share(width: int) -> float:
    """Eigenvalues of a float64 scatter matrix ``(width, width)`` below this share of the largest are none."""
    return max(_RANK, width * torch.finfo(torch.float64).eps)


def spread_by_rounding(mean: Tensor, rows: int) -> float:
    """Sum of squares that values which do not vary may seem to have, by rounding of their mean.

    Args:
        mean: Of each channel ``(d,)``, float64.
        rows: How many values of each.
    """
    return rows * float((_CONSTANT * mean).square().max())
