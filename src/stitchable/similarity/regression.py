"""How much of one feature the other explains linearly."""

from __future__ import annotations

from torch import Tensor

from stitchable.similarity.moments import Moments, moments


def linear_r2(x: Tensor, y: Tensor) -> float:
    """R² of linear regression: ``1 − ‖X·M − Y‖²_F / ‖Y‖²_F`` of centred columns, with ``M = X⁺Y``.

    Not symmetric: ``x`` explains ``y``. With no more rows than channels in ``x`` it is 1 whatever the
    features are.

    Args:
        x: ``(rows, d_x)``, any floating dtype.
        y: ``(rows, d_y)``, the same rows.

    Returns:
        Between 0 and 1 but for rounding; 0 where either does not vary. Invertible affine maps of ``x`` and
        rotations of ``y`` change nothing.

    Raises:
        StitchError: Fewer than two rows, unequally many, or values that are not finite.

    Source: Kornblith et al. 2019.

    Example:
        >>> import torch
        >>> x = torch.arange(24.0).reshape(8, 3).sin()
        >>> round(linear_r2(x, x[:, :1] - 2 * x[:, 2:] + 7), 6)
        1.0
    """
    return linear_r2_from(moments(x, y))


def linear_r2_from(given: Moments) -> float:
    """`linear_r2` of features that only their moments are known of."""
    explained = (given.front.whitening.T @ given.cross).square().sum()  # ‖X X⁺ Y‖², by orthonormal columns
    return float(explained) / given.end.total if given.end.total else 0.0
