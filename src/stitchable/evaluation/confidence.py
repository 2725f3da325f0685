"""Whether a stitch is right as often as it says it is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stitchable.errors import StitchError


def calibration_error(confidence: NDArray[np.floating], right: NDArray[np.bool_], *, bins: int = 15) -> float:
    """Expected calibration error, in percentage points.

    Images are put into bins of equal width by the confidence of their answer. In each bin the share of right
    answers is held against the mean confidence; the error is the mean distance, weighted by images. It is 0
    for a model that is right on 80 of 100 images whenever it says 80 %.

    Args:
        confidence: Softmax probability of the answer, 0 to 1 ``(images,)``.
        right: Whether the answer was right ``(images,)``.
        bins: Number of bins; bin m of M holds the confidences in ((m − 1) / M, m / M].

    Raises:
        StitchError: There are no images, the shapes differ, or a confidence is no probability.

    Source: C. Guo, G. Pleiss, Y. Sun, K. Weinberger, ICML 2017, "On calibration of modern neural networks".

    Example:
        >>> round(calibration_error(np.array([0.9, 0.9, 0.6, 0.6]), np.array([True, True, True, False])), 1)
        10.0
    """
    _check(confidence, right)
    if bins < 1:
        raise StitchError(f"{bins} bins hold no image. Give 1 or more; 15 is usual.")
    values = confidence.astype(np.float64)
    places = np.clip(np.ceil(values * bins) - 1, 0, bins - 1).astype(np.intp)
    gaps = np.bincount(places, values - right, minlength=bins)  # each bin's images times its distance
    return float(100 * np.abs(gaps).sum() / len(values))


def overconfidence(confidence: NDArray[np.floating], right: NDArray[np.bool_]) -> float:
    """Mean confidence minus accuracy, in percentage points; negative where a stitch is too modest.

    Args:
        confidence: As for `calibration_error`, of which this is the value with one bin, with its sign.
        right: Likewise.

    Raises:
        StitchError: As for `calibration_error`.

    Example:
        >>> round(overconfidence(np.array([0.9, 0.9, 0.6, 0.6]), np.array([True, True, True, False])), 1)
        0.0
    """
    _check(confidence, right)
    return float(100 * (confidence.astype(np.float64) - right).mean())


def _check(confidence: NDArray[np.floating], right: NDArray[np.bool_]) -> None:
    if confidence.shape != right.shape or confidence.ndim != 1 or len(right) == 0:
        raise StitchError(
            f"Confidences of shape {confidence.shape} and answers of shape {right.shape} do not pair up. "
            "Give one of each for every image, and at least one image."
        )
    if not ((confidence >= 0) & (confidence <= 1.0001)).all():
        raise StitchError("A confidence is no probability. Give the softmax of the logits, 0 to 1.")
