"""How well one feature matches another after the best rotation."""

from __future__ import annotations

import torch
from torch import Tensor

from stitchable.similarity.moments import Moments, moments


def procrustes(x: Tensor, y: Tensor) -> float:
    """Orthogonal Procrustes as a similarity: ``‖XᵀY‖_* / (‖X‖_F ‖Y‖_F)`` of centred columns.

    ‖·‖_* is the sum of singular values. With X and Y centred and divided by their Frobenius norms, the
    squared distance after the best orthogonal map is ``d² = 2 − 2 · similarity``; the narrower of the two is
    thought of as padded with zeros.

    Args:
        x: ``(rows, d_x)``, any floating dtype.
        y: ``(rows, d_y)``, the same rows.

    Returns:
        Between 0 and 1 but for rounding; 0 where either does not vary. Rotations, reflections, shifts
        and one scale for all channels change nothing.

    Raises:
        StitchError: Fewer than two rows, unequally many, or values that are not finite.

    Source: Schönemann 1966; as a measure of representations, Ding, Denain and Steinhardt 2021.
    """
    return procrustes_from(moments(x, y))


def procrustes_from(given: Moments) -> float:
    """`procrustes` of features that only their moments are known of."""
    scale = given.front.total * given.end.total
    return float(torch.linalg.svdvals(given.cross).sum()) / scale**0.5 if scale > 0 else 0.0
