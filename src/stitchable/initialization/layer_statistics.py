"""Least-squares statistics of all stitching layers at once."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from stitchable.errors import StitchError
from stitchable.initialization.feature_sums import FeatureSums
from stitchable.initialization.least_squares import AffineMap, LeastSquares
from stitchable.initialization.views import View


class LayerStatistics(FeatureSums):
    """Sufficient statistics of the least-squares problems of all stitching layers, in float64.

    Memory does not depend on the number of images, see `FeatureSums`; a layer's own statistics are put
    together when they are asked for.
    """

    def layer(self, layer: str) -> LeastSquares:
        """Statistics of one layer over all pairs that share it, about their common means."""
        cross = self._cross[layer]
        total = LeastSquares(*cross.shape, device=cross.device)
        pairs = self.pairs[layer]
        total.rows = sum(self._rows[front] for front, _ in pairs)
        if total.rows == 0:
            return total
        # With the shifts s and t, means x and y of a pair, and common means X and Y, its part of the sum of
        # (x_i - X)(y_i - Y)' is that of (x_i - s)(y_i - t)' less n (x - s)(y - t)' plus n (x - X)(y - Y)'.
        for front, end in pairs:
            total.x_mean += self._mean(front) * (self._rows[front] / total.rows)
            total.y_mean += self._mean(end) * (self._rows[front] / total.rows)
        total.cross += cross
        for front, end in pairs:
            n = self._rows[front]
            x_off, y_off = self._sum[front] / n, self._sum[end] / n
            x_step, y_step = self._mean(front) - total.x_mean, self._mean(end) - total.y_mean
            total.cross += n * (torch.outer(x_step, y_step) - torch.outer(x_off, y_off))
            gram = self._gram[front].triu() + self._gram[front].triu(1).T
            total.scatter += gram + n * (torch.outer(x_step, x_step) - torch.outer(x_off, x_off))
            square = self._gram[end].diagonal() if end in self._gram else self._square[end]
            total.y_scatter += square + n * (y_step.square() - y_off.square())
        return total

    def prefix(self, layer: str) -> Tensor | None:
        """Prefix tokens for a layer whose front lacks them: the constants that fit best, so the means.

        Returns:
            ``(missing, end width)``, float64, averaged over images and over the pairs that share the layer;
            ``None`` if nothing is missing.
        """
        found = [self._prefix[end] for _, end in self.pairs[layer] if end in self._prefix]
        return torch.stack(found).mean(0) / self._images if found else None

    def _mean(self, view: View) -> Tensor:
        return self._shift[view] + self._sum[view] / self._rows[view]

    def solve(
        self, *, ridge: float | Mapping[str, float] = 0.0, match_variance: bool = False
    ) -> dict[str, AffineMap]:
        """Solution of every layer, in the space's order, jointly for the pairs that share it.

        Args:
            ridge: See `LeastSquares.solve`; one for all layers, or one by layer.
            match_variance: See `LeastSquares.solve`.

        Raises:
            StitchError: As `LeastSquares.solve`; the layer is named.
        """
        solved = {}
        for layer in self.space.layers:
            strength = ridge[layer] if isinstance(ridge, Mapping) else ridge
            try:
                solved[layer] = self.layer(layer).solve(ridge=strength, match_variance=match_variance)
            except StitchError as error:
                raise StitchError(f"Layer {layer}: {error}") from None
        return solved
