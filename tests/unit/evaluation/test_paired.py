"""Oracles: the binomial and the multinomial distribution, summed and maximised without formulas of ours."""

import math

import numpy as np
import pytest
from scipy import optimize, stats

from stitchable.errors import StitchError
from stitchable.evaluation.outcomes import NOT_SEEN, Outcomes
from stitchable.evaluation.paired import compare, difference_interval, mcnemar


def answers(*predicted, labels=None):
    predicted = np.array(predicted, np.int32)
    names = tuple(f"s[0:{row + 1}]" for row in range(len(predicted)))
    labels = np.zeros(predicted.shape[1], np.int32) if labels is None else np.array(labels, np.int32)
    return Outcomes(names, labels, predicted, np.ones(predicted.shape, np.float32))


def test_the_published_example():
    """Airway responsiveness of 21 children, Fagerland, Lydersen and Laake 2014, Statistics in Medicine 33."""
    assert mcnemar(1, 7) == pytest.approx(0.0703, abs=5e-5)
    assert difference_interval(1, 7, 21) == pytest.approx((-51.7, -2.6), abs=0.05)


@pytest.mark.parametrize(("gained", "lost"), [(0, 0), (0, 6), (3, 3), (9, 2), (2, 9), (40, 21)])
def test_mcnemar_sums_what_is_as_unlikely(gained, lost):
    count = gained + lost
    ways = [math.comb(count, k) for k in range(count + 1)]
    assert mcnemar(gained, lost) == pytest.approx(sum(w for w in ways if w <= ways[gained]) / 2**count)


def most_likely_losses(gained, lost, images, difference):
    """The share of losses under a given difference, by maximising the likelihood."""
    low, high = max(0.0, -difference), (1 - difference) / 2

    def deviance(share):
        cells = (gained, lost, images - gained - lost)
        shares = (share + difference, share, 1 - 2 * share - difference)
        return -sum(n * math.log(max(p, 1e-300)) for n, p in zip(cells, shares, strict=True) if n)

    return optimize.minimize_scalar(deviance, bounds=(low, high), options={"xatol": 1e-12}).x


@pytest.mark.parametrize(("gained", "lost", "images"), [(1, 7, 21), (40, 20, 160), (5, 5, 50), (0, 3, 30)])
def test_at_the_ends_the_score_is_as_large_as_allowed(gained, lost, images):
    z = stats.norm.ppf(0.975)
    for end, sign in zip(difference_interval(gained, lost, images), (1, -1), strict=True):
        difference = end / 100
        share = most_likely_losses(gained, lost, images, difference)
        variance = images * (2 * share + difference - difference**2)
        score = (gained - lost - images * difference) / math.sqrt(variance)
        assert score == pytest.approx(sign * z, abs=1e-4)


def test_the_interval_covers_as_often_as_it_says():
    """All outcomes of 30 images, weighted by how likely they are."""
    images, ends = 30, {}
    for gained in range(14):
        for lost in range(14):
            ends[gained, lost] = difference_interval(gained, lost, images)
    covered = []
    for up, down in [(0.1, 0.1), (0.15, 0.05), (0.1, 0.02)]:
        law = stats.multinomial(images, [up, down, 1 - up - down])
        weights = {pair: law.pmf([*pair, images - sum(pair)]) for pair in ends}
        assert sum(weights.values()) > 0.999
        covered.append(
            sum(w for pair, w in weights.items() if ends[pair][0] <= 100 * (up - down) <= ends[pair][1])
        )
    assert np.mean(covered) == pytest.approx(0.95, abs=0.015)


def test_ends_of_the_scale():
    edge = 100 * 1.959964**2 / (100 + 1.959964**2)  # where n Δ² = z² Δ (1 − Δ)
    assert difference_interval(0, 0, 100) == pytest.approx((-edge, edge), abs=1e-3)
    assert difference_interval(100, 0, 100) == pytest.approx((92.601, 100), abs=1e-3)
    assert difference_interval(0, 100, 100) == pytest.approx((-100, -92.601), abs=1e-3)
    wide, narrow = (difference_interval(8, 3, 50, confidence=c) for c in (0.99, 0.8))
    assert wide[0] < narrow[0] < 10 < narrow[1] < wide[1]


def test_only_images_that_both_saw_count():
    no = NOT_SEEN
    outcomes = answers([0, 0, 1, 1, 2, 0, no], [0, 1, 0, 2, 2, no, 0])
    found = compare(outcomes, "s[0:1]", "s[0:2]")
    assert (found.images, found.gained, found.lost, found.changed) == (5, 1, 1, 3)
    assert (found.difference, found.p_value) == (0, 1)
    assert (found.low, found.high) == difference_interval(1, 1, 5)


def test_the_reverse_has_the_opposite_sign():
    generator = np.random.default_rng(0)
    outcomes = answers(*generator.integers(0, 3, (2, 60)))
    there, back = compare(outcomes, "s[0:1]", "s[0:2]"), compare(outcomes, "s[0:2]", "s[0:1]")
    assert (there.difference, there.low, there.high) == pytest.approx(
        (-back.difference, -back.high, -back.low)
    )
    assert there.p_value == back.p_value


def test_what_cannot_be_compared_is_refused():
    apart = answers([0, NOT_SEEN], [NOT_SEEN, 0])
    with pytest.raises(StitchError, match="no image in common"):
        compare(apart, "s[0:1]", "s[0:2]")
    with pytest.raises(StitchError, match="not among the 2"):
        compare(apart, "s[0:1]", "s[0:9]")
    for gained, lost, images in [(-1, 2, 9), (3, 3, 5), (0, 0, 0)]:
        with pytest.raises(StitchError, match="is no count"):
            difference_interval(gained, lost, images)
    with pytest.raises(StitchError, match="is no count"):
        mcnemar(-1, 2)
    with pytest.raises(StitchError, match="between 0 and 1"):
        difference_interval(1, 2, 9, confidence=95)
