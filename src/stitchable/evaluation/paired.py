"""Two stitches on the same images: the difference of their accuracies, and how sure it is."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from stitchable.errors import StitchError
from stitchable.evaluation.outcomes import NOT_SEEN, Outcomes


@dataclass(frozen=True)
class PairedDifference:
    """By how much one stitch is more accurate than another on the same images.

    Attributes:
        points: Accuracy of the first less that of the second, in percentage points.
        low: Lower end of Tango's score interval for it, in points.
        high: Upper end, in points.
        p_value: Of McNemar's exact test that both are equally accurate, two-sided.
        images: Number of images that both have seen.
    """

    points: float
    low: float
    high: float
    p_value: float
    images: int


def paired_difference(
    right_a: NDArray[np.bool_], right_b: NDArray[np.bool_], *, confidence: float = 0.95
) -> PairedDifference:
    """Compare two stitches by their answers to the same images.

    Only the images on which exactly one of the two is right tell them apart: ``b`` where the first is, ``c``
    where the second is. McNemar's exact test asks whether ``b`` of ``b + c`` fair coins is likely. Tango's
    interval holds every difference that the score test of that difference does not reject, so it keeps its
    coverage where ``b + c`` is small, and it excludes 0 where ``|b − c| > z · sqrt(b + c)``.

    Args:
        right_a: Whether the first stitch was right ``(images,)``, bool.
        right_b: Whether the second one was ``(images,)``, bool.
        confidence: Two-sided coverage of the interval, between 0 and 1.

    Raises:
        StitchError: The arrays are empty or differ in shape, or ``confidence`` is out of its range.

    Source: Q. McNemar 1947, Psychometrika 12; T. Tango 1998, "Equivalence test and confidence interval for
    the difference in proportions for the paired-sample design", Statistics in Medicine 17.

    Example:
        >>> import numpy as np
        >>> first = np.repeat([True, True, False, False], [900, 30, 10, 60])
        >>> second = np.repeat([True, False, True, False], [900, 30, 10, 60])
        >>> found = paired_difference(first, second)
        >>> f"{found.points:.2f} ({found.low:.2f} to {found.high:.2f}), p = {found.p_value:.4f}"
        '2.00 (0.80 to 3.36), p = 0.0022'
    """
    if right_a.shape != right_b.shape or right_a.ndim != 1 or not right_a.size:
        raise StitchError(
            f"Answers of shapes {right_a.shape} and {right_b.shape} do not pair up. Give one truth value per "
            "image, on the same images, and one image at least."
        )
    if not 0 < confidence < 1:
        raise StitchError(f"confidence is {confidence}. Give a share between 0 and 1, such as 0.95.")
    images = int(right_a.size)
    first = int(np.count_nonzero(right_a & ~right_b))
    second = int(np.count_nonzero(right_b & ~right_a))
    low, high = tango_interval(first, second, images, confidence=confidence)
    p_value = float(mcnemar_exact(np.array([first]), np.array([second]))[0])
    return PairedDifference(100 * (first - second) / images, 100 * low, 100 * high, p_value, images)


def paired_outcomes(outcomes: Outcomes, a: str, b: str, *, confidence: float = 0.95) -> PairedDifference:
    """`paired_difference` of two stitches on the images that both have seen.

    Raises:
        StitchError: One was not measured, or they have seen no image in common.
    """
    rows = outcomes.row(a), outcomes.row(b)
    both = np.logical_and.reduce([np.not_equal(outcomes.predicted[row], NOT_SEEN) for row in rows])
    if not both.any():
        raise StitchError(f"{a} and {b} have seen no image in common. Measure both with 'stitchable sweep'.")
    right_a, right_b = (np.equal(outcomes.predicted[row], outcomes.labels)[both] for row in rows)
    return paired_difference(right_a, right_b, confidence=confidence)


def mcnemar_exact(first: NDArray[np.integer], second: NDArray[np.integer]) -> NDArray[np.float64]:
    """Two-sided p-values of McNemar's exact test, for many pairs at once.

    Of ``n = first + second`` images that tell two stitches apart each favours either one with probability
    1/2: ``p = min(1, 2 · P(Binomial(n, 1/2) ≤ min(first, second)))``. It is 1 where ``n`` is 0.

    Args:
        first: Images on which only the first of a pair is right ``(pairs,)``.
        second: Images on which only the second is ``(pairs,)``.
    """
    from scipy.special import bdtr  # scipy.stats takes a second to import

    tail = bdtr(np.minimum(first, second), first + second, 0.5)
    return np.minimum(1.0, 2 * np.asarray(tail, dtype=np.float64))


def tango_interval(first: int, second: int, images: int, *, confidence: float = 0.95) -> tuple[float, float]:
    """Tango's score interval for the difference of two paired shares, as fractions of 1.

    Args:
        first: Images on which only the first is right.
        second: Images on which only the second is.
        images: All images.
        confidence: Two-sided coverage.
    """
    quantile = NormalDist().inv_cdf((1 + confidence) / 2)
    estimate = (first - second) / images
    low = _where(lambda at: _score(at, first, second, images) < quantile, -1.0, estimate)
    high = _where(lambda at: _score(at, first, second, images) <= -quantile, estimate, 1.0)
    return low, high


def _score(difference: float, first: int, second: int, images: int) -> float:
    """Tango's statistic: how many standard errors the counts lie above a supposed ``difference``.

    The standard error is that of the likeliest shares which differ by so much; the smaller of the two
    discordant shares is the larger root of a quadratic.
    """
    linear = (2 * images - first + second) * difference - first - second
    constant = -second * difference * (1 - difference)
    root = math.sqrt(max(linear * linear - 8 * images * constant, 0.0))
    share = (root - linear) / (4 * images)
    variance = images * (2 * share + difference * (1 - difference))
    above = first - second - images * difference
    return above / math.sqrt(variance) if variance > 0 else math.copysign(math.inf, above)


def _where(holds: Callable[[float], bool], low: float, high: float) -> float:
    """The place in ``[low, high]`` from which on a condition holds, by halving."""
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high
