import numpy as np
import pytest
from scipy.stats import kendalltau, spearmanr

from stitchable.errors import StitchError
from stitchable.prediction.rank_correlation import Interval, rank_correlation


def related(pairs, noise, seed=0):
    draw = np.random.default_rng(seed)
    x = draw.normal(size=pairs)
    return x, (x + noise * draw.normal(size=pairs)).round(1)  # rounded: there are ties


@pytest.mark.parametrize("pairs", [5, 24, 60])
def test_both_are_those_of_scipy(pairs):
    x, y = related(pairs, 0.5)
    x = x.round(1)
    found = rank_correlation(x, y, draws=50)
    assert found.spearman.value == pytest.approx(spearmanr(x, y).statistic)
    assert found.kendall.value == pytest.approx(kendalltau(x, y).statistic)
    assert found.pairs == pairs


def test_the_interval_is_that_of_resampled_pairs():
    x, y = related(20, 1.0)
    found = rank_correlation(x, y, draws=300, seed=3)
    picked = np.random.default_rng(3).integers(20, size=(300, 20))
    taus = [kendalltau(x[each], y[each]).statistic for each in picked]
    assert (found.kendall.low, found.kendall.high) == pytest.approx(tuple(np.percentile(taus, [2.5, 97.5])))
    rhos = [spearmanr(x[each], y[each]).statistic for each in picked]
    assert (found.spearman.low, found.spearman.high) == pytest.approx(tuple(np.percentile(rhos, [2.5, 97.5])))


def test_noise_includes_zero_and_a_law_does_not():
    draw = np.random.default_rng(1)
    assert rank_correlation(draw.normal(size=24), draw.normal(size=24)).spearman.includes_zero
    assert not rank_correlation(*related(24, 0.5)).kendall.includes_zero


def test_a_constant_list_orders_nothing():
    assert rank_correlation(np.ones(9), np.arange(9.0)) is None


def test_too_few_pairs_are_refused():
    with pytest.raises(StitchError, match="four pairs"):
        rank_correlation(np.arange(3.0), np.arange(3.0))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_refused(value):
    broken = np.array([1.0, value, 2.0, 3.0])
    for pair in ((broken, np.arange(4.0)), (np.arange(4.0), broken)):
        with pytest.raises(StitchError, match="finite numbers"):
            rank_correlation(*pair)


def test_an_interval_in_words():
    assert str(Interval(-0.123, -0.5, 0.25)) == "−0.12 (−0.50 to 0.25)"
