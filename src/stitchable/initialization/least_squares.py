"""Least squares as a sum: sufficient statistics that stream, merge and solve."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from stitchable.errors import StitchError


@dataclass(frozen=True)
class AffineMap:
    """``y ≈ weight · x + bias``.

    Attributes:
        weight: ``(d_end, d_front)``, float64.
        bias: ``(d_end,)``, float64.
        r2: Coefficient of determination on the rows seen; 1 is perfect, 0 is no better than the mean.
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
        self.x_sum, self.y_sum = zeros(front), zeros(end)
        self.gram, self.cross = zeros(front, front), zeros(front, end)
        self.y_square = 0.0

    def update(self, x: Tensor, y: Tensor) -> None:
        """Add rows.

        Args:
            x: ``(rows, d_front)``, any floating dtype.
            y: ``(rows, d_end)``.
        """
        x, y = x.double(), y.double()
        self.rows += len(x)
        self.x_sum += x.sum(0)
        self.y_sum += y.sum(0)
        self.gram.addmm_(x.T, x)
        self.cross.addmm_(x.T, y)
        self.y_square += float(y.square().sum())

    def merge(self, other: LeastSquares) -> None:
        """Add the rows that ``other`` has seen."""
        self.rows += other.rows
        self.x_sum += other.x_sum
        self.y_sum += other.y_sum
        self.gram += other.gram
        self.cross += other.cross
        self.y_square += other.y_square

    def solve(self, *, ridge: float = 0.0) -> AffineMap:
        """Affine map that carries front rows to end rows in least squares.

        Minimises ``‖X W + b − Y‖²_F + ridge · tr(S)/d · ‖W‖²_F`` over all rows seen, where S is the
        scatter matrix of the centred X; the bias is not penalised.

        Args:
            ridge: Strength relative to the mean eigenvalue of S; 0 gives the pseudo-inverse solution.

        Raises:
            StitchError: Fewer rows than ``d_front + 1`` were seen and ``ridge`` is 0, a negative ridge,
                or features that are not finite.

        Source: Pan et al. 2023, section 3.2; the joint solve over pairs is ours.
        """
        width = len(self.x_sum)
        if ridge < 0:
            raise StitchError(f"The ridge is a strength of at least 0; got {ridge}.")
        if self.rows < width + 1 and ridge == 0:
            raise StitchError(
                f"Least squares saw {self.rows} rows for width {width}; it needs at least {width + 1}. "
                "Give more images or a ridge."
            )
        x_mean, y_mean = self.x_sum / self.rows, self.y_sum / self.rows
        scatter = self.gram - self.rows * torch.outer(x_mean, x_mean)
        cross = self.cross - self.rows * torch.outer(x_mean, y_mean)
        if not (torch.isfinite(scatter).all() and torch.isfinite(cross).all()):
            raise StitchError("Features are not finite. Check the weights and the images' normalisation.")
        penalised = scatter + ridge * scatter.trace() / width * torch.eye(
            width, dtype=scatter.dtype, device=scatter.device
        )
        solution = _solve_symmetric(penalised, cross)
        spread = self.y_square - self.rows * float(y_mean @ y_mean)
        explained = float((solution * (2 * cross - scatter @ solution)).sum())
        r2 = explained / spread if spread > 0 else 1.0
        return AffineMap(solution.T, y_mean - x_mean @ solution, r2, self.rows)


def _solve_symmetric(matrix: Tensor, right: Tensor) -> Tensor:
    """Solve ``matrix · X = right`` for a positive semi-definite matrix, by least norm if singular."""
    width = len(matrix)
    factor, failed = torch.linalg.cholesky_ex(matrix)
    if not failed:
        # The ratio of pivots bounds the condition number from below: cheap, and it finds rank deficiency.
        pivots = factor.diagonal().square()
        if pivots.min() > pivots.max() * width * torch.finfo(matrix.dtype).eps:
            solved: Tensor = torch.cholesky_solve(right, factor)
            return solved
    values, vectors = torch.linalg.eigh(matrix)
    cut = values.max() * width * torch.finfo(matrix.dtype).eps
    kept = values > cut
    solution: Tensor = vectors[:, kept] @ ((vectors[:, kept].T @ right) / values[kept, None])
    return solution
