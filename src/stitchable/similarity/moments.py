"""Second moments of two features over the same rows: what every linear measure is a function of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from stitchable.errors import StitchError
from stitchable.rounding import least_share, spread_by_rounding


def extended(features: Sequence[Tensor]) -> Tensor:
    """Features of the same rows with what unbiased CKA needs besides.

    Args:
        features: Each ``(rows, d)``.

    Returns:
        ``(rows, sum of d + features + 1)``: the features side by side, the squared norm of every row of
        each of them, and 1. The product of two such matrices, transposed and not, is called a *product*
        here: it holds XᵀY, Σ|x|²y, Σ|y|²x, Σ|x|²|y|², Σx, Σy, Σ|x|², Σ|y|² and the number of rows.
    """
    norms = torch.stack([x.square().sum(1) for x in features], 1)
    return torch.cat([*features, norms, norms.new_ones(len(norms), 1)], 1)


def moved(product: Tensor, front: Sequence[Tensor], end: Sequence[Tensor]) -> Tensor:
    """The product of the same features with a vector added to each.

    Args:
        product: Of `extended` features.
        front: What is added to each feature on the left, ``(d,)``.
        end: The same for those on the right.
    """
    return _rows_moved(_rows_moved(product, front).T, end).T


def _rows_moved(product: Tensor, steps: Sequence[Tensor]) -> Tensor:
    step, count = torch.cat(list(steps)), len(steps)
    features, norms, ones = torch.split(product, [len(step), count, 1])
    sizes = torch.tensor([len(each) for each in steps], device=product.device)
    owner = torch.repeat_interleave(torch.arange(count, device=product.device), sizes)
    # |x + d|² = |x|² + 2 d·x + |d|²
    norms = norms.index_add(0, owner, 2 * step[:, None] * features)
    squares = torch.stack([each.square().sum() for each in steps])
    return torch.cat([features + step[:, None] * ones, norms + squares[:, None] * ones, ones])


class Spread:
    """How one feature varies about its mean.

    Args:
        product: Of the centred feature with itself, ``(d + 2, d + 2)``.
        floor: A sum of squares up to here is none.
    """

    def __init__(self, product: Tensor, *, floor: float) -> None:
        total = float(product[:-2, :-2].trace())
        self.product = product if total > floor else torch.zeros_like(product)
        self.scatter = self.product[:-2, :-2]
        self.total = total if total > floor else 0.0

    @cached_property
    def axes(self) -> tuple[Tensor, Tensor]:
        """Principal axes that carry something: sums of squares, descending, and directions as columns."""
        values, vectors = torch.linalg.eigh(self.scatter)
        kept = int((values > least_share(len(values)) * values[-1]).sum()) if self.total else 0
        return values.flip(0)[:kept], vectors.flip(1)[:, :kept]

    @cached_property
    def whitening(self) -> Tensor:
        """``(d, rank)``: what makes the feature's rows orthonormal columns."""
        values, vectors = self.axes
        return vectors / values.sqrt()


@dataclass(frozen=True)
class Moments:
    """Two features over the same rows.

    Attributes:
        front: Of the first.
        end: Of the second.
        product: Of the first with the second, both centred, ``(d_front + 2, d_end + 2)``.
    """

    front: Spread
    end: Spread
    product: Tensor

    @property
    def cross(self) -> Tensor:
        """``(d_front, d_end)``: XᵀY."""
        return self.product[:-2, :-2]


def centred(x: Tensor) -> Tensor:
    """Rows ``(rows, d)`` minus their mean, in float64; exactly 0 where they do not vary."""
    x = x.double()
    mean = x.mean(0)
    x = x - mean
    return x if float(x.square().sum()) > spread_by_rounding(mean, len(x)) else torch.zeros_like(x)


def moments(x: Tensor, y: Tensor, *, least: int = 2) -> Moments:
    """Moments of two matrices.

    Args:
        x: ``(rows, d_x)``, any floating dtype.
        y: ``(rows, d_y)``, the same rows.
        least: Rows that the measure needs.

    Raises:
        StitchError: Fewer rows, unequally many, no matrices, or values that are not finite.
    """
    check(x, y, least=least)
    fronts, ends = (extended([centred(each)]) for each in (x, y))
    return Moments(Spread(fronts.T @ fronts, floor=0.0), Spread(ends.T @ ends, floor=0.0), fronts.T @ ends)


def check(x: Tensor, y: Tensor, *, least: int) -> None:
    """Refuse what cannot be compared; see `moments`."""
    if x.ndim != 2 or y.ndim != 2:
        raise StitchError(
            f"Similarity needs matrices of rows; got shapes {tuple(x.shape)} and {tuple(y.shape)}."
        )
    if len(x) != len(y) or len(x) < least:
        raise StitchError(
            f"Similarity needs the same rows twice, at least {least}; got {len(x)} and {len(y)}."
        )
    if not (torch.isfinite(x).all() and torch.isfinite(y).all()):
        raise StitchError("Features are not finite. Check the weights and the images' normalisation.")
