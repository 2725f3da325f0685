import numpy as np
import pytest
from scipy import stats

from stitchable.errors import StitchError
from stitchable.similarity.jackknife import jackknife, jackknife_interval


def test_of_a_mean_it_is_students_interval_of_the_groups():
    groups = np.random.default_rng(0).normal(size=(6, 10))
    left_out = [np.delete(groups, each, 0).mean() for each in range(6)]
    means = groups.mean(1)
    expected = stats.t.interval(0.95, 5, means.mean(), stats.sem(means))
    assert jackknife_interval(groups.mean(), left_out, [10] * 6) == pytest.approx(expected)


def test_of_a_mean_over_unequal_groups_it_weights_squares():
    """Busing et al. 1999 for a mean: groups' squared distances weighted by m / (n − m), over their number."""
    sizes = [4, 10, 6]
    groups = [np.random.default_rng(size).normal(size=size) for size in sizes]
    whole = np.concatenate(groups)
    left_out = [np.delete(whole, range(sum(sizes[:g]), sum(sizes[: g + 1]))).mean() for g in range(3)]
    squares = [
        m / (20 - m) * (values.mean() - whole.mean()) ** 2 for m, values in zip(sizes, groups, strict=True)
    ]
    half = stats.t.ppf(0.975, 2) * np.mean(squares) ** 0.5
    expected = whole.mean() - half, whole.mean() + half
    assert jackknife_interval(whole.mean(), left_out, sizes) == pytest.approx(expected)


def test_it_covers_what_it_should():
    """Of a ratio of means, 95 % of intervals hold the true one."""
    draws, found = np.random.default_rng(1), 0
    for _ in range(400):
        x = draws.normal(2, 1, (10, 30))
        y = 3 * x + draws.normal(0, 1, x.shape)

        def ratio(kept, x=x, y=y):
            return y[kept].mean() / x[kept].mean()

        everything = list(range(10))
        parts = [ratio([each for each in everything if each != out]) for out in everything]
        low, high = jackknife_interval(ratio(everything), parts, [30] * 10)
        found += low < 3 < high
    assert 0.92 < found / 400 < 0.98


def test_groups_without_images_are_left_alone():
    asked = []

    def values(without):
        asked.append(without)
        return {"mean": 3.0 if without is None else float(without)}

    found = jackknife(values, [5.0, 0.0, 5.0], least=4)["mean"]
    assert asked == [None, 0, 2]
    assert found[1:] == pytest.approx(jackknife_interval(3, [0, 2], [5, 5]))
    assert jackknife(values, [9.0, 3.0], least=4)["mean"] == (3, None, None)  # too few would remain
    assert jackknife(values, [9.0], least=4)["mean"] == (3, None, None)
    with pytest.raises(StitchError, match=r"at least 4 images, .*got 3"):
        jackknife(values, [3.0], least=4)
