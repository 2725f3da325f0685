"""Two stitches on the same images: exact test, and interval of the difference."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stitchable.errors import StitchError
from stitchable.evaluation.outcomes import NOT_SEEN, Outcomes


@dataclass(frozen=True)
class Comparison:
    """What changes when one stitch is replaced by another, on the images that both saw.

    Attributes:
        images: Number of these images.
        gained: Images that the first got wrong and the second gets right.
        lost: Images that the first got right and the second gets wrong.
        changed: Images whose predicted class differs, for better or worse or neither.
        difference: Top-1 of the second minus that of the first, in percentage points.
        low: Lower end of the 95 % interval of the difference, points; see `difference_interval`.
        high: Its upper end.
        p_value: Of the hypothesis that both are equally accurate; see `mcnemar`.
    """

    images: int
    gained: int
    lost: int
    changed: int
    difference: float
    low: float
    high: float
    p_value: float


def compare(outcomes: Outcomes, first: str, second: str) -> Comparison:
    """Compare two stitches image by image.

    Images are counted in pairs, so what makes an image hard for both drops out: the difference is known far
    better than the two accuracies are.

    Args:
        outcomes: The answers of both.
        first: Text id of the stitch that is replaced.
        second: Text id of the one that replaces it.

    Raises:
        StitchError: One was not measured, or no image was shown to both.
    """
    rows = [outcomes.row(first), outcomes.row(second)]
    predicted = outcomes.predicted[rows]
    both = np.not_equal(predicted, NOT_SEEN).all(0)
    images = int(both.sum())
    if images == 0:
        raise StitchError(
            f"{first} and {second} have seen no image in common. Sweep both on the same images."
        )
    was, now = predicted[:, both]
    was_right, now_right = was == outcomes.labels[both], now == outcomes.labels[both]
    gained, lost = int((now_right & ~was_right).sum()), int((was_right & ~now_right).sum())
    low, high = difference_interval(gained, lost, images)
    return Comparison(
        images,
        gained,
        lost,
        int((was != now).sum()),
        100 * (gained - lost) / images,
        low,
        high,
        mcnemar(gained, lost),
    )


def mcnemar(gained: int, lost: int) -> float:
    """Exact two-sided McNemar test: the p-value of equal accuracy, 0 to 1.

    Images on which both are right, or both wrong, say nothing. Of the others each is as likely a gain as a
    loss if both stitches are equally accurate, so the gains are binomial with p = 1/2.

    Args:
        gained: Images that the first got wrong and the second right.
        lost: Images that the first got right and the second wrong.

    Raises:
        StitchError: A number is negative.

    Source: Q. McNemar 1947, "Note on the sampling error of the difference between correlated proportions or
    percentages", Psychometrika 12; computed by ``scipy.stats.binomtest``.

    Example:
        >>> mcnemar(1, 7) == 2 * (1 + 8) / 2**8
        True
    """
    _check(gained, lost, max(gained + lost, 1))
    if gained + lost == 0:
        return 1.0
    from scipy.stats import binomtest

    return float(binomtest(gained, gained + lost, 0.5).pvalue)


def mcnemar_each(gained: NDArray[np.int64], lost: NDArray[np.int64]) -> NDArray[np.float64]:
    """`mcnemar` of many pairs at once: p-values of the counts' shape."""
    from scipy.special import bdtr

    tail = bdtr(np.minimum(gained, lost), gained + lost, 0.5)
    return np.minimum(1.0, 2 * np.asarray(tail, dtype=np.float64))


def difference_interval(
    gained: int, lost: int, images: int, *, confidence: float = 0.95
) -> tuple[float, float]:
    """Tango's score interval for the difference of two accuracies on the same images.

    It is to pairs what Wilson's interval is to one accuracy: it holds the differences Δ with
    ``|gained − lost − n Δ| ≤ z · sqrt(n (2 q + Δ (1 − Δ)))``, where q is the most likely share of losses if
    the difference is Δ. It stays within ±100 points and does not shrink to a point.

    Args:
        gained: Images that the first got wrong and the second right.
        lost: Images that the first got right and the second wrong.
        images: All images, at least 1, taken as independent draws.
        confidence: Two-sided coverage, between 0 and 1.

    Returns:
        Lower and upper end, in percentage points.

    Raises:
        StitchError: A number is out of its range.

    Source: T. Tango 1998, "Equivalence test and confidence interval for the difference in proportions for
    the paired-sample design", Statistics in Medicine 17.

    Example:
        >>> [round(end, 1) for end in difference_interval(1, 7, 21)]
        [-51.7, -2.6]
    """
    _check(gained, lost, images)
    if not 0 < confidence < 1:
        raise StitchError(f"confidence is {confidence}. Give a share between 0 and 1, such as 0.95.")
    from scipy.stats import norm

    z = float(norm.ppf((1 + confidence) / 2))
    # By symmetry the upper end is the lower one of the reverse, with its sign changed.
    return 100 * _lower_end(gained, lost, images, z), -100 * _lower_end(lost, gained, images, z)


def _lower_end(gained: int, lost: int, images: int, z: float) -> float:
    from scipy.optimize import brentq

    def excess(difference: float) -> float:
        half_b = ((2 * images - gained + lost) * difference - gained - lost) / 2
        product = 2 * images * lost * difference * (1 - difference)
        share = (math.sqrt(max(half_b**2 + product, 0.0)) - half_b) / (2 * images)
        variance = images * max(2 * share + difference * (1 - difference), 0.0)
        return gained - lost - images * difference - z * math.sqrt(variance)

    estimate = (gained - lost) / images
    if estimate == -1:
        return -1.0
    # At the estimate itself the variance may vanish, which would pass for a root.
    return float(brentq(excess, -1.0, estimate - 1e-9, xtol=1e-12))


def _check(gained: int, lost: int, images: int) -> None:
    if gained < 0 or lost < 0 or gained + lost > images or images < 1:
        raise StitchError(
            f"{gained} images gained and {lost} lost of {images} is no count. Give at least one image, and "
            "numbers from 0 that make no more than the images."
        )
