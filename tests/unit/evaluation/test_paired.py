from math import comb, sqrt
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stitchable.errors import StitchError
from stitchable.evaluation.outcomes import NOT_SEEN, Outcomes
from stitchable.evaluation.paired import mcnemar_exact, paired_difference, paired_outcomes, tango_interval

COUNTS = st.tuples(st.integers(0, 40), st.integers(0, 40), st.integers(0, 200)).filter(any)


def answers(first, second, agreeing):
    right = np.repeat([[True, False, True], [False, True, True]], [first, second, agreeing], axis=1)
    return right[0], right[1]


@pytest.mark.parametrize(
    ("first", "second", "images", "confidence", "low", "high"),
    [
        (1, 7, 21, 0.95, -0.517, -0.026),  # Fagerland, Lydersen and Laake 2014, after Bentur et al. 2009
        (28, 25, 618, 0.90, -0.0148, 0.0247),  # scoreci.mp(25, 28, 618) of R's PropCIs
    ],
)
def test_the_interval_is_the_published_one(first, second, images, confidence, low, high):
    digits = 3 if abs(low) > 0.1 else 4
    found = tango_interval(first, second, images, confidence=confidence)
    assert [round(end, digits) for end in found] == [low, high]


def score_by_search(difference, first, second, images):
    """The score statistic with its likeliest shares found on a grid, not by the quadratic."""
    shares = np.linspace(max(0, -difference), (1 - difference) / 2, 200_001)[1:-1]
    with np.errstate(divide="ignore"):
        likelihood = (
            first * np.log(shares + difference)
            + second * np.log(shares)
            + (images - first - second) * np.log(1 - 2 * shares - difference)
        )
    share = shares[np.argmax(likelihood)]
    return (first - second - images * difference) / sqrt(images * (2 * share + difference - difference**2))


@pytest.mark.parametrize("counts", [(12, 2, 50), (1, 7, 21), (30, 10, 1000), (3, 0, 40), (0, 3, 40)])
def test_at_both_ends_the_score_test_is_at_its_limit(counts):
    low, high = tango_interval(*counts)
    assert score_by_search(low, *counts) == pytest.approx(1.96, abs=2e-3)
    assert score_by_search(high, *counts) == pytest.approx(-1.96, abs=2e-3)


@pytest.mark.parametrize("images", [1, 30, 10_000])
def test_two_that_never_differ_have_the_closed_form(images):
    """With no discordant image the score is sqrt(n · d / (1 − d)), so the end is z² / (n + z²)."""
    end = 1.959963984540054**2 / (images + 1.959963984540054**2)
    assert tango_interval(0, 0, images) == pytest.approx((-end, end), abs=1e-12)


@given(counts=COUNTS, confidence=st.sampled_from([0.8, 0.95, 0.99]))
@settings(deadline=None, max_examples=40)
def test_what_holds_for_all_counts(counts, confidence):
    first, second, _ = counts
    found = paired_difference(*answers(*counts), confidence=confidence)
    assert found.images == sum(counts)
    assert found.points == pytest.approx(100 * (first - second) / sum(counts))
    assert -100 <= found.low <= found.points + 1e-9
    assert found.points - 1e-9 <= found.high <= 100
    swapped = paired_difference(*answers(*counts)[::-1], confidence=confidence)
    assert (swapped.low, swapped.high) == pytest.approx((-found.high, -found.low), abs=1e-9)
    assert swapped.p_value == found.p_value
    quantile = NormalDist().inv_cdf((1 + confidence) / 2)
    rejected = (first - second) ** 2 - quantile**2 * (first + second)
    if abs(rejected) > 1e-6:
        assert (found.low > 0 or found.high < 0) == (rejected > 0)


@given(first=st.integers(0, 60), second=st.integers(0, 60))
@settings(deadline=None, max_examples=40)
def test_mcnemar_is_the_sum_of_binomial_coefficients(first, second):
    total, fewer = first + second, min(first, second)
    exact = min(1.0, 2 * sum(comb(total, k) for k in range(fewer + 1)) / 2**total)
    assert mcnemar_exact(np.array([first]), np.array([second]))[0] == pytest.approx(exact, rel=1e-9)


def test_only_images_that_both_have_seen_count():
    labels = np.array([0, 1, 2, 0, 1], dtype=np.int32)
    predicted = np.array([[0, 1, 0, 0, NOT_SEEN], [0, 0, 2, NOT_SEEN, 1]], dtype=np.int32)
    outcomes = Outcomes(("a", "b"), labels, predicted, np.ones((2, 5), dtype=np.float32))
    found = paired_outcomes(outcomes, "a", "b")
    assert (found.images, found.points, found.p_value) == (3, 0.0, 1.0)
    nothing = Outcomes(("a", "b"), labels[3:], predicted[:, 3:], np.ones((2, 2), dtype=np.float32))
    with pytest.raises(StitchError, match="a and b have seen no image in common"):
        paired_outcomes(nothing, "a", "b")


def test_refuses():
    with pytest.raises(StitchError, match=r"shapes \(2,\) and \(3,\)"):
        paired_difference(np.ones(2, dtype=bool), np.ones(3, dtype=bool))
    with pytest.raises(StitchError, match=r"one image at least"):
        paired_difference(np.ones(0, dtype=bool), np.ones(0, dtype=bool))
    with pytest.raises(StitchError, match=r"confidence is 1\.5"):
        paired_difference(np.ones(2, dtype=bool), np.ones(2, dtype=bool), confidence=1.5)
