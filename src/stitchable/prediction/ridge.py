"""Ridge regression in closed form, and predictions for what it has not seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stitchable.errors import StitchError

Array = NDArray[np.float64]
STRENGTHS = tuple(float(each) for each in 10.0 ** np.arange(-3, 1.01, 0.5))
LEAVE_ONE_OUT_UP_TO = 200
FOLDS = 20


@dataclass(frozen=True)
class Ridge:
    """``offset + (x − mean) / scale · weights``.

    Attributes:
        mean: Of each feature ``(features,)``, on the rows of the fit.
        scale: What each feature is divided by ``(features,)``; features that do not vary have the weight 0.
        weights: ``(features,)``.
        offset: Mean of the targets.
        strength: Of the penalty, per row.
    """

    mean: Array
    scale: Array
    weights: Array
    offset: float
    strength: float

    def predict(self, x: Array) -> Array:
        """Predictions ``(rows,)`` for features ``(rows, features)``."""
        predicted: Array = self.offset + (x - self.mean) / self.scale @ self.weights
        return predicted


def fit_ridge(x: Array, y: Array, *, scale: Array | None = None) -> Ridge:
    """Fit by least squares with a penalty on the weights of standardised features.

    Minimises ``‖y − offset − Z w‖² + n · strength · ‖w‖²``; of `STRENGTHS` that one is taken whose
    leave-one-out error is the smallest.

    Args:
        x: Features ``(rows, features)``.
        y: Targets ``(rows,)``.
        scale: What to divide features by; ``None`` takes their standard deviations.

    Raises:
        StitchError: Fewer than three rows, or numbers that are not finite.

    Source: Hoerl and Kennard 1970; Allen 1974 for leave-one-out errors without as many fits.
    """
    if len(x) < 3 or not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise StitchError(f"A regression needs three rows of finite numbers or more; got {len(x)} rows.")
    mean, offset = x.mean(0), float(y.mean())
    spread = x.std(0)
    varies = spread > 1e-9 * np.maximum(np.abs(mean), 1e-300)
    used = np.where(varies, spread if scale is None else scale, 1.0)
    z = np.where(varies, (x - mean) / used, 0.0)
    left, values, right = np.linalg.svd(z, full_matrices=False)
    along = left.T @ (y - offset)
    fits = []
    for strength in STRENGTHS:
        shrunk = values**2 / (values**2 + len(x) * strength)
        residual = y - offset - left @ (shrunk * along)
        leverage = 1 / len(x) + (left**2) @ shrunk
        # A leverage of 1 leaves nothing to judge by.
        error = np.mean((residual / np.maximum(1 - leverage, 1e-6)) ** 2)
        weights = right.T @ (values / (values**2 + len(x) * strength) * along)
        fits.append((float(error), Ridge(mean, used, weights, offset, strength)))
    return min(fits, key=lambda fit: fit[0])[1]


def out_of_fold(x: Array, y: Array, *, scale: Array | None = None, seed: int = 0) -> Array:
    """Predict every row by a fit that has not seen it; the penalty too is chosen without it.

    Leaves out one row at a time up to `LEAVE_ONE_OUT_UP_TO` rows, and one of `FOLDS` parts beyond.

    Args:
        x: Features ``(rows, features)``.
        y: Targets ``(rows,)``.
        scale: See `fit_ridge`.
        seed: Of the parts.

    Returns:
        Predictions ``(rows,)``.
    """
    parts = len(x) if len(x) <= LEAVE_ONE_OUT_UP_TO else FOLDS
    order = np.random.default_rng(seed).permutation(len(x))
    predicted = np.empty(len(x))
    for part in range(parts):
        held = order[part::parts]
        kept = np.setdiff1d(order, held)
        predicted[held] = fit_ridge(x[kept], y[kept], scale=scale).predict(x[held])
    return predicted
