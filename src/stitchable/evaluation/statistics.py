"""Intervals around measured accuracies."""

from __future__ import annotations

from stitchable.errors import StitchError


def wilson_interval(correct: int, images: int, *, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval for an accuracy.

    It holds the rates ``p`` with ``|p̂ − p| ≤ z · sqrt(p (1 − p) / n)``. Unlike ``p̂ ± z · s`` it stays
    within 0 and 100 % and does not shrink to a point at either end.

    Args:
        correct: Images classified rightly, 0 to ``images``.
        images: Images seen, at least 1, taken as independent draws.
        confidence: Two-sided coverage, between 0 and 1.

    Returns:
        Lower and upper end, in percent.

    Raises:
        StitchError: A number is out of its range.

    Source: E. B. Wilson 1927, "Probable inference, the law of succession, and statistical inference",
    Journal of the American Statistical Association 22; computed by ``scipy.stats.binomtest``.

    Example:
        >>> [round(end, 2) for end in wilson_interval(9173, 10000)]
        [91.17, 92.25]
    """
    if images < 1 or not 0 <= correct <= images:
        raise StitchError(
            f"{correct} of {images} images is no share. Give 0 ≤ correct ≤ images, and images ≥ 1."
        )
    if not 0 < confidence < 1:
        raise StitchError(f"confidence is {confidence}. Give a share between 0 and 1, such as 0.95.")
    from scipy.stats import binomtest

    interval = binomtest(correct, images).proportion_ci(confidence_level=confidence, method="wilson")
    return 100 * float(interval.low), 100 * float(interval.high)
