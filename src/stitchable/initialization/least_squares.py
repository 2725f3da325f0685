"""Least squares as a sum: sufficient statistics that stream, merge and solve."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from stitchable.errors import StitchError
from stitchable.rounding import least_share, spread_by_rounding

LARGEST_SCALE = 4.0  # of matched variances: a channel that is hardly predicted must not become noise


@dataclass(frozen=True)
class AffineMap:
    """``y ≈ weight · x + bias``.

    Attributes:
        weight: ``(d_end, d_front)``, float64.
        bias: ``(d_end,)``, float64.
        r2: Coefficient of determination on the rows seen; 1 is perfect, 0 is no better than the mean. Targets
            that do not vary are met perfectly.
        rows: Number of rows seen.
    """

    weight: Tensor
    bias: Tensor
    r2: float
    rows: int


class LeastSquares:
    """Sufficient statistics of an affine least-squares problem, in float64.

    Memory is ``d_front · (d_front + d_end)`` numbers however many rows are seen. Two of them add up to
    the statistics of both sets of rows, so batches, pairs that share a layer, and ranks are all the same
    thing.

    Args:
        front: Width of the rows that come in.
        end: Width of the rows to meet.

    Example:
        >>> x = torch.arange(6.0).reshape(3, 2) ** 2
        >>> statistics = LeastSquares(2, 1)
        >>> statistics.update(x, 3 * x[:, :1] - x[:, 1:] + 5)
        >>> fit = statistics.solve()
        >>> fit.weight.round(decimals=6), fit.bias.round(decimals=6), round(fit.r2, 6)
        (tensor([[ 3., -1.]], dtype=torch.float64), tensor([5.], dtype=torch.float64), 1.0)
    """

    def __init__(self, front: int, end: int, *, device: torch.device | str = "cpu") -> None:
        def zeros(*shape: int) -> Tensor:
            return torch.zeros(shape, dtype=torch.float64, device=device)

        self.rows = 0
        self.x_mean, self.y_mean = zeros(front), zeros(end)
        self.scatter, self.cross = zeros(front, front), zeros(front, end)
        self.y_scatter = zeros(end)

    def update(self, x: Tensor, y: Tensor) -> None:
        """Add rows.

        Args:
            x: ``(rows, d_front)``, any floating dtype.
            y: ``(rows, d_end)``.
        """
        if len(x) == 0:
            return
        x, y = x.double(), y.double()
        x_mean, y_mean = x.mean(0), y.mean(0)
        x, y = x - x_mean, y - y_mean
        self._add(len(x), x_mean, y_mean, x.T @ x, x.T @ y, y.square().sum(0))

    def merge(self, other: LeastSquares) -> None:
        """Add the rows that ``other`` has seen."""
        self._add(other.rows, other.x_mean, other.y_mean, other.scatter, other.cross, other.y_scatter)

    def _add(
        self, rows: int, x_mean: Tensor, y_mean: Tensor, scatter: Tensor, cross: Tensor, y_scatter: Tensor
    ) -> None:
        """Combine centred sums: unlike raw ones they lose no digits where means are large.

        Source: Chan, Golub and LeVeque 1983, "Algorithms for computing the sample variance".
        """
        if rows == 0:
            return
        x_step, y_step = x_mean - self.x_mean, y_mean - self.y_mean
        weight = self.rows * rows / (self.rows + rows)
        self.scatter += scatter + weight * torch.outer(x_step, x_step)
        self.cross += cross + weight * torch.outer(x_step, y_step)
        self.y_scatter += y_scatter + weight * y_step.square()
        self.rows += rows
        self.x_mean += x_step * (rows / self.rows)
        self.y_mean += y_step * (rows / self.rows)

    def solve(self, *, ridge: float = 0.0, match_variance: bool = False) -> AffineMap:
        """Affine map that carries front rows to end rows in least squares.

        Minimises ``‖X W + b − Y‖²_F + ridge · tr(S)/d · ‖W‖²_F`` over all rows seen, where S is the
        scatter matrix of the centred X; the bias is not penalised.

        Args:
            ridge: Strength relative to the mean eigenvalue of S; 0 gives the pseudo-inverse solution.
            match_variance: Scale every output channel to vary as much as its targets do. Least squares
                predicts means, which vary less (by R² per channel); norms that follow with statistics of
                their own then see a spread they do not know. The residual grows, `AffineMap.r2` is that of
                the scaled map. At most by `LARGEST_SCALE`.

        Raises:
            StitchError: Fewer rows than ``d_front + 1`` were seen and ``ridge`` is 0, no rows at all, a
                ridge below 0 or not finite, or features that are not finite.

        Source: Pan et al. 2023, section 3.2; the joint solve over pairs is ours.
        """
        width = len(self.x_mean)
        if not 0 <= ridge < math.inf:
            raise StitchError(f"The ridge is a finite strength of at least 0; got {ridge}.")
        needed = 1 if ridge else width + 1
        if self.rows < needed:
            raise StitchError(
                f"Least squares saw {self.rows} rows for width {width}; it needs at least {needed}. "
                f"Give more images{'' if ridge else ' or a ridge'}."
            )
        if not (torch.isfinite(self.scatter).all() and torch.isfinite(self.cross).all()):
            raise StitchError("Features are not finite. Check the weights and the images' normalisation.")
        penalty = ridge * self.scatter.trace() / width
        penalised = self.scatter + penalty * torch.eye(
            width, dtype=self.scatter.dtype, device=self.scatter.device
        )
        solution = _solve_symmetric(penalised, self.cross, floor=spread_by_rounding(self.x_mean, self.rows))
        if match_variance:
            predicted = (solution * (self.scatter @ solution)).sum(0)
            wanted = self.y_scatter / predicted.clamp(min=torch.finfo(predicted.dtype).tiny)
            solution = solution * wanted.sqrt().clamp(max=LARGEST_SCALE)
        explained = float((solution * (2 * self.cross - self.scatter @ solution)).sum())
        return AffineMap(solution.T, self.y_mean - self.x_mean @ solution, self._share(explained), self.rows)

    def r2(self, fit: AffineMap) -> float:
        """Coefficient of determination of an affine map on these rows, whichever rows it was solved for.

        Below 0 where it does worse than the mean of these targets.
        """
        solution = fit.weight.T
        off = self.y_mean - self.x_mean @ solution - fit.bias
        explained = (solution * (2 * self.cross - self.scatter @ solution)).sum()
        return self._share(float(explained - self.rows * off.square().sum()))

    def _share(self, explained: float) -> float:
        spread = float(self.y_scatter.sum())
        return explained / spread if spread > spread_by_rounding(self.y_mean, self.rows) else 1.0


def _solve_symmetric(matrix: Tensor, right: Tensor, *, floor: float) -> Tensor:
    """Solve ``matrix · X = right`` for a positive semi-definite matrix, by least norm if singular.

    Args:
        matrix: ``(d, d)``, a scatter matrix.
        right: ``(d, columns)``.
        floor: Eigenvalues up to here are rounding, however small the others are.
    """
    share = least_share(len(matrix))
    factor, failed = torch.linalg.cholesky_ex(matrix)
    if not failed:
        # The ratio of pivots bounds the condition number from below: cheap, and it finds rank deficiency.
        pivots = factor.diagonal().square()
        if pivots.min() > max(floor, share * float(pivots.max())):
            solved: Tensor = torch.cholesky_solve(right, factor)
            return solved
    values, vectors = torch.linalg.eigh(matrix)
    kept = values > max(floor, share * float(values.max()))
    solution: Tensor = vectors[:, kept] @ ((vectors[:, kept].T @ right) / values[kept, None])
    return solution
