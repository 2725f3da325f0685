"""A small predictor of the accuracy after training, and the rank correlation it reaches on a run's data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from stitchable.errors import StitchError
from stitchable.prediction.features import FEATURES, FeatureTable
from stitchable.prediction.rank_correlation import RankCorrelation, rank_correlation
from stitchable.prediction.ridge import fit_ridge, out_of_fold

LEAST_MEASURED = 8


class PredictedRow(NamedTuple):
    """One stitch.

    Attributes:
        stitch: Its text id.
        predicted: Top-1 in percent. Where the stitch was measured, by a fit that has not seen it.
        measured: Top-1 in percent after training; ``None`` where it was not measured.
    """

    stitch: str
    predicted: float
    measured: float | None


@dataclass(frozen=True)
class Prediction:
    """Predictions with how well they order what was measured.

    Attributes:
        rows: In the table's order.
        features: What the predictor reads.
        fitted_on: Number of measured stitches.
        correlation: Of out-of-fold predictions and measurements; ``None`` where one of them is constant.
        error: Root mean square of their differences, in points.
        spread: Standard deviation of the measurements, in points: the error of predicting their mean.
        single: Rank correlation of each feature alone with the measurements.
    """

    rows: tuple[PredictedRow, ...]
    features: tuple[str, ...]
    fitted_on: int
    correlation: RankCorrelation | None
    error: float
    spread: float
    single: Mapping[str, RankCorrelation | None]

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data."""
        return {
            "fitted_on": self.fitted_on,
            "features": list(self.features),
            "correlation": self.correlation and self.correlation.to_dict(),
            "error": self.error,
            "spread": self.spread,
            "single": {name: each and each.to_dict() for name, each in self.single.items()},
            "rows": [row._asdict() for row in self.rows],
        }


def predict(table: FeatureTable, measured: Mapping[str, float]) -> Prediction:
    """Fit a ridge regression to the measured stitches and predict all.

    Args:
        table: Features of the stitches to predict, the measured ones among them.
        measured: Top-1 after training, in percent, by stitch.

    Raises:
        StitchError: Fewer than `LEAST_MEASURED` stitches of the table were measured.
    """
    names = [str(stitch) for stitch in table.stitches]
    seen = np.array([name in measured for name in names])
    if seen.sum() < LEAST_MEASURED:
        raise StitchError(
            f"{seen.sum()} trained stitches were measured, anchors apart; a predictor is fitted to "
            f"{LEAST_MEASURED} or more. Train the run, then measure some with 'stitchable sweep RUN "
            "--sweep.stitches N'."
        )
    x = table.values[seen]
    y = np.array([measured[name] for name, each in zip(names, seen, strict=True) if each])
    held_out = out_of_fold(x, y)
    predicted = fit_ridge(x, y).predict(table.values)
    predicted[seen] = held_out
    return Prediction(
        rows=tuple(
            PredictedRow(name, float(value), measured.get(name))
            for name, value in zip(names, predicted, strict=True)
        ),
        features=table.names,
        fitted_on=len(y),
        correlation=rank_correlation(held_out, y),
        error=float(np.sqrt(np.mean((held_out - y) ** 2))),
        spread=float(y.std()),
        single={name: rank_correlation(x[:, place], y) for place, name in enumerate(table.names)},
    )


def describe(prediction: Prediction) -> list[str]:
    """In words, how far the predictions can be believed; a line each."""
    found, lines = prediction.correlation, []
    if found is None:
        return ["The predictions or the measurements are all equal: there is no order to predict."]
    lines.append(
        f"Each of {found.pairs} trained stitches predicted from the others: Spearman {found.spearman}, "
        f"Kendall {found.kendall}; error {prediction.error:.2f} points, where their mean errs by "
        f"{prediction.spread:.2f}."
    )
    if found.spearman.low <= 0:  # what is predicted from the mean of the others alone is below 0
        lines.append("The interval reaches 0: these data do not show that the predictions order anything.")
    single = {name: each for name, each in prediction.single.items() if each}
    best = max(single, key=lambda name: abs(single[name].spearman.value), default=None)
    if best is not None:
        alone = single[best].spearman
        lines.append(f"The best single feature is {best}, {FEATURES[best]}: {alone}.")
        if abs(alone.value) >= found.spearman.low:
            lines.append("These data do not show that the predictor orders them better than that feature.")
    if prediction.error >= prediction.spread:
        lines.append("The predictor errs no less than the mean of the measured stitches would.")
    return lines
